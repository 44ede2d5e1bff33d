//! Training steps on software Vulkan, where there is some.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod gpu;
mod gpu_steps;
mod launches;
