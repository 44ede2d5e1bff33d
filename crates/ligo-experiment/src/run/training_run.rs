//! What a training run is, whatever it learns.

use std::path::Path;

use ligo_arch::ModelConfig;
use ligo_cost::Cost;
use ligo_pretrained::Source;
use ligo_train::{HostMoments, NewMasks, ParamStore, TrainConfig};

use super::dataset::Dataset;
use crate::recipe::DataSection;

/// What every training run has, whatever it learns: where it is kept, what it is trained on, and how.
#[derive(Clone, Copy)]
pub struct TrainingRun<'a> {
    /// For messages.
    pub label: &'a str,
    /// The run's folder: metrics, checkpoints and what comes of it.
    pub folder: &'a Path,
    /// The model that reads the data.
    pub config: &'a ModelConfig,
    /// How it is trained.
    pub train: &'a TrainConfig,
    /// What it is trained on.
    pub dataset: &'a Dataset,
    /// How tokens become samples.
    pub data: &'a DataSection,
    /// What most runs do without.
    pub extras: Extras<'a>,
}

/// What most training runs do without.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras<'a> {
    /// Who teaches, where the settings ask for a teacher.
    pub teacher: Option<&'a Source>,
    /// A model directory whose other files, such as `generation_config.json`, go along.
    pub side_files: Option<&'a Path>,
    /// What was spent before the first step.
    pub spent: Cost,
    /// Ends the run early: after so many steps, of which the last one is evaluated. No model is written then, unless others go on from it.
    pub until: Option<u64>,
    /// Whether it is left there for others to go on from: its model is written, and where another one of the same kind was left sooner, it goes on
    /// with that.
    pub goes_on: bool,
    /// Keeps the state after so many steps for runs of other lengths.
    pub branch_at: Option<u64>,
}

impl Extras<'_> {
    pub(super) fn writes_model(&self) -> bool {
        self.until.is_none() || self.goes_on
    }
}

/// What a training run starts from.
#[derive(Debug)]
pub struct Start {
    /// The parameters.
    pub store: ParamStore,
    /// The optimizer's moments, and how many updates they have seen.
    pub moments: Option<(HostMoments, u64)>,
    /// Which numbers are new.
    pub new: Option<NewMasks>,
}

impl From<ParamStore> for Start {
    fn from(store: ParamStore) -> Self {
        Self {
            store,
            moments: None,
            new: None,
        }
    }
}
