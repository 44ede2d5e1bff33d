//! Token ids on disk, read through a memory map.

mod build;
mod folder;
mod info;
mod partial;
mod progress;
mod read;
#[cfg(test)]
mod resume_tests;
mod writer;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use memmap2::Mmap;

pub(crate) use folder::in_new_folder;
pub use info::{StoreInfo, TokenWidth};

use crate::hash::sha256_hex;
use crate::{Error, Result};

const TOKENS_BIN: &str = "tokens.bin";
const STORE_JSON: &str = "store.json";

/// A folder with the ids of a whole corpus in `tokens.bin` (two or four bytes each, little endian) and their description in `store.json`.
///
/// It is written once by [`TokenStore::build`] and never changed, so any number of runs may read it.
#[derive(Debug)]
pub struct TokenStore {
    path: PathBuf,
    info: StoreInfo,
    tokens: Mmap,
}

impl TokenStore {
    /// Opens a store and compares the length of `tokens.bin` with the description; [`Self::verify`] also reads every token.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::BadStore`], [`Error::StoreSize`].
    pub fn open(folder: &Path) -> Result<Self> {
        let json_path = folder.join(STORE_JSON);
        let text = fs::read_to_string(&json_path).map_err(Error::io("read", &json_path))?;
        let info = StoreInfo::from_json(&json_path, &text)?;
        let path = folder.join(TOKENS_BIN);
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        let found_bytes = file.metadata().map_err(Error::io("open", &path))?.len();
        let expected_bytes = info.tokens.saturating_mul(info.dtype.bytes() as u64);
        if found_bytes != expected_bytes {
            return Err(Error::StoreSize {
                path,
                expected_bytes,
                found_bytes,
            });
        }
        // SAFETY: a store is never changed after it was renamed into place; every pattern of bytes is a valid `u8`, and no
        // reference into the map outlives `self`. Another program that truncates the file meanwhile would raise SIGBUS.
        let tokens = unsafe { Mmap::map(&file) }.map_err(Error::io("map", &path))?;
        Ok(Self {
            path: folder.to_path_buf(),
            info,
            tokens,
        })
    }

    /// The description.
    pub fn info(&self) -> &StoreInfo {
        &self.info
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tokens in the store, separators included.
    pub fn len(&self) -> u64 {
        self.info.tokens
    }

    /// Whether the store holds no token; [`Self::build`] refuses to write such a store.
    pub fn is_empty(&self) -> bool {
        self.info.tokens == 0
    }

    /// Reads every token: the hash of `tokens.bin` must be the one of the description and every id below the vocabulary size.
    ///
    /// # Errors
    /// [`Error::StoreHash`], [`Error::TokenOutOfRange`].
    pub fn verify(&self) -> Result<()> {
        let path = self.path.join(TOKENS_BIN);
        let found = sha256_hex(&self.tokens);
        if found != self.info.tokens_sha256 {
            return Err(Error::StoreHash {
                path,
                expected: self.info.tokens_sha256.clone(),
                found,
            });
        }
        let vocab_size = self.info.vocab_size;
        match self
            .read(0, self.len())
            .zip(0..)
            .find(|&(id, _)| id as usize >= vocab_size)
        {
            Some((id, position)) => Err(Error::TokenOutOfRange {
                path,
                position,
                id,
                vocab_size,
            }),
            None => Ok(()),
        }
    }

    /// The ids from `start` on, at most `count` of them and never beyond the end.
    pub fn read(&self, start: u64, count: u64) -> impl Iterator<Item = u32> + '_ {
        let width = self.info.dtype.bytes();
        let end = start.saturating_add(count).min(self.len()) as usize * width;
        let bytes = self.tokens.get(start as usize * width..end).unwrap_or_default();
        bytes.chunks_exact(width).map(|token| match *token {
            [low, high] => u32::from(u16::from_le_bytes([low, high])),
            [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
            // `TokenWidth::bytes` knows two and four.
            _ => 0,
        })
    }
}
