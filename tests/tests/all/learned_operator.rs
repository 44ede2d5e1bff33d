//! Learning an operator helps, and what was learned is what is written.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use burn::tensor::Device;
use ligo_arch::{BertConfig, ModelConfig};
use ligo_data::{Batch, Corpus, Masking, MlmLoader, TokenStore, Tokenizer, Watch};
use ligo_growth::stream::{GrowOptions, grow_directory};
use ligo_growth::{FurtherInit, LigoConfig, LigoOperator, Sharing, WidthInit, init};
use ligo_pretrained::open_model;
use ligo_pretrained::{Beside, host_store, load_store, save_model};
use ligo_train::{
    Objective, OperatorObjective, ParamStore, PretrainObjective, RunData, Silent, TrainConfig, TrainResult, Trainer,
    evaluate,
};

/// Words of the text that the models learn.
const WORDS: usize = 40;
const VOCAB: usize = WORDS + 5;
const SEQ_LEN: usize = 18;

/// A text in which a word mostly says what the next one is.
fn loader(folder: &Path, seed: u64) -> MlmLoader {
    let mut vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n".to_owned();
    (0..WORDS).for_each(|word| vocab.push_str(&format!("w{word}\n")));
    fs::write(folder.join("vocab.txt"), vocab).unwrap();
    let mut state = seed;
    let mut word = 0;
    let mut text = String::new();
    for _ in 0..6000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let draw = (state >> 33) as usize;
        word = if draw.is_multiple_of(8) {
            draw / 8 % WORDS
        } else {
            (3 * word + 1) % WORDS
        };
        text.push_str(&format!("w{word} "));
    }
    let name = format!("text{seed}.txt");
    fs::write(folder.join(&name), text).unwrap();
    let corpus = Corpus::open(&[folder.join(&name)]).unwrap();
    let tokenizer = Tokenizer::open(&folder.join("vocab.txt")).unwrap();
    let store = TokenStore::build(
        &folder.join(format!("tokens{seed}")),
        &corpus,
        &tokenizer,
        Watch::none(),
    );
    let settings = TrainConfig::default().loader_settings(SEQ_LEN, Masking::default());
    MlmLoader::new(Arc::new(store.unwrap()), settings).unwrap()
}

fn config(hidden: usize, layers: usize, heads: usize) -> ModelConfig {
    ModelConfig::Bert(BertConfig {
        max_position_embeddings: SEQ_LEN,
        hidden_dropout_prob: 0.0,
        attention_probs_dropout_prob: 0.0,
        ..BertConfig::new(VOCAB, hidden, layers, heads)
    })
}

struct Data {
    train: MlmLoader,
    valid: Vec<Batch>,
}

impl Data {
    fn new(folder: &Path) -> Self {
        let valid = loader(folder, 2);
        let valid = valid
            .validation_batches(16, usize::MAX)
            .unwrap()
            .map(Batch::from)
            .collect();
        Self {
            train: loader(folder, 1),
            valid,
        }
    }

    fn train(
        &self,
        objective: &dyn Objective,
        start: ParamStore,
        steps: u64,
        lr: f64,
        folder: &Path,
    ) -> (ParamStore, TrainResult) {
        let mut train = TrainConfig {
            steps,
            batch_size: 16,
            eval_every: 0,
            ..TrainConfig::default()
        };
        train.schedule.peak_lr = lr;
        train.schedule.warmup_steps = 0;
        let data = RunData {
            train: &self.train,
            valid: &self.valid,
        };
        let mut trainer = Trainer::new(train, objective, start, data, folder).unwrap();
        let result = trainer.run(&AtomicBool::new(false), &mut Silent).unwrap();
        (trainer.into_store(), result)
    }

    fn loss(&self, objective: &dyn Objective, store: &ParamStore) -> f64 {
        evaluate(objective, store, &self.valid, &AtomicBool::new(false), &mut |_| {})
            .unwrap()
            .unwrap()
    }
}

/// Pretrains a small model and writes it.
fn small_model(data: &Data, folder: &Path) -> ModelConfig {
    let config = config(16, 2, 2);
    let table = config.table();
    let device = Device::flex();
    let start = host_store(&table, init::initial_values(&table, 0.02, 3), &device).unwrap();
    let objective = PretrainObjective::new(&config, &[], &device).unwrap();
    let (store, result) = data.train(&objective, start, 150, 1e-2, &folder.join("small-run"));
    let (first, last) = (result.curve[0].loss, result.final_loss().unwrap());
    assert!(last < first - 0.5, "the small model learned nothing: {first} to {last}");
    save_model(&store, &config, &folder.join("small"), Beside::default()).unwrap();
    config
}

#[test]
fn a_learned_operator_lowers_the_loss_and_is_written_as_it_was_learned() {
    let folder = tempfile::tempdir().unwrap();
    let data = Data::new(folder.path());
    let small = small_model(&data, folder.path());
    let large = config(24, 3, 3);
    let device = Device::flex();
    let shared = |sharing| LigoConfig {
        sharing,
        ..LigoConfig::default()
    };
    // Copies divided by their number are undone by steps that mixtures of channels do not mind.
    let configs = [
        (shared(Sharing::Shared), 5e-3),
        (
            LigoConfig {
                fixed_identity: true,
                ..shared(Sharing::PerSmallLayer)
            },
            5e-3,
        ),
        (shared(Sharing::PerLargeLayer), 5e-3),
        // With the small model's weights, and what is added to the grown ones.
        (
            LigoConfig {
                tune_small_model: true,
                tune_residual: true,
                ..shared(Sharing::Shared)
            },
            5e-3,
        ),
        // Net2Net and the layer above, free columns.
        (
            LigoConfig {
                terms: 2,
                further: FurtherInit::Above,
                tied: false,
                width_init: WidthInit::Fpi,
                ..shared(Sharing::Shared)
            },
            1e-3,
        ),
    ];
    for (i, (ligo, rate)) in configs.into_iter().enumerate() {
        let mut source = open_model(&folder.path().join("small")).unwrap().dir;
        let operator = LigoOperator::new(&small.table(), &large.table(), &ligo, 4).unwrap();
        let objective = OperatorObjective::new(operator, &large, &mut source, &device).unwrap();
        let start = objective.start(&device).unwrap();
        let (learned, result) = data.train(&objective, start, 25, rate, &folder.path().join(format!("learn{i}")));
        let (before, after) = (result.curve[0].loss, result.final_loss().unwrap());
        println!("{ligo:?}: {before} to {after}");
        assert!(
            after < before - 0.03,
            "{ligo:?}: 25 steps moved the loss from {before} to {after}"
        );
        assert!((data.loss(&objective, &learned) - after).abs() < 1e-12);

        let target = folder.path().join(format!("grown{i}"));
        grow_directory(
            &objective.map(&learned),
            &mut source,
            &small,
            &large,
            &target,
            &GrowOptions::default(),
            &device,
            &mut |_, _| true,
        )
        .unwrap();
        let (config, store, _) = load_store(&target, &device).unwrap();
        assert_eq!(config, large);
        let written = PretrainObjective::new(&config, &[], &device).unwrap();
        let loss = data.loss(&written, &store);
        assert!(
            (loss - after).abs() <= 1e-5,
            "{ligo:?}: learned {after}, written {loss}"
        );
    }
}
