//! One run on many devices: rank 0 does all that the program does, and the others take part in its training runs, of which it tells them.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use ligo_arch::ModelConfig;
use ligo_cost::Flops;
use ligo_data::{ImageSet, TokenStore, Tokenizer};
use ligo_device::Picked;
use ligo_growth::OperatorSpec;
use ligo_train::{Collective, NewMasks, ParamInfo, ParamStore, RunData, Silent, TrainConfig, Trainer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::dataset::{Baselines, Content, Dataset, Images, Tokens};
use super::stage::KERNELS;
use super::stage::identity;
use super::task::Task;
use crate::Failure;
use crate::recipe::{DataSection, Fault, MethodSection, Recipe};
use crate::stop::STOP;

/// The ranks that share the training runs of this process.
#[derive(Debug)]
pub struct Team {
    ranks: Box<dyn Collective + Send + Sync>,
    /// Whether the others wait for something that will never come.
    is_lost: AtomicBool,
    /// Whether each rank keeps a share of the optimizer's moments.
    shares_optimizer: AtomicBool,
    /// Whether each rank does a unit of its own.
    is_apart: AtomicBool,
}

static TEAM: OnceLock<Team> = OnceLock::new();

/// From here on the training runs of this process are shared. What was said first holds.
pub fn share_with(ranks: Box<dyn Collective + Send + Sync>) -> &'static Team {
    TEAM.get_or_init(|| Team {
        ranks,
        is_lost: AtomicBool::new(false),
        shares_optimizer: AtomicBool::new(false),
        is_apart: AtomicBool::new(false),
    })
}

/// Those who share the training runs of this process, where there are any.
pub fn team() -> Option<&'static Team> {
    TEAM.get().filter(|team| !team.is_apart.load(Ordering::Relaxed))
}

/// How many ranks compute.
pub fn count() -> usize {
    team().map_or(1, |team| team.ranks.size())
}

/// How many ranks compute, and whether each keeps a share of the optimizer's moments.
pub(crate) fn count_and_shares() -> (usize, bool) {
    (count(), team().is_some_and(Team::shares_optimizer))
}

/// Refuses a recipe whose steps the ranks cannot share, before anything is made of it.
///
/// # Errors
/// Each setting that does not fit.
pub(crate) fn check(recipe: &Recipe) -> Result<(), Failure> {
    let found = shares_faults(recipe, count());
    if found.is_empty() { Ok(()) } else { Err(found.into()) }
}

fn shares_faults(recipe: &Recipe, ranks: usize) -> Vec<Fault> {
    let learns = |method: &MethodSection| matches!(recipe.operator_of(method), Some(OperatorSpec::Ligo(_)));
    let stages = [
        ("small", &recipe.small.train, recipe.small.path.is_none()),
        ("operator", &recipe.operator.train, recipe.methods.iter().any(learns)),
        ("large", &recipe.large.train, true),
    ];
    let uneven = stages
        .into_iter()
        .filter(|(_, train, has)| *has && !train.accumulation.is_multiple_of(ranks));
    uneven
        .map(|(stage, train, _)| Fault {
            key: format!("{stage}.train.accumulation"),
            message: format!(
                "is {}, and {ranks} ranks cannot share so many micro-batches evenly; take a multiple of {ranks}, and a smaller batch_size",
                train.accumulation
            ),
        })
        .collect()
}

/// What rank 0 tells the others.
#[derive(Serialize, Deserialize)]
enum Call {
    Train(Box<Assignment>),
    /// Each rank does units of the run in a folder.
    Units {
        folder: PathBuf,
        names: Vec<String>,
    },
    /// All have done their units.
    Gather,
    End,
}

/// All that another rank needs to take part in a training run, but for values, which the trainer broadcasts. Paths lead to the same files everywhere.
#[derive(Serialize, Deserialize)]
pub(super) struct Assignment {
    pub(super) task: Task,
    pub(super) config: Value,
    /// Name, shape and decay.
    pub(super) parameters: Vec<(String, Vec<usize>, bool)>,
    pub(super) train: TrainConfig,
    pub(super) data: DataSection,
    pub(super) content: Place,
    pub(super) cost: Flops,
    pub(super) last: u64,
    /// Steps after which the state is kept for runs of other lengths.
    pub(super) branch_at: Option<u64>,
    pub(super) inputs: Value,
    /// Whether it is known which numbers are new.
    pub(super) has_new: bool,
    pub(super) shares_optimizer: bool,
}

/// Where a data set lies.
#[derive(Serialize, Deserialize)]
pub(super) enum Place {
    Text {
        train: PathBuf,
        valid: PathBuf,
        tokenizer: PathBuf,
    },
    Images {
        folder: PathBuf,
        train: PathBuf,
        valid: PathBuf,
        preprocessor: Value,
    },
}

impl Team {
    /// The ranks.
    pub fn ranks(&self) -> &dyn Collective {
        self.ranks.as_ref()
    }

