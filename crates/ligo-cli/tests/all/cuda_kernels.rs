//! The kernels of training steps, compiled by NVRTC for the GPUs that training runs on, and no GPU is needed.
//!
//! burn's CUDA backend runs as it does on a card: it chooses kernels by what the device can do, writes CUDA C++, and has NVRTC compile
//! it. Only the driver is ours (`cuda_kernels/driver.c`), and its launches do nothing. So a kernel that CUDA refuses fails here and not on a
//! rented card. What the kernels compute is the business of the tests on software Vulkan.
#![cfg(all(feature = "cuda", target_os = "linux"))]

mod workload;

use std::path::{Path, PathBuf};
use std::process::Command;

use burn::tensor::Device;

use crate::common::repository;

/// Set for the process that computes.
const SM: &str = "CUDA_DRIVER_SM";
const DONE: &str = "every step is done";

#[test]
fn every_kernel_is_compiled_for_ampere() {
    compile_for("80");
}

#[test]
fn every_kernel_is_compiled_for_hopper() {
    compile_for("90");
}

/// The other process's side, which does nothing where it is not asked.
#[test]
fn steps_on_the_driver_of_the_test() {
    if std::env::var_os(SM).is_some() {
        workload::run(&Device::cuda(0)).unwrap();
        println!("{DONE}");
    }
}

fn compile_for(sm: &str) {
    let Some(toolkit) = Toolkit::find() else {
        eprintln!("NOT TESTED: no NVRTC or no headers of CUDA here; docs/CUDA.md says how to get both from PyPI");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    build_driver(folder.path());
    let [log, loaded] = ["compiled", "loaded"].map(|name| folder.path().join(name));
    // The dynamic linker takes the first that it finds: our driver, also where there is a real one.
    let libraries = std::env::join_paths([folder.path(), &toolkit.libraries]).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "cuda_kernels::steps_on_the_driver_of_the_test",
            "--nocapture",
        ])
        .env("LD_LIBRARY_PATH", libraries)
        .env("CUDA_PATH", &toolkit.path)
        .env("CUBECL_DEBUG_LOG", &log)
        .env("CUDA_DRIVER_LOADED", &loaded)
        .env(SM, sm)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains(DONE), "sm_{sm}:\n{said}");

    let log = std::fs::read_to_string(log).unwrap();
    let names: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("name: ")).collect();
    let loaded = std::fs::read_to_string(loaded).unwrap().lines().count();
    assert_eq!(
        names.len(),
        loaded,
        "sm_{sm}: kernels that were written in C++, and that could be loaded\n{said}"
    );
    println!("sm_{sm}: {loaded} kernels were compiled");
    let is_tried = |kernel: &String| names.iter().any(|name| name.starts_with(kernel));
    let untried: Vec<String> = kernels_of_ours()
        .into_iter()
        .filter(|kernel| !is_tried(kernel))
        .collect();
    assert!(
        untried.is_empty(),
        "sm_{sm}: no step launches {untried:#?}; add one to cuda/workload.rs"
    );
}

/// The paths of the kernels that `ligo-ops` launches, told by its source: `ligo_ops::cube::MODULE::FUNCTION::`.
fn kernels_of_ours() -> Vec<String> {
    let mut kernels = Vec::new();
    let mut open = vec![(
        repository().join("crates/ligo-ops/src/cube"),
        "ligo_ops::cube".to_owned(),
    )];
    while let Some((path, module)) = open.pop() {
        if path.is_dir() {
            for entry in std::fs::read_dir(path).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_stem().unwrap().to_str().unwrap();
                let inner = if name == "mod" {
                    module.clone()
                } else {
                    format!("{module}::{name}")
                };
                open.push((path, inner));
            }
            continue;
        }
        for after in std::fs::read_to_string(&path).unwrap().split("#[cube(launch").skip(1) {
            let function = after.split("fn ").nth(1).unwrap();
            let name = function
                .split(|c: char| c != '_' && !c.is_alphanumeric())
                .next()
                .unwrap();
            kernels.push(format!("{module}::{name}::"));
        }
    }
    assert!(kernels.len() > 10, "{kernels:?}");
    kernels
}

/// Compiles `cuda_kernels/driver.c` to a library that takes the place of NVIDIA's.
fn build_driver(folder: &Path) {
    let source = folder.join("driver.c");
    std::fs::write(&source, include_str!("cuda_kernels/driver.c")).unwrap();
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let output = Command::new(compiler)
        .args([
            "-std=c11",
            "-D_GNU_SOURCE",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-shared",
            "-fPIC",
            "-o",
        ])
        .args([&folder.join("libcuda.so"), &source])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Where NVRTC and CUDA's headers are.
struct Toolkit {
    /// What `CUDA_PATH` is to be.
    path: PathBuf,
    /// The folder with NVRTC.
    libraries: PathBuf,
}

impl Toolkit {
    fn find() -> Option<Self> {
        let path = std::env::var_os("CUDA_PATH").map_or_else(|| PathBuf::from("/usr/local/cuda"), PathBuf::from);
        let known = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let folders = std::env::split_paths(&known).chain([path.join("lib64"), path.join("lib")]);
        let mut folders = folders.filter(|folder| {
            ["libnvrtc.so", "libnvrtc.so.12"]
                .iter()
                .any(|name| folder.join(name).is_file())
        });
        let libraries = folders.next()?;
        path.join("include/cuda_bf16.h")
            .is_file()
            .then_some(Self { path, libraries })
    }
}
