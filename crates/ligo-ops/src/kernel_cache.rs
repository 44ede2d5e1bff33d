//! A file for GPU kernels: which of several ways is the fastest on a device, and what they were compiled to.
//!
//! Without the feature `autotune` there is nothing to keep, and nothing here does anything.

use std::io;
#[cfg(not(feature = "autotune"))]
use std::path::Path;
use std::path::PathBuf;

/// What a folder for kernels held when it was opened.
#[derive(Debug)]
pub enum KernelCache {
    /// Nothing that was tuned: the first use of each kernel tries several ways, which takes a while.
    Empty {
        /// The file that it will be in.
        file: PathBuf,
    },
    /// Kernels that were tuned before.
    Tuned {
        /// The file.
        file: PathBuf,
    },
    /// A file that cannot be read; it was put aside, and tuning begins anew.
    Damaged {
        /// Where it is now.
        aside: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder cannot be written; every process tunes for itself.
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// This build does not tune kernels.
    Off,
}

/// Keeps what GPU kernels were tuned and compiled to in a folder that any number of processes may share.
///
/// Call it once, before the first tensor: burn looks for a place when it opens a device, and then stays with it. Other settings of a
/// `cubecl.toml` hold as before.
#[cfg(not(feature = "autotune"))]
pub fn keep_kernels_in(folder: &Path) -> KernelCache {
    let _ = folder;
    KernelCache::Off
}

#[cfg(feature = "autotune")]
pub use on::keep_kernels_in;

#[cfg(feature = "autotune")]
mod on {
    use std::panic::catch_unwind;
    use std::path::{Path, PathBuf};

    use cubecl::config::cache::CacheConfig;
    use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};
    use cubecl_environment::environment;
    use cubecl_environment::persistence::{Access, Database};

    use super::{KernelCache, io};

    /// The name of the file without its ending.
    const NAME: &str = "kernels";

    /// Keeps what GPU kernels were tuned and compiled to in a folder that any number of processes may share.
    ///
    /// Call it once, before the first tensor: burn looks for a place when it opens a device, and then stays with it. Other settings of a
    /// `cubecl.toml` hold as before.
    pub fn keep_kernels_in(folder: &Path) -> KernelCache {
        let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
        config.environment.path = CacheConfig::Directory(folder.to_path_buf());
        if config.environment.name == environment::DEFAULT {
            config.environment.name = NAME.into();
        }
        let file = folder.join(environment::file_name(&config.environment.name));
        // False where something has opened a device before; then the place is where that found it.
        let _ = CubeClRuntimeConfig::try_set(config);
        if let Err(source) = std::fs::create_dir_all(folder) {
            return KernelCache::Unusable {
                folder: folder.to_path_buf(),
                source,
            };
        }
        match opened(&file) {
            Ok(true) => KernelCache::Tuned { file },
            Ok(false) => KernelCache::Empty { file },
            Err(reason) => match put_aside(&file) {
                Ok(aside) => KernelCache::Damaged { aside, reason },
                Err(source) => KernelCache::Unusable {
                    folder: folder.to_path_buf(),
                    source,
                },
            },
        }
    }

    /// Whether a file holds tuned kernels. Burn takes a file that it cannot read for an empty one that it cannot write, and would tune
    /// anew in every process without a word.
    fn opened(file: &Path) -> Result<bool, String> {
        let opened = catch_unwind(|| Database::open_at(file, Access::ReadWrite).map(|database| database.namespaces()));
        match opened {
            Ok(Ok(namespaces)) => Ok(namespaces.iter().any(|name| name.starts_with("autotune/"))),
            Ok(Err(reason)) if is_busy(&reason) => Ok(true),
            Ok(Err(reason)) => Err(reason),
            Err(_) => Err("reading it panicked".into()),
        }
    }

    /// Whether another process is writing at this moment.
    fn is_busy(reason: &str) -> bool {
        let reason = reason.to_lowercase();
        reason.contains("busy") || reason.contains("locked")
    }

    /// Renames a file and what lies beside it under its name.
    fn put_aside(file: &Path) -> io::Result<PathBuf> {
        let beside = |ending: &str| {
            let mut name = file.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        let mut number = 1;
        let mut aside = beside(".damaged");
        while aside.exists() {
            number += 1;
            aside = beside(&format!(".damaged-{number}"));
        }
        std::fs::rename(file, &aside)?;
        for ending in ["-wal", "-shm", "-tshm"] {
            match std::fs::remove_file(beside(ending)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(aside)
    }

    #[cfg(test)]
    mod tests {
        #![allow(clippy::unwrap_used, clippy::expect_used)]
        use std::fs;

        use super::*;

        /// A folder of this test's own.
        fn folder(name: &str) -> PathBuf {
            let folder = std::env::temp_dir().join(format!("ligo-kernels-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            folder
        }

        #[test]
        fn a_file_that_is_not_there_is_made_and_holds_nothing_tuned() {
            let folder = folder("new");
            let file = folder.join("kernels.db");
            assert_eq!(opened(&file), Ok(false));
            assert!(file.exists());
            assert_eq!(opened(&file), Ok(false));
            fs::remove_dir_all(&folder).unwrap();
        }

        #[test]
        fn a_damaged_file_is_put_aside_and_tuning_begins_anew() {
            let folder = folder("damaged");
            let file = folder.join("kernels.db");
            for _ in 0..2 {
                fs::write(&file, "this is no database ".repeat(1000)).unwrap();
                assert!(opened(&file).is_err());
                let aside = put_aside(&file).unwrap();
                assert!(aside.exists() && !file.exists());
                assert_eq!(opened(&file), Ok(false));
            }
            assert!(folder.join("kernels.db.damaged-2").exists());
            fs::remove_dir_all(&folder).unwrap();
        }

        #[test]
        fn a_file_that_another_process_writes_is_not_damaged() {
            assert!(is_busy("database is locked") && is_busy("Busy"));
            assert!(!is_busy("file is not a database"));
        }
    }
}
