use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The operating systems that differ in where a GPU is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Os {
    Linux,
    Mac,
    Windows,
    Other,
}

/// What detection looks at: files under a root and environment variables. Tests make one up.
pub struct Machine {
    pub os: Os,
    pub root: PathBuf,
    pub environment: BTreeMap<String, String>,
    pub has_avx512: bool,
}

impl Machine {
    /// The machine this program runs on.
    pub fn this() -> Self {
        Self {
            os: match std::env::consts::OS {
                "linux" => Os::Linux,
                "macos" => Os::Mac,
                "windows" => Os::Windows,
                _ => Os::Other,
            },
            root: PathBuf::from("/"),
            environment: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            has_avx512: has_avx512(),
        }
    }

    /// Where an absolute path lies under this machine's root.
    pub fn path(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let path = absolute.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// An environment variable that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The entries of a colon-separated variable, or of the given default.
    pub fn path_list<'a>(&'a self, name: &str, default: &'a str) -> impl Iterator<Item = &'a str> {
        self.variable(name)
            .unwrap_or(default)
            .split(':')
            .filter(|path| !path.is_empty())
    }

    /// The names in a folder, sorted; none if it cannot be read.
    pub fn names_in(&self, folder: impl AsRef<Path>) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(folder)) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    /// Whether the dynamic linker would find a library by this file name.
    pub fn finds_library(&self, name: &str) -> bool {
        // The linker's cache holds the file names as plain bytes, each ending with NUL.
        let cache = std::fs::read(self.path("/etc/ld.so.cache")).unwrap_or_default();
        let entry = [name.as_bytes(), b"\0"].concat();
        if cache.windows(entry.len()).any(|window| window == entry) {
            return true;
        }
        let usual = [
            "/usr/lib/x86_64-linux-gnu",
            "/usr/lib/aarch64-linux-gnu",
            "/usr/lib64",
            "/usr/lib",
            "/lib64",
            "/lib",
            "/usr/local/lib",
            "/usr/lib/wsl/lib",
            "/run/opengl-driver/lib",
        ];
        self.path_list("LD_LIBRARY_PATH", "")
            .chain(usual)
            .any(|folder| self.path(folder).join(name).is_file())
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx512() -> bool {
    false
}
