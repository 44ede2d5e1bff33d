#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::fake_machine::Fake;

const WHEELS: &str = "/venv/site-packages/nvidia";

fn shown(fake: &Fake) -> Vec<String> {
    obstacles(&fake.machine).iter().map(ToString::to_string).collect()
}

/// All that CUDA needs but one piece or the other.
fn toolkit() -> Fake {
    Fake::linux()
        .cuda_driver()
        .nvrtc("/usr/lib/x86_64-linux-gnu", "12.8")
        .headers("/usr/local/cuda/include")
}

/// The wheels of PyPI as pip unpacks them, before anything is linked.
fn wheels() -> Fake {
    Fake::linux()
        .cuda_driver()
        .nvrtc(&format!("{WHEELS}/cuda_nvrtc/lib"), "12.8")
        .file(&format!("{WHEELS}/cuda_runtime/include/cuda_bf16.h"), "")
        .file(&format!("{WHEELS}/cuda_runtime/include/mma.h"), "")
        .file(&format!("{WHEELS}/cuda_nvcc/include/crt/mma.h"), "")
        .file(&format!("{WHEELS}/cuda_cccl/include/cuda/barrier"), "")
        .variable("CUDA_PATH", &format!("{WHEELS}/cuda_runtime"))
}

#[test]
fn a_machine_with_driver_nvrtc_and_headers_is_ready() {
    assert_eq!(shown(&toolkit()), [""; 0]);
    assert_eq!(shown(&toolkit().driver_version("570.86.15")), [""; 0]);
}

#[test]
fn a_bare_machine_is_told_all_three_pieces() {
    let found = obstacles(&Fake::linux().machine);
    let pieces: Vec<&str> = found.iter().map(|obstacle| obstacle.piece).collect();
    assert_eq!(pieces, ["libcuda.so.1", "libnvrtc.so.12", "CUDA's headers"]);
    for (obstacle, remedy) in found
        .iter()
        .zip(["apt install libcuda1", "nvidia-cuda-nvrtc-cu12", "CUDA_PATH"])
    {
        assert!(obstacle.remedy.contains(remedy), "{obstacle}");
    }
}

#[test]
fn nvrtc_beyond_the_linkers_reach_is_named_with_the_variable_to_set() {
    for folder in ["/usr/local/cuda/lib64", "/opt/cu/lib"] {
        let fake = Fake::linux()
            .cuda_driver()
            .nvrtc(folder, "12.8")
            .headers("/opt/cu/include")
            .variable("CUDA_PATH", "/opt/cu");
        let expected =
            format!("libnvrtc.so.12: lies in {folder}, where nothing looks for it: export LD_LIBRARY_PATH={folder}");
        assert_eq!(shown(&fake), [expected]);
        assert_eq!(shown(&fake.variable("LD_LIBRARY_PATH", folder)), [""; 0]);
    }
}

#[test]
fn nvrtc_of_another_major_release_counts_only_under_the_name_that_is_opened() {
    let newer = |name: &str| {
        Fake::linux()
            .cuda_driver()
            .headers("/usr/local/cuda/include")
            .file(&format!("/usr/lib64/{name}"), "")
    };
    assert_eq!(shown(&newer("libnvrtc.so.13")).len(), 1);
    assert_eq!(shown(&newer("libnvrtc.so")), [""; 0]);
}

#[test]
fn the_linkers_cache_counts_where_a_name_ends() {
    let with_cache = |cache: &str| {
        Fake::linux()
            .cuda_driver()
            .headers("/usr/local/cuda/include")
            .file("/etc/ld.so.cache", cache)
    };
    let found = with_cache("\0libnvrtc.so.12\0/opt/cu/lib/libnvrtc.so.12\0");
    assert_eq!(shown(&found), [""; 0]);
    let other = with_cache("\0libnvrtc.so.120\0libnvrtc.so.12.alt\0");
    assert_eq!(shown(&other).len(), 1);
}

#[test]
fn wheels_from_pypi_lack_two_links_and_a_variable() {
    let found = shown(&wheels());
    let folder = format!("{WHEELS}/cuda_nvrtc/lib");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].ends_with(&format!("export LD_LIBRARY_PATH={folder}")),
        "{}",
        found[0]
    );
    assert_eq!(
        found[1],
        format!(
            "CUDA's headers: {WHEELS}/cuda_runtime/include lacks crt/mma.h (on PyPI in nvidia-cuda-nvcc-cu12), \
             cuda/barrier (on PyPI in nvidia-cuda-cccl-cu12)"
        )
    );
    let linked = wheels()
        .file(&format!("{WHEELS}/cuda_runtime/include/crt/mma.h"), "")
        .file(&format!("{WHEELS}/cuda_runtime/include/cccl/cuda/barrier"), "")
        .variable("LD_LIBRARY_PATH", &folder);
    assert_eq!(shown(&linked), [""; 0]);
}

#[test]
fn the_variable_goes_before_the_usual_folders() {
    let elsewhere = toolkit().variable("CUDA_PATH", "/opt/empty");
    let found = shown(&elsewhere);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("/opt/empty/include lacks cuda_bf16.h"),
        "{}",
        found[0]
    );
}

#[test]
fn headers_of_a_distribution_are_found_by_its_nvcc() {
    let debian = || {
        Fake::linux()
            .cuda_driver()
            .nvrtc("/usr/lib/x86_64-linux-gnu", "12.4")
            .headers("/usr/include")
    };
    assert_eq!(shown(&debian()).len(), 1);
    assert_eq!(shown(&debian().file("/usr/bin/nvcc", "")), [""; 0]);
}

#[test]
fn a_driver_older_than_nvrtc_is_told_both_ways_out() {
    let old = toolkit().driver_version("550.127.08");
    assert_eq!(
        shown(&old),
        ["libnvrtc: is of CUDA 12.8 and the driver (550) is older: take driver 570, or NVRTC and headers of CUDA 12.4"]
    );
    let ancient = toolkit().driver_version("470.256.02");
    assert_eq!(
        shown(&ancient),
        ["libnvrtc: is of CUDA 12.8 and the driver (470) is older: take driver 570"]
    );
}

#[test]
fn what_cannot_be_told_stops_nobody() {
    let unknown_driver = toolkit().file("/proc/driver/nvidia/version", "NVRM version: something else\n");
    assert_eq!(shown(&unknown_driver), [""; 0]);
    let without_builtins = Fake::linux()
        .cuda_driver()
        .driver_version("470.256.02")
        .file("/usr/lib64/libnvrtc.so.12", "")
        .headers("/usr/local/cuda/include");
    assert_eq!(shown(&without_builtins), [""; 0]);
}

#[test]
fn only_linux_is_looked_at() {
    let mut fake = Fake::linux();
    fake.machine.os = Os::Windows;
    assert_eq!(shown(&fake), [""; 0]);
}
