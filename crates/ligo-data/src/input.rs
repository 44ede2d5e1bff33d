//! Opening what a user or another program left: regular files only, and no larger than their kind can be.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use crate::{Error, Result};

const MIB: u64 = 1 << 20;

/// Descriptions of stores hold a count for each token.
pub(crate) const STORE_JSON: u64 = 256 * MIB;
/// The largest published vocabularies take about 60 MiB.
pub(crate) const VOCABULARY: u64 = 192 * MIB;
/// `tokenizer_config.json`, `special_tokens_map.json`, `config.json`, `preprocessor_config.json`.
pub(crate) const CONFIG: u64 = 16 * MIB;
/// Names of classes, reports.
pub(crate) const LIST: u64 = 16 * MIB;
/// A picture that is not decoded yet.
pub(crate) const IMAGE: u64 = 256 * MIB;

/// Opens a file to read it from its beginning.
///
/// # Errors
/// [`Error::NotAFile`] for folders, pipes and devices, which may never end; [`Error::Io`].
pub(crate) fn open(path: &Path) -> Result<File> {
    regular(path, "open")?;
    File::open(path).map_err(Error::io("open", path))
}

/// The bytes of a file of at most `limit` bytes.
///
/// # Errors
/// As [`open`]; [`Error::FileTooLarge`].
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let length = regular(path, "read")?.len();
    let too_large = |found_bytes| Error::FileTooLarge {
        path: path.to_path_buf(),
        limit_bytes: limit,
        found_bytes,
    };
    if length > limit {
        return Err(too_large(length));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    let file = File::open(path).map_err(Error::io("read", path))?;
    // It may have grown since it was measured.
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::io("read", path))?;
    if bytes.len() as u64 > limit {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

/// [`read`], as text.
///
/// # Errors
/// As [`read`]; [`Error::NotUtf8`].
pub(crate) fn read_text(path: &Path, limit: u64) -> Result<String> {
    String::from_utf8(read(path, limit)?).map_err(|error| Error::NotUtf8 {
        path: path.to_path_buf(),
        offset: error.utf8_error().valid_up_to() as u64,
    })
}

fn regular(path: &Path, action: &'static str) -> Result<fs::Metadata> {
    let metadata = fs::metadata(path).map_err(Error::io(action, path))?;
    if !metadata.is_file() {
        return Err(Error::NotAFile {
            path: path.to_path_buf(),
            found: if metadata.is_dir() {
                "a folder"
            } else {
                "a pipe or a device"
            },
        });
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn only_regular_files_within_their_limit_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert!(matches!(
            read(&path, 4),
            Err(Error::FileTooLarge {
                limit_bytes: 4,
                found_bytes: 5,
                ..
            })
        ));
        assert!(matches!(
            read(folder.path(), 9),
            Err(Error::NotAFile { found: "a folder", .. })
        ));
        assert!(matches!(
            read(&folder.path().join("b"), 9),
            Err(Error::Io { action: "read", .. })
        ));
        #[cfg(unix)]
        for device in ["/dev/zero", "/dev/null"] {
            assert!(matches!(open(Path::new(device)), Err(Error::NotAFile { .. })));
        }
    }
}
