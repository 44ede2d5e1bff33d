//! `tokens.bin` while it grows.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::info::{FORMAT_VERSION, StoreInfo, TokenWidth};
use super::progress::Progress;
use crate::hash::FileHasher;
use crate::sealed::Sealed;
use crate::{Error, Result, SpecialIds, Tokenizer, Watch};

const BUFFER_BYTES: usize = 1 << 20;

/// A place in the corpus behind some document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Documents before it.
    pub texts: u64,
    /// Their bytes.
    pub text_bytes: u64,
    /// Their hash: see [`StoreInfo::corpus_sha256`].
    pub corpus_sha256: String,
}

/// What is constant in a store, and where it is written.
#[derive(Debug, Clone)]
struct Setting {
    path: PathBuf,
    special: SpecialIds,
    separator: u32,
    document_start: Option<u32>,
    vocab_size: usize,
    tokenizer_sha256: String,
}

/// Writes documents, counts and hashes.
#[derive(Debug)]
pub(super) struct TokenWriter {
    setting: Setting,
    file: BufWriter<File>,
    width: TokenWidth,
    hash: FileHasher,
    tokens: u64,
    documents: u64,
    unigram_counts: Vec<u64>,
    buffer: Vec<u8>,
}

impl TokenWriter {
    /// Opens `path` as it is; it must then be emptied by [`Self::restart`] or continued by [`Self::resume`].
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::MissingSpecialToken`] when nothing can stand between documents; `store` is for its message.
    pub(super) fn open(path: &Path, store: &Path, tokenizer: &Tokenizer) -> Result<Self> {
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        let file = open.map_err(Error::io("create", path))?;
        let vocab_size = tokenizer.vocab_size();
        Ok(Self {
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
            width: TokenWidth::for_vocab(vocab_size),
            hash: FileHasher::default(),
            tokens: 0,
            documents: 0,
            unigram_counts: vec![0; vocab_size],
            buffer: Vec::new(),
            setting: Setting {
                path: path.to_path_buf(),
                special: tokenizer.special(),
                separator: tokenizer.special().need_separator(store)?,
                document_start: tokenizer.document_start(),
                vocab_size,
                tokenizer_sha256: tokenizer.hash().to_owned(),
            },
        })
    }

    pub(super) fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Empties the file.
    pub(super) fn restart(&mut self) -> Result<()> {
        self.cut(0)?;
        self.hash = FileHasher::default();
        (self.tokens, self.documents) = (0, 0);
        self.unigram_counts.fill(0);
        Ok(())
    }

    /// Goes to the place of a record. What lies behind is cut off: it was written after the record, and perhaps not all of it.
    ///
    /// Returns a reason when the file does not hold what the record says.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Interrupted`].
    pub(super) fn resume(
        &mut self,
        progress: &Progress,
        watch: Watch<'_>,
    ) -> Result<std::result::Result<(), &'static str>> {
        let bytes = progress.store.tokens.saturating_mul(self.width.bytes() as u64);
        let file = self.file.get_mut();
        file.seek(SeekFrom::Start(0))
            .map_err(Error::io("read", &self.setting.path))?;
        let mut left = bytes;
        let mut piece = vec![0; BUFFER_BYTES];
        while left > 0 {
            watch.check()?;
            let room = left.min(BUFFER_BYTES as u64) as usize;
            let read = file
                .read(&mut piece[..room])
                .map_err(Error::io("read", &self.setting.path))?;
            if read == 0 {
                return Ok(Err("its tokens.bin is shorter than the record of its progress says"));
            }
            self.hash.update(&piece[..read]);
            left -= read as u64;
        }
        if self.hash.whole() != progress.store.tokens_sha256 {
            return Ok(Err("its tokens.bin is damaged"));
        }
        self.cut(bytes)?;
        self.tokens = progress.store.tokens;
        self.documents = progress.store.documents;
        self.unigram_counts.clone_from(&progress.store.unigram_counts);
        Ok(Ok(()))
    }

    fn cut(&mut self, bytes: u64) -> Result<()> {
        let file = self.file.get_mut();
        file.set_len(bytes)
            .and_then(|()| file.seek(SeekFrom::Start(bytes)))
            .map_err(Error::io("write", &self.setting.path))?;
        Ok(())
    }

    /// Appends a document with what stands before it.
    pub(super) fn document(&mut self, ids: &[u32]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        self.buffer.clear();
        let first = self.documents == 0;
        let separator = (!first).then_some(self.setting.separator);
        // One token that both ends and opens documents does both at once.
        let start = self
            .setting
            .document_start
            .filter(|&start| first || start != self.setting.separator);
        for id in separator.into_iter().chain(start).chain(ids.iter().copied()) {
            let Some(count) = self.unigram_counts.get_mut(id as usize) else {
                return Err(Error::TokenOutOfRange {
                    path: self.setting.path.clone(),
                    position: self.tokens,
                    id,
                    vocab_size: self.setting.vocab_size,
                });
            };
            *count += 1;
            self.tokens += 1;
            match self.width {
                TokenWidth::U16 => self.buffer.extend_from_slice(&(id as u16).to_le_bytes()),
                TokenWidth::U32 => self.buffer.extend_from_slice(&id.to_le_bytes()),
            }
        }
        self.documents += 1;
        self.hash.update(&self.buffer);
        self.file
            .write_all(&self.buffer)
            .map_err(Error::io("write", &self.setting.path))
    }

    /// Waits until everything is on the disk.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.file
            .flush()
            .and_then(|()| self.file.get_ref().sync_all())
            .map_err(Error::io("write", &self.setting.path))
    }

    /// The description of a store that ends here, behind `place` of the corpus.
    pub(super) fn info(&self, place: &Place) -> StoreInfo {
        StoreInfo {
            format_version: FORMAT_VERSION,
            dtype: self.width,
            tokens: self.tokens,
            documents: self.documents,
            text_bytes: place.text_bytes,
            vocab_size: self.setting.vocab_size,
            special: self.setting.special,
            document_start: self.setting.document_start,
            tokenizer_sha256: self.setting.tokenizer_sha256.clone(),
            corpus_sha256: place.corpus_sha256.clone(),
            tokens_sha256: self.hash.whole(),
            unigram_counts: self.unigram_counts.clone(),
            tokens_blocks: Some(self.hash.blocks()),
            description_sha256: None,
        }
        .sealed()
    }
}
