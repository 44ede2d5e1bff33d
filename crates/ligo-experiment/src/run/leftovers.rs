//! What a killed process left behind: temporary files and folders, removed on the next start.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use ligo_checkpoint::RunLock;

use crate::Failure;

/// The file that a folder is locked by.
pub const LOCK: &str = ".lock";

/// Begins the name of a folder in which a copy is made, before it is moved to where it belongs.
pub const STAGING: &str = ".taking-over-";

/// Whether a folder of this name is what a process left that was killed while it copied.
fn is_staging(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with(STAGING)
}

/// Takes a folder for this process, and removes what a killed one left in it.
///
/// # Errors
/// Another process has it, or it cannot be written.
pub fn claim(folder: &Path) -> Result<RunLock, Failure> {
    let lock = RunLock::acquire(folder)?;
    sweep(folder)?;
    Ok(lock)
}

/// Whether a file or folder of this name is what a killed process left.
pub fn is_leftover(name: &OsStr) -> bool {
    ligo_metrics::files::is_leftover(name) || is_staging(name) || is_of_an_earlier_version(name)
}

/// `.tmpXXXXXX`, as temporary files were called once.
fn is_of_an_earlier_version(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let random = name.strip_prefix(".tmp");
    random.is_some_and(|rest| rest.len() == 6 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Removes leftovers from a folder whose lock this process holds, and from the folders inside that have no lock of their own.
///
/// # Errors
/// One cannot be listed or removed.
pub fn sweep(folder: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(folder).map_err(Failure::io("list", folder))? {
        let entry = entry.map_err(Failure::io("list", folder))?;
        let path = entry.path();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_leftover(&entry.file_name()) {
            let removed = match is_folder {
                true => fs::remove_dir_all(&path),
                false => fs::remove_file(&path),
            };
            removed.map_err(Failure::io("remove", &path))?;
        } else if is_folder && !path.join(LOCK).exists() {
            sweep(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn leftovers_are_removed_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("run");
        let write = |name: &str| {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        let left = [
            ".tmpA1b2C3",
            ".report-x1Y2z3.tmp",
            ".taking-over-x1Y2z3/model/config.json",
            "tokenizer/.tmpA1b2C3",
        ];
        let kept = [
            "recipe.toml",
            ".tmp",
            ".tmpfile-of-mine",
            "tokens/.partial-train/state.json",
            // Somebody else may be at work there.
            "small/.lock",
            "small/.report-x1Y2z3.tmp",
        ];
        left.iter().chain(&kept).for_each(|name| write(name));
        drop(claim(&folder).unwrap());
        for name in left {
            let top = Path::new(name).iter().next().unwrap();
            let gone = !folder.join(name).exists() && (top == "tokenizer" || !folder.join(top).exists());
            assert!(gone, "{name}");
        }
        for name in kept {
            assert!(folder.join(name).exists(), "{name}");
        }
    }
}