    /// From here on each rank keeps a share of the optimizer's moments. Rank 0 says so for all.
    pub fn share_optimizer(&self) {
        self.shares_optimizer.store(true, Ordering::Relaxed);
    }

    pub(super) fn shares_optimizer(&self) -> bool {
        self.shares_optimizer.load(Ordering::Relaxed)
    }

    /// Rank 0: the others are to take part in a training run.
    pub(super) fn call(&self, assignment: Assignment, new: Option<&NewMasks>) -> Result<(), Failure> {
        self.tell(&Call::Train(Box::new(assignment)))?;
        let Some(new) = new else { return Ok(()) };
        let names: Vec<&String> = new.keys().collect();
        self.ranks.broadcast(&mut text_of(&names)?)?;
        for name in names {
            self.ranks.broadcast(&mut packed(&new[name]))?;
        }
        Ok(())
    }

    /// Rank 0: from here on each rank does units of its own, of those with these names, in a run's folder, until [`Team::gather`].
    pub(crate) fn part(&self, folder: &Path, names: Vec<String>) -> Result<(), Failure> {
        let folder = whole(folder)?;
        self.tell(&Call::Units { folder, names })?;
        self.is_apart.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Rank 0: waits until all have done their units.
    pub(crate) fn gather(&self) -> Result<(), Failure> {
        self.tell(&Call::Gather)?;
        self.is_apart.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Rank 0: there is nothing more to do.
    ///
    /// # Errors
    /// A rank is lost.
    pub fn dismiss(&self) -> Result<(), Failure> {
        self.tell(&Call::End)
    }

    /// The others wait in the middle of a run that rank 0 has left.
    pub(super) fn lose(&self) {
        self.is_lost.store(true, Ordering::Relaxed);
    }

    fn tell(&self, call: &Call) -> Result<(), Failure> {
        if self.is_lost.load(Ordering::Relaxed) {
            return Err(Failure::other(
                "the ranks of this run were lost in what failed before",
                "the same command again goes on from the last checkpoint",
            ));
        }
        self.ranks.meet()?;
        Ok(self.ranks.broadcast(&mut text_of(call)?)?)
    }

    /// Another rank: takes part in training runs until there is nothing more to do, and does `units` by their names in a folder where each rank has
    /// some of its own. What all ranks end with, rank 0 says.
    ///
    /// # Errors
    /// What this rank alone ends with.
    pub(crate) fn follow(
        &self,
        pick: impl Fn() -> Result<Picked, Failure>,
        units: impl Fn(&Path, &[String], &Picked) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut picked = None;
        loop {
            // Rank 0 may be long about something that it does alone.
            self.ranks.meet()?;
            match self.hear()? {
                Call::End => return Ok(()),
                Call::Gather => self.is_apart.store(false, Ordering::Relaxed),
                Call::Units { folder, names } => {
                    self.is_apart.store(true, Ordering::Relaxed);
                    let picked = match &mut picked {
                        Some(picked) => picked,
                        none => none.insert(pick()?),
                    };
                    match units(&folder, &names, picked) {
                        // Rank 0 was asked to stop as well.
                        Err(failure) if failure.is_interruption() => {}
                        done => done?,
                    }
                }
                Call::Train(assignment) => {
                    let picked = match &mut picked {
                        Some(picked) => picked,
                        none => none.insert(pick()?),
                    };
                    match self.take_part(*assignment, picked) {
                        Err(Failure::Train(error)) if error.is_of_all_ranks() => {}
                        ended => ended?,
                    }
                }
            }
        }
    }

    fn hear<T: for<'a> Deserialize<'a>>(&self) -> Result<T, Failure> {
        let mut text = Vec::new();
        self.ranks.broadcast(&mut text)?;
        serde_json::from_slice(&text).map_err(garbled)
    }

    fn hear_new(&self, infos: &[ParamInfo]) -> Result<NewMasks, Failure> {
        let names: Vec<String> = self.hear()?;
        let mut masks = NewMasks::new();
        for name in names {
            let mut bits = Vec::new();
            self.ranks.broadcast(&mut bits)?;
            let count = infos
                .iter()
                .find(|info| info.name == name)
                .map_or(0, ParamInfo::num_elements);
            masks.insert(name, unpacked(&bits, count));
        }
        Ok(masks)
    }

    fn take_part(&self, assignment: Assignment, picked: &Picked) -> Result<(), Failure> {
        let device = &picked.device;
        let config = ModelConfig::from_json(&assignment.config)?;
        let zeros = assignment.parameters.into_iter().map(|(name, shape, decay)| {
            let info = ParamInfo { name, shape, decay };
            let count = info.num_elements();
            (info, vec![0.0; count])
        });
        let store = ParamStore::from_values(zeros, device)?;
        let new = assignment.has_new.then(|| self.hear_new(store.infos())).transpose()?;
        let objective = assignment.task.objective(&config, device)?;
        let dataset = assignment.content.open()?;
        let (loader, valid) = dataset.batches(&config, &assignment.data, &assignment.train)?;
        let data = RunData {
            train: loader.as_ref(),
            valid: &valid,
        };
        // Another processor rounds differently, and is told by it.
        let mut inputs = assignment.inputs;
        inputs[KERNELS] = picked.kernels().into();
        // Nothing is written here.
        let mut trainer = Trainer::new(assignment.train, objective.as_ref(), store, data, Path::new(""))?
            .with_cost(assignment.cost)
            .with_end(assignment.last)
            .with_identity(identity(&inputs))
            .with_ranks(self.ranks())?;
        if let Some(step) = assignment.branch_at {
            trainer = trainer.with_branch(step);
        }
        if assignment.shares_optimizer {
            trainer = trainer.with_optimizer_sharding();
        }
        if let Some(new) = new {
            trainer = trainer.map_optimizer(|optimizer, store| optimizer.with_new_entries(store, new))?;
        }
        trainer.run(&STOP, &mut Silent)?;
        Ok(())
    }
}

impl Place {
    pub(super) fn of(dataset: &Dataset) -> Result<Self, Failure> {
        Ok(match &dataset.content {
            Content::Text(tokens) => Self::Text {
                train: whole(tokens.train.path())?,
                valid: whole(tokens.valid.path())?,
                tokenizer: whole(&tokens.tokenizer)?,
            },
            Content::Images(images) => Self::Images {
                folder: whole(&images.folder)?,
                train: whole(images.train.path())?,
                valid: whole(images.valid.path())?,
                preprocessor: serde_json::to_value(&images.preprocessor).map_err(garbled)?,
            },
        })
    }

    fn open(self) -> Result<Dataset, Failure> {
        let content = match self {
            Self::Text {
                train,
                valid,
                tokenizer,
            } => Content::Text(Tokens {
                train: TokenStore::open(&train)?.into(),
                valid: TokenStore::open(&valid)?.into(),
                vocab_size: Tokenizer::open(&tokenizer)?.vocab_size(),
                tokenizer,
            }),
            Self::Images {
                folder,
                train,
                valid,
                preprocessor,
            } => Content::Images(Images {
                train: ImageSet::open(&train)?.into(),
                valid: ImageSet::open(&valid)?.into(),
                preprocessor: serde_json::from_value(preprocessor).map_err(garbled)?,
                folder,
            }),
        };
        // What people are told of the data, rank 0 tells them.
        Ok(Dataset {
            content,
            baselines: Baselines {
                unigram: f64::NAN,
                context_free: None,
            },
            name: String::new(),
            fingerprint: String::new(),
        })
    }
}

/// A path that means the same to processes that were started elsewhere.
pub(super) fn whole(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(Failure::io("find", path))
}

/// Name, shape and decay of each parameter.
pub(super) fn shapes_of(store: &ParamStore) -> Vec<(String, Vec<usize>, bool)> {
    let shape = |info: &ParamInfo| (info.name.clone(), info.shape.clone(), info.decay);
    store.infos().iter().map(shape).collect()
}

fn text_of(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(garbled)
}

fn garbled(error: serde_json::Error) -> Failure {
    Failure::other(
        format!("ranks do not understand each other: {error}"),
        "start the same program on all machines",
    )
}

/// Eight of them in a byte.
fn packed(mask: &[bool]) -> Vec<u8> {
    let byte = |bits: &[bool]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    mask.chunks(8).map(byte).collect()
}

fn unpacked(bytes: &[u8], count: usize) -> Vec<bool> {
    let bits = bytes.iter().flat_map(|byte| (0..8).map(move |i| byte >> i & 1 == 1));
    bits.take(count).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn steps_that_ranks_cannot_share_are_refused_by_the_settings_of_each_stage() {
        let set = |values: [usize; 3]| {
            let [small, operator, large] = values;
            let overrides = [
                format!("small.train.accumulation={small}"),
                format!("operator.train.accumulation={operator}"),
                format!("large.train.accumulation={large}"),
            ];
            crate::recipe::load("demo", &overrides).unwrap()
        };
        let keys = |recipe: &Recipe, ranks: usize| -> Vec<String> {
            shares_faults(recipe, ranks)
                .into_iter()
                .map(|fault| fault.key)
                .collect()
        };
        assert!(keys(&set([1, 3, 5]), 1).is_empty());
        assert!(keys(&set([4, 8, 12]), 4).is_empty());
        assert_eq!(
            keys(&set([4, 2, 6]), 4),
            ["operator.train.accumulation", "large.train.accumulation"]
        );
        // Nobody trains a small model that is given.
        let mut given = set([1, 4, 4]);
        assert_eq!(keys(&given, 4), ["small.train.accumulation"]);
        given.small.path = Some("small".into());
        assert!(keys(&given, 4).is_empty());
    }

    #[test]
    fn masks_come_out_as_they_were_put_in() {
        for count in [0, 1, 7, 8, 9, 100] {
            let mask: Vec<bool> = (0..count).map(|i| i % 3 == 0 || i % 7 == 2).collect();
            assert_eq!(unpacked(&packed(&mask), count), mask);
            assert_eq!(packed(&mask).len(), count.div_ceil(8));
        }
    }
}
