//! The way from burn's tensors to plain slices and back into burn's autodiff graph.

use std::marker::PhantomData;

use burn::backend::{
    Autodiff, Backend, BackendTensor, DispatchAutodiffContext, DispatchDevice, DispatchTensor, DispatchTensorKind,
    Flex,
    autodiff::{
        NodeId,
        checkpoint::{base::Checkpointer, strategy::NoCheckpointing},
        grads::Gradients,
        ops::{Backward, NodeGuard, Ops, OpsKind},
    },
    tensor::FloatTensor,
};
use burn::tensor::{Bytes, DType, Int, Shape, Tensor};
use burn_flex::{FlexTensor, Layout};

/// Whether the fast bodies can take this tensor: `f32` on burn's CPU backend, tracked or not.
pub(crate) fn is_fast<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && matches!(x.device().without_autodiff().as_dispatch(), DispatchDevice::Flex(_))
}

/// A backend for which this crate has bodies of its own.
pub(crate) trait Native: Backend {
    /// The backend's own tensor.
    ///
    /// # Panics
    /// When the tensor is on another backend; callers have looked.
    fn unwrap(kind: DispatchTensorKind) -> BackendTensor<Self>;

    /// The reverse of [`Native::unwrap`].
    fn wrap(tensor: BackendTensor<Self>) -> DispatchTensorKind;
}

impl Native for Flex {
    fn unwrap(kind: DispatchTensorKind) -> BackendTensor<Self> {
        match kind {
            DispatchTensorKind::Flex(tensor) => tensor,
            other => unreachable!("the caller checked for flex, found {other:?}"),
        }
    }

    fn wrap(tensor: BackendTensor<Self>) -> DispatchTensorKind {
        DispatchTensorKind::Flex(tensor)
    }
}

/// A float tensor taken apart: its values, its place in the graph and whether it lives on an autodiff device.
pub(crate) struct Part<B: Native> {
    pub(crate) values: FloatTensor<B>,
    node: NodeGuard,
    context: DispatchAutodiffContext,
}

impl Part<Flex> {
    /// Takes a tensor apart for which [`is_fast`] holds.
    pub(crate) fn new<const D: usize>(x: Tensor<D>) -> Self {
        Self::on(x)
    }
}

impl<B: Native> Part<B> {
    /// Takes a float tensor of this backend apart.
    pub(crate) fn on<const D: usize>(x: Tensor<D>) -> Self {
        let tensor = x.into_dispatch();
        let context = tensor.autodiff;
        let (kind, is_tracked) = match tensor.kind {
            DispatchTensorKind::Autodiff(inner) => (*inner, true),
            kind => (kind, false),
        };
        let tensor = B::unwrap(kind);
        // Outside the graph it is a constant: an untracked leaf of its own.
        let tensor = if is_tracked {
            tensor.autodiff()
        } else {
            FloatTensor::<Autodiff<B>>::new(tensor.float())
        };
        let (values, node) = tensor.into_parts();
        Self { values, node, context }
    }
}

/// The values of a tensor for which [`is_fast`] holds, without its graph.
pub(crate) fn values<const D: usize>(x: Tensor<D>) -> FlexTensor {
    Part::new(x).values
}

/// The values of an integer tensor of any integer type, on the host.
pub(crate) fn integers<const D: usize>(x: Tensor<D, Int>) -> Vec<i64> {
    match x.into_dispatch().kind {
        DispatchTensorKind::Flex(BackendTensor::Int(values)) if values.dtype() == DType::I32 => {
            let values = contiguous(values);
            slice_of::<i32>(&values).iter().map(|&i| i64::from(i)).collect()
        }
        kind => {
            let tensor = DispatchTensor {
                kind,
                autodiff: DispatchAutodiffContext::Disabled,
            };
            let tensor = Tensor::<D, Int>::from_dispatch(tensor);
            tensor.into_data().iter::<i64>().collect()
        }
    }
}

