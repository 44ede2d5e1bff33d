//! Folders that appear whole or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Error, Result};

/// How the names of folders begin that are of no use once nobody holds their lock.
pub(super) const UNFINISHED: &str = ".unfinished-";
/// Locked by whoever fills the folder.
pub(super) const LOCK: &str = ".lock";
/// What becomes the finished folder.
const CONTENT: &str = "content";
/// Between a folder and its lock lies an instant. One that is without it for longer was abandoned.
const WITHOUT_LOCK: Duration = Duration::from_secs(60);

/// Lets `write` fill a temporary folder beside `folder` and renames it when that worked; otherwise nothing is left. Folders that a killed
/// process left unfinished there are removed.
pub(crate) fn in_new_folder(folder: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let parent = prepare_parent(folder)?;
    let temporary = temporary_folder(&parent)?;
    let lock_path = temporary.path().join(LOCK);
    let lock = File::create(&lock_path).map_err(Error::io("create", &lock_path))?;
    // A file system without locks has no one who could take this folder for an abandoned one either.
    let _ = lock.try_lock();
    // One below, so that the lock lies there until the very end.
    let content = temporary.path().join(CONTENT);
    fs::create_dir(&content).map_err(Error::io("create", &content))?;
    write(&content)?;
    appear(&content, folder)
}

/// Makes sure that `folder` can appear: it is not there yet, and the folder around it is. Returns the latter, cleared of what killed
/// processes left.
pub(super) fn prepare_parent(folder: &Path) -> Result<PathBuf> {
    refuse_existing(folder)?;
    let parent = parent_of(folder);
    fs::create_dir_all(&parent).map_err(Error::io("create", &parent))?;
    remove_abandoned(&parent);
    Ok(parent)
}

/// Renames a finished folder, whose files are synced, to its place.
pub(super) fn appear(finished: &Path, folder: &Path) -> Result<()> {
    refuse_existing(folder)?;
    sync_folder(finished)?;
    fs::rename(finished, folder).map_err(Error::io("rename the finished folder to", folder))?;
    sync_folder(&parent_of(folder))
}

pub(super) fn refuse_existing(folder: &Path) -> Result<()> {
    if folder.exists() {
        return Err(Error::StoreExists {
            path: folder.to_path_buf(),
        });
    }
    Ok(())
}

/// Writes a file and waits until it is on the disk.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path).map_err(Error::io("create", path))?;
    file.write_all(bytes).map_err(Error::io("write", path))?;
    file.sync_all().map_err(Error::io("write", path))
}

/// Waits until the names in a folder are on the disk.
///
/// # Errors
/// [`Error::Io`].
pub fn sync_folder(folder: &Path) -> Result<()> {
    // Windows cannot open a folder as a file; its rename is durable enough for data that can be made again.
    if cfg!(unix) {
        File::open(folder)
            .and_then(|file| file.sync_all())
            .map_err(Error::io("sync", folder))?;
    }
    Ok(())
}

fn parent_of(folder: &Path) -> PathBuf {
    match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Removes unfinished folders whose lock nobody holds. One without a lock file may have been made this moment, and is left alone while it is
/// young; so is what cannot be removed.
fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            continue;
        }
        let is_abandoned = match File::open(entry.path().join(LOCK)) {
            Ok(lock) => lock.try_lock().is_ok(),
            Err(_) => entry
                .metadata()
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > WITHOUT_LOCK)),
        };
        if is_abandoned {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn temporary_folder(parent: &Path) -> Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The usual permissions of a new folder (the umask applies) instead of the private ones of temporary files.
        builder.permissions(fs::Permissions::from_mode(0o777));
    }
    builder
        .tempdir_in(parent)
        .map_err(Error::io("create a temporary folder in", parent))
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_folder_without_a_lock_is_removed_once_it_is_old() {
        let home = tempfile::tempdir().unwrap();
        for name in ["old", "young"] {
            fs::create_dir(home.path().join(format!("{UNFINISHED}{name}"))).unwrap();
        }
        let long_ago = SystemTime::now() - 2 * WITHOUT_LOCK;
        let old = File::open(home.path().join(format!("{UNFINISHED}old"))).unwrap();
        old.set_modified(long_ago).unwrap();
        in_new_folder(&home.path().join("new"), |folder| write_synced(&folder.join("a"), b"b")).unwrap();
        let mut names: Vec<String> = fs::read_dir(home.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, [".unfinished-young", "new"]);
        assert_eq!(
            fs::read_dir(home.path().join("new")).unwrap().count(),
            1,
            "the lock is not in it"
        );
    }
}
