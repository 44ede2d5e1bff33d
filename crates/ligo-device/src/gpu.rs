use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;
#[cfg(feature = "wgpu")]
use burn::tensor::DeviceKind;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
use burn::tensor::DeviceType;

/// How a GPU is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Cuda,
    Vulkan,
    Metal,
    /// Whatever wgpu finds: Vulkan through WGSL, DirectX 12, OpenGL.
    Wgpu,
}

/// What wgpu calls an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Discrete,
    Integrated,
    Virtual,
    /// A rasteriser on the CPU: llvmpipe, SwiftShader, WARP.
    Software,
    /// An adapter that does not say what it is.
    Default,
}

const APIS: [(Api, &str); 4] = [
    (Api::Cuda, "cuda"),
    (Api::Vulkan, "vulkan"),
    (Api::Metal, "metal"),
    (Api::Wgpu, "wgpu"),
];

const KINDS: [(Kind, &str); 5] = [
    (Kind::Discrete, "discrete"),
    (Kind::Integrated, "integrated"),
    (Kind::Virtual, "virtual"),
    (Kind::Software, "software"),
    (Kind::Default, "default"),
];

/// What this program was built with, the best first. `wgpu` alone: beside a pinned API it would list the same cards again.
pub const COMPILED: &[Api] = &[
    #[cfg(feature = "cuda")]
    Api::Cuda,
    #[cfg(feature = "vulkan")]
    Api::Vulkan,
    #[cfg(feature = "metal")]
    Api::Metal,
    #[cfg(all(feature = "wgpu", not(feature = "vulkan"), not(feature = "metal")))]
    Api::Wgpu,
];

/// The backends of this program by the names that `cargo xtask --backend` takes, the CPU among them.
pub fn built() -> impl Iterator<Item = &'static str> {
    let gpus = COMPILED.iter().map(|api| name_of(&APIS, *api));
    // On Windows the same build reaches DirectX 12; what pins an API has the portable one in it, too.
    let more: &[&str] = match cfg!(feature = "wgpu") {
        true if cfg!(windows) => &["wgpu", "dx12"],
        true => &["wgpu"],
        false => &[],
    };
    let more = more
        .iter()
        .copied()
        .filter(|name| !COMPILED.iter().any(|api| name_of(&APIS, *api) == *name));
    std::iter::once("cpu").chain(gpus).chain(more)
}

/// One GPU, in a form that one process can tell another: `vulkan:discrete:0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuSpec {
    api: Api,
    kind: Kind,
    /// Among those of the same API and kind.
    index: usize,
}

impl fmt::Display for GpuSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.api(), name_of(&KINDS, self.kind), self.index)
    }
}

impl FromStr for GpuSpec {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(3, ':');
        let mut next = || parts.next().ok_or(());
        let api = value_of(&APIS, next()?)?;
        let kind = value_of(&KINDS, next()?)?;
        let index = next()?.parse().map_err(|_| ())?;
        Ok(Self { api, kind, index })
    }
}

fn name_of<T: PartialEq>(names: &[(T, &'static str)], value: T) -> &'static str {
    names.iter().find(|(v, _)| *v == value).map_or("", |(_, name)| name)
}

fn value_of<T: Copy>(names: &[(T, &str)], text: &str) -> Result<T, ()> {
    names.iter().find(|(_, name)| *name == text).map(|(v, _)| *v).ok_or(())
}

impl GpuSpec {
    /// The name of the API.
    pub fn api(&self) -> &'static str {
        name_of(&APIS, self.api)
    }

    /// Whether the adapter says that it computes on the CPU.
    pub fn is_software(&self) -> bool {
        self.kind == Kind::Software
    }

    /// The device, `None` when this build has no such backend. Nothing is opened before the first tensor.
    pub fn device(&self) -> Option<Device> {
        match self.api {
            #[cfg(feature = "cuda")]
            Api::Cuda => Some(Device::cuda(self.index)),
            #[cfg(feature = "vulkan")]
            Api::Vulkan => Some(Device::vulkan(self.device_kind())),
            #[cfg(feature = "metal")]
            Api::Metal => Some(Device::metal(self.device_kind())),
            #[cfg(feature = "wgpu")]
            Api::Wgpu => Some(Device::wgpu(self.device_kind())),
            #[allow(unreachable_patterns)]
            _ => None,
        }
    }

    #[cfg(feature = "wgpu")]
    fn device_kind(&self) -> DeviceKind {
        match self.kind {
            Kind::Discrete => DeviceKind::DiscreteGpu(self.index),
            Kind::Integrated => DeviceKind::IntegratedGpu(self.index),
            Kind::Virtual => DeviceKind::VirtualGpu(self.index),
            Kind::Software => DeviceKind::Cpu,
            Kind::Default => DeviceKind::DefaultDevice,
        }
    }
}

/// Every GPU that this build reaches on this machine. Loads drivers, which may crash: call it in the second process only.
pub fn enumerate() -> Vec<GpuSpec> {
    COMPILED.iter().flat_map(|api| enumerate_on(*api)).collect()
}

fn enumerate_on(api: Api) -> Vec<GpuSpec> {
    match api {
        #[cfg(feature = "cuda")]
        Api::Cuda => {
            let count = Device::enumerate(DeviceType::Cuda).len();
            let kind = Kind::Discrete;
            (0..count).map(|index| GpuSpec { api, kind, index }).collect()
        }
        #[cfg(feature = "vulkan")]
        Api::Vulkan => named(api, &Device::enumerate(DeviceType::Vulkan)),
        #[cfg(feature = "metal")]
        Api::Metal => named(api, &Device::enumerate(DeviceType::Metal)),
        #[cfg(feature = "wgpu")]
        Api::Wgpu => named(api, &Device::enumerate(DeviceType::Wgpu)),
        #[allow(unreachable_patterns)]
        _ => Vec::new(),
    }
}

/// The specs of devices, found by comparing: burn does not say what kind a device is.
#[cfg(feature = "wgpu")]
fn named(api: Api, devices: &[Device]) -> Vec<GpuSpec> {
    const MOST: usize = 16;
    let kinds = KINDS
        .iter()
        .map(|(kind, _)| *kind)
        .filter(|kind| *kind != Kind::Default);
    let all = kinds.flat_map(|kind| {
        let most = if kind == Kind::Software { 1 } else { MOST };
        (0..most).map(move |index| GpuSpec { api, kind, index })
    });
    let found: Vec<_> = all
        .filter(|spec| spec.device().is_some_and(|device| devices.contains(&device)))
        .collect();
    if found.is_empty() && !devices.is_empty() {
        let (kind, index) = (Kind::Default, 0);
        return vec![GpuSpec { api, kind, index }];
    }
    found
}

/// What the driver calls the device. Opens it.
pub fn name(device: &Device) -> Option<String> {
    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    {
        device.identity().map(|identity| identity.name)
    }
    #[cfg(not(any(feature = "wgpu", feature = "cuda")))]
    {
        let _ = device;
        None
    }
}

/// Whether a device of this name computes on the CPU.
pub fn is_software_name(name: &str) -> bool {
    let name = name.to_lowercase();
    ["llvmpipe", "lavapipe", "softpipe", "swiftshader", "basic render"]
        .iter()
        .any(|software| name.contains(software))
}
