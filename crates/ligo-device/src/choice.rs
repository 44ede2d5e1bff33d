//! Which device computes: what was asked for, what answers, and what came of trying it.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::cpu::{cpu, cpu_name};
use crate::gpu::{self, GpuSpec};
use crate::kernel_cache::notes as kernel_notes;
use crate::picked::Picked;
use crate::probe::{Prober, Subprocess};

/// What `--device` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A hardware GPU that works, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The first GPU that works, or the one of this number; software rasterisers count.
    Gpu(Option<usize>),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu(None)),
            "wgpu" | "vulkan" | "metal" | "dx12" | "cuda" => Err(format!(
                "the backend is chosen when ligo is built, cargo xtask train --backend {text}; expected auto, cpu, gpu or gpu:N"
            )),
            _ => text
                .strip_prefix("gpu:")
                .and_then(|number| number.parse().ok())
                .map(|number| Self::Gpu(Some(number)))
                .ok_or_else(|| "expected auto, cpu, gpu or gpu:N, for example gpu:0".to_string()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Gpu(None) => f.write_str("gpu"),
            Self::Gpu(Some(number)) => write!(f, "gpu:{number}"),
        }
    }
}

/// Why the device that was asked for cannot be had.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// The program was built for the CPU alone.
    #[error("--device {asked}: {}; --device cpu uses the CPU", CPU_BUILD)]
    CpuBuild {
        /// What was asked for.
        asked: DeviceChoice,
    },
    /// No driver answers.
    #[error(
        "--device {asked}: {reason}; install the driver of the GPU (Vulkan: `vulkaninfo --summary` must list it; CUDA: `nvidia-smi`), \
         or use --device cpu"
    )]
    NoGpu {
        /// What was asked for.
        asked: DeviceChoice,
        /// What was found instead.
        reason: String,
    },
    /// There are fewer GPUs than that.
    #[error("--device gpu:{number}: there is no GPU of this number; found {}", listed(found))]
    NoSuchGpu {
        /// The number asked for.
        number: usize,
        /// The GPUs there are, in order.
        found: Vec<String>,
    },
    /// The GPU was found, and does not work.
    #[error(
        "--device {asked}: {reason}; update the driver of the GPU, choose another one with gpu:N, or use --device cpu"
    )]
    Unusable {
        /// What was asked for.
        asked: DeviceChoice,
        /// What happened when it was tried.
        reason: String,
    },
}

const CPU_BUILD: &str = "this build has the CPU backend only; `cargo xtask train --backend wgpu` builds one for GPUs";

fn listed(found: &[String]) -> String {
    let named = found
        .iter()
        .enumerate()
        .map(|(number, gpu)| format!("gpu:{number} = {gpu}"));
    named.collect::<Vec<_>>().join(", ")
}

/// Chooses a device.
///
/// `auto` never fails: it takes the first hardware GPU that a second process could compute on, else the CPU, and says why.
///
/// # Errors
/// A GPU was asked for and this build has no backend for one, none answers, or it does not compute.
pub fn pick(choice: DeviceChoice) -> Result<Picked, DeviceError> {
    if choice != DeviceChoice::Cpu {
        kernel_notes();
    }
    let this_program = Subprocess::default();
    let prober = (!gpu::COMPILED.is_empty()).then_some(&this_program as &dyn Prober);
    let (spec, name, reason) = match decide(choice, prober)? {
        Decision::Cpu { reason } => return Ok(picked_cpu(reason)),
        Decision::Gpu { spec, name, reason } => (spec, name, reason),
    };
    match spec.device() {
        Some(device) => Ok(Picked {
            device,
            name,
            reason,
            is_gpu: true,
            backend: Some(spec.api()),
        }),
        None => Err(DeviceError::CpuBuild { asked: choice }),
    }
}

/// A GPU that works.
#[derive(Clone, Debug, PartialEq)]
pub struct Gpu {
    /// What `gpu:N` takes for it.
    pub number: usize,
    /// What the driver calls it.
    pub name: String,
}

/// What a comparison can divide its runs among: one GPU that was asked for by number, else all hardware GPUs that work, or a
/// software one where it was asked for and there is nothing better.
///
/// # Errors
/// As [`pick`]: a GPU was asked for and cannot be had. `auto` never fails.
pub fn gpus(choice: DeviceChoice) -> Result<Vec<Gpu>, DeviceError> {
    let this_program = Subprocess::default();
    let prober = (!gpu::COMPILED.is_empty()).then_some(&this_program as &dyn Prober);
    all_gpus(choice, prober)
}

/// The device of one of several ranks on this machine: each takes the next GPU that works, and those that are left without one begin again at
/// the first. One that was asked for by number is everybody's.
///
/// # Errors
/// As [`gpus`].
pub fn of_rank(choice: DeviceChoice, local_rank: usize) -> Result<DeviceChoice, DeviceError> {
    if matches!(choice, DeviceChoice::Cpu | DeviceChoice::Gpu(Some(_))) {
        return Ok(choice);
    }
    let gpus = gpus(choice)?;
    Ok(gpu_of_rank(&gpus, local_rank).map_or(choice, |number| DeviceChoice::Gpu(Some(number))))
}

fn gpu_of_rank(gpus: &[Gpu], local_rank: usize) -> Option<usize> {
    gpus.get(local_rank % gpus.len().max(1)).map(|gpu| gpu.number)
}

