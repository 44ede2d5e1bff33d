//! The arithmetic of the fast bodies on plain slices: no tensors, no graph.

pub(crate) mod activation;
pub(crate) mod attention;
mod level_off;
pub(crate) mod loss;
pub(crate) mod math;
pub(crate) mod mix;
pub(crate) mod norm;
pub(crate) mod optimizer;
pub(crate) mod rms;
pub(crate) mod rotary;
pub(crate) mod rows;
pub(crate) mod swiglu;
pub(crate) mod talking_heads;
