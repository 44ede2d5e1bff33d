use std::fmt;

use crate::arguments::backends;
use crate::backend::Backend;
use crate::cuda;
use crate::driver::{Vendor, VulkanDriver, vulkan_drivers};
use crate::machine::{Machine, Os};

/// A backend and why it was chosen.
#[derive(Debug, PartialEq, Eq)]
pub struct Choice {
    pub backend: Backend,
    pub reason: String,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}; building for {} (--backend {} overrides)",
            self.reason,
            self.backend,
            backends()
        )
    }
}

/// The backend that was asked for, or the one that fits the machine.
pub fn choose(asked: Option<Backend>, machine: &Machine) -> Choice {
    let (backend, reason) = match asked {
        Some(backend) => (backend, "backend given".to_owned()),
        None => match machine.os {
            Os::Mac => (Backend::Metal, "macOS has Metal".to_owned()),
            Os::Windows => (Backend::Dx12, "Windows has DirectX 12".to_owned()),
            Os::Linux => on_linux(machine),
            Os::Other => (Backend::Cpu, "no way to look for a GPU on this system".to_owned()),
        },
    };
    Choice { backend, reason }
}

fn on_linux(machine: &Machine) -> (Backend, String) {
    let cards = render_nodes(machine);
    let drivers = vulkan_drivers(machine);
    let mut obstacle = None;

    for card in &cards {
        match vulkan_obstacle(machine, card, &drivers) {
            Ok(driver) => {
                let (vendor, node) = (card.vendor.name(), &card.node);
                return (
                    Backend::Vulkan,
                    format!("found {vendor} GPU {node} with Vulkan driver {}", driver.manifest),
                );
            }
            Err(reason) => obstacle = obstacle.or(Some(reason)),
        }
    }

    let is_wsl = machine.path("/dev/dxg").exists();
    // Containers often get NVIDIA's own device files and no render node.
    let has_nvidia_device = machine.path("/dev/nvidia0").exists();
    let has_nvidia = is_wsl || has_nvidia_device || cards.iter().any(|card| card.vendor == Vendor::Nvidia);
    if !has_nvidia {
        return (Backend::Cpu, obstacle.unwrap_or_else(|| "found no GPU".to_owned()));
    }
    // Windows shares any GPU with WSL; NVIDIA's brings its library along.
    if is_wsl && !has_nvidia_device && !cuda::has_driver(machine) {
        return (Backend::Cpu, "WSL with no CUDA libraries".to_owned());
    }
    let place = if is_wsl { " under WSL" } else { "" };
    let missing = cuda::obstacles(machine);
    if missing.is_empty() {
        let reason = format!("found NVIDIA GPU{place} with CUDA, without a usable Vulkan driver");
        return (Backend::Cuda, reason);
    }
    let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
    let vulkan = obstacle.unwrap_or_else(|| format!("found NVIDIA GPU{place} without a usable Vulkan driver"));
    (Backend::Cpu, format!("{vulkan}; CUDA: {}", missing.join("; ")))
}

/// A GPU that Linux offers for computing.
struct RenderNode {
    vendor: Vendor,
    node: String,
}

fn render_nodes(machine: &Machine) -> Vec<RenderNode> {
    let names = machine.names_in("/dev/dri");
    let nodes = names.iter().filter(|name| name.starts_with("renderD"));
    nodes
        .filter_map(|name| {
            let id = std::fs::read_to_string(machine.path(format!("/sys/class/drm/{name}/device/vendor"))).ok()?;
            Some(RenderNode {
                vendor: Vendor::from_pci(&id)?,
                node: format!("/dev/dri/{name}"),
            })
        })
        .collect()
}

/// The driver that makes the card usable through Vulkan, or what is missing.
fn vulkan_obstacle<'a>(
    machine: &Machine,
    card: &RenderNode,
    drivers: &'a [VulkanDriver],
) -> Result<&'a VulkanDriver, String> {
    let (vendor, node) = (card.vendor.name(), &card.node);
    let Some(driver) = drivers.iter().find(|driver| driver.vendor == Some(card.vendor)) else {
        return Err(format!("found {vendor} GPU {node}, but no Vulkan driver for it"));
    };
    if !machine.finds_library("libvulkan.so.1") {
        return Err(format!(
            "found {vendor} GPU {node}, but no libvulkan.so.1 (Debian: apt install libvulkan1)"
        ));
    }
    // Building takes minutes; it is no use if the user may not open the device.
    let open = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(machine.path(node));
    match open {
        Ok(_) => Ok(driver),
        Err(error) => Err(format!(
            "found {vendor} GPU {node}, but cannot open it ({error}); is the user in group render?"
        )),
    }
}

#[cfg(test)]
#[path = "detect_tests.rs"]
mod tests;
