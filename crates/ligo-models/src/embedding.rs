use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};

use crate::skeleton::vacant;

/// A look-up table.
#[derive(Module, Debug)]
pub struct Embedding {
    /// One row per entry, `[entries, D]`.
    pub weight: Param<Tensor<2>>,
}

impl Embedding {
    pub(crate) fn skeleton(entries: usize, width: usize, device: &Device) -> Self {
        Self {
            weight: vacant([entries, width], device),
        }
    }

    /// The rows with these ids.
    ///
    /// # Shapes
    /// `ids [B, L]`; the result is `[B, L, D]`.
    ///
    /// # Panics
    /// When an id is not below the number of entries.
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        ligo_ops::embedding(self.weight.val(), ids)
    }

    /// The first `count` rows, to be added to every sequence of a batch.
    ///
    /// # Shapes
    /// The result is `[1, count, D]`.
    ///
    /// # Panics
    /// When there are fewer entries.
    pub fn first(&self, count: usize) -> Tensor<3> {
        self.weight.val().slice_dim(0, 0..count).unsqueeze()
    }
}
