//! The training step of `ligo` itself (`ligo-models` under `ligo-train`) with fixed pseudo-random weights and data.

use burn::tensor::Device;
use ligo_arch::{BertConfig, ModelConfig};
use ligo_data::{Batch, Cursor, MlmBatch};
use ligo_train::{BatchSource, Error, Optimizer, ParamInfo, ParamStore, PretrainObjective, TrainConfig, train_step};

use crate::{Sizes, bits};

/// The configuration of the measured model.
#[must_use]
pub fn config(sizes: &Sizes) -> ModelConfig {
    let mut config = BertConfig::new(sizes.vocab, sizes.hidden, sizes.layers, sizes.heads);
    config.intermediate_size = sizes.ffn;
    config.max_position_embeddings = sizes.length;
    config.type_vocab_size = 1;
    config.hidden_dropout_prob = 0.0;
    config.attention_probs_dropout_prob = 0.0;
    ModelConfig::Bert(config)
}

/// AdamW as the PyTorch side sets it.
#[must_use]
pub fn settings(sizes: &Sizes) -> TrainConfig {
    let mut config = TrainConfig {
        batch_size: sizes.batch,
        ..TrainConfig::default()
    };
    config.schedule.peak_lr = 1e-4;
    config.schedule.warmup_steps = 0;
    config.schedule.kind = ligo_train::ScheduleKind::Constant;
    config.optimizer.eps = 1e-8;
    config.optimizer.weight_decay = 0.01;
    config
}

/// One batch, again and again.
pub struct OneBatch(MlmBatch);

impl OneBatch {
    /// Pseudo-random tokens; masked positions spread evenly.
    #[must_use]
    pub fn new(sizes: &Sizes) -> Self {
        let tokens = |seed: u32, count: usize| -> Vec<i32> {
            (0..count as u32)
                .map(|i| (bits(seed, i) % sizes.vocab as u32) as i32)
                .collect()
        };
        Self(MlmBatch {
            batch_size: sizes.batch,
            seq_len: sizes.length,
            input_ids: tokens(1000, sizes.tokens()),
            attention_mask: None,
            masked_positions: (0..sizes.masked)
                .map(|i| (i * sizes.tokens() / sizes.masked) as i32)
                .collect(),
            labels: tokens(1001, sizes.masked),
        })
    }
}

impl OneBatch {
    /// The batch itself.
    #[must_use]
    pub fn into_batch(self) -> Batch {
        self.0.into()
    }
}

impl BatchSource for OneBatch {
    fn batch_at(&self, cursor: Cursor, _: usize) -> Result<(Batch, Cursor), ligo_data::Error> {
        Ok((self.0.clone().into(), cursor))
    }

    fn identity(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
}

/// Names in the order in which the PyTorch side creates its parameters; the order seeds their values.
fn names(layers: usize) -> Vec<String> {
    let pair = |path: &str| [format!("{path}.weight"), format!("{path}.bias")];
    let emb = "bert.embeddings";
    let mut all: Vec<String> = ["word", "position", "token_type"]
        .map(|t| format!("{emb}.{t}_embeddings.weight"))
        .into();
    all.extend(pair(&format!("{emb}.LayerNorm")));
    for layer in 0..layers {
        for path in [
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
            "attention.output.LayerNorm",
            "intermediate.dense",
            "output.dense",
            "output.LayerNorm",
        ] {
            all.extend(pair(&format!("bert.encoder.layer.{layer}.{path}")));
        }
    }
    for path in ["dense", "LayerNorm"] {
        all.extend(pair(&format!("cls.predictions.transform.{path}")));
    }
    all.push("cls.predictions.bias".into());
    all
}

/// A store with the start values that the PyTorch side has too.
///
/// # Errors
/// None for a valid configuration.
pub fn start(config: &ModelConfig, layers: usize, device: &Device) -> Result<ParamStore, Error> {
    let table = config.table();
    let params = names(layers).into_iter().enumerate().filter_map(|(index, name)| {
        let param = table.get(&name)?;
        let count = param.num_elements();
        let noise = |i: u32| ((f64::from(bits(index as u32, i)) / 4_294_967_296.0 - 0.5) * 0.07) as f32;
        let values = match (name.contains("LayerNorm.weight"), param.shape.len()) {
            (true, _) => vec![1.0; count],
            (_, 2) if !name.contains("token_type") => (0..count as u32).map(noise).collect(),
            _ => vec![0.0; count],
        };
        let info = ParamInfo {
            name,
            shape: param.shape,
            decay: true,
        };
        Some((info, values))
    });
    ParamStore::from_values(params.collect::<Vec<_>>(), device)
}

/// A model in training.
pub struct Trainer {
    config: TrainConfig,
    objective: PretrainObjective,
    store: ParamStore,
    optimizer: Optimizer,
    batch: OneBatch,
    step: u64,
}

impl Trainer {
    /// A model of these sizes.
    ///
    /// # Errors
    /// None for valid sizes.
    pub fn new(sizes: &Sizes, device: &Device) -> Result<Self, Error> {
        let model = config(sizes);
        let store = start(&model, sizes.layers, device)?;
        let config = settings(sizes);
        Ok(Self {
            optimizer: Optimizer::new(config.optimizer, &store),
            objective: PretrainObjective::new(&model, &[], device)?,
            config,
            store,
            batch: OneBatch::new(sizes),
            step: 0,
        })
    }

    /// Number of parameters.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.store.num_parameters()
    }

    /// One step: forward, backward, clipping of the global norm to 1, AdamW. Returns the loss before the update.
    ///
    /// # Errors
    /// The device fails.
    pub fn step(&mut self) -> Result<f64, Error> {
        let (loss, _) = train_step(
            &self.config,
            &self.objective,
            &mut self.store,
            &mut self.optimizer,
            &self.batch,
            self.step,
            Cursor::default(),
        )?;
        self.step += 1;
        Ok(loss)
    }
}
