#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;

use super::*;
use crate::fake_machine::Fake;

impl Fake {
    fn choice(&self) -> (Backend, String) {
        let choice = choose(None, &self.machine);
        (choice.backend, choice.reason)
    }
}

#[test]
fn a_bare_machine_gets_the_cpu() {
    assert_eq!(Fake::linux().choice(), (Backend::Cpu, "found no GPU".to_owned()));
}

#[test]
fn a_gpu_with_its_vulkan_driver_gets_vulkan() {
    for (vendor, manifest, library, name) in [
        (
            "0x10de",
            "/etc/vulkan/icd.d/nvidia_icd.json",
            "libGLX_nvidia.so.0",
            "NVIDIA",
        ),
        (
            "0x1002",
            "/usr/share/vulkan/icd.d/radeon_icd.x86_64.json",
            "/usr/lib/libvulkan_radeon.so",
            "AMD",
        ),
        (
            "0x1002",
            "/usr/share/vulkan/icd.d/driver.json",
            "/opt/amdgpu/amdvlk64.so",
            "AMD",
        ),
        (
            "0x8086",
            "/usr/local/share/vulkan/icd.d/intel_icd.json",
            "libvulkan_intel.so",
            "Intel",
        ),
    ] {
        let fake = Fake::linux()
            .card("renderD128", vendor)
            .driver(manifest, library)
            .loader();
        let (backend, reason) = fake.choice();
        assert_eq!(backend, Backend::Vulkan, "{reason}");
        assert!(
            reason.starts_with(&format!("found {name} GPU /dev/dri/renderD128")),
            "{reason}"
        );
    }
}

#[test]
fn a_software_driver_is_no_gpu() {
    let fake = Fake::linux().lavapipe().loader();
    assert_eq!(fake.choice().0, Backend::Cpu);
    let fake = Fake::linux().card("renderD128", "0x8086").lavapipe().loader();
    let (backend, reason) = fake.choice();
    assert_eq!(
        (backend, reason.contains("no Vulkan driver for it")),
        (Backend::Cpu, true),
        "{reason}"
    );
}

#[test]
fn a_driver_for_another_makers_gpu_does_not_count() {
    let fake = Fake::linux()
        .card("renderD128", "0x1002")
        .driver("/usr/share/vulkan/icd.d/intel_icd.x86_64.json", "libvulkan_intel.so")
        .loader();
    assert_eq!(fake.choice().0, Backend::Cpu);
}

#[test]
fn the_second_card_is_used_when_the_first_has_no_driver() {
    let fake = Fake::linux()
        .card("renderD128", "0x8086")
        .card("renderD129", "0x10de")
        .driver("/usr/share/vulkan/icd.d/nvidia_icd.json", "libGLX_nvidia.so.0")
        .loader();
    let (backend, reason) = fake.choice();
    assert_eq!(
        (backend, reason.contains("renderD129")),
        (Backend::Vulkan, true),
        "{reason}"
    );
}

#[test]
fn a_virtual_machines_display_is_no_gpu() {
    let fake = Fake::linux()
        .card("renderD128", "0x1af4")
        .driver("/usr/share/vulkan/icd.d/virtio_icd.json", "libvulkan_virtio.so")
        .loader();
    assert_eq!(fake.choice(), (Backend::Cpu, "found no GPU".to_owned()));
}

#[test]
fn a_missing_vulkan_loader_is_named() {
    let amd = || {
        Fake::linux()
            .card("renderD128", "0x1002")
            .driver("/etc/vulkan/icd.d/radeon_icd.json", "libvulkan_radeon.so")
    };
    let (backend, reason) = amd().choice();
    assert_eq!(
        (backend, reason.contains("libvulkan.so.1")),
        (Backend::Cpu, true),
        "{reason}"
    );
    let in_linker_cache = amd().file("/etc/ld.so.cache", "\0libvulkan.so.1\0/gnu/store/lib/libvulkan.so.1\0");
    assert_eq!(in_linker_cache.choice().0, Backend::Vulkan);
}

#[test]
fn a_card_that_cannot_be_opened_is_not_built_for() {
    let fake = Fake::linux()
        .driver("/etc/vulkan/icd.d/radeon_icd.json", "libvulkan_radeon.so")
        .loader();
    let fake = fake.file("/sys/class/drm/renderD128/device/vendor", "0x1002");
    // A folder in the device's place cannot be opened for writing, whoever runs the test.
    fs::create_dir_all(fake.machine.path("/dev/dri/renderD128")).unwrap();
    let (backend, reason) = fake.choice();
    assert_eq!(
        (backend, reason.contains("group render")),
        (Backend::Cpu, true),
        "{reason}"
    );
}

