//! A training step of every family, with and without dropout, and one of learning an operator.

use std::error::Error;

use burn::tensor::{Device, Tensor};
use ligo_arch::{BertConfig, CaitConfig, Gpt2Config, LlamaConfig, ModelConfig, VitConfig};
use ligo_data::{Batch, CausalBatch, Cursor, ImageBatch, MlmBatch};
use ligo_growth::{LigoConfig, LigoOperator, MemorySource, init::initial_values};
use ligo_ops::GeluKind;
use ligo_train::{
    BatchSource, DistillObjective, Distillation, Leaves, Objective, OperatorObjective, Optimizer, ParamInfo,
    ParamStore, PretrainObjective, TrainConfig, train_step,
};

const VOCABULARY: usize = 1000;
const BATCH: usize = 4;
const LENGTH: usize = 32;
const CLASSES: usize = 10;

/// Runs them all. What a device without kernels computes is of no interest; that nothing fails is.
pub fn run(device: &Device) -> Result<(), Box<dyn Error>> {
    for dropout in [0.0, 0.1] {
        for model in [
            bert(2, dropout),
            gpt2(dropout),
            llama(dropout),
            vit(dropout),
            cait(dropout),
        ] {
            let objective = PretrainObjective::new(&model, &[], device)?;
            step(&objective, start(&model, device)?, batch_for(&model))?;
        }
    }
    distilled_step(&gpt2(0.0), device)?;
    gelu_alone(device)?;
    let (small, large) = (bert(2, 0.0), bert(4, 0.0));
    let operator = LigoOperator::new(&small.table(), &large.table(), &LigoConfig::default(), 1)?;
    let mut source = MemorySource::new(initial_values(&small.table(), 0.02, 7));
    let objective = OperatorObjective::new(operator, &large, &mut source, device)?;
    step(&objective, objective.start(device)?, batch_for(&large))
}

/// The operation that every model has in a fused form.
fn gelu_alone(device: &Device) -> Result<(), Box<dyn Error>> {
    for kind in [GeluKind::Erf, GeluKind::Tanh] {
        let x = Tensor::<2>::ones([BATCH, LENGTH], &device.clone().autodiff()).require_grad();
        let gradients = ligo_ops::gelu(x.clone(), kind).sum().backward();
        let gradient = x.grad(&gradients).ok_or("no gradient")?;
        gradient.try_into_data()?;
    }
    Ok(())
}

/// A step with a teacher, here the model itself.
fn distilled_step(model: &ModelConfig, device: &Device) -> Result<(), Box<dyn Error>> {
    let student = PretrainObjective::new(model, &[], device)?;
    let store = start(model, device)?;
    let teacher = student.model(&Leaves::plain(&store))?;
    step(&DistillObjective::new(student, teacher), store, batch_for(model))
}

/// Two batches that are summed up, and an update.
fn step(objective: &dyn Objective, mut store: ParamStore, batch: Batch) -> Result<(), Box<dyn Error>> {
    let config = TrainConfig {
        batch_size: BATCH,
        accumulation: 2,
        distillation: Some(Distillation::default()),
        ..TrainConfig::default()
    };
    let mut optimizer = Optimizer::new(config.optimizer, &store);
    let batch = OneBatch(batch);
    train_step(
        &config,
        objective,
        &mut store,
        &mut optimizer,
        &batch,
        0,
        Cursor::default(),
    )?;
    // Only what is read back is sure to have been asked for.
    store.to_values()?;
    Ok(())
}

fn start(model: &ModelConfig, device: &Device) -> Result<ParamStore, ligo_train::Error> {
    let table = model.table();
    let values = initial_values(&table, 0.02, 7).map(|(name, shape, values)| {
        let decay = true;
        (ParamInfo { name, shape, decay }, values)
    });
    ParamStore::from_values(values.collect::<Vec<_>>(), device)
}

fn bert(layers: usize, dropout: f64) -> ModelConfig {
    let mut config = BertConfig::new(VOCABULARY, 32 * layers, layers, layers);
    config.hidden_dropout_prob = dropout;
    config.attention_probs_dropout_prob = dropout;
    ModelConfig::Bert(config)
}

fn gpt2(dropout: f64) -> ModelConfig {
    let mut config = Gpt2Config::new(VOCABULARY, 64, 2, 2);
    config.resid_pdrop = dropout;
    config.embd_pdrop = dropout;
    config.attn_pdrop = dropout;
    ModelConfig::Gpt2(config)
}

fn llama(dropout: f64) -> ModelConfig {
    let mut config = LlamaConfig::new(VOCABULARY, 64, 2, 4, 128);
    config.num_key_value_heads = Some(2);
    config.attention_dropout = dropout;
    ModelConfig::Llama(config)
}

fn vit(dropout: f64) -> ModelConfig {
    let mut config = VitConfig::new(64, 2, 2, CLASSES);
    config.hidden_dropout_prob = dropout;
    config.attention_probs_dropout_prob = dropout;
    ModelConfig::Vit(config)
}

fn cait(dropout: f64) -> ModelConfig {
    let mut config = CaitConfig::new(64, 2, 2, CLASSES);
    config.hidden_dropout_prob = dropout;
    config.attention_probs_dropout_prob = dropout;
    config.drop_path_rate = dropout;
    ModelConfig::Cait(config)
}

fn batch_for(model: &ModelConfig) -> Batch {
    let tokens = || -> Vec<i32> { (0..BATCH * LENGTH).map(|i| (i * 7919 % VOCABULARY) as i32).collect() };
    match model {
        ModelConfig::Vit(_) | ModelConfig::Cait(_) => Batch::Images(ImageBatch {
            batch_size: BATCH,
            channels: 3,
            height: 224,
            width: 224,
            num_classes: CLASSES,
            pixels: vec![0.5; BATCH * 3 * 224 * 224],
            targets: (0..BATCH * CLASSES)
                .map(|i| f32::from(u8::from(i % CLASSES == 0)))
                .collect(),
            labels: vec![0; BATCH],
        }),
        ModelConfig::Bert(_) | ModelConfig::DistilBert(_) | ModelConfig::ModernBert(_) => {
            let masked_positions: Vec<i32> = (0..BATCH * LENGTH).step_by(7).map(|i| i as i32).collect();
            Batch::Masked(MlmBatch {
                batch_size: BATCH,
                seq_len: LENGTH,
                input_ids: tokens(),
                attention_mask: Some((0..BATCH * LENGTH).map(|i| u8::from(i % LENGTH < LENGTH - 2)).collect()),
                labels: vec![3; masked_positions.len()],
                masked_positions,
            })
        }
        ModelConfig::Gpt2(_)
        | ModelConfig::GptNeox(_)
        | ModelConfig::Llama(_)
        | ModelConfig::Gemma(_)
        | ModelConfig::Opt(_) => Batch::Causal(CausalBatch {
            batch_size: BATCH,
            seq_len: LENGTH,
            input_ids: tokens(),
            labels: tokens(),
            document_ids: Some((0..BATCH * LENGTH).map(|i| i32::from(i % LENGTH >= 20)).collect()),
            position_ids: Some((0..BATCH * LENGTH).map(|i| (i % LENGTH % 20) as i32).collect()),
        }),
    }
}

/// One batch, again and again.
struct OneBatch(Batch);

impl BatchSource for OneBatch {
    fn batch_at(&self, cursor: Cursor, _: usize) -> Result<(Batch, Cursor), ligo_data::Error> {
        Ok((self.0.clone(), cursor))
    }

    fn identity(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
}
