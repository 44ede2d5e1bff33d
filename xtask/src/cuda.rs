use std::fmt;

use crate::machine::{Machine, Os};

/// The names under which the program opens the driver's library (crate cudarc, `get_lib_name_candidates`).
const DRIVER: [&str; 2] = ["libcuda.so", "libcuda.so.1"];

/// The same for NVRTC. `.cargo/config.toml` pins CUDA 12, so the file of CUDA 13 is taken only where a link hides its number.
const NVRTC: [&str; 3] = ["libnvrtc.so", "libnvrtc.so.12", "libnvrtc.so.11"];

/// The headers that kernels include, and the wheel on PyPI that has each. Wheels split what the toolkit has in one folder.
const HEADERS: [(&str, &str); 4] = [
    ("cuda_bf16.h", "nvidia-cuda-runtime-cu12"),
    ("mma.h", "nvidia-cuda-runtime-cu12"),
    ("crt/mma.h", "nvidia-cuda-nvcc-cu12"),
    ("cuda/barrier", "nvidia-cuda-cccl-cu12"),
];

/// Releases of CUDA and the first branch of the driver that runs what their NVRTC writes.
const FIRST_DRIVER: [((u32, u32), u32); 10] = [
    ((12, 0), 525),
    ((12, 1), 530),
    ((12, 2), 535),
    ((12, 3), 545),
    ((12, 4), 550),
    ((12, 5), 555),
    ((12, 6), 560),
    ((12, 8), 570),
    ((12, 9), 575),
    ((13, 0), 580),
];

/// Something that a program built for CUDA would miss when it starts, and how to get it.
#[derive(Debug, PartialEq, Eq)]
pub struct Obstacle {
    pub piece: &'static str,
    pub remedy: String,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.piece, self.remedy)
    }
}

/// What is in the way of CUDA on this machine; nothing if the program will start. Only Linux is looked at.
pub fn obstacles(machine: &Machine) -> Vec<Obstacle> {
    if machine.os != Os::Linux {
        return Vec::new();
    }
    let found = [driver(machine), nvrtc(machine), headers(machine), age(machine)];
    found.into_iter().flatten().collect()
}

/// Whether the driver's library can be opened.
pub fn has_driver(machine: &Machine) -> bool {
    DRIVER.iter().any(|name| machine.finds_library(name))
}

fn driver(machine: &Machine) -> Option<Obstacle> {
    if has_driver(machine) {
        return None;
    }
    Some(Obstacle {
        piece: "libcuda.so.1",
        remedy: "not found; it comes with NVIDIA's driver (Debian: apt install libcuda1; a container gets it with `--gpus all`)"
            .to_owned(),
    })
}

fn nvrtc(machine: &Machine) -> Option<Obstacle> {
    if NVRTC.iter().any(|name| machine.finds_library(name)) {
        return None;
    }
    let is_there = |folder: &String| NVRTC.iter().any(|name| machine.path(folder).join(name).is_file());
    let remedy = match library_folders(machine).into_iter().find(is_there) {
        Some(folder) => format!("lies in {folder}, where nothing looks for it: export LD_LIBRARY_PATH={folder}"),
        None => "not found; it comes with CUDA's toolkit or with nvidia-cuda-nvrtc-cu12 from PyPI".to_owned(),
    };
    Some(Obstacle {
        piece: "libnvrtc.so.12",
        remedy,
    })
}

fn headers(machine: &Machine) -> Option<Obstacle> {
    let piece = "CUDA's headers";
    let Some(folder) = cuda_path(machine) else {
        let remedy =
            "CUDA_PATH is not set, and there is no /usr/local/cuda; set it to the folder that has include/cuda_bf16.h";
        return Some(Obstacle {
            piece,
            remedy: remedy.to_owned(),
        });
    };
    let include = machine.path(&folder).join("include");
    let is_missing = |header: &str| !include.join(header).is_file() && !include.join("cccl").join(header).is_file();
    let missing: Vec<String> = HEADERS
        .iter()
        .filter(|(header, _)| is_missing(header))
        .map(|(header, wheel)| format!("{header} (on PyPI in {wheel})"))
        .collect();
    if missing.is_empty() {
        return None;
    }
    Some(Obstacle {
        piece,
        remedy: format!("{folder}/include lacks {}", missing.join(", ")),
    })
}

/// NVRTC writes PTX of its own release, which an older driver refuses when the first kernel is loaded.
fn age(machine: &Machine) -> Option<Obstacle> {
    let driver = driver_branch(machine)?;
    let release = nvrtc_release(machine)?;
    let (_, first) = FIRST_DRIVER.into_iter().find(|(known, _)| *known == release)?;
    if driver >= first {
        return None;
    }
    let (major, minor) = release;
    let newest = FIRST_DRIVER.into_iter().rev().find(|(_, first)| driver >= *first);
    let fitting = newest.map_or_else(String::new, |((major, minor), _)| {
        format!(", or NVRTC and headers of CUDA {major}.{minor}")
    });
    Some(Obstacle {
        piece: "libnvrtc",
        remedy: format!("is of CUDA {major}.{minor} and the driver ({driver}) is older: take driver {first}{fitting}"),
    })
}

/// Where `cubecl-cuda` looks for CUDA (its `install::cuda_path`).
fn cuda_path(machine: &Machine) -> Option<String> {
    if let Some(given) = machine.variable("CUDA_PATH") {
        return Some(given.to_owned());
    }
    let usual = ["/usr/local/cuda", "/opt/cuda"];
    let found = usual.into_iter().find(|folder| machine.path(folder).exists());
    let nvcc = || machine.path("/usr/bin/nvcc").exists().then_some("/usr");
    found.or_else(nvcc).map(str::to_owned)
}

/// Folders that hold CUDA's libraries and that the dynamic linker does not know by itself.
fn library_folders(machine: &Machine) -> Vec<String> {
    let variables = ["CUDA_PATH", "CUDA_HOME", "CUDA_ROOT"];
    let given = variables.into_iter().filter_map(|variable| machine.variable(variable));
    let roots = given.chain(["/usr/local/cuda", "/opt/cuda"]);
    roots
        .flat_map(|root| {
            // The wheels lie side by side: the headers in cuda_runtime, NVRTC in cuda_nvrtc.
            let beside = root.trim_end_matches('/').strip_suffix("/cuda_runtime");
            let wheel = beside.map(|folder| format!("{folder}/cuda_nvrtc/lib"));
            [format!("{root}/lib64"), format!("{root}/lib")]
                .into_iter()
                .chain(wheel)
        })
        .collect()
}

/// The driver's branch: 570 of 570.86.15.
fn driver_branch(machine: &Machine) -> Option<u32> {
    let text = std::fs::read_to_string(machine.path("/proc/driver/nvidia/version")).ok()?;
    let line = text.lines().find(|line| line.contains("Kernel Module"))?;
    line.split_whitespace().find_map(|word| {
        let (branch, rest) = word.split_once('.')?;
        let is_version = rest.chars().all(|c| c.is_ascii_digit() || c == '.');
        branch.parse().ok().filter(|_| is_version)
    })
}

/// The release that NVRTC is of, told by the library of its built-in functions, which lies beside it; the oldest where
/// there are several, since a doubt should not stop anyone.
fn nvrtc_release(machine: &Machine) -> Option<(u32, u32)> {
    FIRST_DRIVER
        .into_iter()
        .map(|(release, _)| release)
        .find(|(major, minor)| machine.finds_library(&format!("libnvrtc-builtins.so.{major}.{minor}")))
}

#[cfg(test)]
#[path = "cuda_tests.rs"]
mod tests;
