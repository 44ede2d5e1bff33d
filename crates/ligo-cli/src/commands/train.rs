//! `ligo train`: train one model on a token store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ligo_arch::{ModelConfig, Task};
use ligo_data::{TokenStore, Tokenizer};
use ligo_train::TrainConfig;
use serde_json::json;

use crate::device::Picked;
use crate::recipe::{DataSection, Recipe, merged};
use crate::run::dataset::{Content, Tokens};
use crate::run::{Dataset, Session, Training, stage};
use crate::{Failure, Ui};

/// Where tokens are and how they are read; shared by the commands that train.
#[derive(Debug, clap::Args)]
pub struct TokenArgs {
    /// A folder that `ligo tokenize` (or a run) made, with tokenizer/ and tokens/.
    #[arg(long, value_name = "DIR")]
    pub tokens: PathBuf,
    /// Tokens of a sample, special ones included.
    #[arg(long, default_value_t = 128)]
    pub seq_len: usize,
    /// Share of tokens that a masked model predicts.
    #[arg(long, default_value_t = 0.15)]
    pub mask_probability: f64,
    /// Causal models: let a token see its own document only, and count positions anew in each.
    #[arg(long)]
    pub stay_in_document: bool,
    /// Change a training setting, for example steps=2000 or schedule.peak_lr=5e-4.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
}

impl TokenArgs {
    /// The token stores, for models of this task.
    ///
    /// # Errors
    /// The folder is not one of `ligo tokenize`.
    pub fn dataset(&self, task: Task) -> Result<Dataset, Failure> {
        let tokenizer = self.tokens.join("tokenizer");
        let tokens = Tokens {
            train: Arc::new(TokenStore::open(&self.tokens.join("tokens/train"))?),
            valid: Arc::new(TokenStore::open(&self.tokens.join("tokens/valid"))?),
            vocab_size: Tokenizer::open(&tokenizer)?.vocab_size(),
            tokenizer,
        };
        let hashes = [&tokens.train, &tokens.valid].map(|store| store.info().tokens_sha256.clone());
        Ok(Dataset {
            baselines: tokens.baselines(task),
            name: self.tokens.display().to_string(),
            fingerprint: stage::fingerprint(&json!(hashes)),
            content: Content::Text(tokens),
        })
    }

    /// How tokens become samples.
    pub fn data(&self) -> DataSection {
        DataSection {
            seq_len: self.seq_len,
            mask_probability: self.mask_probability,
            stay_in_document: self.stay_in_document,
            ..DataSection::default()
        }
    }

    /// Training settings: `base` with the overrides.
    ///
    /// # Errors
    /// All faults at once.
    pub fn settings(&self, base: &TrainConfig) -> Result<TrainConfig, Failure> {
        let changes = crate::recipe::overrides(&self.overrides)?;
        let settings = merged(base, &changes, "--set").map_err(crate::run::faults)?;
        settings.validate()?;
        Ok(settings)
    }
}

