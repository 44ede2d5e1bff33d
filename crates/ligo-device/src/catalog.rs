//! Everything that can compute here, and which of it `--device auto` takes.

use serde::Serialize;

use crate::choice::{Decision, decide};
use crate::cpu::cpu_name;
use crate::description::{Adapter, Description, Findings, Matmul};
use crate::gpu::GpuSpec;
use crate::peak;
use crate::probe::{Explorer, Prober, Subprocess};
use crate::{DeviceChoice, gpu, processor};

/// The version of [`Catalog`] as JSON.
pub const FORMAT: u32 = 1;

/// Everything that can compute here.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Catalog {
    /// [`FORMAT`].
    pub format: u32,
    /// GPUs in the order of `gpu:N`, then the processor.
    pub devices: Vec<Listed>,
    /// What `--device auto` takes.
    pub auto: Auto,
    /// The backends that this program was built with.
    pub backends: Vec<String>,
    /// Backends that it was not built with.
    pub not_built: Vec<NotBuilt>,
    /// What graphics drivers offer beside the devices above, such as the same card through another API.
    pub unused_adapters: Vec<Adapter>,
    /// Why GPUs could not be looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// One device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listed {
    /// What `--device` takes for it.
    pub device: String,
    /// Whether it multiplied two matrices correctly.
    pub works: bool,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// What it is and can do.
    #[serde(flatten)]
    pub description: Option<Description>,
    /// How fast it multiplies, by precision; empty where it was not measured.
    pub matmul: Vec<Matmul>,
}

/// What `--device auto` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Auto {
    /// As `--device` takes it.
    pub device: String,
    /// What it is called.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// A backend that this program was not built with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotBuilt {
    /// The backend.
    pub backend: String,
    /// The command that builds with it.
    pub build: String,
}

/// Looks at everything, each GPU in a process of its own; `measure` also times products.
pub fn catalog(measure: bool) -> Catalog {
    crate::kernel_notes();
    let this_program = Subprocess::default();
    let explorer = (!gpu::COMPILED.is_empty()).then_some(&this_program as &dyn Explorer);
    gathered(explorer, measure)
}

/// `explorer` is `None` in a build without GPU backends.
pub(super) fn gathered(explorer: Option<&dyn Explorer>, measure: bool) -> Catalog {
    let found = explorer.map_or(Ok(Vec::new()), |explorer| explorer.list());
    let explored = Explored {
        gpus: found.map(|specs| {
            let of = |spec: GpuSpec| {
                let findings = explorer.map(|explorer| explorer.explore(&spec, measure));
                (spec, findings.unwrap_or_default())
            };
            specs.into_iter().map(of).collect()
        }),
    };
    let offered = explorer
        .and_then(|explorer| explorer.adapters().ok())
        .unwrap_or_default();
    let auto = auto(&explored, explorer.is_some());
    let fault = explored.gpus.as_ref().err().cloned();
    let mut devices: Vec<Listed> = explored
        .gpus
        .unwrap_or_default()
        .into_iter()
        .enumerate()
        .map(listed)
        .collect();
    let unused_adapters = unused(offered, &devices);
    devices.push(the_processor(measure));
    Catalog {
        format: FORMAT,
        devices,
        auto,
        backends: gpu::built().map(str::to_owned).collect(),
        not_built: not_built(),
        unused_adapters,
        fault: fault.map(|fault| format!("looking for GPUs {fault}")),
    }
}

/// What is known already, so that the rules of `auto` are those of every other command and no GPU is opened twice.
struct Explored {
    gpus: Result<Vec<(GpuSpec, Findings)>, String>,
}

impl Prober for Explored {
    fn list(&self) -> Result<Vec<GpuSpec>, String> {
        let gpus = self.gpus.as_ref().map_err(Clone::clone)?;
        Ok(gpus.iter().map(|(spec, _)| *spec).collect())
    }

    fn probe(&self, spec: &GpuSpec) -> Result<String, String> {
        let gpus = self.gpus.as_ref().map_err(Clone::clone)?;
        let found = gpus.iter().find(|(known, _)| known == spec);
        let (_, findings) = found.ok_or_else(|| "is not there".to_owned())?;
        match (&findings.description, &findings.fault) {
            (Some(description), _) if findings.computes => Ok(description.name.clone()),
            (_, Some(fault)) => Err(fault.clone()),
            (_, None) => Err("gave no answer".into()),
        }
    }
}

fn auto(explored: &Explored, has_gpu_backends: bool) -> Auto {
    let prober = has_gpu_backends.then_some(explored as &dyn Prober);
    let on_cpu = |reason| Auto {
        device: "cpu".into(),
        name: cpu_name(),
        reason,
    };
    match decide(DeviceChoice::Auto, prober) {
        Ok(Decision::Gpu { spec, name, reason }) => {
            let place = explored
                .list()
                .unwrap_or_default()
                .iter()
                .position(|known| *known == spec);
            Auto {
                device: format!("gpu:{}", place.unwrap_or_default()),
                name,
                reason,
            }
        }
        Ok(Decision::Cpu { reason }) => on_cpu(reason),
        Err(error) => on_cpu(error.to_string()),
    }
}

fn listed((number, (spec, findings)): (usize, (GpuSpec, Findings))) -> Listed {
    Listed {
        device: format!("gpu:{number}"),
        works: findings.computes,
        fault: findings.fault.map(|fault| format!("{spec} {fault}")),
        description: findings.description,
        matmul: findings.matmul,
    }
}

/// Adapters that are none of the devices. One device stands for one adapter of its name and backend.
fn unused(offered: Vec<Adapter>, devices: &[Listed]) -> Vec<Adapter> {
    let mut known: Vec<(&str, &str)> = devices
        .iter()
        .filter_map(|listed| listed.description.as_ref())
        .map(|description| (description.name.as_str(), description.backend.as_str()))
        .collect();
    let mut unused = offered;
    unused.retain(|adapter| {
        let same = known
            .iter()
            .position(|(name, backend)| (adapter.name.as_str(), adapter.backend.as_str()) == (*name, *backend));
        same.map(|place| known.swap_remove(place)).is_none()
    });
    unused
}

fn the_processor(measure: bool) -> Listed {
    let description = processor::describe();
    let device = crate::cpu();
    let measured = description.precisions.iter().filter(|_| measure);
    Listed {
        device: "cpu".into(),
        works: true,
        fault: None,
        matmul: measured
            .filter_map(|precision| peak::by_precision(&device, *precision).ok())
            .collect(),
        description: Some(description),
    }
}

/// Backends that could be of use on this system and are not in this program.
fn not_built() -> Vec<NotBuilt> {
    let of_system: &[&str] = match std::env::consts::OS {
        "macos" => &["metal"],
        "windows" => &["dx12", "vulkan", "cuda"],
        _ => &["cuda", "vulkan", "wgpu"],
    };
    let missing = of_system
        .iter()
        .filter(|backend| !gpu::built().any(|built| built == **backend));
    missing
        .map(|backend| NotBuilt {
            backend: (*backend).to_owned(),
            build: format!("cargo xtask devices --backend {backend}"),
        })
        .collect()
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
