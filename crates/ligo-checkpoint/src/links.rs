//! Links in a model's folder, and whether they lead out of it.

use std::path::{Path, PathBuf};

use crate::Error;

/// Refuses a link that leads out of a model's folder: whoever made the folder would decide which of the reader's files are published with the grown model.
///
/// A snapshot of the hub's cache (`models--NAME/snapshots/REVISION`) consists of links to `models--NAME/blobs`, which are the model's own.
pub(crate) fn require_inside(folder: &Path, path: &Path) -> Result<(), Error> {
    match leads_outside(folder, path)? {
        None => Ok(()),
        Some(target) => Err(Error::LinkOutside {
            path: path.to_path_buf(),
            target,
        }),
    }
}

/// Whether a file of a model's folder is the model's own, see [`require_inside`].
pub(crate) fn is_inside(folder: &Path, path: &Path) -> Result<bool, Error> {
    Ok(leads_outside(folder, path)?.is_none())
}

/// Where a path leads, if that is outside.
fn leads_outside(folder: &Path, path: &Path) -> Result<Option<PathBuf>, Error> {
    let whole = |path: &Path| std::fs::canonicalize(path).map_err(Error::io("open", path));
    let (root, target) = (whole(folder)?, whole(path)?);
    let snapshots = root
        .parent()
        .filter(|parent| parent.file_name().is_some_and(|name| name == "snapshots"));
    let blobs = snapshots
        .and_then(Path::parent)
        .map(|repository| repository.join("blobs"));
    let is_inside = target.starts_with(&root) || blobs.is_some_and(|blobs| target.starts_with(blobs));
    Ok((!is_inside).then_some(target))
}