/// Arguments of `ligo train`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ligo train --model assets/models/bert-mini-small.json --tokens corpus --out runs/small\n  ligo train --init grown/ --tokens corpus --out runs/large --set steps=5000\n\nThe trained model is in OUT/model; the same command again continues an interrupted run."
)]
pub struct TrainArgs {
    /// A config.json for a model that starts fresh.
    #[arg(long, value_name = "FILE", required_unless_present = "init", conflicts_with = "init")]
    pub model: Option<PathBuf>,
    /// A model directory to start from.
    #[arg(long, value_name = "DIR")]
    pub init: Option<PathBuf>,
    /// Tokens and settings.
    #[command(flatten)]
    pub tokens: TokenArgs,
    /// Seed of fresh weights, order, masks and dropout.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The run's folder.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Reads a configuration file and gives it the tokenizer's vocabulary size when it names none.
///
/// # Errors
/// The file cannot be read or is not a valid configuration for these tokens.
pub fn read_config(path: &Path, vocab_size: usize) -> Result<ModelConfig, Failure> {
    let text = std::fs::read(path).map_err(Failure::io("read", path))?;
    let not_json = |e: serde_json::Error| {
        Failure::other(
            format!("{} is not JSON: {e}", path.display()),
            "expected a Hugging Face config.json",
        )
    };
    let mut json: serde_json::Value = serde_json::from_slice(&text).map_err(not_json)?;
    if let Some(fields) = json.as_object_mut() {
        fields.entry("vocab_size").or_insert_with(|| vocab_size.into());
    }
    Ok(ModelConfig::from_json(&json)?)
}

/// Refuses a model whose vocabulary is smaller than the tokenizer's, or whose positions do not cover a sample.
///
/// # Errors
/// It is, or they do not.
pub fn check_fit(config: &ModelConfig, dataset: &Dataset, seq_len: usize) -> Result<(), Failure> {
    let positions = config.max_sequence_tokens();
    if positions < seq_len {
        return Err(Failure::other(
            format!("the model reads sequences of at most {positions} tokens, samples have {seq_len}"),
            format!("--seq-len {positions} fits"),
        ));
    }
    if config.vocab_size() >= dataset.vocab_size() {
        return Ok(());
    }
    Err(Failure::other(
        format!(
            "the model has a vocabulary of {}, the tokens in {} one of {}",
            config.vocab_size(),
            dataset.name,
            dataset.vocab_size()
        ),
        "tokenize the text with the model's own tokenizer: ligo tokenize --tokenizer MODEL_DIR",
    ))
}

/// Runs the command.
///
/// # Errors
/// Whatever training ends with.
pub fn run(args: &TrainArgs, picked: &Picked, ui: Ui) -> Result<(), Failure> {
    let train = crate::run::seeded(&args.tokens.settings(&TrainConfig::default())?, args.seed);
    std::fs::create_dir_all(&args.out).map_err(Failure::io("create", &args.out))?;
    let _lock = ligo_checkpoint::RunLock::acquire(&args.out)?;
    let session = Session::new(ui, picked);
    let (config, given, upstream) = match (&args.init, &args.model) {
        (Some(dir), _) => {
            let (config, store, optional) = crate::load_store(dir, &session.device)?;
            (config, Some((store, optional)), json!({"init": dir}))
        }
        (None, Some(file)) => {
            let tokenizer = Tokenizer::open(&args.tokens.tokens.join("tokenizer"))?;
            let config = read_config(file, tokenizer.vocab_size())?;
            (config, None, json!({"seed": args.seed}))
        }
        (None, None) => {
            return Err(Failure::other(
                "neither --model nor --init is given",
                "see `ligo train --help`",
            ));
        }
    };
    let dataset = args.tokens.dataset(config.task())?;
    if let Some(dir) = &args.init {
        dataset.check_pretrained(&config, dir)?;
    }
    let (start, optional) = match given {
        Some(given) => given,
        None => {
            let table = config.table();
            let values = ligo_growth::init::initial_values(&table, config.initializer_range(), args.seed);
            (crate::host_store(&table, values, &session.device)?, Vec::new())
        }
    };
    check_fit(&config, &dataset, args.tokens.seq_len)?;
    let recipe = Recipe {
        name: "ligo train".into(),
        ..Recipe::default()
    };
    let (result, _) = session.train(Training {
        label: "training",
        folder: &args.out,
        config: &config,
        start: &mut || Ok(start.clone()),
        train: &train,
        dataset: &dataset,
        data: &args.tokens.data(),
        upstream: json!([dataset.fingerprint, upstream]),
        optional: &optional,
        card: session.card("trained model", args.init.as_deref(), "training", &recipe),
    })?;
    let context_free = dataset.baselines.context_free;
    let context_free = context_free.map(|loss| format!(", context-free {loss:.4}"));
    ui.result(format!(
        "validation loss {:.4} (unigram {:.4}{}); model in {}",
        result.final_loss().unwrap_or(f64::NAN),
        dataset.baselines.unigram,
        context_free.unwrap_or_default(),
        args.out.join("model").display()
    ));
    Ok(())
}
