//! Batches for masked-language modelling: store, order and masks joined.

use std::sync::Arc;

use crate::masking::{MaskVocab, sample_key};
use crate::{Cursor, Error, Masking, Result, SampleOrder, TokenStore};

/// The seed of validation masks and of the choice of validation samples. It belongs to no run, so every run is measured on the same.
pub const VALIDATION_SEED: u64 = 0x7661_6c69_6461_7465;

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
/// Sample `i` is `[CLS]`, the `L - 2` tokens from `i * (L - 2)` on, `[SEP]`; the tokens left over at the end are not used. A batch is a pure
/// function of (store, settings, cursor): asking twice, on another thread or after a restart gives the same. Batches run over the end of an
/// epoch into the next, so each has `batch_size` sequences and each epoch visits every sample once.
#[derive(Debug, Clone)]
pub struct MlmLoader {
    store: Arc<TokenStore>,
    settings: LoaderSettings,
    order: SampleOrder,
    vocab: MaskVocab,
}

impl MlmLoader {
    /// Joins a store with settings.
    ///
    /// # Errors
    /// [`Error::BadSetting`].
    pub fn new(store: Arc<TokenStore>, settings: LoaderSettings) -> Result<Self> {
        settings.masking.check()?;
        if settings.seq_len <= SPECIALS_PER_SEQUENCE {
            return Err(Error::BadSetting {
                name: "seq_len",
                expected: "at least 3 (one token between two special tokens)",
                found: settings.seq_len.to_string(),
            });
        }
        let samples = store.len() / (settings.seq_len - SPECIALS_PER_SEQUENCE) as u64;
        let vocab = MaskVocab::new(store.info().special, store.info().vocab_size);
        Ok(Self {
            order: SampleOrder::new(settings.seed, samples, settings.shuffle),
            store,
            settings,
            vocab,
        })
    }

    /// Samples in an epoch.
    pub fn epoch_len(&self) -> u64 {
        self.order.len()
    }

    /// The store.
    pub fn store(&self) -> &TokenStore {
        &self.store
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
        if batch_size == 0 {
            return Err(Error::BadSetting {
                name: "batch_size",
                expected: "at least 1",
                found: "0".to_owned(),
            });
        }
        if self.epoch_len() < batch_size as u64 {
            return Err(Error::CorpusTooSmall {
                path: self.store.path().to_path_buf(),
                batch_size,
                seq_len: self.settings.seq_len,
                needed_tokens: batch_size as u64 * (self.settings.seq_len - SPECIALS_PER_SEQUENCE) as u64,
                found_tokens: self.store.len(),
            });
        }
        Ok(())
    }

    /// The (epoch, sample) pairs of the batch at a cursor, and the cursor behind it.
    ///
    /// # Errors
    /// [`Error::CursorOutOfRange`] and those of [`Self::check_batch_size`].
    pub fn samples_at(&self, cursor: Cursor, batch_size: usize) -> Result<(Vec<(u64, u64)>, Cursor)> {
        self.check_batch_size(batch_size)?;
        if cursor.index >= self.epoch_len() {
            return Err(Error::CursorOutOfRange {
                index: cursor.index,
                samples: self.epoch_len(),
            });
        }
        Ok(self.order.take(cursor, batch_size))
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
        let body = (seq_len - SPECIALS_PER_SEQUENCE) as u64;
        let special = self.store.info().special;
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
            batch.input_ids.push(special.cls.cast_signed());
            batch
                .input_ids
                .extend(self.store.read(sample * body, body).map(u32::cast_signed));
            batch.input_ids.push(special.sep.cast_signed());
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
        self.check_batch_size(batch_size)?;
        let whole = usize::try_from(self.epoch_len() / batch_size as u64).unwrap_or(usize::MAX);
        let order = SampleOrder::new(VALIDATION_SEED, self.epoch_len(), true);
        Ok((0..whole.min(max_batches)).map(move |batch| {
            let cursor = Cursor {
                epoch: 0,
                index: batch as u64 * batch_size as u64,
            };
            self.batch(&order.take(cursor, batch_size).0, VALIDATION_SEED)
        }))
    }
}
