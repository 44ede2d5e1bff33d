//! A few steps of the large model on made-up data: what share of its peak does this machine reach?

use std::fmt;
use std::time::{Duration, Instant};

use burn::tensor::Device;
use ligo_arch::{ModelConfig, Task};
use ligo_cost::memory;
use ligo_cost::{TransformerDims, format};
use ligo_data::{Batch, CausalBatch, Cursor, ImageBatch, MlmBatch};
use ligo_train::{BatchSource, Optimizer, ParamStore, PretrainObjective, TrainConfig};
use serde_json::Value;

use super::rates::Machine;
use crate::{Failure, cost};

/// How long the probe goes on after its first step.
const BUDGET: Duration = Duration::from_secs(3);
/// A step should not take longer than about this.
const STEP_SECONDS: f64 = 1.0;
/// Share of the peak from which the size of a step is guessed.
const GUESS: f64 = 0.3;

/// What a probe found.
#[derive(Clone, Copy, Debug)]
pub struct Probed {
    /// The matmul peak: the better one of before and after the steps, since other programs may have been busy.
    pub peak_flops: f64,
    /// The share of it that a whole step of the recipe reaches.
    pub utilization: f64,
    /// Steps that were timed.
    pub steps: usize,
    /// Sequences of each.
    pub sequences: usize,
    /// Seconds of each.
    pub step_seconds: f64,
    /// Power meanwhile, where an instrument tells.
    pub watts: Option<f64>,
}

impl fmt::Display for Probed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the share was measured in {} steps of the large model with {} sequences, {} each",
            self.steps,
            self.sequences,
            format::duration(Duration::from_secs_f64(self.step_seconds))
        )
    }
}

/// Times the training step of a model.
///
/// The batch is that of the recipe, or as much of it as takes about a second. The update is timed apart, since the recipe pays it
/// once a step, however many micro-batches there are.
///
/// # Errors
/// The model does not fit into the memory that is free, or the device fails.
pub fn probe(
    config: &ModelConfig,
    whole: &TrainConfig,
    dims: &TransformerDims,
    machine: &Machine,
    device: &Device,
) -> Result<Probed, Failure> {
    let sequence_seconds = cost::step(dims, 1).exact / (GUESS * machine.peak_flops);
    let sequences = ((STEP_SECONDS / sequence_seconds) as usize).clamp(1, whole.batch_size);
    let train = TrainConfig {
        batch_size: sequences,
        accumulation: 1,
        ..whole.clone()
    };
    let table = config.table();
    let needed = memory::training(
        table.num_parameters(),
        dims,
        super::batch(&train, train.numbers_kept(&table)),
    );
    let needed_bytes = needed.total_bytes();
    if let Some(free) =
        ligo_device::power::available_bytes().filter(|free| !machine.is_gpu && needed_bytes > *free as f64)
    {
        return Err(Failure::other(
            format!(
                "a step of the large model needs {}, and {} are free",
                format::bytes(needed_bytes),
                format::bytes(free as f64)
            ),
            "give --utilization, or take smaller micro-batches: --set large.train.batch_size=1",
        ));
    }
    let values = ligo_growth::init::initial_values(&table, config.initializer_range(), 1);
    let mut store = ligo_pretrained::host_store(&table, values, device)?;
    let objective = PretrainObjective::new(config, &[], device)?;
    let mut optimizer = Optimizer::new(train.optimizer, &store);
    let source = Made(made(config, dims, sequences));
    let mut step = |number| {
        ligo_train::train_step(
            &train,
            &objective,
            &mut store,
            &mut optimizer,
            &source,
            number,
            Cursor::default(),
        )
    };
    // The first step compiles kernels, wakes threads and makes the allocator ask for memory.
    step(0)?;
    let mut meter = machine.power.meter();
    let before = meter.joules();
    let begin = Instant::now();
    let mut steps = 0;
    while steps == 0 || begin.elapsed() < BUDGET {
        steps += 1;
        step(steps as u64)?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    let after = meter.joules();
    let watts = before.zip(after).filter(|(_, after)| after.measured);
    let step_seconds = seconds / steps as f64;

    let update_seconds = update(&train, &mut store, &mut optimizer)?;
    // A whole step of the recipe: all its sequences, and one update.
    let passes_seconds = (step_seconds - update_seconds).max(0.0) / sequences as f64;
    let whole_seconds = passes_seconds * whole.sequences_per_step() as f64 + update_seconds;
    let flops = cost::step(dims, whole.sequences_per_step()).exact;
    let peak_flops = machine.peak_flops.max(Machine::peak_of(device, whole.precision));
    Ok(Probed {
        peak_flops,
        utilization: flops / whole_seconds / peak_flops,
        steps,
        sequences,
        step_seconds,
        watts: watts.map(|(before, after)| (after.joules - before.joules) / seconds),
    })
}

/// Seconds of one update, with the weights in the place of gradients.
fn update(train: &TrainConfig, store: &mut ParamStore, optimizer: &mut Optimizer) -> Result<f64, Failure> {
    let mut gradients = Vec::with_capacity(store.len());
    for info in store.infos() {
        gradients.push(Some(store.value(&info.name)?.clone().mul_scalar(1e-3)));
    }
    let wait = |store: &ParamStore| -> Result<(), Failure> {
        let waited = store.device().sync();
        waited.map_err(|error| ligo_train::Error::of_device("update the weights", error.to_string()).into())
    };
    wait(store)?;
    let begin = Instant::now();
    optimizer.update(store, gradients, train.lr(0), 1.0)?;
    wait(store)?;
    Ok(begin.elapsed().as_secs_f64())
}

/// The same batch for ever.
struct Made(Batch);

impl BatchSource for Made {
    fn batch_at(&self, cursor: Cursor, _: usize) -> Result<(Batch, Cursor), ligo_data::Error> {
        Ok((self.0.clone(), cursor))
    }

    fn identity(&self) -> Value {
        Value::Null
    }
}

/// Data of the right shape: every token of the vocabulary in turn, evenly spread masks, gray images.
fn made(config: &ModelConfig, dims: &TransformerDims, sequences: usize) -> Batch {
    let (length, words) = (dims.seq_len, config.vocab_size().max(1));
    let count = sequences * length;
    let ids = |count: usize, from: usize| (0..count).map(|i| ((i + from) % words) as i32).collect::<Vec<_>>();
    match (config.task(), config.patches()) {
        (Task::ImageClassification { labels }, Some(patches)) => {
            let [height, width] = patches.image;
            ImageBatch {
                batch_size: sequences,
                channels: patches.channels,
                height,
                width,
                num_classes: labels,
                pixels: vec![0.5; sequences * patches.channels * height * width],
                targets: vec![1.0 / labels as f32; sequences * labels],
                labels: vec![0; sequences],
            }
            .into()
        }
        (Task::MaskedLm, _) => {
            let masked = ((count as f64 * dims.predicted.fraction(length)) as usize).clamp(1, count);
            MlmBatch {
                batch_size: sequences,
                seq_len: length,
                input_ids: ids(count, 0),
                attention_mask: None,
                masked_positions: (0..masked).map(|i| (i * count / masked) as i32).collect(),
                labels: ids(masked, 1),
            }
            .into()
        }
        _ => CausalBatch {
            batch_size: sequences,
            seq_len: length,
            input_ids: ids(count, 0),
            labels: ids(count, 1),
            document_ids: None,
            position_ids: None,
        }
        .into(),
    }
}
