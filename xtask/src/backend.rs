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

    /// The cargo feature of `ligo-cli` that compiles it in.
    pub fn cargo_feature(self) -> Option<&'static str> {
        match self {
            Self::Cpu => None,
            // wgpu reaches DirectX 12 without anything more.
            Self::Wgpu | Self::Dx12 => Some("wgpu"),
            Self::Vulkan => Some("vulkan"),
            Self::Metal => Some("metal"),
            Self::Cuda => Some("cuda"),
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
