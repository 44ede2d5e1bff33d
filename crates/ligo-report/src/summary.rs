//! `summary.json`: what a comparison of growth methods found.
//!
//! A program fills one [`MethodSummary`] for each run, and [`Summary::grouped`] sums up the seeds of each method; the other parts
//! ([`Provenance`], [`OperatorSummary`], [`Prediction`]) may be absent. `ligo-cost` does the sums.

mod group;
mod operator;
mod prediction;
mod provenance;
mod search;
mod singular;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use ligo_cost::{Cost, Counter};

pub use group::{CostEstimate, Estimate, Group, MeanCurve, Reference};
pub use operator::{MAX_VALUES, OperatorSummary, WidthMatrix, thinned};
pub use prediction::{Figures, PredictedRun, Prediction};
pub use provenance::Provenance;
pub use search::{Search, Sweep, Trial, Variant};

use ligo_metrics::files;

use crate::{Error, Result};

/// The newest format of `summary.json` that this version reads, and the one it writes. Format 1 knew nothing of groups,
/// provenance, operators and predictions; it is read with those empty, and its groups are made from its runs.
pub const FORMAT: u32 = 2;

/// The `name` of the runs that all others are measured against.
pub const SCRATCH: &str = "scratch";

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
    #[serde(with = "ligo_cost::nan_is_null")]
    pub target_loss: f64,
    /// Every run, in the order of the table.
    pub methods: Vec<MethodSummary>,
    /// The runs of each method over its seeds, in the order of the table; made by [`Summary::grouped`].
    #[serde(default)]
    pub groups: Vec<Group>,
    /// The scratch runs, whose spread every saving inherits; made by [`Summary::grouped`].
    #[serde(default)]
    pub reference: Option<Reference>,
    /// Whether the comparison means anything.
    pub flags: Flags,
    /// Where things are, relative to the summary: `picture`, `scratch metrics`, …
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// How it came about, and how to repeat it.
    #[serde(default)]
    pub provenance: Option<Provenance>,
    /// What the operators look like.
    #[serde(default)]
    pub operators: Vec<OperatorSummary>,
    /// What a plan said before the runs.
    #[serde(default)]
    pub prediction: Option<Prediction>,
    /// The searches for learning rates.
    #[serde(default)]
    pub searches: Vec<Search>,
    /// Settings that were tried against each other.
    #[serde(default)]
    pub sweep: Option<Sweep>,
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

impl Unit {
    /// What one calls them in a sentence.
    #[must_use]
    pub fn samples(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Images => "images",
        }
    }
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
    #[serde(with = "ligo_cost::nan_is_null")]
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
    #[serde(with = "ligo_cost::nan_is_null")]
    pub loss: f64,
    /// What its training cost; absent when it came from elsewhere.
    pub cost: Option<Cost>,
    /// What a branch of its training says whose rate falls at the end, where the rate of the model itself does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annealed: Option<AnnealedSmall>,
}

/// The small model with a rate that falls at the end, which nothing is grown from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AnnealedSmall {
    /// Its final validation loss.
    #[serde(with = "ligo_cost::nan_is_null")]
    pub loss: f64,
    /// What its own steps cost, those that it has in common with the small model left out. Nobody is charged for them.
    #[serde(flatten)]
    pub cost: Cost,
}

/// Steps of a run that were not made for it, since another run had them in common.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Shared {
    /// How many.
    pub steps: u64,
    /// What they cost. The run is charged for them all the same.
    #[serde(flatten)]
    pub cost: Cost,
}

/// Energy that was spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Energy {
    /// Kilowatt-hours.
    #[serde(with = "ligo_cost::nan_is_null")]
    pub kwh: f64,
    /// Read from the machine (NVML, RAPL); else estimated from its power and the time.
    pub measured: bool,
}

/// A stretch of a run with one model: a run that grows several times has several.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// What was trained: `4 layers`.
    pub label: String,
    /// The step of the whole run at which it began.
    pub first_step: u64,
}

