//! Which data a command trains on.

use std::path::PathBuf;

use ligo_arch::{ModelConfig, Task};
use ligo_experiment::identity;
use ligo_experiment::recipe::{DataSection, merged};
use ligo_experiment::run::dataset::{Content, Tokens};
use ligo_experiment::run::{Dataset, images};
use ligo_ops::Precision;
use ligo_train::TrainConfig;
use serde_json::json;

use crate::Failure;

/// Where the data are and how they become samples; shared by the commands that train.
#[derive(Debug, clap::Args)]
pub struct DataArgs {
    /// Text: a folder that `ligo tokenize` (or a run) made, with tokenizer/ and tokens/.
    #[arg(long, value_name = "DIR", required_unless_present = "images")]
    pub tokens: Option<PathBuf>,
    /// Images: a folder that `ligo images` (or a run) made, with images/.
    #[arg(long, value_name = "DIR", conflicts_with = "tokens")]
    pub images: Option<PathBuf>,
    /// Text: tokens of a sample, special ones included.
    #[arg(long, default_value_t = 128)]
    pub seq_len: usize,
    /// Share of tokens that a masked model predicts.
    #[arg(long, default_value_t = 0.15)]
    pub mask_probability: f64,
    /// Causal models: let a token see its own document only, and count positions anew in each.
    #[arg(long)]
    pub stay_in_document: bool,
    /// What happens to training images: deit, light or none.
    #[arg(long, default_value = "deit", value_name = "PRESET")]
    pub augmentation: String,
    /// Numbers that matrix products are computed with: f32, tf32 or bf16; `ligo devices` lists what each device has. Weights, norms and losses
    /// are f32 in all of them.
    #[arg(long, value_name = "NAME")]
    pub precision: Option<Precision>,
    /// Change a training setting, for example steps=2000 or schedule.peak_lr=5e-4.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
}

/// Data as `ligo tokenize` and `ligo images` leave them, before it is known what a model is to learn from them.
pub struct OpenedData {
    content: Content,
    name: String,
}

impl DataArgs {
    /// Opens the folder.
    ///
    /// # Errors
    /// It is not one of `ligo tokenize` or `ligo images`, or damaged.
    pub fn open(&self) -> Result<OpenedData, Failure> {
        let (content, folder) = match (&self.tokens, &self.images) {
            (Some(folder), _) => (Content::Text(Tokens::open(folder)?), folder),
            (None, Some(folder)) => (Content::Images(images::open(folder)?), folder),
            (None, None) => return Err(Failure::other("no data are given", "--tokens DIR or --images DIR")),
        };
        Ok(OpenedData {
            content,
            name: folder.display().to_string(),
        })
    }

    /// How data become samples.
    pub fn data(&self) -> DataSection {
        DataSection {
            seq_len: self.seq_len,
            mask_probability: self.mask_probability,
            stay_in_document: self.stay_in_document,
            augmentation: toml::Table::from_iter([("preset".to_owned(), self.augmentation.clone().into())]),
        }
    }

    /// Training settings: `base` with the overrides.
    ///
    /// # Errors
    /// All faults at once.
    pub fn settings(&self, base: &TrainConfig) -> Result<TrainConfig, Failure> {
        let changes = ligo_experiment::recipe::overrides(&self.overrides)?;
        let mut settings = merged(base, &changes, "--set")?;
        if let Some(precision) = self.precision {
            settings.precision = precision;
        }
        settings.validate()?;
        Ok(settings)
    }

    /// Refuses a model whose vocabulary is smaller than the tokenizer's, or whose positions do not cover a sample.
    ///
    /// # Errors
    /// It is, or they do not.
    pub fn check_fit(&self, config: &ModelConfig, dataset: &Dataset) -> Result<(), Failure> {
        let positions = config.max_sequence_tokens();
        if config.image_shape().is_none() && positions < self.seq_len {
            return Err(Failure::other(
                format!(
                    "the model reads sequences of at most {positions} tokens, samples have {}",
                    self.seq_len
                ),
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
}

impl OpenedData {
    /// What a `config.json` may leave out since the data decide it: the field, and its value.
    pub fn decides(&self) -> (&'static str, usize) {
        match &self.content {
            Content::Text(tokens) => ("vocab_size", tokens.vocab_size),
            Content::Images(images) => ("num_labels", images.train.num_classes()),
        }
    }

    /// A configuration with the names of the classes that the data have.
    pub fn named(&self, config: &ModelConfig) -> ModelConfig {
        match &self.content {
            Content::Text(_) => config.clone(),
            Content::Images(images) => config.with_class_names(&images.train.info().class_names),
        }
    }

    /// The data, for models of this task.
    pub fn dataset(self, task: Task) -> Dataset {
        let baselines = self.content.baselines(task);
        let fingerprint = match &self.content {
            Content::Text(tokens) => {
                let hashes = [&tokens.train, &tokens.valid].map(|store| store.info().tokens_sha256.clone());
                identity::fingerprint(&json!(hashes))
            }
            Content::Images(images) => images.fingerprint(),
        };
        Dataset {
            content: self.content,
            baselines,
            name: self.name,
            fingerprint,
        }
    }
}
