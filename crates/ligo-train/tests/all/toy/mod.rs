//! A BERT of 2 layers and hidden size 16 on made-up words.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Device;
use ligo_arch::{BertConfig, ModelConfig};
use ligo_data::{Batch, Corpus, LoaderSettings, Masking, MlmLoader, TokenStore, Tokenizer, Watch, WordPieceTraining};
use ligo_train::{
    Distillation, Error, EvalPoint, Event, Freeze, LayerDrop, LrSchedule, Objective, Observer, ParamInfo, ParamStore,
    PretrainObjective, RunData, ScheduleKind, StepReport, Submodels, TokenDropping, TrainConfig, TrainResult, Trainer,
};

pub const SEQ_LEN: usize = 10;

/// Data and model of the tests; everything is a function of constants.
pub struct Toy {
    pub folder: tempfile::TempDir,
    pub tokens: Arc<TokenStore>,
    pub model: ModelConfig,
    pub objective: PretrainObjective,
    pub valid: Vec<Batch>,
}

impl Toy {
    pub fn new() -> Self {
        Self::with_dropout(0.1)
    }

    pub fn with_dropout(dropout: f64) -> Self {
        Self::with(dropout, 2)
    }

    pub fn with_layers(layers: usize) -> Self {
        Self::with(0.1, layers)
    }

    fn with(dropout: f64, layers: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text.txt");
        std::fs::write(&text, made_up_text()).unwrap();
        let corpus = Corpus::open(&[text]).unwrap();
        let training = WordPieceTraining {
            vocab_size: 64,
            ..WordPieceTraining::default()
        };
        let tokenizer = Tokenizer::train(&corpus, &training, Watch::none()).unwrap();
        let tokens = TokenStore::build(&folder.path().join("tokens"), &corpus, &tokenizer, Watch::none()).unwrap();
        let mut bert = BertConfig::new(tokens.info().vocab_size, 16, layers, 2);
        bert.max_position_embeddings = SEQ_LEN;
        bert.hidden_dropout_prob = dropout;
        bert.attention_probs_dropout_prob = dropout;
        bert.initializer_range = 0.1;
        let model = ModelConfig::Bert(bert);
        let objective = PretrainObjective::new(&model, &[], &Device::flex()).unwrap();
        let tokens = Arc::new(tokens);
        let validation = loader(&tokens, 1, true);
        let valid = validation.validation_batches(4, 3).unwrap().map(Batch::from).collect();
        Self {
            folder,
            tokens,
            model,
            objective,
            valid,
        }
    }

    pub fn loader(&self, shuffle: bool) -> MlmLoader {
        loader(&self.tokens, 1, shuffle)
    }

    /// Start values: a fixed pseudo-random sequence.
    pub fn store(&self) -> ParamStore {
        let table = self.model.table();
        let params = self.objective.param_shapes().into_iter().map(|(name, shape)| {
            let decay = table.get(&name).unwrap().spec.role.decays();
            let count: usize = shape.iter().product();
            let values = if name.ends_with("LayerNorm.weight") {
                vec![1.0; count]
            } else {
                let mut x: u32 = name.bytes().map(u32::from).sum();
                let mut next = || {
                    x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    ((x >> 8) as f32 / 8_388_608.0 - 1.0) * 0.15
                };
                (0..count).map(|_| next()).collect()
            };
            (ParamInfo { name, shape, decay }, values)
        });
        ParamStore::from_values(params, &Device::flex()).unwrap()
    }

    pub fn trainer<'a>(
        &'a self,
        config: &TrainConfig,
        loader: &'a MlmLoader,
        objective: &'a dyn Objective,
        run_dir: &Path,
    ) -> Trainer<'a> {
        let data = RunData {
            train: loader,
            valid: &self.valid,
        };
        Trainer::new(config.clone(), objective, self.store(), data, run_dir).unwrap()
    }
}

fn loader(tokens: &Arc<TokenStore>, seed: u64, shuffle: bool) -> MlmLoader {
    let settings = LoaderSettings {
        seq_len: SEQ_LEN,
        seed,
        shuffle,
        masking: Masking::default(),
    };
    MlmLoader::new(Arc::clone(tokens), settings).unwrap()
}

fn made_up_text() -> String {
    let words = ["ab", "ba", "cab", "dab", "bad", "cad", "add", "dad", "abba", "baba"];
    let mut text = String::new();
    for i in 0..120_usize {
        for j in 0..8 {
            text.push_str(words[(i * i + 3 * j + i * j) % words.len()]);
            text.push(' ');
        }
        text.push_str("\n\n");
    }
    text
}

