//! What `cubecl-cuda` 0.11.3 names of `cubecl-llvm`, without LLVM.
//!
//! `cubecl-cuda` has two compilers and always links both. With its feature `cpp`, which our feature `cuda` turns on, it
//! writes CUDA C++ and gives it to NVRTC, and nothing of this crate runs beyond [`PtxVersion::for_driver`]. The original
//! downloads LLVM to build; this one builds anywhere. Were the LLVM path chosen all the same, its compiler refuses with an
//! error that says so: a kernel is never silently left out.
//!
//! [`PtxVersion::for_driver`]: nvptx::ptx_version::PtxVersion::for_driver

mod compiler;
pub mod nvptx;
pub mod shared;

pub use compiler::{LlvmTarget, NvptxModule, PlironArtifact, PlironCompiler, PlironOptions};

#[cfg(feature = "amdgpu")]
compile_error!("burn's backend for AMD's ROCm needs the real cubecl-llvm: take its patch out of Cargo.toml");
#[cfg(not(feature = "nvptx"))]
compile_error!("burn's backend `cpu` needs the real cubecl-llvm: take its patch out of Cargo.toml");
