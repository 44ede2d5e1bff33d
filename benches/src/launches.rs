//! What a training step asks of a GPU, counted instead of timed: kernel launches, reads that the host waits for, bytes that are uploaded.
//!
//! The counts are those of a dry run: every kernel is compiled for the device, and none runs. They depend on the number of layers and on
//! nothing else of a model's size.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Device;
use cubecl::dry_run::DryRun;
use cubecl::logging::{LaunchObservation, LaunchObserver};
use ligo_arch::{BertConfig, CaitConfig, Gpt2Config, LlamaConfig, ModelConfig, VitConfig};
use ligo_data::{Batch, CausalBatch, Cursor, ImageBatch};
use ligo_growth::{LigoConfig, LigoOperator, MemorySource, init};
use ligo_ops::traffic::Traffic;
use ligo_train::{
    BatchSource, Error, Objective, OperatorObjective, Optimizer, ParamInfo, ParamStore, PretrainObjective, TrainConfig,
    train_step,
};
use serde_json::{Value, json};

use crate::{Sizes, bert::OneBatch};

/// Width of the counted models.
const WIDTH: usize = 64;
/// Their heads.
const HEADS: usize = 2;
/// Their vocabulary.
const VOCAB: usize = 1000;

/// Launches of a step that belong to no layer, at most.
pub const FIXED: usize = 40;

/// The families whose steps are counted, with the launches that a layer may take; a step may take
/// [`FIXED`] besides.
pub const FAMILIES: [(&str, usize); 5] = [("bert", 60), ("gpt2", 70), ("llama", 70), ("vit", 70), ("cait", 90)];

/// What one step took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Launches by kernel.
    pub kernels: BTreeMap<String, usize>,
    /// Times that the host waited for a device.
    pub reads: u64,
    /// Bytes of the batch.
    pub batch_bytes: u64,
    /// Bytes of everything else that was uploaded.
    pub other_bytes: u64,
}

impl Step {
    /// Launches in all.
    #[must_use]
    pub fn launches(&self) -> usize {
        self.kernels.values().sum()
    }
}

/// Launches of a family's step as a function of its layers, and the rest of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Launches of a step without layers.
    pub base: f64,
    /// Launches of each layer.
    pub per_layer: f64,
    /// A step of the largest model that was counted.
    pub step: Step,
}

impl Family {
    /// As the printed table's JSON has it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "launches_base": self.base,
            "launches_per_layer": self.per_layer,
            "reads": self.step.reads,
            "uploaded_bytes": self.step.other_bytes,
        })
    }
}

#[derive(Default)]
struct Counts(Mutex<BTreeMap<String, usize>>);

impl LaunchObserver for Counts {
    fn launched(&self, kernel: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(short(kernel)).or_default() += 1;
    }
}

/// The last two parts of a kernel's path.
fn short(kernel: &str) -> String {
    let path = kernel.split('<').next().unwrap_or(kernel);
    let mut parts: Vec<&str> = path.rsplit("::").take(2).collect();
    parts.reverse();
    parts.join("::")
}

/// One batch, again and again.
struct Again(Batch);

impl BatchSource for Again {
    fn batch_at(&self, cursor: Cursor, _: usize) -> Result<(Batch, Cursor), ligo_data::Error> {
        Ok((self.0.clone(), cursor))
    }

    fn identity(&self) -> Value {
        Value::Null
    }
}

/// A model of a family with so many layers, and dropout everywhere where it has some.
#[must_use]
pub fn config(family: &str, layers: usize, dropout: f64) -> Option<ModelConfig> {
    Some(match family {
        "bert" => {
            let mut config = BertConfig::new(VOCAB, WIDTH, layers, HEADS);
            config.hidden_dropout_prob = dropout;
            config.attention_probs_dropout_prob = dropout;
            ModelConfig::Bert(config)
        }
        "gpt2" => {
            let mut config = Gpt2Config::new(VOCAB, WIDTH, layers, HEADS);
            config.embd_pdrop = dropout;
            config.attn_pdrop = dropout;
            config.resid_pdrop = dropout;
            ModelConfig::Gpt2(config)
        }
        "llama" => ModelConfig::Llama(LlamaConfig::new(VOCAB, WIDTH, layers, HEADS, 2 * WIDTH)),
        "vit" => ModelConfig::Vit(VitConfig::new(WIDTH, layers, HEADS, 10)),
        "cait" => ModelConfig::Cait(CaitConfig::new(WIDTH, layers, HEADS, 10)),
        _ => return None,
    })
}

fn batch(config: &ModelConfig) -> Batch {
    let (batch_size, seq_len) = (2, 32);
    if let Some([channels, height, width]) = config.image_shape() {
        return Batch::Images(ImageBatch {
            batch_size,
            channels,
            height,
            width,
            num_classes: 10,
            pixels: vec![0.5; batch_size * channels * height * width],
            targets: vec![0.1; batch_size * 10],
            labels: vec![3; batch_size],
        });
    }
    let ids: Vec<i32> = (0..(batch_size * seq_len) as i32)
        .map(|i| i * 7 % VOCAB as i32)
        .collect();
    match config {
        ModelConfig::Bert(_) => {
            let sizes = Sizes {
                layers: 1,
                hidden: WIDTH,
                ffn: WIDTH,
                heads: HEADS,
                vocab: VOCAB,
                batch: batch_size,
                length: seq_len,
                masked: 10,
            };
            OneBatch::new(&sizes).into_batch()
        }
        _ => Batch::Causal(CausalBatch {
            batch_size,
            seq_len,
            labels: ids.clone(),
            input_ids: ids,
            document_ids: None,
            position_ids: None,
        }),
    }
}

