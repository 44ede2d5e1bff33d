//! Recipes: one TOML file that says everything about a run.

mod builtin;
mod faults;
mod parse;
mod shape;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use ligo_growth::{LigoConfig, OperatorSpec};
use ligo_train::TrainConfig;
use serde::{Deserialize, Serialize};

pub use builtin::{BUILTIN, builtin};
pub(crate) use faults::nearest;
pub use faults::{Fault, RecipeError};
pub use parse::{load, merged, overrides, parse};
pub use shape::ModelSection;

/// Everything that decides a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// Names the run's folder.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Seed of everything random; a method may have its own.
    pub seed: u64,
    /// The text.
    pub corpus: CorpusSection,
    /// The tokenizer.
    pub tokenizer: TokenizerSection,
    /// How tokens become samples.
    pub data: DataSection,
    /// The small model and how it is pretrained.
    pub small: ModelSection,
    /// The large model and how it is trained, whatever it starts from.
    pub large: ModelSection,
    /// The learned operator and how it is learned.
    pub operator: OperatorSection,
    /// The ways to start the large model that are compared.
    pub methods: Vec<MethodSection>,
}

/// Where the text comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorpusSection {
    /// What kind of corpus.
    pub source: CorpusSource,
    /// Files and folders of training text, for `files`.
    pub paths: Vec<PathBuf>,
    /// Files and folders of validation text; without any, documents are held out.
    pub valid_paths: Vec<PathBuf>,
    /// Share of documents held out for validation.
    pub valid_fraction: f64,
}

/// The kinds of corpus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CorpusSource {
    /// Text files given by the user.
    #[default]
    Files,
    /// The documentation in the sources of this workspace's dependencies.
    RustDocs,
}

impl Default for CorpusSection {
    fn default() -> Self {
        Self {
            source: CorpusSource::Files,
            paths: Vec::new(),
            valid_paths: Vec::new(),
            valid_fraction: 0.05,
        }
    }
}

/// Which tokenizer is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenizerSection {
    /// A folder or file with a tokenizer; without one, WordPiece is trained on the corpus.
    pub path: Option<PathBuf>,
    /// Vocabulary size of a trained tokenizer.
    pub vocab_size: usize,
    /// Whether a trained tokenizer merges characters into longer pieces; without, `vocab_size` does not matter.
    pub merges: bool,
}

impl Default for TokenizerSection {
    fn default() -> Self {
        Self {
            path: None,
            vocab_size: 8192,
            merges: true,
        }
    }
}

/// How tokens become samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataSection {
    /// Tokens of a sample, special ones included.
    pub seq_len: usize,
    /// Share of tokens that are predicted.
    pub mask_probability: f64,
}

impl Default for DataSection {
    fn default() -> Self {
        Self {
            seq_len: 128,
            mask_probability: 0.15,
        }
    }
}

/// The learned operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OperatorSection {
    /// Its form and its starting values.
    pub ligo: LigoConfig,
    /// How it is trained. Beware of long warm-ups: 100 steps of a 10,000-step warm-up move nothing.
    pub train: TrainConfig,
}

impl Default for OperatorSection {
    fn default() -> Self {
        let mut train = TrainConfig {
            steps: 100,
            eval_every: 0,
            checkpoint_every: 0,
            ..TrainConfig::default()
        };
        train.schedule.peak_lr = 1e-3;
        train.schedule.warmup_steps = 0;
        Self {
            ligo: LigoConfig::default(),
            train,
        }
    }
}

/// One way to start the large model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MethodSection {
    /// `scratch`, `stackbert`, `interpose`, `direct-copy`, `zero-pad`, `ligo`, `layers`, or any name with `operator`.
    pub name: String,
    /// Folder name when two entries have the same `name`.
    pub id: Option<String>,
    /// The operator, when it is not the one that `name` stands for.
    pub operator: Option<OperatorSpec>,
    /// Seed instead of the recipe's, for starting values, order, masks and dropout.
    pub seed: Option<u64>,
    /// Settings that differ from `[large.train]`.
    pub train: toml::Table,
    /// Settings that differ from `[operator.train]`.
    pub learn: toml::Table,
}

impl MethodSection {
    /// The name of the method's folder.
    pub fn id(&self) -> String {
        match (&self.id, self.seed) {
            (Some(id), _) => id.clone(),
            (None, Some(seed)) => format!("{}-seed{seed}", self.name),
            (None, None) => self.name.clone(),
        }
    }
}

impl Recipe {
    /// The operator of a method.
    pub fn operator_of(&self, method: &MethodSection) -> Option<OperatorSpec> {
        match &method.operator {
            Some(spec) => Some(spec.clone()),
            None if method.name == "ligo" => Some(OperatorSpec::Ligo(self.operator.ligo.clone())),
            None => OperatorSpec::from_name(&method.name),
        }
    }

    /// The seed of a method.
    pub fn seed_of(&self, method: &MethodSection) -> u64 {
        method.seed.unwrap_or(self.seed)
    }

    /// The resolved recipe as TOML.
    ///
    /// # Errors
    /// A value that TOML cannot hold.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string_pretty(self)
    }
}
