//! One step-based training loop over [burn].
//!
//! The loop knows parameters by name, and batches of masked text; an [`Objective`] makes a model and a loss of them. So ordinary training
//! and learning a growth operator are the same loop: there the parameters are the model's tensors, and here what it is grown with.
//! [`Trainer`] does the steps: micro-batches, gradients, clipping by the global norm, AdamW or SGD, evaluation, checkpoints, exact resume.
//! Learning rate, dropout, data order and masks are pure functions of (seed, step), so the state of a run is its weights, moments and a few
//! counters.
//!
//! What a step leaves out is a function of the step too ([`Work`]): dropped layers and tokens, sub-models, frozen parameters, a teacher that
//! fades. Each is a setting in [`TrainConfig`], and costs are counted by what was computed.
//!
//! A run lives in a folder: `metrics.jsonl`, `tensorboard/` and `checkpoints/step-N/`.
//!
//! Several ranks, each with a device of its own, share the micro-batches of every step where the run is given a [`Collective`]
//! ([`Trainer::with_ranks`]). Bodies that are here are [`Alone`] and [`ThreadRank`]. Ranks may also share every layer ([`SplitObjective`], for
//! [`train_step`]).
//!
//! Do not use it for labeled texts: they are not here. Products can be in lower precision than `f32` ([`TrainConfig::precision`]); weights
//! and moments cannot.
//!
//! # Example
//!
//! See `examples/pretrain.rs` for a whole program. The core of it:
//!
//! ```no_run
//! use std::sync::atomic::AtomicBool;
//! use ligo_data::{Batch, MlmLoader};
//! use ligo_train::{Error, Objective, ParamStore, RunData, Silent, TrainConfig, Trainer};
//!
//! fn pretrain(objective: &dyn Objective, store: ParamStore, train: &MlmLoader, valid: &[Batch]) -> Result<ParamStore, Error> {
//!     let config = TrainConfig { steps: 200, batch_size: 16, ..TrainConfig::default() };
//!     let data = RunData { train, valid };
//!     let mut trainer = Trainer::new(config, objective, store, data, "runs/small")?;
//!     let result = trainer.run(&AtomicBool::new(false), &mut Silent)?;
//!     assert_eq!(result.steps, 200);
//!     Ok(trainer.into_store())
//! }
//! ```

mod average;
mod batch;
mod branch;
mod checkpoint;
mod collective;
mod config;
mod context;
mod distill;
mod distillation;
mod error;
mod evaluate;
mod freeze;
mod gradients;
mod layer_drop;
mod leaves;
mod log;
mod meter;
mod muon;
mod new_entries;
mod objective;
mod observer;
mod operator;
mod optimizer;
mod precision;
mod prefetch;
mod progress;
mod result;
mod saved;
mod schedule;
mod seed;
mod spikes;
mod split_objective;
mod step;
mod store;
mod submodels;
mod token_drop;
mod trained;
mod trainer;
mod unfolded;
mod work;

pub use average::Average;
pub use batch::{BatchSource, inputs_on};
pub use branch::{Branch, find_branch};
pub use checkpoint::check_same_run;
pub use collective::{Alone, Collective, LayerRanks, LayerSums, ThreadRank, largest_share, shares, sum_blocks};
pub use config::{FailedSavePolicy, MOST_SEQUENCES, MOST_STEPS, NonFinitePolicy, TrainConfig};
pub use context::StepContext;
pub use distill::DistillObjective;
pub use distillation::Distillation;
pub use error::Error;
pub use evaluate::evaluate;
pub use freeze::Freeze;
pub use layer_drop::LayerDrop;
pub use leaves::Leaves;
pub use meter::{EnergyReading, Meter};
pub use muon::{Muon, MuonScale};
pub use new_entries::{NewMasks, Rewarm};
pub use objective::{Learner, Objective, PretrainObjective};
pub use observer::{Event, Observer, Silent, StepReport};
pub use operator::OperatorObjective;
pub use optimizer::{HostMoments, Optimizer, OptimizerConfig, OptimizerKind, Rate};
pub use precision::check_precision;
pub use result::{EvalPoint, Outcome, Rollback, TrainResult};
pub use saved::{SavedPart, SavedState};
pub use schedule::{DecayShape, LrSchedule, ScheduleKind};
pub use split_objective::SplitObjective;
pub use step::train_step;
pub use store::{ParamInfo, ParamStore};
pub use submodels::Submodels;
pub use token_drop::TokenDropping;
pub use trained::Trained;
pub use trainer::{RunData, Trainer};
pub use unfolded::{GradientList, Unfolded};
pub use work::{StepCost, Work};

/// What [`TrainConfig::precision`] is one of.
pub use ligo_ops::Precision;
