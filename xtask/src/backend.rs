use std::fmt;

/// A backend that `ligo` can be built with, beside the CPU, which is always in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Cpu,
    Wgpu,
    Vulkan,
    Metal,
    Dx12,
    Cuda,
}

impl Backend {
    pub const ALL: [Self; 6] = [Self::Cpu, Self::Wgpu, Self::Vulkan, Self::Metal, Self::Dx12, Self::Cuda];

    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Wgpu => "wgpu",
            Self::Vulkan => "vulkan",
            Self::Metal => "metal",
            Self::Dx12 => "dx12",
            Self::Cuda => "cuda",
        }
    }

    /// The cargo features that compile it in. The benchmarks count a GPU's work where wgpu answers.
    pub fn features(self) -> &'static [&'static str] {
        match self {
            Self::Cpu => &[],
            // wgpu reaches DirectX 12 without anything more.
            Self::Wgpu | Self::Dx12 => &["ligo-cli/wgpu", "ligo-benches/wgpu"],
            Self::Vulkan => &["ligo-cli/vulkan", "ligo-benches/wgpu"],
            Self::Metal => &["ligo-cli/metal", "ligo-benches/wgpu"],
            Self::Cuda => &["ligo-cli/cuda"],
        }
    }

    /// Whether kernels are tuned for the device at their first use. Software drivers answer through `wgpu`, where that would crawl.
    pub fn is_tuned(self) -> bool {
        matches!(self, Self::Vulkan | Self::Metal | Self::Cuda)
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|backend| backend.name() == name)
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
