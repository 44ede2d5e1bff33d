//! SHA-256 in hexadecimal, of whole files and of their blocks, and a uniform number from a hash.

use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// Bytes that are hashed by themselves: small enough for a few cores to share even a small store, large enough for the list to stay short.
const BLOCK_BYTES: u64 = 1 << 20;

/// Lower-case hexadecimal digits of a digest.
pub(crate) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of `bytes` in hexadecimal.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A number in `[0, 1)` that depends on `bytes` alone, the same on every machine.
pub(crate) fn unit_hash(bytes: &[u8]) -> f64 {
    let digest = Sha256::digest(bytes);
    let mut first = [0u8; 8];
    first.copy_from_slice(&digest[..8]);
    // 53 bits are what a double holds exactly.
    (u64::from_be_bytes(first) >> 11) as f64 / (1u64 << 53) as f64
}

/// SHA-256 of every block of a file, which all cores can check at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockHashes {
    /// Length of a block; the last one may be shorter.
    pub block_bytes: u64,
    /// SHA-256 of each, one after the other.
    pub sha256: Vec<String>,
}

impl BlockHashes {
    /// Whether these are the blocks of a file of that length.
    pub(crate) fn cover(&self, bytes: u64) -> bool {
        self.block_bytes > 0 && bytes.div_ceil(self.block_bytes) == self.sha256.len() as u64
    }
}

/// Hashes a file while it is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileHasher {
    whole: Sha256,
    block: Sha256,
    block_bytes: u64,
    blocks: Vec<String>,
}

impl FileHasher {
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        self.whole.update(bytes);
        while !bytes.is_empty() {
            let room = (BLOCK_BYTES - self.block_bytes) as usize;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.block.update(now);
            self.block_bytes += now.len() as u64;
            if self.block_bytes == BLOCK_BYTES {
                self.blocks.push(hex(&self.block.finalize_reset()));
                self.block_bytes = 0;
            }
            bytes = later;
        }
    }

    /// SHA-256 of everything so far.
    pub(crate) fn whole(&self) -> String {
        hex(&self.whole.clone().finalize())
    }

    /// The blocks of everything so far.
    pub(crate) fn blocks(&self) -> BlockHashes {
        let mut sha256 = self.blocks.clone();
        if self.block_bytes > 0 {
            sha256.push(hex(&self.block.clone().finalize()));
        }
        BlockHashes {
            block_bytes: BLOCK_BYTES,
            sha256,
        }
    }
}

/// What a description promises of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Promise<'a> {
    /// SHA-256 of the file.
    pub(crate) whole: &'a str,
    /// Its blocks; files of earlier versions have none.
    pub(crate) blocks: Option<&'a BlockHashes>,
}

impl Promise<'_> {
    /// Compares the file's bytes with it, by blocks on all cores where there are blocks.
    ///
    /// # Errors
    /// [`Error::StoreHash`] with the first block that differs.
    pub(crate) fn check(self, path: &Path, bytes: &[u8]) -> Result<()> {
        let damaged = |start: u64, length: usize, expected: &str, found: String| Error::StoreHash {
            path: path.to_path_buf(),
            start,
            end: start + length as u64,
            expected: expected.to_owned(),
            found,
        };
        let size = self.blocks.and_then(|blocks| usize::try_from(blocks.block_bytes).ok());
        let (Some(blocks), Some(size)) = (self.blocks, size.filter(|&size| size > 0)) else {
            let found = sha256_hex(bytes);
            return match found == self.whole {
                true => Ok(()),
                false => Err(damaged(0, bytes.len(), self.whole, found)),
            };
        };
        let pieces = bytes.par_chunks(size).zip(&blocks.sha256).enumerate();
        let differs = |(index, (piece, expected)): (usize, (&[u8], &String))| {
            let found = sha256_hex(piece);
            (found != *expected).then(|| damaged(index as u64 * size as u64, piece.len(), expected, found))
        };
        match pieces.find_map_first(differs) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_do_not_depend_on_how_bytes_arrive_and_name_the_one_that_differs() {
        let bytes: Vec<u8> = (0..BLOCK_BYTES as usize * 2 + 5).map(|at| (at % 251) as u8).collect();
        let mut at_once = FileHasher::default();
        at_once.update(&bytes);
        let mut in_pieces = FileHasher::default();
        bytes.chunks(700_001).for_each(|piece| in_pieces.update(piece));
        let blocks = at_once.blocks();
        assert_eq!(blocks, in_pieces.blocks());
        assert_eq!(at_once.whole(), sha256_hex(&bytes));
        assert_eq!(blocks.sha256.len(), 3);
        assert!(blocks.cover(bytes.len() as u64) && !blocks.cover(2 * BLOCK_BYTES));
        let whole = at_once.whole();
        for blocks in [Some(&blocks), None] {
            let promise = Promise { whole: &whole, blocks };
            assert!(promise.check(Path::new("f"), &bytes).is_ok());
            let mut flipped = bytes.clone();
            flipped[BLOCK_BYTES as usize + 3] ^= 1;
            let found = promise.check(Path::new("f"), &flipped);
            let expected = match blocks {
                Some(_) => BLOCK_BYTES..2 * BLOCK_BYTES,
                None => 0..bytes.len() as u64,
            };
            assert!(
                matches!(found, Err(Error::StoreHash { start, end, .. }) if (start..end) == expected),
                "{found:?}"
            );
        }
    }
}
