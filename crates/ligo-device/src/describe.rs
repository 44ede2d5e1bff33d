//! What a GPU is and what it can do. Opens drivers, which may crash: for the second process only.

use burn::tensor::Device;

use crate::description::{Adapter, Class, Description, Driver};
use crate::gpu::GpuSpec;

/// Asks the driver and burn what a GPU is.
///
/// # Errors
/// The backend says that it cannot open the device; some panic instead.
pub fn describe(spec: &GpuSpec, device: &Device) -> Result<Description, String> {
    #[cfg(feature = "wgpu")]
    if let Some(description) = graphics::describe(device)? {
        return Ok(description);
    }
    let can = ligo_ops::precision::capabilities(device);
    let can = can.ok_or_else(|| format!("{spec} is no GPU"))?;
    let mut description = Description::of_gpu(can, "CUDA", Class::Discrete);
    description.driver = crate::power::nvidia_driver_version().map(|version| Driver {
        name: "NVIDIA".into(),
        version,
    });
    Ok(description)
}

/// Every adapter that a graphics driver offers, also those that burn does not take.
pub fn adapters() -> Vec<Adapter> {
    #[cfg(feature = "wgpu")]
    {
        graphics::adapters()
    }
    #[cfg(not(feature = "wgpu"))]
    {
        Vec::new()
    }
}

#[cfg(feature = "wgpu")]
mod graphics {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use burn::backend::{CubeDevice, DispatchDevice};
    use burn::tensor::Device;
    use burn_wgpu::graphics::AutoGraphicsApi;
    use burn_wgpu::{RuntimeOptions, WgpuSetup, try_init_setup};

    use crate::description::{Adapter, Class, Description, Driver};
    use crate::gpu::is_software_name;

    /// `None` for what is not reached through a graphics API.
    pub fn describe(device: &Device) -> Result<Option<Description>, String> {
        let DispatchDevice::Cube(CubeDevice::Wgpu(selector)) = device.as_dispatch() else {
            return Ok(None);
        };
        // Opens the device as burn would at the first tensor, and hands out the adapter that it took.
        let options = RuntimeOptions::try_default().map_err(|error| error.to_string())?;
        let setup: WgpuSetup =
            try_init_setup::<AutoGraphicsApi>(selector, options).map_err(|error| error.to_string())?;
        let info = setup.adapter.get_info();
        let Some(can) = ligo_ops::precision::capabilities(device) else {
            return Ok(None);
        };
        let found = adapter(&info);
        let mut description = Description::of_gpu(can, found.backend, found.kind);
        // Some compilers know no name of the device.
        description.name = found.name;
        description.driver = Some(found.driver);
        description.pci = Some(info.device_pci_bus_id).filter(|id| !id.is_empty());
        if setup.device.features().contains(wgpu::Features::SUBGROUP) && description.subgroup.is_none() {
            description.subgroup = Some([info.subgroup_min_size, info.subgroup_max_size]);
        }
        // The driver's own limits: cubecl keeps one buffer for itself.
        let limits = setup.device.limits();
        if let Some(known) = &mut description.limits {
            known.storage_buffer_bytes = limits.max_storage_buffer_binding_size;
            known.storage_buffers = limits.max_storage_buffers_per_shader_stage;
            known.workgroup_bytes = u64::from(limits.max_compute_workgroup_storage_size);
            known.workgroup_threads = limits.max_compute_invocations_per_workgroup;
        }
        Ok(Some(description))
    }

    pub fn adapters() -> Vec<Adapter> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let found = pin!(instance.enumerate_adapters(wgpu::Backends::all()));
        // Outside of a browser the answer is there at once.
        match found.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(found) => found.iter().map(|found| adapter(&found.get_info())).collect(),
            Poll::Pending => Vec::new(),
        }
    }

    fn adapter(info: &wgpu::AdapterInfo) -> Adapter {
        let kind = match info.device_type {
            // Some drivers call their rasterizer a virtual GPU.
            _ if is_software_name(&info.name) => Class::Software,
            wgpu::DeviceType::DiscreteGpu => Class::Discrete,
            wgpu::DeviceType::IntegratedGpu => Class::Integrated,
            wgpu::DeviceType::VirtualGpu => Class::Virtual,
            wgpu::DeviceType::Cpu => Class::Software,
            wgpu::DeviceType::Other => Class::Unknown,
        };
        let backend = match info.backend {
            wgpu::Backend::Vulkan => "Vulkan",
            wgpu::Backend::Metal => "Metal",
            wgpu::Backend::Dx12 => "DX12",
            wgpu::Backend::Gl => "OpenGL",
            wgpu::Backend::BrowserWebGpu => "WebGPU",
            wgpu::Backend::Noop => "none",
        };
        Adapter {
            name: info.name.clone(),
            backend: backend.into(),
            kind,
            driver: Driver {
                name: info.driver.clone(),
                version: info.driver_info.clone(),
            },
        }
    }
}
