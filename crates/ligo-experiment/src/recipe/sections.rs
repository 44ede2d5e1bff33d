//! What a recipe can say: its sections, with their defaults.

use std::path::PathBuf;

use ligo_arch::{ModelConfig, TokenizerKind};
use ligo_data::{Augmentation, BpeFlavour, DamagedImages, MissingText, SPECIAL_TOKENS, TextDocuments, TextSettings};
use ligo_growth::{LigoConfig, OperatorSpec};
use ligo_train::{ScheduleKind, TrainConfig};
use serde::{Deserialize, Serialize};
use toml::Table;

use super::{Fault, KeepMoments, ModelSection, Rates, RunKey, SelectSection, StageSection, limits};

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
    /// The search for each method's learning rate.
    #[serde(skip_serializing_if = "SearchSection::is_off")]
    pub search: SearchSection,
    /// Shares of `large.train.steps`: in a comparison every method, scratch included, is also trained with schedules that end so much sooner.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lengths: Vec<f64>,
    /// Settings of one method that are tried against each other.
    #[serde(skip_serializing_if = "SweepSection::is_off")]
    pub sweep: SweepSection,
    /// What the method `auto` is chosen by.
    #[serde(skip_serializing_if = "AutoSection::is_off")]
    pub auto: AutoSection,
    /// The ways to start the large model that are compared.
    pub methods: Vec<MethodSection>,
}

/// What the method `auto` is chosen by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoSection {
    /// Folders of comparisons on the same text and family. Their losses say where to grow under one schedule for what scratch costs; without any, a rule does.
    pub from: Vec<PathBuf>,
    /// The share of the steps at which to grow. `from` decides it where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tau: Option<f64>,
    /// Steps of both models together. `from` decides them where they are not given; without it they are those of `large.train`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
}

impl AutoSection {
    fn is_off(&self) -> bool {
        *self == Self::default()
    }

    /// The folders that must be read before anything can be chosen; none where what they say stands here.
    pub fn unread(&self) -> Option<&[PathBuf]> {
        (self.tau.is_none() && !self.from.is_empty()).then_some(&self.from)
    }
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
    /// Share of documents or images held out for validation.
    pub valid_fraction: f64,
    /// The field of JSONL and the column of parquet that holds the text.
    pub text_column: String,
    /// Where documents of .txt files end: `empty-line` or `line`.
    #[serde(skip_serializing_if = "is_default")]
    pub documents: TextDocuments,
    /// What becomes of lines of JSONL without text: `fail` or `skip`.
    #[serde(skip_serializing_if = "is_default")]
    pub missing_text: MissingText,
    /// What becomes of an image that cannot be decoded: `fail` or `skip`.
    pub damaged_images: DamagedImages,
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
    /// Images with classes: folders of JPEG and PNG, CIFAR's records, MNIST's IDX.
    Images,
}

/// Keys that came later are not written where they say nothing new, so that recipes and folders keep their names.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl CorpusSection {
    /// How documents are found in the text.
    pub fn text_settings(&self) -> TextSettings {
        TextSettings {
            text_column: self.text_column.clone(),
            documents: self.documents,
            missing_text: self.missing_text,
            ..TextSettings::default()
        }
    }
}

impl Default for CorpusSection {
    fn default() -> Self {
        Self {
            source: CorpusSource::Files,
            paths: Vec::new(),
            valid_paths: Vec::new(),
            valid_fraction: 0.05,
            text_column: "text".into(),
            documents: TextDocuments::default(),
            missing_text: MissingText::default(),
            damaged_images: DamagedImages::default(),
        }
    }
}

/// Which tokenizer is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenizerSection {
    /// A folder or file with a tokenizer; without one, that of a finished small model, or else a tokenizer is trained on the corpus.
    pub path: Option<PathBuf>,
    /// What is trained; by default what the model's family uses.
    pub kind: Option<TrainedTokenizer>,
    /// Vocabulary size of a trained tokenizer.
    pub vocab_size: usize,
    /// Whether a trained WordPiece merges characters into longer pieces; without, `vocab_size` does not matter.
    pub merges: bool,
}

impl Default for TokenizerSection {
    fn default() -> Self {
        Self {
            path: None,
            kind: None,
            vocab_size: 8192,
            merges: true,
        }
    }
}

/// The tokenizers that can be trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrainedTokenizer {
    /// BERT's: pieces of lower-cased words.
    WordPiece,
    /// GPT-2's: byte-level BPE with `<|endoftext|>` between documents.
    Gpt2,
    /// RoBERTa's: byte-level BPE with `<s>`, `</s>` and `<mask>`.
    Roberta,
}

impl TrainedTokenizer {
    /// The line that ends a document of plain text, since it is the token that does.
    pub fn end_token(self) -> &'static str {
        match self {
            Self::WordPiece => SPECIAL_TOKENS[3],
            Self::Gpt2 => BpeFlavour::Gpt2.end_token(),
            Self::Roberta => BpeFlavour::Roberta.end_token(),
        }
    }

    /// The one that a model's family uses.
    pub fn of(model: &ModelConfig) -> Self {
        match model.tokenizer_kind() {
            TokenizerKind::WordPiece => Self::WordPiece,
            TokenizerKind::RobertaBpe => Self::Roberta,
            TokenizerKind::Gpt2Bpe => Self::Gpt2,
        }
    }
}

