use std::ffi::c_char;
use std::fmt;

use cubecl_core::ir::nvidia::SmArch;
use cubecl_environment::backtrace::BackTrace;
use cubecl_runtime::compiler::{CompilationError, Compiler};
use cubecl_runtime::kernel::{BufferIOAttr, KernelDefinition};

use crate::nvptx::ptx_version::PtxVersion;

/// What the original generates code for; of its targets only NVIDIA's is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LlvmTarget {
    /// PTX, NVIDIA's virtual assembly.
    #[default]
    Nvptx,
}

/// Stands in for the compiler. [`compile`](Compiler::compile) always fails.
#[derive(Clone, Debug, Default)]
pub struct PlironCompiler {
    /// What to generate code for.
    pub target: LlvmTarget,
}

/// What the original is told beside the kernel.
#[derive(Clone, Debug, Default)]
pub struct PlironOptions {
    /// AMD's architecture, which `cubecl-cuda` leaves out.
    pub arch: Option<NoArchitecture>,
    /// NVIDIA's architecture.
    pub sm_arch: Option<SmArch>,
    /// The newest version of PTX that the driver loads.
    pub ptx_version: Option<PtxVersion>,
    /// Whether scalars are passed in the kernel's parameter block.
    pub grid_constants: bool,
}

/// An architecture that there is no value of.
#[derive(Clone, Copy, Debug)]
pub enum NoArchitecture {}

/// A compiled kernel. [`PlironCompiler`] never makes one.
#[derive(Clone, Debug)]
pub struct NvptxModule {
    /// PTX, ending with NUL.
    pub ptx: Vec<c_char>,
    /// The symbol of the kernel's entry.
    pub entrypoint: String,
    /// The intermediate form, for logs.
    pub ir: String,
    /// Shared memory that a launch reserves, in bytes.
    pub shared_memory_size: usize,
    /// What the kernel does with each buffer, in the order of bindings.
    pub io: Vec<BufferIOAttr>,
}

/// What the original compiles to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PlironArtifact {
    /// PTX.
    NvptxCode(NvptxModule),
}

impl fmt::Display for PlironArtifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::NvptxCode(module) = self;
        f.write_str(&module.ir)
    }
}

impl Compiler for PlironCompiler {
    type Representation = PlironArtifact;
    type CompilationOptions = PlironOptions;

    fn compile(
        &mut self,
        kernel: KernelDefinition,
        _options: &PlironOptions,
    ) -> Result<PlironArtifact, CompilationError> {
        let name = kernel.settings.kernel_name;
        Err(CompilationError::Generic {
            reason: format!(
                "kernel {name}: this program was built without LLVM and compiles CUDA kernels with NVRTC; build with the \
                 feature `cuda-cpp` of cubecl, or with the real cubecl-llvm"
            ),
            backtrace: BackTrace::capture(),
        })
    }

    fn extension(&self) -> &'static str {
        "ll"
    }

    fn lang_tag(&self) -> &'static str {
        "llvm"
    }
}
