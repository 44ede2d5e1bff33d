//! Batches for masked-language modelling: store, order and masks joined.

use std::sync::Arc;

use crate::masking::{MaskVocab, sample_key};
use crate::sampler::{Sampler, VALIDATION_SEED};
use crate::{Cursor, Error, Masking, Result, TokenStore};

/// Tokens that every sequence spends on `[CLS]` and `[SEP]`.
const SPECIALS_PER_SEQUENCE: usize = 2;

/// One batch, as host arrays ready to be turned into tensors.
///
/// Shapes: `B` = `batch_size`, `L` = `seq_len`, `M` masked positions in the whole batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MlmBatch {
    /// Sequences, `B`.
    pub batch_size: usize,
    /// Length of a sequence with its special tokens, `L`.
    pub seq_len: usize,
    /// Token ids after masking, `[B * L]`, row after row.
    pub input_ids: Vec<i32>,
    /// 1 where there is a token and 0 where there is padding, `[B * L]`; `None` when no sequence is padded, as with packed text.
    pub attention_mask: Option<Vec<u8>>,
    /// Indices into `input_ids` to be predicted, rising, `[M]`.
    pub masked_positions: Vec<i32>,
    /// The ids that stood there, `[M]`.
    pub labels: Vec<i32>,
}

/// How sequences are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoaderSettings {
    /// Length of a sequence with its special tokens.
    pub seq_len: usize,
    /// Seed of the order and of the masks.
    pub seed: u64,
    /// Whether to visit the samples in a new random order every epoch.
    pub shuffle: bool,
    /// The masking recipe.
    pub masking: Masking,
}

/// Training batches from a token store.
///
/// Sample `i` is `[CLS]`, the `L - 2` tokens from `i * (L - 2)` on, `[SEP]` (RoBERTa: `<s>` and `</s>`); the tokens left over at the end are
/// not used. A batch is a pure
/// function of (store, settings, cursor): asking twice, on another thread or after a restart gives the same. Batches run over the end of an
/// epoch into the next, so each has `batch_size` sequences and each epoch visits every sample once.
#[derive(Debug, Clone)]
pub struct MlmLoader {
    sampler: Sampler,
    settings: LoaderSettings,
    cls: i32,
    sep: i32,
    vocab: MaskVocab,
}

impl MlmLoader {
    /// Joins a store with settings.
    ///
    /// # Errors
    /// [`Error::BadSetting`]; [`Error::MissingSpecialToken`] when the vocabulary has no opening, separating or mask token, as GPT-2's.
    pub fn new(store: Arc<TokenStore>, settings: LoaderSettings) -> Result<Self> {
        settings.masking.check()?;
        if settings.seq_len <= SPECIALS_PER_SEQUENCE {
            return Err(Error::BadSetting {
                name: "seq_len",
                expected: "at least 3 (one token between two special tokens)",
                found: settings.seq_len.to_string(),
            });
        }
        let special = store.info().special;
        let (cls, sep, mask) = special.for_masking(store.path())?;
        let vocab = MaskVocab::new(special, mask, store.info().vocab_size);
        let (seq_len, body) = (settings.seq_len, settings.seq_len - SPECIALS_PER_SEQUENCE);
        Ok(Self {
            sampler: Sampler::new(store, seq_len, body, 0, settings.seed, settings.shuffle),
            settings,
            cls: cls.cast_signed(),
            sep: sep.cast_signed(),
            vocab,
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
    pub fn settings(&self) -> &LoaderSettings {
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
    pub fn batch_at(&self, cursor: Cursor, batch_size: usize) -> Result<(MlmBatch, Cursor)> {
        let (samples, next) = self.samples_at(cursor, batch_size)?;
        Ok((self.batch(&samples, self.settings.seed), next))
    }

    fn batch(&self, samples: &[(u64, u64)], seed: u64) -> MlmBatch {
        let seq_len = self.settings.seq_len;
        let mut batch = MlmBatch {
            batch_size: samples.len(),
            seq_len,
            input_ids: Vec::with_capacity(samples.len() * seq_len),
            attention_mask: None,
            masked_positions: Vec::new(),
            labels: Vec::new(),
        };
        for &(epoch, sample) in samples {
            let row = batch.input_ids.len();
            batch.input_ids.push(self.cls);
            batch.input_ids.extend(self.sampler.tokens(sample));
            batch.input_ids.push(self.sep);
            let masked = self.settings.masking.apply(
                &mut batch.input_ids[row..],
                &self.vocab,
                sample_key(seed, epoch, sample),
            );
            for (at, label) in masked {
                batch.masked_positions.push((row + at) as i32);
                batch.labels.push(label);
            }
        }
        batch
    }

    /// Validation batches: at most `max_batches`, always the same samples with the same masks whatever the run's seed and epoch, spread
    /// over the whole store. Only whole batches are given, so the shapes stay the same.
    ///
    /// # Errors
    /// As [`Self::check_batch_size`].
    pub fn validation_batches(
        &self,
        batch_size: usize,
        max_batches: usize,
    ) -> Result<impl ExactSizeIterator<Item = MlmBatch> + '_> {
        let samples = self.sampler.validation_samples(batch_size, max_batches)?;
        Ok(samples.map(|samples| self.batch(&samples, VALIDATION_SEED)))
    }
}
