//! The few tensor operations of a transformer that burn lacks or runs slowly on its CPU backend.
//!
//! Each operation has a fast body for `f32` tensors on burn's CPU backend (flex), one as GPU kernels (features `wgpu`, `vulkan`, `metal`,
//! `cuda`), both with a hand-written backward pass, and one composed of burn's own operations for every other device and number type. The
//! choice is made at run time from the tensors; callers see only [`burn::tensor::Tensor`]. Results do not depend on the number of threads,
//! and two equal calls on one GPU give the same bits.
//!
//! Do not use it for convolutions, for tensors on several devices in one call, or as a general tensor library: what burn does well
//! (matrix products, slicing, reductions) is not repeated here.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//!
//! let device = Device::flex().autodiff();
//! let x = Tensor::<2>::from_data([[1.0, 2.0], [3.0, 4.0]], &device);
//! let weight = Tensor::<2>::from_data([[1.0, -1.0]], &device).require_grad();
//! let y = ligo_ops::linear(x, weight.clone(), None);
//! let grads = y.sum().backward();
//! let dw = weight.grad(&grads).map(|g| g.into_data());
//! assert_eq!(dw, Some(burn::tensor::TensorData::from([[4.0f32, 6.0]])));
//! ```

mod adamw;
mod allocator;
mod angles;
mod attention;
mod branch;
mod composed;
mod cross_attention;
mod cross_entropy;
#[cfg(feature = "cube")]
mod cube;
mod distillation;
mod dropout;
mod embedding;
mod gelu;
mod graph;
mod group;
mod kernel_cache;
mod kernels;
mod layer_norm;
mod linear;
mod mask;
mod mix;
mod options;
mod positions;
pub mod precision;
mod products;
mod recompute;
mod reduce;
mod rms_norm;
mod rotary;
mod simd;
mod soft_cross_entropy;
mod stack;
mod swiglu;
mod talking_heads;
#[cfg(test)]
mod tests;
pub mod traffic;
mod update;

pub use adamw::adamw;
pub use allocator::tune_allocator;
pub use angles::RotaryAngles;
pub use attention::{attention, grouped_attention};
pub use branch::{Dense, Norm, linear_add, linear_add_norm, linear_gelu, linear_scale, linear_scale_add};
pub use cross_attention::cross_attention;
pub use cross_entropy::cross_entropy;
pub use distillation::distillation;
pub use dropout::dropout;
pub use embedding::{embedding, rows};
pub use gelu::gelu;
pub use group::{Group, sum_backward, sum_forward};
pub use kernel_cache::{KernelCache, keep_kernels_in};
pub use layer_norm::{add_layer_norm, layer_norm, layer_norm_dropout};
pub use linear::linear;
pub use mask::Dropout;
pub use mix::{mix, mix_backward};
pub use options::{AdamwStep, AttentionOptions, GeluKind, HeadMix};
pub use positions::{add_positions, prefix_positions};
pub use precision::{Precision, supported_precisions, with_precision};
pub use products::{product, product_sum, transposed_product};
pub use recompute::{MOST_PARAMETERS, recomputed};
pub use reduce::sum_of_squares;
pub use rms_norm::rms_norm;
pub use rotary::rotary;
pub use soft_cross_entropy::soft_cross_entropy;
pub use stack::{Rows, stack, unstack};
pub use swiglu::{geglu, swiglu};
pub use talking_heads::talking_heads;
pub use update::{AdamwUpdate, StepNumbers, StepStatistics, accumulate, adamw_all, clip_scale};
