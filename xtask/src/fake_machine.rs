#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;

use tempfile::TempDir;

use crate::machine::{Machine, Os};

/// A made-up Linux machine; removed when dropped.
pub struct Fake {
    pub machine: Machine,
    _folder: TempDir,
}

impl Fake {
    pub fn linux() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine {
            os: Os::Linux,
            root: folder.path().to_owned(),
            environment: BTreeMap::new(),
            has_avx512: false,
        };
        Self {
            machine,
            _folder: folder,
        }
    }

    pub fn file(self, path: &str, text: &str) -> Self {
        let path = self.machine.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub fn card(self, node: &str, vendor: &str) -> Self {
        self.file(&format!("/dev/dri/{node}"), "")
            .file(&format!("/sys/class/drm/{node}/device/vendor"), &format!("{vendor}\n"))
    }

    pub fn driver(self, path: &str, library: &str) -> Self {
        let text = format!(r#"{{"ICD": {{"api_version": "1.3.0", "library_path": "{library}"}}}}"#);
        self.file(path, &text)
    }

    pub fn loader(self) -> Self {
        self.file("/usr/lib/x86_64-linux-gnu/libvulkan.so.1", "")
    }

    pub fn lavapipe(self) -> Self {
        self.driver(
            "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json",
            "/usr/lib/libvulkan_lvp.so",
        )
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.machine.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn cuda_driver(self) -> Self {
        self.file("/usr/lib/x86_64-linux-gnu/libcuda.so.1", "")
    }

    /// The driver's version as its kernel module tells it.
    pub fn driver_version(self, version: &str) -> Self {
        let text = format!(
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {version}  Release Build\nGCC version:\n"
        );
        self.file("/proc/driver/nvidia/version", &text)
    }

    /// NVRTC of CUDA 12 in a folder, with the library of built-in functions that tells its release.
    pub fn nvrtc(self, folder: &str, release: &str) -> Self {
        self.file(&format!("{folder}/libnvrtc.so.12"), "")
            .file(&format!("{folder}/libnvrtc-builtins.so.{release}"), "")
    }

    /// The headers as the toolkit of CUDA 12 lays them.
    pub fn headers(self, include: &str) -> Self {
        ["cuda_bf16.h", "mma.h", "crt/mma.h", "cuda/barrier"]
            .into_iter()
            .fold(self, |fake, header| fake.file(&format!("{include}/{header}"), ""))
    }
}
