//! Where tuned GPU kernels are kept: one folder for all processes of a user, so that only a first run on a device tunes.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ligo_ops::KernelCache;

/// Names another folder for what can be made again.
pub const CACHE_VARIABLE: &str = "LIGO_CACHE";

/// Opens the folder the first time that it is called, which must be before a GPU computes; returns what there is to say about it.
pub fn notes() -> &'static [String] {
    static NOTES: OnceLock<Vec<String>> = OnceLock::new();
    NOTES.get_or_init(|| {
        if crate::gpu::COMPILED.is_empty() {
            return Vec::new();
        }
        let folder = folder(std::env::consts::OS, &|name| std::env::var(name).ok());
        note(&ligo_ops::keep_kernels_in(&folder)).into_iter().collect()
    })
}

fn note(cache: &KernelCache) -> Option<String> {
    match cache {
        KernelCache::Empty { file } => Some(format!(
            "kernels are tuned for the GPU at their first use, so a first run takes up to some minutes longer; what is found is kept in {}",
            file.display()
        )),
        KernelCache::Damaged { aside, reason } => Some(format!(
            "the file of tuned kernels could not be read ({reason}): it is now {}, and kernels are tuned anew",
            aside.display()
        )),
        KernelCache::Unusable { folder, source } => Some(format!(
            "tuned kernels cannot be kept in {} ({source}), so every process tunes its own; {CACHE_VARIABLE} names another folder",
            folder.display()
        )),
        KernelCache::Tuned { .. } | KernelCache::Off => None,
    }
}

/// `autotune` in [`CACHE_VARIABLE`], or in the folder that the system has for what can be made again.
fn folder(system: &str, variable: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = |path: &str| set("HOME").map(|home| home.join(path));
    let ours = || {
        let cache = match system {
            "windows" => set("LOCALAPPDATA"),
            "macos" => home("Library/Caches"),
            _ => set("XDG_CACHE_HOME")
                .filter(|path| path.is_absolute())
                .or_else(|| home(".cache")),
        };
        cache.unwrap_or_else(std::env::temp_dir).join("ligo")
    };
    let folder = set(CACHE_VARIABLE).unwrap_or_else(ours);
    Path::new(&folder).join("autotune")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(system: &str, variables: &[(&str, &str)]) -> PathBuf {
        folder(system, &|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_folder_is_where_the_system_keeps_what_can_be_made_again() {
        let home = ("HOME", "/ada");
        assert_eq!(with("linux", &[home]), Path::new("/ada/.cache/ligo/autotune"));
        assert_eq!(with("macos", &[home]), Path::new("/ada/Library/Caches/ligo/autotune"));
        let xdg = ("XDG_CACHE_HOME", "/fast/cache");
        assert_eq!(with("linux", &[home, xdg]), Path::new("/fast/cache/ligo/autotune"));
        // The specification asks for relative paths to be ignored.
        assert_eq!(
            with("linux", &[home, ("XDG_CACHE_HOME", "cache")]),
            Path::new("/ada/.cache/ligo/autotune")
        );
        assert!(with("linux", &[]).starts_with(std::env::temp_dir()));
    }

    #[test]
    fn the_variable_wins_unless_it_is_empty() {
        let home = ("HOME", "/ada");
        assert_eq!(
            with("linux", &[home, (CACHE_VARIABLE, "/scratch/ligo")]),
            Path::new("/scratch/ligo/autotune")
        );
        assert_eq!(
            with("linux", &[home, (CACHE_VARIABLE, "")]),
            Path::new("/ada/.cache/ligo/autotune")
        );
    }

    #[test]
    fn a_first_run_and_a_damaged_file_are_said_and_a_tuned_one_is_not() {
        let file = PathBuf::from("kernels.db");
        let empty = note(&KernelCache::Empty { file: file.clone() });
        assert!(empty.is_some_and(|note| note.contains("first run")));
        let damaged = note(&KernelCache::Damaged {
            aside: "kernels.db.damaged".into(),
            reason: "file is not a database".into(),
        });
        assert!(damaged.is_some_and(|note| note.contains("kernels.db.damaged") && note.contains("not a database")));
        assert_eq!(note(&KernelCache::Tuned { file }), None);
        assert_eq!(note(&KernelCache::Off), None);
    }
}
