use std::fmt;

use burn::tensor::Device;

use crate::processor;

/// The device that was chosen.
#[derive(Clone, Debug)]
pub struct Picked {
    /// The device, without autodiff.
    pub device: Device,
    /// What it is called, with the number of threads for a CPU.
    pub name: String,
    /// Why it was chosen.
    pub reason: String,
    /// Whether it runs through a graphics API or CUDA.
    pub is_gpu: bool,
    /// How a GPU is reached: `vulkan`, `cuda`, …
    pub backend: Option<&'static str>,
}

impl Picked {
    /// What computes, as far as it decides the last bits of results: a part of a run's identity.
    pub fn kernels(&self) -> String {
        match (self.is_gpu, self.backend) {
            (true, Some(backend)) => backend.into(),
            (true, None) => "gpu".into(),
            (false, _) => processor::kernels(),
        }
    }
}

impl fmt::Display for Picked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.reason)
    }
}