/// The second of two steps: the first may make what all others use.
fn count(
    settings: &TrainConfig,
    objective: &dyn Objective,
    store: &mut ParamStore,
    source: &dyn BatchSource,
) -> Result<Step, Error> {
    let mut optimizer = Optimizer::new(settings.optimizer, store);
    let _dry = DryRun::new();
    let mut last = Step::default();
    for number in 0..2 {
        let counts = Arc::new(Counts::default());
        let observer: Arc<dyn LaunchObserver> = Arc::clone(&counts) as _;
        let observation = LaunchObservation::new(observer);
        let before = Traffic::now();
        let cursor = Cursor::default();
        train_step(settings, objective, store, &mut optimizer, source, number, cursor)?;
        let traffic = Traffic::now().since(before);
        drop(observation);
        let kernels = counts.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last = Step {
            kernels,
            reads: traffic.reads,
            batch_bytes: traffic.batch_bytes,
            other_bytes: traffic.other_bytes,
        };
    }
    Ok(last)
}

fn settings() -> TrainConfig {
    let mut settings = TrainConfig {
        batch_size: 2,
        ..TrainConfig::default()
    };
    settings.schedule.warmup_steps = 0;
    settings.schedule.peak_lr = 1e-3;
    settings
}

/// A run and what it starts from.
struct Start<O> {
    objective: O,
    store: ParamStore,
    source: Again,
}

impl<O: Objective> Start<O> {
    fn count(mut self) -> Result<Step, Error> {
        count(&settings(), &self.objective, &mut self.store, &self.source)
    }

    fn losses(mut self, steps: u64) -> Result<Vec<f64>, Error> {
        let settings = settings();
        let mut optimizer = Optimizer::new(settings.optimizer, &self.store);
        let mut step = |number| {
            let (store, cursor) = (&mut self.store, Cursor::default());
            let done = train_step(
                &settings,
                &self.objective,
                store,
                &mut optimizer,
                &self.source,
                number,
                cursor,
            );
            done.map(|(loss, _)| loss)
        };
        (0..steps).map(&mut step).collect()
    }
}

fn plain(config: &ModelConfig, device: &Device) -> Result<Start<PretrainObjective>, Error> {
    let table = config.table();
    let params = init::initial_values(&table, 0.02, 1).map(|(name, shape, values)| {
        let decay = shape.len() > 1;
        (ParamInfo { name, shape, decay }, values)
    });
    Ok(Start {
        store: ParamStore::from_values(params.collect::<Vec<_>>(), device)?,
        objective: PretrainObjective::new(config, &[], device)?,
        source: Again(batch(config)),
    })
}

fn operator(small: &ModelConfig, large: &ModelConfig, device: &Device) -> Result<Start<OperatorObjective>, Error> {
    let operator = LigoOperator::new(&small.table(), &large.table(), &LigoConfig::default(), 1)?;
    let mut source = MemorySource::new(init::initial_values(&small.table(), 0.02, 2));
    let objective = OperatorObjective::new(operator, large, &mut source, device)?;
    Ok(Start {
        store: objective.start(device)?,
        objective,
        source: Again(batch(large)),
    })
}

/// A step of ordinary training.
///
/// # Errors
/// The device fails.
pub fn plain_step(config: &ModelConfig, device: &Device) -> Result<Step, Error> {
    plain(config, device)?.count()
}

/// The losses of the first steps of ordinary training, which do run.
///
/// # Errors
/// The device fails.
pub fn plain_losses(config: &ModelConfig, steps: u64, device: &Device) -> Result<Vec<f64>, Error> {
    plain(config, device)?.losses(steps)
}

/// A step of learning the operator from one model to another.
///
/// # Errors
/// The pair cannot be grown, or the device fails.
pub fn operator_step(small: &ModelConfig, large: &ModelConfig, device: &Device) -> Result<Step, Error> {
    operator(small, large, device)?.count()
}

/// The losses of the first steps of learning an operator, which do run.
///
/// # Errors
/// As [`operator_step`].
pub fn operator_losses(
    small: &ModelConfig,
    large: &ModelConfig,
    steps: u64,
    device: &Device,
) -> Result<Vec<f64>, Error> {
    operator(small, large, device)?.losses(steps)
}

/// The same BERT with half as much width again.
#[must_use]
pub fn widened(config: &ModelConfig) -> ModelConfig {
    let mut wide = config.clone();
    if let ModelConfig::Bert(config) = &mut wide {
        config.hidden_size = config.hidden_size * 3 / 2;
        config.intermediate_size = config.intermediate_size * 3 / 2;
        config.num_attention_heads = config.num_attention_heads * 3 / 2;
    }
    wide
}

/// Layers besides those that are counted: those of CaiT in which the class token reads the patches.
fn other_layers(config: &ModelConfig) -> usize {
    match config {
        ModelConfig::Cait(config) => config.depth_token_only,
        _ => 0,
    }
}

/// A family's step: counted with two and with ten layers, of which the rest follows.
///
/// CaiT's two layers for the class token count as layers, too, and take as much as the others.
///
/// # Errors
/// The device fails.
pub fn family(name: &str, dropout: f64, device: &Device) -> Result<Option<Family>, Error> {
    let (few, many) = (2, 10);
    let (Some(small), Some(large)) = (config(name, few, dropout), config(name, many, dropout)) else {
        return Ok(None);
    };
    let others = other_layers(&small);
    let [small, large] = [plain_step(&small, device)?, plain_step(&large, device)?];
    let per_layer = (large.launches() as f64 - small.launches() as f64) / (many - few) as f64;
    Ok(Some(Family {
        base: small.launches() as f64 - per_layer * (few + others) as f64,
        per_layer,
        step: large,
    }))
}