/// One run of the large model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MethodSummary {
    /// The run among all others, as its folder is called: `ligo-seed2`.
    #[serde(default)]
    pub id: String,
    /// Runs of one group are one method with different seeds; where it is empty, runs with the same label are.
    #[serde(default)]
    pub group: String,
    /// Runs of one series are one method with schedules of several lengths, and seeds of each; where it is empty, those of a group are.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub series: String,
    /// The method: `scratch`, `ligo`, `stackbert`, `direct_copy`, …; decides its color.
    pub name: String,
    /// The name in tables and pictures: `LiGO`, the same for all seeds.
    pub label: String,
    /// Seed of the run.
    pub seed: u64,
    /// Steps of the large model's training.
    pub steps: u64,
    /// Validation losses; their costs leave the operator out.
    pub curve: Vec<CurvePoint>,
    /// Validation loss before the first step.
    #[serde(with = "ligo_cost::nan_is_null")]
    pub loss_start: f64,
    /// Validation loss after the last step.
    #[serde(with = "ligo_cost::nan_is_null")]
    pub loss_final: f64,
    /// Cost of the large model's training.
    pub cost: Cost,
    /// Cost of learning the operator; zero for methods that learn none.
    #[serde(default)]
    pub operator_cost: Cost,
    /// When the run reached the target loss; absent when it never did.
    pub to_target: Option<ToTarget>,
    /// Saving against the scratch run of the same seed (the first one where there is none), the small model taken as given,
    /// as in the paper.
    pub saving: Option<Saving>,
    /// Saving with the small model's whole cost charged to the method.
    pub saving_with_small: Option<Saving>,
    /// Peak learning rate of the large model's training.
    #[serde(default)]
    pub learning_rate: Option<f64>,
    /// The most memory that the run held, on the device that trained.
    #[serde(default)]
    pub peak_memory_bytes: Option<u64>,
    /// Energy of the whole run, its operator included.
    #[serde(default)]
    pub energy: Option<Energy>,
    /// Whether it makes use of the small model, and so owes for its training; where it is not said, all but scratch do.
    #[serde(default)]
    pub owes_small: Option<bool>,
    /// Its stages, if it had several.
    #[serde(default)]
    pub stages: Vec<Stage>,
    /// Steps that it has in common with another run, which made them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<Shared>,
    /// What computed it, where that was another comparison: [`Provenance::computer`] of that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computed_on: Option<String>,
    /// What a reader must know of this run: skipped steps, a given model, …
    #[serde(default)]
    pub notes: Vec<String>,
}

/// One evaluation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Finished steps of the large model.
    pub step: u64,
    /// Tokens (or images) read in those steps; 0 where it is not known.
    #[serde(default)]
    pub tokens: u64,
    /// Validation loss.
    #[serde(with = "ligo_cost::nan_is_null")]
    pub loss: f64,
    /// Cost of those steps, without the operator's.
    #[serde(flatten)]
    pub cost: Cost,
}

/// The point at which a run reached the target loss, interpolated between evaluations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ToTarget {
    /// Steps of the large model.
    pub step: f64,
    /// Cost up to there, the operator's included and the small model's not.
    #[serde(flatten)]
    pub cost: Cost,
}

/// `1 − cost of the method / cost of scratch`, each up to the target; negative when the method cost more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Saving {
    /// By our own FLOP count.
    #[serde(with = "ligo_cost::nan_is_null")]
    pub flops_exact: f64,
    /// By ELECTRA's FLOP count.
    #[serde(with = "ligo_cost::nan_is_null")]
    pub flops_electra: f64,
    /// By wall time.
    #[serde(with = "ligo_cost::nan_is_null")]
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

impl Saving {
    /// The saving with these shares, in the order of [`Cost::MEASURES`].
    #[must_use]
    pub fn of_measures([flops_exact, flops_electra, seconds]: [f64; 3]) -> Self {
        Self {
            flops_exact,
            flops_electra,
            seconds,
        }
    }

    /// All shares, in the order of [`Cost::MEASURES`].
    #[must_use]
    pub fn measures(&self) -> [f64; 3] {
        [self.flops_exact, self.flops_electra, self.seconds]
    }

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
    /// [`Error::File`] when it cannot be read, [`Error::BadSummary`] when the file is something else, [`Error::SummaryFormat`] when a newer
    /// version wrote it.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let path = path.as_ref();
        let bytes = files::read(path)?;
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
        let summary: Self = serde_json::from_slice(&bytes).map_err(bad)?;
        Ok(if summary.groups.is_empty() {
            summary.grouped()
        } else {
            summary
        })
    }

    /// Writes a `summary.json`; the old one stays until the new one is complete.
    ///
    /// # Errors
    /// [`Error::File`] when the disk refuses.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|source| Error::Encode {
            what: "a summary",
            source,
        })?;
        bytes.push(b'\n');
        Ok(files::replace(path.as_ref(), &bytes)?)
    }

    /// What the runs cost as they are charged, each as if it were alone, and what was spent on them: steps that several have in common once. Searches are in
    /// neither.
    #[must_use]
    pub fn charged_and_spent(&self) -> (Cost, Cost) {
        let runs = self.methods.iter().map(|run| run.cost + run.operator_cost);
        let charged: Cost = runs.chain(self.small.cost).sum();
        let shared = self.methods.iter().filter_map(|run| Some(run.shared?.cost));
        let own = self.small.annealed.map_or_else(Cost::default, |annealed| annealed.cost);
        (charged, shared.fold(charged + own, std::ops::Sub::sub))
    }

    /// Whether a method was run with more than one seed.
    #[must_use]
    pub fn several_seeds(&self) -> bool {
        let keys: BTreeSet<&str> = self.methods.iter().map(MethodSummary::group).collect();
        keys.len() < self.methods.len()
    }
}

impl MethodSummary {
    /// What the runs of one method have in common.
    #[must_use]
    pub fn group(&self) -> &str {
        if self.group.is_empty() {
            &self.label
        } else {
            &self.group
        }
    }

    /// What the runs of one method have in common whatever their length.
    #[must_use]
    pub fn series(&self) -> &str {
        if self.series.is_empty() {
            self.group()
        } else {
            &self.series
        }
    }

    /// Whether this is a run that others are measured against.
    #[must_use]
    pub fn is_scratch(&self) -> bool {
        self.name == SCRATCH
    }
}