#[test]
fn the_variables_of_the_vulkan_loader_replace_its_search() {
    let nvidia = || {
        Fake::linux()
            .card("renderD128", "0x10de")
            .driver("/usr/share/vulkan/icd.d/nvidia_icd.json", "libGLX_nvidia.so.0")
            .loader()
    };
    let only_software = nvidia()
        .lavapipe()
        .variable("VK_DRIVER_FILES", "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json");
    assert_eq!(only_software.choice().0, Backend::Cpu);
    let none = nvidia().variable("VK_ICD_FILENAMES", "/nowhere.json");
    assert_eq!(none.choice().0, Backend::Cpu);
    let elsewhere = Fake::linux()
        .card("renderD128", "0x10de")
        .driver("/opt/nv/icd.json", "libGLX_nvidia.so.0")
        .loader()
        .variable("VK_DRIVER_FILES", "/nowhere.json:/opt/nv");
    assert_eq!(elsewhere.choice().0, Backend::Vulkan);
}

#[test]
fn the_folders_of_the_xdg_variables_are_searched() {
    let fake = Fake::linux()
        .card("renderD128", "0x10de")
        .driver("/opt/share/vulkan/icd.d/nvidia_icd.json", "libGLX_nvidia.so.0")
        .loader();
    assert_eq!(fake.choice().0, Backend::Cpu);
    assert_eq!(
        fake.variable("XDG_DATA_DIRS", "/usr/share:/opt/share").choice().0,
        Backend::Vulkan
    );
}

#[test]
fn nvidia_without_vulkan_gets_cuda_where_all_its_pieces_are() {
    let container = || Fake::linux().file("/dev/nvidia0", "").cuda_driver();
    let (backend, reason) = container().choice();
    assert_eq!(backend, Backend::Cpu);
    for piece in ["without a usable Vulkan driver", "libnvrtc.so.12", "CUDA's headers"] {
        assert!(reason.contains(piece), "{reason}");
    }
    let complete = container()
        .nvrtc("/usr/lib64", "12.8")
        .headers("/usr/local/cuda/include");
    assert_eq!(
        complete.choice(),
        (
            Backend::Cuda,
            "found NVIDIA GPU with CUDA, without a usable Vulkan driver".to_owned()
        )
    );
    let without_headers = container().nvrtc("/usr/lib64", "12.8");
    assert_eq!(without_headers.choice().0, Backend::Cpu);
}

#[test]
fn cuda_libraries_without_a_gpu_are_not_enough() {
    let fake = Fake::linux()
        .cuda_driver()
        .nvrtc("/usr/lib", "12.8")
        .headers("/usr/local/cuda/include");
    assert_eq!(fake.choice(), (Backend::Cpu, "found no GPU".to_owned()));
}

#[test]
fn wsl_gets_cuda_with_the_toolkit_and_the_cpu_without() {
    let wsl = || Fake::linux().file("/dev/dxg", "");
    assert_eq!(wsl().choice(), (Backend::Cpu, "WSL with no CUDA libraries".to_owned()));
    let driver = || wsl().file("/usr/lib/wsl/lib/libcuda.so.1", "");
    let (backend, reason) = driver().choice();
    assert_eq!(
        (backend, reason.contains("libnvrtc.so.12")),
        (Backend::Cpu, true),
        "{reason}"
    );
    let (backend, reason) = driver()
        .nvrtc("/usr/lib64", "12.9")
        .headers("/opt/cuda/include")
        .choice();
    assert_eq!(
        (backend, reason.contains("under WSL")),
        (Backend::Cuda, true),
        "{reason}"
    );
}

#[test]
fn other_systems_get_their_own_interface() {
    for (os, backend) in [
        (Os::Mac, Backend::Metal),
        (Os::Windows, Backend::Dx12),
        (Os::Other, Backend::Cpu),
    ] {
        let mut fake = Fake::linux();
        fake.machine.os = os;
        assert_eq!(fake.choice().0, backend);
    }
}

#[test]
fn a_given_backend_is_taken_without_a_look_at_the_machine() {
    let choice = choose(Some(Backend::Cuda), &Fake::linux().machine);
    assert_eq!(choice.backend, Backend::Cuda);
}

#[test]
fn the_line_says_what_was_found_what_was_chosen_and_how_to_override() {
    let line = choose(None, &Fake::linux().machine).to_string();
    assert_eq!(
        line,
        "found no GPU; building for cpu (--backend auto|cpu|wgpu|vulkan|metal|dx12|cuda overrides)"
    );
}
