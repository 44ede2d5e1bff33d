//! Plain and gzip files behind one `Read`, with their bytes counted.

use std::io::{self, BufRead, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::{Packing, Result};

/// Opens a file and unpacks it when its name ends in `.gz`. `bytes_read` is increased by the bytes taken from disk.
pub(super) fn open(path: &Path, bytes_read: &Arc<AtomicU64>) -> Result<Box<dyn BufRead + Send>> {
    let is_packed = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    let packing = if is_packed { Packing::Gzip } else { Packing::Plain };
    crate::unpack::open(path, packing, Arc::clone(bytes_read))
}

/// Fills `buffer` as far as the source goes and returns how far that was.
pub(super) fn fill(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A gzip file that is cut off.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
