//! Cutting a token store into samples, and which of them a batch takes.

use std::sync::Arc;

use crate::{Cursor, Error, Result, SampleOrder, TokenStore};

/// The seed of validation masks and of the choice of validation samples. It belongs to no run, so every run is measured on the same.
pub const VALIDATION_SEED: u64 = 0x7661_6c69_6461_7465;

/// Samples of one length, one after another through a store, visited in an order. Sample `i` begins at token `i * stride`.
#[derive(Debug, Clone)]
pub(crate) struct Sampler {
    store: Arc<TokenStore>,
    order: SampleOrder,
    /// Length of a sequence as the model sees it, for messages.
    seq_len: usize,
    /// Tokens from one sample's begin to the next one's.
    stride: u64,
    /// Tokens that the last sample needs beyond its stride.
    beyond: u64,
}

impl Sampler {
    pub(crate) fn new(
        store: Arc<TokenStore>,
        seq_len: usize,
        stride: usize,
        beyond: u64,
        seed: u64,
        shuffle: bool,
    ) -> Self {
        let samples = store.len().saturating_sub(beyond) / stride as u64;
        Self {
            order: SampleOrder::new(seed, samples, shuffle),
            store,
            seq_len,
            stride: stride as u64,
            beyond,
        }
    }

    pub(crate) fn store(&self) -> &TokenStore {
        &self.store
    }

    pub(crate) fn epoch_len(&self) -> u64 {
        self.order.len()
    }

    /// The tokens of a sample with those beyond its stride.
    pub(crate) fn tokens(&self, sample: u64) -> impl Iterator<Item = i32> + '_ {
        let tokens = self.store.read(sample * self.stride, self.stride + self.beyond);
        tokens.map(u32::cast_signed)
    }

    pub(crate) fn check_batch_size(&self, batch_size: usize) -> Result<()> {
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
                seq_len: self.seq_len,
                needed_tokens: (batch_size as u64).saturating_mul(self.stride) + self.beyond,
                found_tokens: self.store.len(),
            });
        }
        Ok(())
    }

    /// The (epoch, sample) pairs of the batch at a cursor, and the cursor behind it.
    pub(crate) fn samples_at(&self, cursor: Cursor, batch_size: usize) -> Result<(Vec<(u64, u64)>, Cursor)> {
        self.check_batch_size(batch_size)?;
        if cursor.index >= self.epoch_len() {
            return Err(Error::CursorOutOfRange {
                index: cursor.index,
                samples: self.epoch_len(),
            });
        }
        Ok(self.order.take(cursor, batch_size))
    }

    /// The samples of at most `max_batches` whole validation batches: always the same, spread over the whole store.
    pub(crate) fn validation_samples(
        &self,
        batch_size: usize,
        max_batches: usize,
    ) -> Result<impl ExactSizeIterator<Item = Vec<(u64, u64)>> + use<>> {
        self.check_batch_size(batch_size)?;
        let whole = usize::try_from(self.epoch_len() / batch_size as u64).unwrap_or(usize::MAX);
        let order = SampleOrder::new(VALIDATION_SEED, self.epoch_len(), true);
        Ok((0..whole.min(max_batches)).map(move |batch| {
            let cursor = Cursor {
                epoch: 0,
                index: batch as u64 * batch_size as u64,
            };
            order.take(cursor, batch_size).0
        }))
    }
}