/// 24 steps, two micro-batches each, evaluation and checkpoints at odd places.
pub fn config() -> TrainConfig {
    TrainConfig {
        steps: 24,
        batch_size: 3,
        accumulation: 2,
        schedule: LrSchedule {
            kind: ScheduleKind::Cosine,
            peak_lr: 5e-3,
            warmup_steps: 3,
            ..LrSchedule::default()
        },
        clip_norm: 0.5,
        eval_every: 5,
        checkpoint_every: 7,
        checkpoint_every_seconds: 0.0,
        seed: 11,
        ..TrainConfig::default()
    }
}

/// The same with so many micro-batches of two sequences, for ranks to share.
pub fn with_micro_batches(accumulation: usize) -> TrainConfig {
    TrainConfig {
        accumulation,
        batch_size: 2,
        ..config()
    }
}

/// Settings of what steps leave out, which a short run of the toy with four layers notices.
pub fn layer_drop() -> Option<LayerDrop> {
    Some(LayerDrop {
        max_rate: 0.6,
        ..LayerDrop::default()
    })
}

/// As [`layer_drop`].
pub fn token_drop() -> Option<TokenDropping> {
    Some(TokenDropping {
        rate: 0.4,
        ..TokenDropping::default()
    })
}

/// As [`layer_drop`].
pub fn submodels() -> Option<Submodels> {
    Some(Submodels {
        block: Some(1),
        share: 0.5,
    })
}

/// As [`layer_drop`].
pub fn freeze() -> Option<Freeze> {
    Some(Freeze {
        layers: 2,
        share: 0.5,
        ..Freeze::default()
    })
}

/// A teacher for half of a run.
pub fn distillation() -> Option<Distillation> {
    Some(Distillation {
        share: 0.5,
        ..Distillation::default()
    })
}

/// Stops a run at a moment and notes what it reported.
#[derive(Default)]
pub struct Watcher {
    pub stop_after_step: Option<u64>,
    pub stop_in_evaluation: Option<usize>,
    pub steps: Vec<StepReport>,
    pub evals: Vec<EvalPoint>,
    pub events: Vec<Event>,
    pub eval_batches: usize,
}

impl Watcher {
    pub fn stopping_after(step: u64) -> Self {
        Self {
            stop_after_step: Some(step),
            ..Self::default()
        }
    }
}

/// The observer half, apart from the flag that `run` borrows.
pub struct Eyes<'a>(pub &'a mut Watcher, pub &'a AtomicBool);

impl Observer for Eyes<'_> {
    fn on_step(&mut self, report: &StepReport) {
        self.0.steps.push(*report);
        if self.0.stop_after_step == Some(report.step) {
            self.1.store(true, Ordering::Relaxed);
        }
    }

    fn on_eval(&mut self, point: &EvalPoint) {
        self.0.evals.push(*point);
    }

    fn on_eval_batch(&mut self, _done: usize, _total: usize) {
        self.0.eval_batches += 1;
        if self.0.stop_in_evaluation == Some(self.0.eval_batches) {
            self.1.store(true, Ordering::Relaxed);
        }
    }

    fn on_event(&mut self, event: &Event) {
        self.0.events.push(event.clone());
    }
}

pub fn run(trainer: &mut Trainer<'_>, watcher: &mut Watcher) -> Result<TrainResult, Error> {
    let stop = AtomicBool::new(false);
    trainer.run(&stop, &mut Eyes(watcher, &stop))
}

/// Weights, moments and their names as bits, and the number of updates.
pub fn bits(trainer: &Trainer<'_>) -> (BTreeMap<String, Vec<u32>>, u64) {
    let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let mut all = BTreeMap::new();
    for (info, values) in trainer.store().to_values().unwrap() {
        all.insert(format!("weight {}", info.name), bits(&values));
    }
    for (name, m, v) in trainer.optimizer().to_moments(trainer.store()).unwrap() {
        all.insert(format!("m {name}"), bits(&m));
        all.insert(format!("v {name}"), bits(&v));
    }
    (all, trainer.optimizer().updates())
}

/// What of a result must not depend on interruptions: everything but the clock.
pub fn timeless(result: &TrainResult) -> TrainResult {
    let mut result = result.clone();
    result.cost.seconds = 0.0;
    result.eval_seconds = 0.0;
    result.save_seconds = 0.0;
    for point in &mut result.curve {
        point.cost.seconds = 0.0;
    }
    result
}
