use std::fmt;

use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::{Device, Nvml};

/// One of NVIDIA's GPUs, asked through the management library of its driver, which is loaded when the program runs.
pub struct Gpu {
    nvml: Nvml,
    index: u32,
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpu")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

impl Gpu {
    /// The GPU of this name. Of several, the one that this process computes on; `None` where that cannot be told.
    pub fn open(name: &str) -> Option<Self> {
        let nvml = Nvml::init().ok()?;
        let called_so = |index: &u32| {
            let found = nvml.device_by_index(*index).and_then(|gpu| gpu.name());
            found.is_ok_and(|found| name.contains(&found) || found.contains(name))
        };
        let found: Vec<u32> = (0..nvml.device_count().ok()?).filter(called_so).collect();
        let index = match found[..] {
            [only] => only,
            _ => {
                let ours = |index: &u32| nvml.device_by_index(*index).is_ok_and(|gpu| used_by_us(&gpu).is_some());
                let ours: Vec<u32> = found.into_iter().filter(ours).collect();
                let [only] = ours[..] else { return None };
                only
            }
        };
        Some(Self { nvml, index })
    }

    /// Joules since the driver was loaded; `None` before Volta.
    pub fn joules(&self) -> Option<f64> {
        let millijoules = self.gpu()?.total_energy_consumption().ok()?;
        Some(millijoules as f64 / 1e3)
    }

    /// The power that the driver holds the board to.
    pub fn limit_watts(&self) -> Option<f64> {
        let milliwatts = self.gpu()?.enforced_power_limit().ok()?;
        Some(f64::from(milliwatts) / 1e3)
    }

    /// All of its memory.
    pub fn memory_bytes(&self) -> Option<u64> {
        Some(self.gpu()?.memory_info().ok()?.total)
    }

    /// What this process holds of it now. In a container the driver may know the process by another number.
    pub fn used_bytes(&self) -> Option<u64> {
        used_by_us(&self.gpu()?)
    }

    fn gpu(&self) -> Option<Device<'_>> {
        self.nvml.device_by_index(self.index).ok()
    }
}

/// The version of NVIDIA's driver.
pub fn driver_version() -> Option<String> {
    Nvml::init().ok()?.sys_driver_version().ok()
}

fn used_by_us(gpu: &Device<'_>) -> Option<u64> {
    // CUDA's processes are listed apart from those of Vulkan.
    let computing = gpu.running_compute_processes().unwrap_or_default();
    let drawing = gpu.running_graphics_processes().unwrap_or_default();
    let ours = computing.iter().chain(&drawing).filter(|p| p.pid == std::process::id());
    let used = ours.filter_map(|process| match process.used_gpu_memory {
        UsedGpuMemory::Used(bytes) => Some(bytes),
        UsedGpuMemory::Unavailable => None,
    });
    used.max()
}
