use burn::tensor::{Device, Int, Tensor, TensorData};
use ligo_data::{Cursor, MlmBatch, MlmLoader};
use ligo_models::MlmInputs;
use serde_json::{Value, json};

/// Where training batches come from: a pure function of the cursor, so that a resumed run reads what an uninterrupted one would have.
pub trait BatchSource {
    /// The batch of `batch_size` sequences at a cursor, and the cursor behind it.
    ///
    /// # Errors
    /// Whatever reading the data can end with.
    fn batch_at(&self, cursor: Cursor, batch_size: usize) -> Result<(MlmBatch, Cursor), ligo_data::Error>;

    /// Everything that decides the batches. A run is not continued with another identity.
    fn identity(&self) -> Value;
}

impl BatchSource for MlmLoader {
    fn batch_at(&self, cursor: Cursor, batch_size: usize) -> Result<(MlmBatch, Cursor), ligo_data::Error> {
        self.batch_at(cursor, batch_size)
    }

    fn identity(&self) -> Value {
        let settings = self.settings();
        json!({
            "tokens_sha256": self.store().info().tokens_sha256,
            "seq_len": settings.seq_len,
            "seed": settings.seed,
            "shuffle": settings.shuffle,
            "masking": settings.masking,
        })
    }
}

/// Puts a batch on a device.
///
/// # Shapes
/// `input_ids` and the mask become `[B, L]`, positions and labels `[M]`.
pub fn inputs_on(batch: &MlmBatch, device: &Device) -> MlmInputs {
    let device = &device.clone().without_autodiff();
    let grid = [batch.batch_size, batch.seq_len];
    let ints = |values: &[i32]| -> Tensor<1, Int> {
        Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
    };
    let mask = batch.attention_mask.as_ref().map(|mask| {
        let mask: Vec<f32> = mask.iter().map(|m| f32::from(*m)).collect();
        Tensor::<2>::from_data(TensorData::new(mask, grid), device)
    });
    MlmInputs {
        input_ids: ints(&batch.input_ids).reshape(grid),
        token_type_ids: None,
        attention_mask: mask,
        masked_positions: ints(&batch.masked_positions),
        labels: ints(&batch.labels),
    }
}

/// The number of labels that count in the loss.
pub(crate) fn num_labels(batch: &MlmBatch) -> usize {
    batch.labels.iter().filter(|label| **label >= 0).count()
}
