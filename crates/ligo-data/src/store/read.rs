//! The reading side of a build: documents gathered into pieces for the pool, and the corpus hashed on the way.

use std::sync::mpsc::SyncSender;

use sha2::{Digest, Sha256};

use super::writer::Place;
use crate::hash::hex;
use crate::{Corpus, Error, Result};

/// Text for the pool.
pub(super) struct Batch {
    /// Empty while text is read again that is tokenized already.
    pub texts: Vec<String>,
    /// Behind the last of the texts.
    pub place: Place,
    /// Bytes taken from disk so far.
    pub bytes_read: u64,
}

/// How reading ended, when it did not fail.
pub(super) enum PassOutcome {
    /// At the end of the corpus.
    Whole {
        /// Lines and rows without text, which were left out.
        without_text: u64,
    },
    /// The corpus does not begin with the text that is tokenized already.
    Changed,
}

/// Reads the corpus and sends what lies behind `done` in pieces of about `batch_bytes`.
///
/// # Errors
/// Those of reading; [`Error::Interrupted`] when nobody receives, who then knows why.
pub(super) fn read_batches(
    corpus: &Corpus,
    done: &Place,
    batch_bytes: usize,
    sender: &SyncSender<Batch>,
) -> Result<PassOutcome> {
    let mut hash = Sha256::new();
    let (mut count, mut text_bytes, mut waiting_bytes) = (0, 0, 0);
    let mut texts = Vec::new();
    let mut documents = corpus.documents();
    loop {
        let document = documents.next().transpose()?;
        let ended = document.is_none();
        if let Some(document) = document {
            let length = document.text.len();
            hash.update((length as u64).to_le_bytes());
            hash.update(document.text.as_bytes());
            count += 1;
            text_bytes += length as u64;
            waiting_bytes += length;
            if count > done.texts {
                texts.push(document.text);
            }
        }
        let here = || Place {
            texts: count,
            text_bytes,
            corpus_sha256: hex(&hash.clone().finalize()),
        };
        let known = count < done.texts;
        if known && (ended || text_bytes > done.text_bytes) || count == done.texts && count > 0 && here() != *done {
            return Ok(PassOutcome::Changed);
        }
        if ended || waiting_bytes >= batch_bytes {
            let batch = Batch {
                texts: std::mem::take(&mut texts),
                place: here(),
                bytes_read: documents.bytes_read(),
            };
            waiting_bytes = 0;
            if sender.send(batch).is_err() {
                return Err(Error::Interrupted);
            }
        }
        if ended {
            return Ok(PassOutcome::Whole {
                without_text: documents.without_text(),
            });
        }
    }
}