/// How tokens become samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataSection {
    /// Tokens of a sample, special ones included.
    pub seq_len: usize,
    /// Share of tokens that a masked model predicts; a causal one predicts all.
    pub mask_probability: f64,
    /// Causal models: whether a token sees its own document only, with positions that count anew in each.
    pub stay_in_document: bool,
    /// Models of images: what happens to a training image. `preset` is `deit` (the default), `light` or `none`; other keys change it,
    /// `repeats` for one.
    pub augmentation: Table,
}

impl Default for DataSection {
    fn default() -> Self {
        Self {
            seq_len: 128,
            mask_probability: 0.15,
            stay_in_document: false,
            augmentation: Table::new(),
        }
    }
}

impl DataSection {
    /// Checks the sizes that samples have.
    ///
    /// # Errors
    /// One cannot be used.
    pub fn check(&self) -> Result<(), Vec<Fault>> {
        let mut faults = Vec::new();
        let mut fault = |key: &str, message: String| {
            faults.push(Fault {
                key: format!("data.{key}"),
                message,
            });
        };
        let (least, most) = (limits::FEWEST_TOKENS, limits::MOST_TOKENS);
        if !(least..=most).contains(&self.seq_len) {
            let message = format!("must be at least {least} and at most {most}, found {}", self.seq_len);
            fault("seq_len", message);
        }
        let mask = self.mask_probability;
        if !(mask > 0.0 && mask < 1.0) {
            fault("mask_probability", format!("must lie between 0 and 1, found {mask}"));
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// What happens to a training image.
    ///
    /// # Errors
    /// A key is unknown or a value does not fit.
    pub fn augmentation(&self) -> Result<Augmentation, Vec<Fault>> {
        let fault = |message: String| {
            vec![Fault {
                key: "data.augmentation".into(),
                message,
            }]
        };
        let table = toml::Value::Table(self.augmentation.clone());
        let read: Result<Augmentation, toml::de::Error> = table.try_into();
        let augmentation = read.map_err(|error| fault(error.message().to_owned()))?;
        augmentation.check().map_err(|error| fault(error.to_string()))?;
        Ok(augmentation)
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
    /// A name of [`OperatorSpec::NAMES`] or of [`PRESETS`], or any name with `operator`.
    pub name: String,
    /// Folder name when two entries have the same `name`.
    pub id: Option<String>,
    /// Which run of an entry it is, in the recipe of a run's folder, where each run has an entry of its own. Not for recipes of your own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunKey>,
    /// What tables and pictures call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The operator, when it is not the one that `name` stands for.
    pub operator: Option<OperatorSpec>,
    /// Seed instead of the recipe's, for starting values, order, masks and dropout.
    pub seed: Option<u64>,
    /// Settings that differ from `[large.train]`.
    pub train: Table,
    /// Settings that differ from `[operator.train]`.
    pub learn: Table,
    /// The stretches of a method that trains several models one after the other, each grown from the one before.
    pub stages: Vec<StageSection>,
    /// What becomes of the optimizer's state when a model is grown: `true`, `false` or `"reset-new"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_moments: Option<KeepMoments>,
    /// How the rates of a model's matrices follow its width: `"same"`, or `"mup"`, divided by how many times wider than the small model it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
    /// Operators of which the best is taken, instead of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select: Option<SelectSection>,
    /// One schedule over both models: this share of the steps trains the small one from scratch, and the rest the large one that is grown of it. A list
    /// in a recipe stands for as many methods, whose small models are one run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tau: Option<f64>,
}

impl Recipe {
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

/// The search for each method's learning rate: the same small one for all, so that nobody wins by tuning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchSection {
    /// The rates that every method is tried with; without any there is no search.
    pub peak_lr: Vec<f64>,
    /// Length of a trial, as a share of `large.train.steps`; its schedule is as much shorter. The best rate of a short run is too high for a
    /// long one; with 1 the trials are whole runs, and the best of them is the method's own run.
    pub share: f64,
    /// Seed of all trials; by default the recipe's.
    pub seed: Option<u64>,
    /// Kinds of schedule that every rate is tried with; without any the method's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schedule: Vec<ScheduleKind>,
    /// Whether each of `lengths` has a search of its own, with trials as much shorter, instead of what its method's whole length found.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub each_length: bool,
}

impl Default for SearchSection {
    fn default() -> Self {
        Self {
            peak_lr: Vec::new(),
            share: 0.5,
            seed: None,
            schedule: Vec::new(),
            each_length: false,
        }
    }
}

/// Settings of one method that are tried against each other: every array is a list of values to try.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SweepSection {
    /// The method.
    pub method: String,
    /// Every combination, or every value alone.
    pub mode: SweepMode,
    /// Values for settings of the operator, such as `width_init = ["rand", "select"]`.
    pub operator: Table,
    /// Values for settings of how the operator is learned, such as `schedule.peak_lr` or `steps`.
    pub learn: Table,
    /// Values for settings of how the large model is trained.
    pub train: Table,
    /// Settings that are tried together, whatever the mode.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Settings>,
    /// What the recipe says of the method, where it is not compared itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<MethodSection>,
}

/// What is combined with what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SweepMode {
    /// Every combination of all values.
    #[default]
    Grid,
    /// The method as it is, and each value alone in place of its own.
    OneAtATime,
}

impl Default for SweepSection {
    fn default() -> Self {
        Self {
            method: "ligo".into(),
            mode: SweepMode::default(),
            operator: Table::new(),
            learn: Table::new(),
            train: Table::new(),
            also: Vec::new(),
            base: None,
        }
    }
}

/// Settings that differ from the method's own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What the variant is called behind the method's name.
    pub name: String,
    /// Of the operator.
    pub operator: Table,
    /// Of how the operator is learned.
    pub learn: Table,
    /// Of how the large model is trained.
    pub train: Table,
}
