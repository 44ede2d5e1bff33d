//! `summary.json`: what a comparison of growth methods found. Types only; `ligo-cost` does the sums.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, files};

/// The newest format of `summary.json` that this version reads, and the one it writes.
pub const FORMAT: u32 = 1;

/// A whole comparison: the corpus, the small model and every method that started the large one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Always [`FORMAT`] when written.
    pub format: u32,
    /// What was compared, in a line: `BERT (2, 128) → (4, 256)`.
    pub title: String,
    /// The text.
    pub corpus: Corpus,
    /// The small model that all methods but scratch start from.
    pub small: SmallModel,
    /// The validation loss every method is measured against: the scratch run's final one.
    #[serde(with = "crate::nan_is_null")]
    pub target_loss: f64,
    /// Every run, in the order of the table.
    pub methods: Vec<MethodSummary>,
    /// Whether the comparison means anything.
    pub flags: Flags,
    /// Where things are, relative to the summary: `picture`, `scratch metrics`, …
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

/// What samples are made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Tokens of text.
    #[default]
    Tokens,
    /// Images with classes.
    Images,
}

/// The data a comparison was made on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Corpus {
    /// A name for people.
    pub name: String,
    /// Hash of the corpus, in hex.
    pub hash: String,
    /// What is counted below.
    #[serde(default)]
    pub unit: Unit,
    /// Tokens (or images) to train on.
    pub train_tokens: u64,
    /// Tokens (or images) to validate on.
    pub valid_tokens: u64,
    /// Validation loss of the best model that ignores context (or the picture), in nats.
    #[serde(with = "crate::nan_is_null")]
    pub unigram_loss: f64,
    /// Masked loss of the best model that sees the masked position's own token and nothing around it; lower than the
    /// unigram loss, because some masked positions keep their token.
    #[serde(default)]
    pub context_free_loss: Option<f64>,
}

/// The small model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SmallModel {
    /// A name for people.
    pub name: String,
    /// Its final validation loss.
    #[serde(with = "crate::nan_is_null")]
    pub loss: f64,
    /// What its training cost; absent when it came from elsewhere.
    pub cost: Option<Cost>,
}

/// What something cost. All fields count the same work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// FLOPs by our own count (backward = 2 × forward, sparse look-up, operator once per step).
    #[serde(with = "crate::nan_is_null")]
    pub flops_exact: f64,
    /// FLOPs as ELECTRA's script counts them, which the paper used.
    #[serde(with = "crate::nan_is_null")]
    pub flops_electra: f64,
    /// Wall time of the training steps.
    #[serde(with = "crate::nan_is_null")]
    pub seconds: f64,
}

/// One run of the large model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MethodSummary {
    /// The method: `scratch`, `ligo`, `stackbert`, `direct_copy`, …; runs of one method differ in `seed`.
    pub name: String,
    /// The name in tables and pictures: `LiGO`.
    pub label: String,
    /// Seed of the run.
    pub seed: u64,
    /// Steps of the large model's training.
    pub steps: u64,
    /// Validation losses; their costs leave the operator out.
    pub curve: Vec<CurvePoint>,
    /// Validation loss before the first step.
    #[serde(with = "crate::nan_is_null")]
    pub loss_start: f64,
    /// Validation loss after the last step.
    #[serde(with = "crate::nan_is_null")]
    pub loss_final: f64,
    /// Cost of the large model's training.
    pub cost: Cost,
    /// Cost of learning the operator; zero for methods that learn none.
    #[serde(default)]
    pub operator_cost: Cost,
    /// When the run reached the target loss; absent when it never did.
    pub to_target: Option<ToTarget>,
    /// Saving against scratch, the small model taken as given (as in the paper).
    pub saving: Option<Saving>,
    /// Saving with the small model's whole cost charged to the method.
    pub saving_with_small: Option<Saving>,
}

/// One evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Finished steps of the large model.
    pub step: u64,
    /// Validation loss.
    #[serde(with = "crate::nan_is_null")]
    pub loss: f64,
    /// Cost of those steps, without the operator's.
    #[serde(flatten)]
    pub cost: Cost,
}

/// The point at which a run reached the target loss, interpolated between evaluations.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ToTarget {
    /// Steps of the large model.
    pub step: f64,
    /// Cost up to there, the operator's included and the small model's not.
    #[serde(flatten)]
    pub cost: Cost,
}

/// `1 − cost of the method / cost of scratch`, each up to the target; negative when the method cost more.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Saving {
    /// By our own FLOP count.
    #[serde(with = "crate::nan_is_null")]
    pub flops_exact: f64,
    /// By ELECTRA's FLOP count.
    #[serde(with = "crate::nan_is_null")]
    pub flops_electra: f64,
    /// By wall time.
    #[serde(with = "crate::nan_is_null")]
    pub seconds: f64,
}

/// Whether scratch went far enough for the savings to mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flags {
    /// Scratch ended below the corpus's unigram loss and, where it is known, below the context-free loss.
    pub scratch_passed_unigram: bool,
    /// Scratch ended below the small model's loss: someone needed the larger model.
    pub scratch_passed_small: bool,
}

/// Which FLOP count a table or picture shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Counter {
    /// Our own.
    #[default]
    Exact,
    /// ELECTRA's, as in the paper.
    Electra,
}

impl Cost {
    /// FLOPs by the given count.
    #[must_use]
    pub fn flops(&self, counter: Counter) -> f64 {
        match counter {
            Counter::Exact => self.flops_exact,
            Counter::Electra => self.flops_electra,
        }
    }
}

impl Saving {
    /// Saving in FLOPs by the given count.
    #[must_use]
    pub fn flops(&self, counter: Counter) -> f64 {
        match counter {
            Counter::Exact => self.flops_exact,
            Counter::Electra => self.flops_electra,
        }
    }
}

impl Summary {
    /// Reads a `summary.json`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::BadSummary`] when the file is something else, [`Error::SummaryFormat`] when a newer
    /// version wrote it.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        let bad = |source| Error::BadSummary {
            path: path.to_path_buf(),
            source,
        };
        let head: Head = serde_json::from_slice(&bytes).map_err(bad)?;
        if head.format > FORMAT {
            return Err(Error::SummaryFormat {
                path: path.to_path_buf(),
                expected: FORMAT,
                found: head.format,
            });
        }
        serde_json::from_slice(&bytes).map_err(bad)
    }

    /// Writes a `summary.json`; the old one stays until the new one is complete.
    ///
    /// # Errors
    /// [`Error::Io`] when the disk refuses.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|source| Error::Encode {
            what: "a summary",
            source,
        })?;
        bytes.push(b'\n');
        files::replace(path.as_ref(), &bytes)
    }

    /// Whether a method was run with more than one seed, so that labels must say which.
    #[must_use]
    pub fn several_seeds(&self) -> bool {
        self.methods
            .iter()
            .enumerate()
            .any(|(index, method)| self.methods[..index].iter().any(|other| other.name == method.name))
    }
}
