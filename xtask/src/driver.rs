use std::path::{Path, PathBuf};

use crate::machine::Machine;

/// Who makes a GPU or the driver for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    Nvidia,
    Amd,
    Intel,
}

impl Vendor {
    /// From the text of `/sys/class/drm/*/device/vendor`.
    pub fn from_pci(id: &str) -> Option<Self> {
        match id.trim() {
            "0x10de" => Some(Self::Nvidia),
            "0x1002" => Some(Self::Amd),
            "0x8086" => Some(Self::Intel),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Nvidia => "NVIDIA",
            Self::Amd => "AMD",
            Self::Intel => "Intel",
        }
    }
}

/// A Vulkan driver as announced by its manifest.
#[derive(Debug, PartialEq, Eq)]
pub struct VulkanDriver {
    /// The manifest's file name.
    pub manifest: String,
    /// Whose GPUs it drives; `None` for software drivers (lavapipe, SwiftShader), virtual machines' and unknown ones.
    pub vendor: Option<Vendor>,
}

/// The Vulkan drivers that the Vulkan loader would find, in its order of search.
pub fn vulkan_drivers(machine: &Machine) -> Vec<VulkanDriver> {
    manifests(machine)
        .iter()
        .filter_map(|manifest| read_manifest(machine, manifest))
        .collect()
}

fn manifests(machine: &Machine) -> Vec<PathBuf> {
    let is_manifest = |name: &String| name.ends_with(".json");
    let in_folder = |folder: &str| {
        let names = machine.names_in(folder).into_iter().filter(is_manifest);
        names.map(|name| Path::new(folder).join(name)).collect::<Vec<_>>()
    };
    // These replace the search. An entry is a manifest or a folder of them.
    for variable in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
        if machine.variable(variable).is_some() {
            let entries = machine.path_list(variable, "");
            return entries
                .flat_map(|entry| match machine.path(entry).is_dir() {
                    true => in_folder(entry),
                    false => vec![PathBuf::from(entry)],
                })
                .collect();
        }
    }
    let home = machine.variable("HOME").unwrap_or("/");
    let config_home = format!("{home}/.config");
    let data_home = format!("{home}/.local/share");
    let folders = (machine.path_list("XDG_CONFIG_HOME", &config_home))
        .chain(machine.path_list("XDG_CONFIG_DIRS", "/etc/xdg"))
        .chain(["/etc"])
        .chain(machine.path_list("XDG_DATA_HOME", &data_home))
        .chain(machine.path_list("XDG_DATA_DIRS", "/usr/local/share:/usr/share"))
        .chain(["/run/opengl-driver/share"]);
    folders
        .flat_map(|folder| in_folder(&format!("{folder}/vulkan/icd.d")))
        .collect()
}

fn read_manifest(machine: &Machine, manifest: &Path) -> Option<VulkanDriver> {
    let text = std::fs::read_to_string(machine.path(manifest)).ok()?;
    let name = manifest.file_name()?.to_string_lossy().into_owned();
    let library = library_path(&text).unwrap_or_default();
    let library = library.rsplit('/').next().unwrap_or_default();
    Some(VulkanDriver {
        vendor: vendor_of(&format!("{name} {library}").to_lowercase()),
        manifest: name,
    })
}

/// The value of `"library_path"`. A whole JSON parser would double this program's build time.
fn library_path(json: &str) -> Option<&str> {
    let (_, after) = json.split_once("\"library_path\"")?;
    let (_, value) = after.split_once('"')?;
    value.split('"').next()
}

/// Tells the vendor from the names of the manifest and of the library, for example `radeon_icd.json libvulkan_radeon.so`.
fn vendor_of(names: &str) -> Option<Vendor> {
    let has = |words: &[&str]| words.iter().any(|word| names.contains(word));
    if has(&["lvp", "lavapipe", "llvmpipe", "swiftshader", "virtio", "gfxstream"]) {
        None
    } else if has(&["nvidia", "nouveau", "nvk"]) {
        Some(Vendor::Nvidia)
    } else if has(&["radeon", "amd"]) {
        Some(Vendor::Amd)
    } else if has(&["intel"]) {
        Some(Vendor::Intel)
    } else {
        None
    }
}
