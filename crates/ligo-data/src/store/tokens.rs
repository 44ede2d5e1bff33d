//! Token ids on disk, read through a memory map.

use std::path::{Path, PathBuf};

use memmap2::Mmap;
use rayon::prelude::*;

use super::info::StoreInfo;
use crate::{Error, Result, Tokenizer, input};

pub(super) const TOKENS_BIN: &str = "tokens.bin";
pub(super) const STORE_JSON: &str = "store.json";
/// Ids that one thread looks through at a time.
const RANGE_BLOCK_IDS: usize = 1 << 19;

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
    /// Opens a store and reads all of it, on all cores: the hashes of the description and of `tokens.bin` must hold, and every id be below the
    /// vocabulary size. So what is damaged is found here and not trained on.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::BadStore`], [`Error::StoreSize`], [`Error::StoreHash`], [`Error::TokenOutOfRange`].
    pub fn open(folder: &Path) -> Result<Self> {
        let json_path = folder.join(STORE_JSON);
        let info = StoreInfo::from_json(&json_path, &input::read(&json_path, input::STORE_JSON)?)?;
        let path = folder.join(TOKENS_BIN);
        let file = input::open(&path)?;
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
        let store = Self {
            path: folder.to_path_buf(),
            info,
            tokens,
        };
        store.verify()?;
        Ok(store)
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

    /// Compares the tokenizer that lies with the store with the one that made it.
    ///
    /// # Errors
    /// [`Error::OtherTokenizer`].
    pub fn check_tokenizer(&self, tokenizer: &Tokenizer) -> Result<()> {
        let info = &self.info;
        let same = info.tokenizer_sha256 == tokenizer.hash()
            && info.special == tokenizer.special()
            && info.document_start == tokenizer.document_start();
        if same {
            return Ok(());
        }
        Err(Error::OtherTokenizer {
            path: self.path.clone(),
            expected: info.tokenizer_sha256.clone(),
            found: tokenizer.hash().to_owned(),
        })
    }

    /// Reads every token again: the hashes of `tokens.bin` must be those of the description and every id below the vocabulary size.
    ///
    /// # Errors
    /// [`Error::StoreHash`], [`Error::TokenOutOfRange`].
    pub fn verify(&self) -> Result<()> {
        let path = self.path.join(TOKENS_BIN);
        self.info.tokens_promise().check(&path, &self.tokens)?;
        self.check_range(&path)
    }

    fn check_range(&self, path: &Path) -> Result<()> {
        let (vocab_size, width) = (self.info.vocab_size, self.info.dtype.bytes());
        let block = RANGE_BLOCK_IDS * width;
        // The largest id of a block is found many ids at a time; only a block that has one too large is looked through.
        let is_above = |piece: &&[u8]| ids(piece, width).fold(0, u32::max) as usize >= vocab_size;
        let blocks = self.tokens.par_chunks(block).enumerate();
        let Some((index, piece)) = blocks.find_first(|(_, piece)| is_above(piece)) else {
            return Ok(());
        };
        let found = ids(piece, width).zip(0..).find(|&(id, _)| id as usize >= vocab_size);
        let (id, position) = found.unwrap_or_default();
        Err(Error::TokenOutOfRange {
            path: path.to_path_buf(),
            position: (index * RANGE_BLOCK_IDS) as u64 + position,
            id,
            vocab_size,
        })
    }

    /// The ids from `start` on, at most `count` of them and never beyond the end.
    pub fn read(&self, start: u64, count: u64) -> impl Iterator<Item = u32> + '_ {
        let width = self.info.dtype.bytes();
        let end = start.saturating_add(count).min(self.len()) as usize * width;
        ids(self.tokens.get(start as usize * width..end).unwrap_or_default(), width)
    }
}

/// Little-endian ids of `width` bytes each.
fn ids(bytes: &[u8], width: usize) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks_exact(width).map(|token| match *token {
        [low, high] => u32::from(u16::from_le_bytes([low, high])),
        [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
        // `TokenWidth::bytes` knows two and four.
        _ => 0,
    })
}
