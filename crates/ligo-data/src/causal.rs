//! Batches for causal language modelling: windows of the token stream, each token to be predicted from those before it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::sampler::Sampler;
use crate::{Cursor, Error, Result, TokenStore};

/// How causal sequences are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CausalSettings {
    /// Length of a sequence.
    pub seq_len: usize,
    /// Seed of the order.
    pub seed: u64,
    /// Whether to visit the samples in a new random order every epoch.
    pub shuffle: bool,
    /// Whether a token sees only its own document. Batches then say which document each position belongs to and count positions anew in
    /// each; without, a sequence is read as one text.
    pub stay_in_document: bool,
}

/// One batch, as host arrays ready to be turned into tensors.
///
/// Shapes: `B` = `batch_size`, `L` = `seq_len`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CausalBatch {
    /// Sequences, `B`.
    pub batch_size: usize,
    /// Length of a sequence, `L`.
    pub seq_len: usize,
    /// Token ids, `[B * L]`, row after row.
    pub input_ids: Vec<i32>,
    /// The token behind each position, `[B * L]`.
    pub labels: Vec<i32>,
    /// Number of the document each position belongs to, from 0 and rising by one within a row, `[B * L]`: a position may attend to those
    /// before it with the same number. `None` unless [`CausalSettings::stay_in_document`].
    pub document_ids: Option<Vec<i32>>,
    /// Place of each position within the part of its document that is in the row, from 0, `[B * L]`. `None` unless
    /// [`CausalSettings::stay_in_document`].
    pub position_ids: Option<Vec<i32>>,
}

/// Training batches from a token store.
///
/// The store is one stream: documents with a separator between them (`<|endoftext|>`), and where the tokenizer opens texts (Llama's `<s>`) with that
/// token in front of each: `<s> one </s> <s> two`. Sample `i` is the window of `L` tokens from `i * L` on;
/// its labels are the tokens one place further. So windows overlap by one token, and in an epoch every token but the very first is predicted
/// once; tokens that fill no window at the end are not used.
///
/// Where nothing else opens a document, a separator ends one and opens the next. As a label it belongs to the document before it; as an input it
/// is the first token of the document behind it, which is predicted from it as a text is from `<|endoftext|>` in a prompt. Otherwise a document reaches from its opening
/// token to its separator, behind which the next opening token is what is left to predict. So with `stay_in_document` nothing is ever
/// predicted from another document, and no label is lost.
///
/// A batch is a pure function of (store, settings, cursor), as with [`crate::MlmLoader`].
#[derive(Debug, Clone)]
pub struct CausalLoader {
    sampler: Sampler,
    settings: CausalSettings,
    /// The first token of every document but the store's first.
    boundary: i32,
}

impl CausalLoader {
    /// Joins a store with settings.
    ///
    /// # Errors
    /// [`Error::BadSetting`]; [`Error::MissingSpecialToken`] when the store's vocabulary has no separator.
    pub fn new(store: Arc<TokenStore>, settings: CausalSettings) -> Result<Self> {
        let seq_len = settings.seq_len;
        if seq_len == 0 {
            return Err(Error::BadSetting {
                name: "seq_len",
                expected: "at least 1",
                found: "0".to_owned(),
            });
        }
        let separator = store.info().special.need_separator(store.path())?;
        let boundary = store.info().document_start.unwrap_or(separator);
        Ok(Self {
            sampler: Sampler::new(store, seq_len, seq_len, 1, settings.seed, settings.shuffle),
            settings,
            boundary: boundary.cast_signed(),
        })
    }

    /// Samples in an epoch.
    pub fn epoch_len(&self) -> u64 {
        self.sampler.epoch_len()
    }

    /// The store.
    pub fn store(&self) -> &TokenStore {
        self.sampler.store()
    }

    /// The settings.
    pub fn settings(&self) -> &CausalSettings {
        &self.settings
    }

    /// Checks that one batch can be filled without using a sample twice.
    ///
    /// # Errors
    /// [`Error::CorpusTooSmall`]; [`Error::BadSetting`] for a batch of nothing.
    pub fn check_batch_size(&self, batch_size: usize) -> Result<()> {
        self.sampler.check_batch_size(batch_size)
    }

    /// The (epoch, sample) pairs of the batch at a cursor, and the cursor behind it.
    ///
    /// # Errors
    /// [`Error::CursorOutOfRange`] and those of [`Self::check_batch_size`].
    pub fn samples_at(&self, cursor: Cursor, batch_size: usize) -> Result<(Vec<(u64, u64)>, Cursor)> {
        self.sampler.samples_at(cursor, batch_size)
    }

    /// The batch at a cursor, and the cursor behind it.
    ///
    /// # Errors
    /// As [`Self::samples_at`].
    pub fn batch_at(&self, cursor: Cursor, batch_size: usize) -> Result<(CausalBatch, Cursor)> {
        let (samples, next) = self.samples_at(cursor, batch_size)?;
        Ok((self.batch(&samples), next))
    }

    /// Validation batches: at most `max_batches`, always the same samples whatever the run's seed and epoch, spread over the whole store.
    /// Only whole batches are given, so the shapes stay the same.
    ///
    /// # Errors
    /// As [`Self::check_batch_size`].
    pub fn validation_batches(
        &self,
        batch_size: usize,
        max_batches: usize,
    ) -> Result<impl ExactSizeIterator<Item = CausalBatch> + '_> {
        let samples = self.sampler.validation_samples(batch_size, max_batches)?;
        Ok(samples.map(|samples| self.batch(&samples)))
    }

    fn batch(&self, samples: &[(u64, u64)]) -> CausalBatch {
        let seq_len = self.settings.seq_len;
        let total = samples.len() * seq_len;
        let mut batch = CausalBatch {
            batch_size: samples.len(),
            seq_len,
            input_ids: Vec::with_capacity(total),
            labels: Vec::with_capacity(total),
            document_ids: None,
            position_ids: None,
        };
        let (mut documents, mut positions) = (Vec::new(), Vec::new());
        let mut window = Vec::with_capacity(seq_len + 1);
        for &(_, sample) in samples {
            window.clear();
            window.extend(self.sampler.tokens(sample));
            batch.input_ids.extend_from_slice(&window[..seq_len]);
            batch.labels.extend_from_slice(&window[1..]);
            if self.settings.stay_in_document {
                self.place(&window[..seq_len], &mut documents, &mut positions);
            }
        }
        if self.settings.stay_in_document {
            (batch.document_ids, batch.position_ids) = (Some(documents), Some(positions));
        }
        batch
    }

    /// Numbers the documents of one row and the places within them.
    fn place(&self, row: &[i32], documents: &mut Vec<i32>, positions: &mut Vec<i32>) {
        let (mut document, mut position) = (0, 0);
        for (at, &id) in row.iter().enumerate() {
            if id == self.boundary && at > 0 {
                (document, position) = (document + 1, 0);
            }
            documents.push(document);
            positions.push(position);
            position += 1;
        }
    }
}
