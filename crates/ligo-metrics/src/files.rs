//! Whole files that appear at once or not at all.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::{Error, Result};

const PREFIX: &str = ".report-";
const SUFFIX: &str = ".tmp";

/// Writes `bytes` to `path` through a temporary file beside it, so that a full disk or a kill leaves the old file. When this returns, the
/// file outlives a power cut. Who may read it is decided by the process's umask, as for any other new file.
///
/// # Errors
/// [`Error::Io`] when the disk refuses.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(Error::io("create the folder of", path))?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    #[cfg(unix)]
    {
        // `tempfile` makes files that only their owner reads; reports are meant to be shared.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let failed = |source| Error::io("write", path)(without_name(source));
    let mut file = builder.tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.as_file().sync_all().map_err(Error::io("write", path))?;
    file.persist(path).map_err(|error| Error::Io {
        action: "write",
        path: path.to_path_buf(),
        source: error.error,
    })?;
    sync_folder(folder)
}

/// All of a file.
///
/// # Errors
/// [`Error::Io`] when it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(Error::io("read", path))
}

/// The error of a temporary file without its name, which `tempfile` adds and which says nothing to a reader.
fn without_name(error: std::io::Error) -> std::io::Error {
    let text = error.to_string();
    match text.rfind(" at path \"") {
        Some(end) => std::io::Error::new(error.kind(), text[..end].to_owned()),
        None => error,
    }
}

/// Makes sure that the names in a folder survive a power cut.
///
/// # Errors
/// [`Error::Io`] when the disk refuses.
pub fn sync_folder(folder: &Path) -> Result<()> {
    // Elsewhere a folder cannot be opened as a file, and the journal keeps renames in order.
    if cfg!(unix) {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(Error::io("write", folder))?;
    }
    Ok(())
}

/// Whether a file of this name is what a killed [`replace`] left behind.
#[must_use]
pub fn is_leftover(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_replaced_file_is_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("below/table.md");
        replace(&file, b"one").unwrap();
        replace(&file, b"two").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_error_names_the_file_and_not_the_temporary_one() {
        let error = replace(Path::new("/proc/table.md"), b"one").unwrap_err().to_string();
        assert!(
            error.contains("/proc/table.md") && !error.contains(".report-"),
            "{error}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn who_may_read_a_file_is_decided_as_for_any_other() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        let (ours, plain) = (folder.path().join("report.html"), folder.path().join("plain"));
        replace(&ours, b"").unwrap();
        std::fs::write(&plain, b"").unwrap();
        assert_eq!(mode(&ours), mode(&plain));
    }

    #[test]
    fn what_a_kill_left_is_told_by_its_name() {
        let is = |name: &str| is_leftover(OsStr::new(name));
        assert!(is(".report-a1B2c3.tmp"));
        assert!(!is("report.html") && !is(".report-card.md") && !is("notes.tmp"));
    }
}