fn all_gpus(choice: DeviceChoice, prober: Option<&dyn Prober>) -> Result<Vec<Gpu>, DeviceError> {
    let Some(prober) = prober else {
        return match choice {
            DeviceChoice::Auto | DeviceChoice::Cpu => Ok(Vec::new()),
            DeviceChoice::Gpu(_) => Err(DeviceError::CpuBuild { asked: choice }),
        };
    };
    let list = match (found(choice, prober), choice) {
        (_, DeviceChoice::Cpu) | (Err(_), DeviceChoice::Auto) => return Ok(Vec::new()),
        (list, _) => list?,
    };
    if let DeviceChoice::Gpu(Some(number)) = choice {
        let name = match decide(choice, Some(prober))? {
            Decision::Gpu { name, .. } => name,
            Decision::Cpu { reason } => reason,
        };
        return Ok(vec![Gpu { number, name }]);
    }
    let working = |software: bool| -> Vec<Gpu> {
        let numbered = list
            .iter()
            .enumerate()
            .filter(|(_, spec)| spec.is_software() == software);
        let tried = numbered.filter_map(|(number, spec)| {
            let name = prober.probe(spec).ok()?;
            (choice != DeviceChoice::Auto || !gpu::is_software_name(&name)).then_some(Gpu { number, name })
        });
        tried.collect()
    };
    let hardware = working(false);
    if choice == DeviceChoice::Auto || !hardware.is_empty() {
        return Ok(hardware);
    }
    let software = working(true);
    if software.is_empty() {
        // Says what is wrong with each.
        first_working(choice, prober)?;
    }
    Ok(software.into_iter().take(1).collect())
}

fn picked_cpu(reason: String) -> Picked {
    Picked {
        device: cpu(),
        name: cpu_name(),
        reason,
        is_gpu: false,
        backend: None,
    }
}

#[derive(Debug, PartialEq)]
pub(crate) enum Decision {
    Cpu {
        reason: String,
    },
    Gpu {
        spec: GpuSpec,
        name: String,
        reason: String,
    },
}

/// The rules; `prober` is `None` in a build without GPU backends.
pub(crate) fn decide(choice: DeviceChoice, prober: Option<&dyn Prober>) -> Result<Decision, DeviceError> {
    match (choice, prober) {
        (DeviceChoice::Cpu, _) => Ok(Decision::Cpu {
            reason: "--device cpu".into(),
        }),
        (DeviceChoice::Auto, None) => Ok(Decision::Cpu {
            reason: CPU_BUILD.into(),
        }),
        (DeviceChoice::Gpu(_), None) => Err(DeviceError::CpuBuild { asked: choice }),
        (DeviceChoice::Auto, Some(prober)) => Ok(decide_auto(prober)),
        (DeviceChoice::Gpu(None), Some(prober)) => first_working(choice, prober),
        (DeviceChoice::Gpu(Some(number)), Some(prober)) => {
            let found = found(choice, prober)?;
            let Some(spec) = found.get(number) else {
                let found = found.iter().map(GpuSpec::to_string).collect();
                return Err(DeviceError::NoSuchGpu { number, found });
            };
            match prober.probe(spec) {
                Ok(name) => Ok(on_gpu(*spec, name, format!("--device {choice}"))),
                Err(fault) => Err(DeviceError::Unusable {
                    asked: choice,
                    reason: format!("{spec} {fault}"),
                }),
            }
        }
    }
}

fn decide_auto(prober: &dyn Prober) -> Decision {
    let found = match prober.list() {
        Ok(found) => found,
        Err(fault) => {
            return Decision::Cpu {
                reason: format!("looking for GPUs {fault}"),
            };
        }
    };
    let mut faults = Vec::new();
    for spec in found.iter().filter(|spec| !spec.is_software()) {
        match prober.probe(spec) {
            // Some drivers call their rasteriser a virtual GPU.
            Ok(name) if gpu::is_software_name(&name) => faults.push(format!("{name} is a software rasteriser")),
            Ok(name) => return on_gpu(*spec, name, "a GPU that works".into()),
            Err(fault) => faults.push(format!("{spec} {fault}")),
        }
    }
    let reason = if !faults.is_empty() {
        faults.join("; ")
    } else if found.is_empty() {
        "no GPU driver answers".into()
    } else {
        "only a software rasteriser answers; the CPU backend is faster, --device gpu uses it all the same".into()
    };
    Decision::Cpu { reason }
}

fn first_working(asked: DeviceChoice, prober: &dyn Prober) -> Result<Decision, DeviceError> {
    let mut found = found(asked, prober)?;
    found.sort_by_key(|spec| spec.is_software());
    let mut faults = Vec::new();
    for spec in found {
        match prober.probe(&spec) {
            Ok(name) => return Ok(on_gpu(spec, name, format!("--device {asked}"))),
            Err(fault) => faults.push(format!("{spec} {fault}")),
        }
    }
    Err(DeviceError::Unusable {
        asked,
        reason: faults.join("; "),
    })
}

fn found(asked: DeviceChoice, prober: &dyn Prober) -> Result<Vec<GpuSpec>, DeviceError> {
    match prober.list() {
        Ok(found) if found.is_empty() => Err(DeviceError::NoGpu {
            asked,
            reason: "no GPU driver answers".into(),
        }),
        Ok(found) => Ok(found),
        Err(fault) => Err(DeviceError::NoGpu {
            asked,
            reason: format!("looking for GPUs {fault}"),
        }),
    }
}

fn on_gpu(spec: GpuSpec, name: String, reason: String) -> Decision {
    let software = spec.is_software() || gpu::is_software_name(&name);
    let slow = if software { ", a software rasteriser: slow" } else { "" };
    Decision::Gpu {
        reason: format!("{reason}, through {}{slow}", spec.api()),
        spec,
        name,
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
