//! Matrix products in the precision that holds: the kernels are cubek's.

use burn::tensor::{DType, Tensor};
use burn_cubecl::kernel::cast;
use burn_cubecl::kernel::matmul::{MatmulStrategy, matmul};
use cubecl::ir::{ElemType, FloatKind};
use cubek::matmul::definition::{MatmulElems, MatmulGlobalElems, MatmulSetupError};
use cubek::matmul::multi_level;
use cubek::matmul::strategy::Strategy;
use cubek::std::InputBinding;

use super::{CubeTensor, Part, dims, empty, into_contiguous, reshaped, untracked};
use crate::precision::{self, Precision};

/// A tensor as it goes into products: rounded where the precision asks for it.
pub(crate) fn factor(x: CubeTensor) -> CubeTensor {
    match precision::current() {
        Precision::Bf16 => cast(x, DType::BF16),
        Precision::F32 | Precision::Tf32 => x,
    }
}

/// A gradient as it goes into products with `other`.
fn factor_like(x: CubeTensor, other: &CubeTensor) -> CubeTensor {
    if x.dtype == other.dtype {
        x
    } else {
        cast(x, other.dtype)
    }
}

/// The matrix with rows and columns exchanged; nothing is moved.
pub(crate) fn transposed(x: &CubeTensor) -> CubeTensor {
    let mut x = x.clone();
    let last = x.meta.rank() - 1;
    x.meta.swap(last - 1, last);
    x
}

/// What a linear layer multiplied, kept for its backward pass.
#[derive(Clone, Debug)]
pub(crate) struct Factors {
    /// `[rows, in]`.
    x: CubeTensor,
    /// `[out, in]`.
    weight: CubeTensor,
}

impl Factors {
    /// `x·Wᵀ` of matrices `x [rows, in]` and `W [out, in]`, `[rows, out]` in `f32`.
    pub(crate) fn multiply(x: CubeTensor, weight: CubeTensor) -> (Self, CubeTensor) {
        let (x, weight) = (factor(x), factor(weight));
        let y = product(x.clone(), transposed(&weight));
        (Self { x, weight }, y)
    }

    /// `[rows, in, out]`.
    pub(crate) fn sizes(&self) -> [usize; 3] {
        let ([rows, inner], [outer, _]) = (dims(&self.x), dims(&self.weight));
        [rows, inner, outer]
    }

    /// Hands `dX = dY·W`, of this shape, and `dW = dYᵀ·X` to the first two inputs, those of them that want it. `dy` is `[rows, out]`.
    pub(crate) fn give<const N: usize>(self, back: &mut super::Back<'_, N>, dy: CubeTensor, shape: &[usize]) {
        let dy = factor_like(dy, &self.weight);
        if back.wants(1) {
            back.give(1, product(transposed(&dy), self.x));
        }
        if back.wants(0) {
            back.give(0, reshaped(product(dy, self.weight), shape.to_vec()));
        }
    }
}

/// The product of `[.., m, k]` and `[.., k, n]`, either of which may be [`transposed`], in `f32`.
///
/// The sums are `f32` whatever the factors are.
pub(crate) fn product(lhs: CubeTensor, rhs: CubeTensor) -> CubeTensor {
    let mut shape = lhs.meta.shape().clone();
    let last = shape.num_dims() - 1;
    for i in 0..last - 1 {
        shape[i] = shape[i].max(rhs.meta.shape()[i]);
    }
    shape[last] = rhs.meta.shape()[last];
    let out = empty(&lhs, shape);
    let strictly = precision::current() == Precision::F32 && rounds(&lhs);
    let done = if strictly {
        multiply_strictly(lhs, rhs, out)
    } else {
        matmul(lhs, rhs, Some(out), MatmulStrategy::default(), DType::F32)
    };
    match done {
        Ok(out) => out,
        Err(fault) => panic!("no kernel for a matrix product on this device: {fault:?}"),
    }
}

/// Whether the device would round `f32` factors to TF32 if it were left to choose.
fn rounds(x: &CubeTensor) -> bool {
    let tf32 = ElemType::Float(FloatKind::TF32);
    let stated = &x.client.properties().features.matmul.cmma;
    x.dtype == DType::F32 && stated.iter().any(|config| config.a_type == tf32.into())
}

/// A product whose factors stay as they are: by plain arithmetic, without the units for small matrices.
fn multiply_strictly(lhs: CubeTensor, rhs: CubeTensor, out: CubeTensor) -> Result<CubeTensor, MatmulSetupError> {
    // The kernel reads rows or columns in a row, and nothing more scattered.
    let plain = |x: CubeTensor| match x.is_contiguous() || transposed(&x).is_contiguous() {
        true => x,
        false => into_contiguous(x),
    };
    let (lhs, rhs) = (plain(lhs), plain(rhs));
    let f32 = ElemType::Float(FloatKind::F32);
    let mut types = MatmulElems::from_globals(&MatmulGlobalElems {
        lhs: f32,
        rhs: f32,
        out: f32,
    });
    let strategy = Strategy::MultiLevel(multi_level::Strategy::DoubleUnit(Default::default()));
    cubek::matmul::launch::launch_ref(
        &strategy,
        &out.client,
        InputBinding::new(lhs.binding(), f32),
        InputBinding::new(rhs.binding(), f32),
        out.clone().binding(),
        &mut types,
    )?;
    Ok(out)
}

/// [`product`] of tensors outside of any graph.
pub(crate) fn tensor_product<const D: usize>(lhs: Tensor<D>, rhs: Tensor<D>) -> Tensor<D> {
    let [lhs, rhs] = [lhs, rhs].map(|x| Part::on(x).values);
    untracked(product(lhs, rhs))
}

#[cfg(all(test, feature = "wgpu"))]
mod tests {
    use burn::tensor::Tensor;

    use super::*;
    use crate::cube::Cube;
    use crate::graph::Native;
    use crate::tests::gpu::gpu;

    /// `[m, n]` numbers that repeat after some.
    fn numbers([m, n]: [usize; 2], device: &burn::tensor::Device) -> Tensor<2> {
        let values: Vec<f32> = (0..m * n).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
        Tensor::from_data(burn::tensor::TensorData::new(values, [m, n]), device)
    }

    #[test]
    fn a_strict_product_is_the_usual_one_where_nothing_is_rounded() {
        let Some(gpu) = gpu() else { return };
        for [m, k, n] in [[1, 1, 1], [5, 7, 3], [70, 33, 130]] {
            let (a, b) = (numbers([m, k], &gpu), numbers([n, k], &gpu));
            let [lhs, rhs] = [a.clone(), b.clone()].map(|x| Cube::unwrap(x.into_dispatch().kind).float());
            let strict = multiply_strictly(lhs.clone(), transposed(&rhs), empty(&lhs, [m, n]));
            let Ok(strict) = strict else { panic!("{strict:?}") };
            let strict: Tensor<2> = untracked(strict);
            let usual = a.matmul(b.transpose());
            let error = (strict - usual).abs().max().into_scalar::<f64>();
            assert!(error < 1e-5, "[{m}, {k}] x [{k}, {n}]: {error}");
        }
    }
}