/// Records an operation with its backward pass, or only its result when no input is tracked.
///
/// `state` is what backward needs; it is asked for only when something is tracked.
pub(crate) fn record<const D: usize, const N: usize, B, O>(
    operation: O,
    inputs: [Part<B>; N],
    output: FloatTensor<B>,
    state: impl FnOnce([FloatTensor<B>; N]) -> O::State,
) -> Tensor<D>
where
    B: Native,
    O: Backward<B, N>,
{
    let context = inputs.iter().fold(DispatchAutodiffContext::Disabled, |context, part| {
        context.merge(part.context)
    });
    let kind = match context {
        DispatchAutodiffContext::Disabled => B::wrap(BackendTensor::Float(output)),
        DispatchAutodiffContext::Enabled(_) => {
            let (values, nodes) = unzip(inputs);
            // The strategy only matters for operations that recompute their output; these never do.
            let output = match operation.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
                OpsKind::Tracked(prepared) => prepared.finish(state(values), output),
                OpsKind::UnTracked(prepared) => prepared.finish(output),
            };
            DispatchTensorKind::Autodiff(Box::new(B::wrap(BackendTensor::Autodiff(output))))
        }
    };
    Tensor::from_dispatch(DispatchTensor {
        kind,
        autodiff: context,
    })
}

fn unzip<const N: usize, B: Native>(parts: [Part<B>; N]) -> ([FloatTensor<B>; N], [NodeGuard; N]) {
    let values = parts.each_ref().map(|part| part.values.clone());
    (values, parts.map(|part| part.node))
}

/// A plain tensor of values that nothing is recorded for.
pub(crate) fn untracked<const D: usize>(values: FlexTensor) -> Tensor<D> {
    untracked_on::<D, Flex>(values)
}

/// [`untracked`] on any backend with bodies of our own.
pub(crate) fn untracked_on<const D: usize, B: Native>(values: FloatTensor<B>) -> Tensor<D> {
    Tensor::from_dispatch(DispatchTensor {
        kind: B::wrap(BackendTensor::Float(values)),
        autodiff: DispatchAutodiffContext::Disabled,
    })
}

/// The gradients of one operation in the backward pass: one that comes in, up to `N` that go out.
pub(crate) struct Back<'a, const N: usize, B: Native> {
    parents: [Option<NodeId>; N],
    grads: &'a mut Gradients,
    backend: PhantomData<B>,
}

impl<'a, const N: usize> Back<'a, N, Flex> {
    /// Splits what burn hands to a backward pass into the incoming gradient, the saved state and the rest.
    pub(crate) fn open<S>(ops: Ops<S, N>, grads: &'a mut Gradients, _: &mut Checkpointer) -> (FlexTensor, S, Self) {
        Self::on(ops, grads)
    }
}

impl<'a, const N: usize, B: Native> Back<'a, N, B> {
    /// [`Back::open`] on any backend with bodies of our own.
    pub(crate) fn on<S>(ops: Ops<S, N>, grads: &'a mut Gradients) -> (FloatTensor<B>, S, Self) {
        let grad = grads.consume::<B>(&ops.node);
        let parents = ops.parents.map(|parent| parent.map(|node| node.id));
        let back = Self {
            parents,
            grads,
            backend: PhantomData,
        };
        (grad, ops.state, back)
    }

    /// Whether input `index` wants its gradient.
    pub(crate) fn wants(&self, index: usize) -> bool {
        self.parents[index].is_some()
    }

    /// Hands over the gradient of input `index`; dropped when that input does not want one.
    pub(crate) fn give(&mut self, index: usize, grad: FloatTensor<B>) {
        if let Some(id) = self.parents[index] {
            self.grads.register::<B>(id, grad);
        }
    }
}

/// The same values, row-major without gaps.
pub(crate) fn contiguous(x: FlexTensor) -> FlexTensor {
    if x.layout().contiguous_offsets().is_some() {
        x
    } else {
        x.to_contiguous()
    }
}

/// The `f32` elements of a tensor made by [`contiguous`].
pub(crate) fn slice(x: &FlexTensor) -> &[f32] {
    slice_of(x)
}

fn slice_of<E: burn::tensor::Element + bytemuck::Pod>(x: &FlexTensor) -> &[E] {
    match x.as_slice::<E>() {
        Some(values) => values,
        None => unreachable!("the tensor was made contiguous and its type checked"),
    }
}

/// The `f32` elements for writing when nothing else holds the tensor and it fills its storage.
pub(crate) fn slice_mut(x: &mut FlexTensor) -> Option<&mut [f32]> {
    let (start, end) = x.layout().contiguous_offsets()?;
    x.try_storage_mut::<f32>()?.get_mut(start..end)
}

/// A tensor that owns `values`.
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape.into()), DType::F32)
}
