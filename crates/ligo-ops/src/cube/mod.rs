//! The operations as GPU kernels, one launch wherever one will do.
//!
//! Each file has the kernels of one operation and its place in burn's graph, beside the CPU's bodies under `kernels/`. They run on every
//! runtime of cubecl: Vulkan, Metal, DirectX 12 and WebGPU through wgpu, and CUDA. Sums have a fixed order (trees in shared memory, partial
//! sums in fixed blocks, no atomic operations), so that two equal runs on one device give the same bits, and no single thread adds up more
//! than some thousand numbers.
//!
//! Every kernel looks at its indices itself, those that come from data included: an id that is in no table and a label that is no class
//! give NaN, which ends or skips the step. There is no `unsafe` here.

pub(crate) mod activation;
pub(crate) mod attention;
pub(crate) mod branch;
pub(crate) mod chance;
pub(crate) mod columns;
pub(crate) mod cross_entropy;
pub(crate) mod distillation;
pub(crate) mod dropout;
pub(crate) mod embedding;
pub(crate) mod layer_norm;
pub(crate) mod linear;
pub(crate) mod mix;
pub(crate) mod optimizer;
pub(crate) mod positions;
pub(crate) mod product;
pub(crate) mod rms_norm;
pub(crate) mod rotary;
pub(crate) mod scale;
pub(crate) mod soft_cross_entropy;
pub(crate) mod stack;
pub(crate) mod statistics;
mod sums;
pub(crate) mod talking_heads;
mod tile;

use burn::backend::{BackendTensor, DispatchDevice, DispatchTensorKind};
use burn::tensor::{DType, Int, IntDType, Shape, Tensor};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use cubecl::prelude::*;

pub(crate) use burn_cubecl::{Cube, tensor::CubeTensor};

use crate::graph::{self, Native};

/// Threads of a cube; every GPU has at least these.
pub(crate) const UNITS: u32 = 256;

impl Native for Cube {
    fn unwrap(kind: DispatchTensorKind) -> BackendTensor<Self> {
        match kind {
            DispatchTensorKind::Cube(tensor) => tensor,
            other => unreachable!("the caller checked for a GPU, found {other:?}"),
        }
    }

    fn wrap(tensor: BackendTensor<Self>) -> DispatchTensorKind {
        DispatchTensorKind::Cube(tensor)
    }
}

/// A tensor taken apart on a GPU.
pub(crate) type Part = graph::Part<Cube>;

/// The gradients of an operation on a GPU.
pub(crate) type Back<'a, const N: usize> = graph::Back<'a, N, Cube>;

/// Whether the kernels can take this tensor: `f32` on one of cubecl's runtimes, tracked or not.
pub(crate) fn is_native<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && matches!(x.device().without_autodiff().as_dispatch(), DispatchDevice::Cube(_))
}

/// Takes a tensor apart for which [`is_native`] holds, with its values row by row without gaps.
pub(crate) fn part<const D: usize>(x: Tensor<D>) -> Part {
    let mut part = Part::on(x);
    part.values = into_contiguous(part.values);
    part
}

/// The values of a tensor for which [`is_native`] holds, without its graph, row by row without gaps.
pub(crate) fn values<const D: usize>(x: Tensor<D>) -> CubeTensor {
    into_contiguous(Part::on(x).values)
}

/// An integer tensor as `i32` on its device, row by row without gaps.
pub(crate) fn integers<const D: usize>(x: Tensor<D, Int>) -> CubeTensor {
    let x = if x.dtype() == DType::I32 {
        x
    } else {
        x.cast(IntDType::I32)
    };
    into_contiguous(Cube::unwrap(x.into_dispatch().kind).int())
}

/// A tensor without a graph.
pub(crate) fn untracked<const D: usize>(values: CubeTensor) -> Tensor<D> {
    graph::untracked_on::<D, Cube>(values)
}

/// Memory for an `f32` tensor on the device of `like`, not yet written.
pub(crate) fn empty(like: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    empty_of(like, shape, DType::F32)
}

/// [`empty`] of another number type.
pub(crate) fn empty_of(like: &CubeTensor, shape: impl Into<Shape>, dtype: DType) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape.into(), dtype)
}

/// The same values under another shape. The tensor is contiguous.
pub(crate) fn reshaped(x: CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    CubeTensor::new_contiguous(x.client, x.device, shape.into(), x.handle, x.dtype)
}

/// The dimensions of a tensor.
pub(crate) fn dims<const D: usize>(x: &CubeTensor) -> [usize; D] {
    x.meta.shape().dims()
}

/// The number of elements.
pub(crate) fn count(x: &CubeTensor) -> usize {
    x.meta.num_elements()
}

/// One thread for each of `elements`.
pub(crate) fn threads(like: &CubeTensor, elements: usize) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new_1d(UNITS);
    (cubecl::calculate_cube_count_elemwise(&like.client, elements, dim), dim)
}

/// One cube of [`UNITS`] threads for each of `number`. There may be more cubes than that; a kernel looks at `CUBE_POS`.
pub(crate) fn cubes(like: &CubeTensor, number: usize) -> (CubeCount, CubeDim) {
    let one = CubeDim::new_1d(1);
    let count = cubecl::calculate_cube_count_elemwise(&like.client, number, one);
    (count, CubeDim::new_1d(UNITS))
}

/// Hands a tensor to a kernel. The kernel reads it, or it is the kernel's output.
pub(crate) fn arg(x: &CubeTensor) -> BufferArg {
    x.clone().into_buffer_arg()
}
