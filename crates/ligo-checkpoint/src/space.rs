//! Is there room for what is about to be written?

use std::path::Path;

use crate::Error;

/// Fails when fewer than `needed` bytes are free for this user where `path` is, or will be.
///
/// # Errors
///
/// [`Error::NoSpace`] with both numbers; [`Error::Io`] when the system does not tell.
pub fn require_free_space(path: impl AsRef<Path>, needed: u64) -> Result<(), Error> {
    let path = path.as_ref();
    let existing = path
        .ancestors()
        .find(|folder| folder.exists())
        .unwrap_or(Path::new("."));
    let available = fs4::available_space(existing).map_err(Error::io("measure free space at", existing))?;
    if available < needed {
        return Err(Error::NoSpace {
            path: path.to_path_buf(),
            needed,
            available,
        });
    }
    Ok(())
}
