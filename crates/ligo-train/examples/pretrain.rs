//! Pretrains a tiny BERT on a text file: what a program that embeds `ligo-train` looks like.
//!
//! ```text
//! cargo run --release -p ligo-train --example pretrain -- tests/fixtures/golden/text.txt runs/tiny
//! ```
//!
//! Stop it with Ctrl-C and start it again: it goes on from its last checkpoint.
#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use burn::tensor::Device;
use ligo_arch::{BertConfig, ModelConfig};
use ligo_data::{Corpus, Masking, MlmLoader, TokenStore, Tokenizer, Watch, WordPieceTraining};
use ligo_train::{
    EvalPoint, Event, LrSchedule, Observer, ParamInfo, ParamStore, PretrainObjective, RunData, ScheduleKind,
    StepReport, TrainConfig, Trainer,
};

struct Lines;

impl Observer for Lines {
    fn on_step(&mut self, report: &StepReport) {
        if report.step.is_multiple_of(20) {
            println!(
                "step {:4}  loss {:.3}  {:.0} tokens/s",
                report.step,
                report.loss,
                report.tokens_per_second()
            );
        }
    }

    fn on_eval(&mut self, point: &EvalPoint) {
        println!("step {:4}  validation loss {:.4}", point.step, point.loss);
    }

    fn on_event(&mut self, event: &Event) {
        println!("{event:?}");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let (Some(text), Some(run_dir)) = (arguments.next(), arguments.next()) else {
        return Err("usage: pretrain TEXT_FILE RUN_DIR".into());
    };
    ligo_ops::tune_allocator();
    let device = Device::flex();

    // Text to tokens, once.
    let corpus = Corpus::open(&[text])?;
    let training = WordPieceTraining {
        vocab_size: 1000,
        ..WordPieceTraining::default()
    };
    let tokens = run_dir.join("tokens");
    let tokens = if tokens.exists() {
        TokenStore::open(&tokens)?
    } else {
        let tokenizer = Tokenizer::train(&corpus, &training, Watch::none())?;
        TokenStore::build(&tokens, &corpus, &tokenizer, Watch::none())?
    };

    let config = TrainConfig {
        steps: 200,
        batch_size: 16,
        eval_every: 50,
        eval_batches: 8,
        checkpoint_every: 50,
        schedule: LrSchedule {
            kind: ScheduleKind::Linear,
            peak_lr: 1e-3,
            warmup_steps: 20,
            ..LrSchedule::default()
        },
        ..TrainConfig::default()
    };

    // The model: a configuration, names and shapes, and fresh values.
    let mut bert = BertConfig::new(tokens.info().vocab_size, 64, 2, 4);
    bert.max_position_embeddings = 64;
    let model = ModelConfig::Bert(bert);
    let objective = PretrainObjective::new(&model, &[], &device)?;
    let table = model.table();
    let fresh = ligo_growth::init::initial_values(&table, model.initializer_range(), config.seed);
    let params = fresh.map(|(name, shape, values)| {
        let decay = table.get(&name).is_some_and(|p| p.spec.role.decays());
        (ParamInfo { name, shape, decay }, values)
    });
    let store = ParamStore::from_values(params, &device)?;
    println!("{} parameters", store.num_parameters());

    // The same file for training and validation keeps the example short; a real program splits its text.
    let loader = MlmLoader::new(Arc::new(tokens), config.loader_settings(64, Masking::default()))?;
    let valid: Vec<_> = loader
        .validation_batches(config.batch_size, config.eval_batches)?
        .map(ligo_data::Batch::from)
        .collect();
    let data = RunData {
        train: &loader,
        valid: &valid,
    };
    let mut trainer = Trainer::new(config, &objective, store, data, &run_dir)?;
    let result = trainer.run(&AtomicBool::new(false), &mut Lines)?;
    println!("{:?} after {:.1} s of training", result.outcome, result.cost.seconds);
    Ok(())
}
