//! Writing a token store: one thread reads and unpacks, the pool tokenises, the caller's thread writes.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};

use sha2::{Digest, Sha256};

use super::folder::in_new_folder;
use super::info::{FORMAT_VERSION, StoreInfo, TokenWidth};
use super::{STORE_JSON, TOKENS_BIN, TokenStore};
use crate::hash::hex;
use crate::{Corpus, Error, Result, Tokenizer, Watch};

/// Text handed to the pool at once. At most four such pieces exist at a time, which bounds the memory.
const BATCH_BYTES: usize = 4 << 20;

struct Batch {
    texts: Vec<String>,
    /// Bytes taken from disk so far.
    bytes_read: u64,
}

/// Sent behind the last batch.
struct ReadingDone {
    corpus_sha256: String,
    text_bytes: u64,
}

impl TokenStore {
    /// Tokenises a corpus into a new folder. The folder appears by one rename when everything is written; a build that is interrupted
    /// leaves nothing and simply begins again, and what a killed one left is removed by the next. Documents follow each other with [`crate::SpecialIds::separator`] between them.
    ///
    /// # Errors
    /// Those of reading and tokenising; [`Error::MissingSpecialToken`] when there is no separator; [`Error::StoreExists`]; [`Error::EmptyCorpus`] when no document gives a token;
    /// [`Error::Interrupted`].
    pub fn build(folder: &Path, corpus: &Corpus, tokenizer: &Tokenizer, watch: Watch<'_>) -> Result<Self> {
        let separator = tokenizer.special().need_separator(folder)?;
        in_new_folder(folder, |temporary| {
            let info = write_tokens(&temporary.join(TOKENS_BIN), corpus, tokenizer, separator, watch)?;
            let json = serde_json::to_vec(&info).map_err(|error| Error::BadStore {
                path: folder.join(STORE_JSON),
                reason: error.to_string(),
            })?;
            write_synced(&temporary.join(STORE_JSON), &json)?;
            watch.check()
        })?;
        Self::open(folder)
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path).map_err(Error::io("create", path))?;
    file.write_all(bytes).map_err(Error::io("write", path))?;
    file.sync_all().map_err(Error::io("write", path))
}

fn write_tokens(
    path: &Path,
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    separator: u32,
    watch: Watch<'_>,
) -> Result<StoreInfo> {
    let total = corpus.total_bytes();
    let mut writer = TokenWriter::create(path, tokenizer, separator)?;
    let reading = std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(2);
        let reader = scope.spawn(move || read_batches(corpus, &sender));
        let written = (|| {
            for batch in &receiver {
                let Batch { texts, bytes_read } = batch;
                watch.check()?;
                for ids in tokenizer.encode_batch(&texts)? {
                    writer.document(&ids)?;
                }
                watch.report(bytes_read.min(total), total);
            }
            Ok(())
        })();
        // Without a receiver the reader stops at its next batch.
        drop(receiver);
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        written.and(read)
    })?;
    if writer.tokens == 0 {
        return Err(corpus.empty_error());
    }
    watch.report(total, total);
    writer.finish(tokenizer, reading)
}

fn read_batches(corpus: &Corpus, sender: &SyncSender<Batch>) -> Result<ReadingDone> {
    let mut hash = Sha256::new();
    let (mut text_bytes, mut waiting_bytes) = (0, 0);
    let mut texts = Vec::new();
    let mut documents = corpus.documents();
    loop {
        let document = documents.next().transpose()?;
        let ended = document.is_none();
        if let Some(document) = document {
            hash.update((document.text.len() as u64).to_le_bytes());
            hash.update(document.text.as_bytes());
            text_bytes += document.text.len() as u64;
            waiting_bytes += document.text.len();
            texts.push(document.text);
        }
        if (ended || waiting_bytes >= BATCH_BYTES) && !texts.is_empty() {
            let batch = Batch {
                texts: std::mem::take(&mut texts),
                bytes_read: documents.bytes_read(),
            };
            waiting_bytes = 0;
            if sender.send(batch).is_err() {
                // The writer gave up and reports why.
                return Err(Error::Interrupted);
            }
        }
        if ended {
            return Ok(ReadingDone {
                corpus_sha256: hex(&hash.finalize()),
                text_bytes,
            });
        }
    }
}

struct TokenWriter {
    path: PathBuf,
    file: BufWriter<File>,
    width: TokenWidth,
    separator: u32,
    hash: Sha256,
    tokens: u64,
    documents: u64,
    unigram_counts: Vec<u64>,
    buffer: Vec<u8>,
}

impl TokenWriter {
    fn create(path: &Path, tokenizer: &Tokenizer, separator: u32) -> Result<Self> {
        let file = File::create(path).map_err(Error::io("create", path))?;
        Ok(Self {
            path: path.to_path_buf(),
            file: BufWriter::with_capacity(1 << 20, file),
            width: TokenWidth::for_vocab(tokenizer.vocab_size()),
            separator,
            hash: Sha256::new(),
            tokens: 0,
            documents: 0,
            unigram_counts: vec![0; tokenizer.vocab_size()],
            buffer: Vec::new(),
        })
    }

    fn document(&mut self, ids: &[u32]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        self.buffer.clear();
        let separator = (self.documents > 0).then_some(self.separator);
        for id in separator.into_iter().chain(ids.iter().copied()) {
            let vocab_size = self.unigram_counts.len();
            let Some(count) = self.unigram_counts.get_mut(id as usize) else {
                return Err(Error::TokenOutOfRange {
                    path: self.path.clone(),
                    position: self.tokens,
                    id,
                    vocab_size,
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
            .map_err(Error::io("write", &self.path))
    }

    fn finish(self, tokenizer: &Tokenizer, reading: ReadingDone) -> Result<StoreInfo> {
        let file = self
            .file
            .into_inner()
            .map_err(|error| Error::io("write", &self.path)(error.into_error()))?;
        file.sync_all().map_err(Error::io("write", &self.path))?;
        Ok(StoreInfo {
            format_version: FORMAT_VERSION,
            dtype: self.width,
            tokens: self.tokens,
            documents: self.documents,
            text_bytes: reading.text_bytes,
            vocab_size: tokenizer.vocab_size(),
            special: tokenizer.special(),
            tokenizer_sha256: tokenizer.hash().to_owned(),
            corpus_sha256: reading.corpus_sha256,
            tokens_sha256: hex(&self.hash.finalize()),
            unigram_counts: self.unigram_counts,
        })
    }
}
