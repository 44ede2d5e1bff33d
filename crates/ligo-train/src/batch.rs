use burn::tensor::{Device, Int, Tensor, TensorData};
use ligo_data::{Batch, CausalBatch, CausalLoader, Cursor, ImageBatch, ImageLoader, MlmBatch, MlmLoader};
use ligo_models::{CausalInputs, ImageInputs, Inputs, MlmInputs};
use ligo_ops::traffic;
use serde_json::{Value, json};

/// Where training batches come from: a pure function of the cursor, so that a resumed run reads what an uninterrupted one would have.
///
/// The next batch is made by another thread while a step computes, hence `Sync`.
pub trait BatchSource: Sync {
    /// The batch of `batch_size` samples at a cursor, and the cursor behind it.
    ///
    /// # Errors
    /// Whatever reading the data can end with.
    fn batch_at(&self, cursor: Cursor, batch_size: usize) -> Result<(Batch, Cursor), ligo_data::Error>;

    /// The cursor behind that batch, without making it. Other ranks of a run read what is skipped here.
    ///
    /// # Errors
    /// As [`BatchSource::batch_at`].
    fn skip(&self, cursor: Cursor, batch_size: usize) -> Result<Cursor, ligo_data::Error> {
        Ok(self.batch_at(cursor, batch_size)?.1)
    }

    /// Everything that decides the batches. A run is not continued with another identity.
    fn identity(&self) -> Value;
}

impl BatchSource for MlmLoader {
    fn batch_at(&self, cursor: Cursor, batch_size: usize) -> Result<(Batch, Cursor), ligo_data::Error> {
        let (batch, next) = self.batch_at(cursor, batch_size)?;
        Ok((batch.into(), next))
    }

    fn skip(&self, cursor: Cursor, batch_size: usize) -> Result<Cursor, ligo_data::Error> {
        Ok(self.samples_at(cursor, batch_size)?.1)
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

impl BatchSource for CausalLoader {
    fn batch_at(&self, cursor: Cursor, batch_size: usize) -> Result<(Batch, Cursor), ligo_data::Error> {
        let (batch, next) = self.batch_at(cursor, batch_size)?;
        Ok((batch.into(), next))
    }

    fn skip(&self, cursor: Cursor, batch_size: usize) -> Result<Cursor, ligo_data::Error> {
        Ok(self.samples_at(cursor, batch_size)?.1)
    }

    fn identity(&self) -> Value {
        json!({"tokens_sha256": self.store().info().tokens_sha256, "settings": self.settings()})
    }
}

impl BatchSource for ImageLoader {
    fn batch_at(&self, cursor: Cursor, batch_size: usize) -> Result<(Batch, Cursor), ligo_data::Error> {
        let (batch, next) = self.batch_at(cursor, batch_size)?;
        Ok((batch.into(), next))
    }

    fn skip(&self, cursor: Cursor, batch_size: usize) -> Result<Cursor, ligo_data::Error> {
        Ok(self.samples_at(cursor, batch_size)?.1)
    }

    fn identity(&self) -> Value {
        let settings = self.settings();
        json!({
            "images_sha256": self.set().info().images_sha256,
            "labels_sha256": self.set().info().labels_sha256,
            "seed": settings.seed,
            "shuffle": settings.shuffle,
            "augmentation": settings.augmentation,
            "preprocessor": settings.preprocessor,
            "channels": self.channels(),
        })
    }
}

/// Puts a batch on a device.
///
/// # Shapes
/// See [`Inputs`].
pub fn inputs_on(batch: &Batch, device: &Device) -> Inputs {
    let device = &device.clone().without_autodiff();
    match batch {
        Batch::Masked(batch) => Inputs::Masked(masked(batch, device)),
        Batch::Causal(batch) => Inputs::Causal(causal(batch, device)),
        Batch::Images(batch) => Inputs::Images(images(batch, device)),
    }
}

fn integers(values: &[i32], device: &Device) -> Tensor<1, Int> {
    traffic::upload_batch(TensorData::new(values.to_vec(), [values.len()]), device)
}

fn masked(batch: &MlmBatch, device: &Device) -> MlmInputs {
    let grid = [batch.batch_size, batch.seq_len];
    let mask = batch.attention_mask.as_ref().map(|mask| {
        let mask: Vec<f32> = mask.iter().map(|m| f32::from(*m)).collect();
        traffic::upload_batch::<2, _>(TensorData::new(mask, grid), device)
    });
    MlmInputs {
        input_ids: integers(&batch.input_ids, device).reshape(grid),
        token_type_ids: None,
        attention_mask: mask,
        masked_positions: integers(&batch.masked_positions, device),
        labels: integers(&batch.labels, device),
    }
}

fn causal(batch: &CausalBatch, device: &Device) -> CausalInputs {
    let grid = [batch.batch_size, batch.seq_len];
    let documents = batch.document_ids.as_ref();
    CausalInputs {
        input_ids: integers(&batch.input_ids, device).reshape(grid),
        labels: integers(&batch.labels, device).reshape(grid),
        documents: documents.map(|ids| integers(ids, device).reshape(grid)),
        position_ids: batch
            .position_ids
            .as_ref()
            .map(|ids| integers(ids, device).reshape(grid)),
    }
}

fn images(batch: &ImageBatch, device: &Device) -> ImageInputs {
    let shape = [batch.batch_size, batch.channels, batch.height, batch.width];
    let targets = [batch.batch_size, batch.num_classes];
    ImageInputs {
        pixels: traffic::upload_batch(TensorData::new(batch.pixels.clone(), shape), device),
        targets: traffic::upload_batch(TensorData::new(batch.targets.clone(), targets), device),
    }
}
