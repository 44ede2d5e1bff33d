//! Trains a tiny BERT whose layers two ranks compute together, and says what they sent each other.
//!
//! ```text
//! cargo run --release -p ligo-train --example tensor_parallel -- tests/fixtures/golden/text.txt
//! ```
//!
//! The ranks are threads here. With `ligo_mpi::Mpi` in place of [`ThreadRank`] they are processes, on one machine or many, and `train` stays as it is.
#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::Device;
use ligo_arch::{BertConfig, ModelConfig};
use ligo_data::{Corpus, Cursor, Masking, MlmLoader, TokenStore, Tokenizer, Watch, WordPieceTraining};
use ligo_train::{
    Collective, Error, LrSchedule, Optimizer, ParamInfo, SplitObjective, ThreadRank, TrainConfig, train_step,
};

const RANKS: usize = 2;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(text) = std::env::args().nth(1).map(PathBuf::from) else {
        return Err("usage: tensor_parallel TEXT_FILE".into());
    };
    ligo_ops::tune_allocator();

    let corpus = Corpus::open(&[text])?;
    let training = WordPieceTraining {
        vocab_size: 1000,
        ..WordPieceTraining::default()
    };
    let tokenizer = Tokenizer::train(&corpus, &training, Watch::none())?;
    let folder = tempfile::tempdir()?;
    let tokens = TokenStore::build(&folder.path().join("tokens"), &corpus, &tokenizer, Watch::none())?;
    let tokens = Arc::new(tokens);

    let mut bert = BertConfig::new(tokens.info().vocab_size, 64, 2, 4);
    bert.max_position_embeddings = 64;
    let model = ModelConfig::Bert(bert);
    std::thread::scope(|scope| {
        let threads: Vec<_> = ThreadRank::all(RANKS)
            .into_iter()
            .map(|rank| scope.spawn(|| train(&model, &tokens, rank)))
            .collect();
        for thread in threads {
            thread.join().map_err(|_| "a rank panicked")??;
        }
        Ok(())
    })
}

/// What each rank does. All read the same batches.
fn train(
    model: &ModelConfig,
    tokens: &Arc<TokenStore>,
    ranks: impl Collective + Send + Sync + 'static,
) -> Result<(), Error> {
    let config = TrainConfig {
        steps: 60,
        batch_size: 16,
        schedule: LrSchedule {
            peak_lr: 1e-3,
            warmup_steps: 10,
            ..LrSchedule::default()
        },
        ..TrainConfig::default()
    };
    let device = Device::flex();
    let speaks = ranks.rank() == 0;
    let objective = SplitObjective::new(model, &[], ranks, &device)?;

    // Each rank makes or reads the whole model, one tensor after the other, and keeps its part.
    let table = model.table();
    let fresh = ligo_growth::init::initial_values(&table, model.initializer_range(), config.seed);
    let params = fresh.map(|(name, shape, values)| {
        let decay = table.get(&name).is_some_and(|p| p.spec.role.decays());
        (ParamInfo { name, shape, decay }, values)
    });
    let mut store = objective.part_of(params, &device)?;
    let mut optimizer = Optimizer::new(config.optimizer, &store);
    let loader = MlmLoader::new(Arc::clone(tokens), config.loader_settings(64, Masking::default()))?;

    let mut cursor = Cursor::default();
    for step in 0..config.steps {
        let (loss, next) = train_step(&config, &objective, &mut store, &mut optimizer, &loader, step, cursor)?;
        cursor = next;
        if speaks && step.is_multiple_of(10) {
            println!("step {step:3}  loss {loss:.3}");
        }
    }

    // Put together again it is the model that one rank would have: what a checkpoint should hold.
    let whole = objective.whole(&store)?;
    if speaks {
        let count: usize = whole.iter().map(|(info, _)| info.num_elements()).sum();
        let sums = objective.ranks().sums();
        println!("{} of {count} parameters on each rank", store.num_parameters());
        println!(
            "{} sums of {} bytes a step",
            sums.count / config.steps,
            sums.bytes / config.steps
        );
    }
    Ok(())
}
