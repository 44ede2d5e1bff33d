//! A batch of any kind.

use crate::{CausalBatch, ImageBatch, MlmBatch};

/// What one step of training is given.
#[derive(Debug, Clone, PartialEq)]
pub enum Batch {
    /// Text with hidden tokens, for masked-language models.
    Masked(MlmBatch),
    /// Running text, for causal language models.
    Causal(CausalBatch),
    /// Images with classes.
    Images(ImageBatch),
}

impl Batch {
    /// Sequences in the batch.
    pub fn num_samples(&self) -> usize {
        match self {
            Self::Masked(batch) => batch.batch_size,
            Self::Causal(batch) => batch.batch_size,
            Self::Images(batch) => batch.batch_size,
        }
    }

    /// Tokens in the batch, padding included; images where there are no tokens.
    pub fn num_tokens(&self) -> usize {
        match self {
            Self::Masked(batch) => batch.batch_size * batch.seq_len,
            Self::Causal(batch) => batch.batch_size * batch.seq_len,
            Self::Images(batch) => batch.batch_size,
        }
    }

    /// Labels that count in the loss: those that are not negative.
    pub fn num_labels(&self) -> usize {
        let count = |labels: &[i32]| labels.iter().filter(|label| **label >= 0).count();
        match self {
            Self::Masked(batch) => count(&batch.labels),
            Self::Causal(batch) => count(&batch.labels),
            Self::Images(batch) => batch.batch_size,
        }
    }
}

impl From<MlmBatch> for Batch {
    fn from(batch: MlmBatch) -> Self {
        Self::Masked(batch)
    }
}

impl From<ImageBatch> for Batch {
    fn from(batch: ImageBatch) -> Self {
        Self::Images(batch)
    }
}

impl From<CausalBatch> for Batch {
    fn from(batch: CausalBatch) -> Self {
        Self::Causal(batch)
    }
}
