//! What a finished run did, read from its folder.

use std::path::Path;

use ligo_arch::{Axis, ModelConfig};
use ligo_cost::Cost;
use ligo_report::summary::{self, CurvePoint, Energy, Shared};
use ligo_train::TrainResult;

use super::method::stage_folder;
use super::origin::{Origin, origin_of};
use super::outcome::read_result;
use super::{RunFolder, branch, stage};
use crate::Failure;
use crate::recipe::{Method, MethodSection, RunKey};

/// One run of a method, all its stages together.
pub struct Run {
    /// Which one it is.
    pub key: RunKey,
    /// The method's name.
    pub name: String,
    /// For tables.
    pub label: String,
    /// Its seed.
    pub seed: u64,
    /// Its training.
    pub result: TrainResult,
    /// What learning its operators cost.
    pub operator: Cost,
    /// The most memory that was in use at once, the learning of operators included.
    pub peak_memory_bytes: Option<u64>,
    /// Energy of all its steps, those of operators included.
    pub energy: Option<Energy>,
    /// Whether it makes use of the small model, and so owes for its training.
    pub uses_small: bool,
    /// The peak learning rate of its last stage.
    pub learning_rate: f64,
    /// Its stages, where it has several.
    pub stages: Vec<summary::Stage>,
    /// Where it comes from, if another comparison made it.
    pub origin: Option<Origin>,
    /// Steps that another run made.
    pub shared: Option<Shared>,
}

impl Run {
    /// The last validation loss.
    pub fn final_loss(&self) -> f64 {
        self.result.final_loss().unwrap_or(f64::NAN)
    }

    /// Its id, `ligo-seed2`.
    pub fn id(&self) -> String {
        self.key.to_string()
    }

    /// Whether it is the same method with another seed, or itself.
    pub fn is_of(&self, other: &Self) -> bool {
        self.key.group() == other.key.group()
    }

    /// All that it cost.
    pub fn whole(&self) -> Cost {
        self.result.cost + self.operator
    }

    /// The validation curve.
    pub fn curve(&self) -> Vec<CurvePoint> {
        let points = self.result.curve.iter().map(|p| CurvePoint {
            step: p.step,
            tokens: p.tokens,
            loss: p.loss,
            cost: p.cost,
        });
        points.collect()
    }
}

/// Joules of a kilowatt-hour.
pub const JOULES_PER_KWH: f64 = 3.6e6;

/// The energy of a training run, where somebody could tell.
pub fn energy_of(result: &TrainResult) -> Option<Energy> {
    Some(Energy {
        kwh: result.energy_joules? / JOULES_PER_KWH,
        measured: result.energy_measured,
    })
}

/// Both together; what is not known of one is not known of the sum.
fn plus(a: Option<Energy>, b: Option<Energy>) -> Option<Energy> {
    let (a, b) = (a?, b?);
    Some(Energy {
        kwh: a.kwh + b.kwh,
        measured: a.measured && b.measured,
    })
}

impl RunFolder<'_> {
    /// What a method did, if it is complete.
    ///
    /// # Errors
    /// A result is damaged.
    pub fn run_of(&self, method: &MethodSection) -> Result<Option<Run>, Failure> {
        // Where something that it depends on is missing, it cannot have run.
        let Ok((ready, folder)) = self.place(method) else {
            return Ok(None);
        };
        if stage::complete(&folder).is_none() {
            return Ok(None);
        }
        Ok(Some(Run {
            key: method.key(),
            name: method.name.clone(),
            label: self.recipe.label_of(method),
            ..self.read(ready, &folder)?
        }))
    }

    /// What a method, as it was run in `folder`, did: its stages one after the other, and what learning its operators cost.
    ///
    /// # Errors
    /// A result is missing or damaged.
    pub fn read(&self, method: &Method, folder: &Path) -> Result<Run, Failure> {
        let stages = &method.stages;
        let mut operator = Cost::default();
        let mut peak_memory_bytes = None;
        let mut energy = Some(Energy {
            kwh: 0.0,
            measured: true,
        });
        let mut whole: Option<TrainResult> = None;
        let mut named = Vec::new();
        let mut common: Option<Shared> = None;
        for stage in stages.iter() {
            let folder = stage_folder(folder, stage);
            if stage.operator.is_learned() {
                let learn = read_result(&folder.join("learn"))?;
                operator += learn.cost;
                peak_memory_bytes = peak_memory_bytes.max(learn.peak_memory_bytes);
                energy = plus(energy, energy_of(&learn));
            }
            named.push(summary::Stage {
                label: size_of(&stage.model, &self.pair.large),
                first_step: whole.as_ref().map_or(0, |result| result.steps),
            });
            let result = read_result(&folder)?;
            peak_memory_bytes = peak_memory_bytes.max(result.peak_memory_bytes);
            energy = plus(energy, energy_of(&result));
            if let Some(shared) = branch::shared(&folder) {
                let before = common.unwrap_or_default();
                common = Some(Shared {
                    steps: before.steps + shared.steps,
                    cost: before.cost + shared.cost,
                });
            }
            whole = Some(match whole {
                Some(before) => before.followed_by(result),
                None => result,
            });
        }
        let (Some(result), Some(last)) = (whole, stages.last()) else {
            return Err(Failure::fault("a method without stages"));
        };
        Ok(Run {
            key: method.key.clone(),
            name: method.name.clone(),
            label: method.label.clone(),
            seed: method.seed,
            result,
            operator,
            peak_memory_bytes,
            energy,
            uses_small: method.uses_small(),
            learning_rate: last.train.schedule.peak_lr,
            stages: if named.len() > 1 { named } else { Vec::new() },
            origin: origin_of(folder),
            shared: common,
        })
    }
}

/// A model of a stage for people: what tells it from the large one.
fn size_of(model: &ModelConfig, large: &ModelConfig) -> String {
    let layers = model.sizes().layers;
    let width = |config: &ModelConfig| config.table().size(Axis::HIDDEN);
    if width(model) == width(large) {
        return format!("{layers} layers");
    }
    format!("{layers} layers of width {}", width(model))
}
