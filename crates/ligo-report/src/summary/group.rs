//! One row for each method over its seeds. `ligo_cost::seeds` says how savings over seeds are taken.

use std::borrow::Cow;
use std::collections::BTreeSet;

use ligo_cost::seeds::{self, Evaluation};
use ligo_cost::{Charges, Comparison, Curve, Frontier};
use serde::{Deserialize, Serialize};

use super::{Cost, Counter, MethodSummary, SCRATCH, Saving, Summary};

/// A mean over seeds with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The interval is `mean ± half_width` (Student's t over seeds); absent for one seed.
    pub half_width: Option<f64>,
    /// Seeds that it is over.
    pub seeds: usize,
}

/// [`Estimate`]s of the three ways to count. Absent where no seed has a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CostEstimate {
    /// By our own FLOP count.
    pub flops_exact: Option<Estimate>,
    /// By ELECTRA's FLOP count.
    pub flops_electra: Option<Estimate>,
    /// By wall time.
    pub seconds: Option<Estimate>,
}

/// The runs of one method together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Group {
    /// What its runs have in common: [`MethodSummary::group`].
    pub key: String,
    /// The method, as in its runs.
    pub name: String,
    /// The name in tables and pictures.
    pub label: String,
    /// Its seeds.
    pub seeds: Vec<u64>,
    /// How many of them reached their target: the final loss of the scratch run of the same seed.
    pub reached: usize,
    /// How many have no scratch run of their own seed and were measured against the first one.
    pub unpaired: usize,
    /// Validation loss right after growth.
    pub loss_start: Option<Estimate>,
    /// Validation loss after the last step.
    pub loss_final: Option<Estimate>,
    /// Cost up to the target, over the seeds that reached it; the operator included, the small model not.
    pub to_target: CostEstimate,
    /// Paired saving, over the seeds that reached the target: the small model taken as given.
    pub saving: CostEstimate,
    /// The same with the small model's whole cost charged.
    pub saving_with_small: CostEstimate,
    /// Saving at the loss that each run itself ends at, against the ends of the scratch runs of its seed, where those are of several lengths and the loss lies between
    /// them: the small model taken as given.
    #[serde(skip_serializing_if = "CostEstimate::is_none")]
    pub at_equal_loss: CostEstimate,
    /// The same with the small model's whole cost charged.
    #[serde(skip_serializing_if = "CostEstimate::is_none")]
    pub at_equal_loss_with_small: CostEstimate,
    /// Saving by the mean curves.
    pub mean_curve: MeanCurve,
    /// Cost of the whole training of the large model, without the operator.
    pub cost: CostEstimate,
    /// Cost of learning the operator.
    pub operator_cost: CostEstimate,
    /// The most memory held.
    pub peak_memory_bytes: Option<Estimate>,
    /// Energy of the whole run.
    pub energy_kwh: Option<Estimate>,
    /// Whether all of that energy was measured, none of it estimated.
    pub energy_measured: bool,
    /// Peak learning rate, where all seeds have the same.
    pub learning_rate: Option<f64>,
}

/// The mean curve of a method against the mean curve of scratch, at the mean of the scratch runs' final losses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MeanCurve {
    /// Cost up to that loss, the operator included; absent when the mean curve never reaches it.
    pub to_target: Option<Cost>,
    /// The saving, the small model taken as given.
    pub saving: Option<Saving>,
    /// The saving with the small model charged.
    pub saving_with_small: Option<Saving>,
}

/// The scratch runs together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reference {
    /// Their seeds.
    pub seeds: Vec<u64>,
    /// Their final losses in the same order, each the target of its seed. A loss that is no number is left out.
    pub losses: Vec<f64>,
    /// Mean and interval of those.
    pub loss: Option<Estimate>,
    /// What the mean curve of scratch costs up to the mean of the final losses.
    pub mean_curve: Option<Cost>,
}

impl Estimate {
    /// The estimate of these values; values that are not finite are left out.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        seeds::estimate(values).map(|estimate| Self {
            mean: estimate.mean,
            half_width: estimate.half_width,
            seeds: estimate.count,
        })
    }
}

impl CostEstimate {
    /// With these estimates, in the order of [`Cost::MEASURES`].
    fn of_measures([flops_exact, flops_electra, seconds]: [Option<Estimate>; 3]) -> Self {
        Self {
            flops_exact,
            flops_electra,
            seconds,
        }
    }

    /// All estimates, in the order of [`Cost::MEASURES`].
    pub(crate) fn measures(&self) -> [Option<Estimate>; 3] {
        [self.flops_exact, self.flops_electra, self.seconds]
    }

    fn of(values: impl Iterator<Item = [f64; 3]> + Clone) -> Self {
        Self::of_measures([0, 1, 2].map(|at| Estimate::of(values.clone().map(|measures| measures[at]))))
    }

    fn is_none(&self) -> bool {
        *self == Self::default()
    }

    fn of_costs<'a>(costs: impl Iterator<Item = &'a Cost> + Clone) -> Self {
        Self::of(costs.map(Cost::measures))
    }

    fn of_savings<'a>(savings: impl Iterator<Item = &'a Saving> + Clone) -> Self {
        Self::of(savings.map(Saving::measures))
    }

    /// FLOPs by the given count.
    #[must_use]
    pub fn flops(&self, counter: Counter) -> Option<Estimate> {
        match counter {
            Counter::Exact => self.flops_exact,
            Counter::Electra => self.flops_electra,
        }
    }
}

impl Summary {
    /// The summary with its groups, which a caller may have left to us.
    pub(crate) fn with_groups(&self) -> Cow<'_, Self> {
        if self.groups.is_empty() && !self.methods.is_empty() {
            Cow::Owned(self.clone().grouped())
        } else {
            Cow::Borrowed(self)
        }
    }

    /// The summary with [`groups`](Self::groups) and [`reference`](Self::reference) made from its runs.
    #[must_use]
    pub fn grouped(mut self) -> Self {
        let mut keys: Vec<&str> = Vec::new();
        for method in &self.methods {
            if !keys.contains(&method.group()) {
                keys.push(method.group());
            }
        }
        let runs_of = |key: &str| -> Vec<&MethodSummary> {
            let of_key = self.methods.iter().filter(|method| method.group() == key);
            of_key.collect()
        };
        // Scratch may stand among the methods with other settings too; the first is what all are measured against.
        let first = self.methods.iter().find(|method| method.is_scratch());
        let scratch = first.map_or_else(Vec::new, |first| runs_of(first.group()));
        let small = self.small.cost;
        let ends: Vec<&MethodSummary> = self.methods.iter().filter(|method| method.is_scratch()).collect();
        let groups = keys
            .iter()
            .map(|key| {
                let runs = runs_of(key);
                let group = group(key, &runs, &scratch, small);
                Group {
                    at_equal_loss: at_equal_loss(&runs, &ends, None),
                    at_equal_loss_with_small: small
                        .map_or_else(CostEstimate::default, |small| at_equal_loss(&runs, &ends, Some(small))),
                    ..group
                }
            })
            .collect();
        let reference = reference(&scratch);
        self.groups = groups;
        self.reference = reference;
        self
    }
}

fn group(key: &str, runs: &[&MethodSummary], scratch: &[&MethodSummary], small: Option<Cost>) -> Group {
    let reference_seeds: BTreeSet<u64> = scratch.iter().map(|run| run.seed).collect();
    let first = runs.first();
    let all = || runs.iter().copied();
    let energies: Vec<_> = all().filter_map(|run| run.energy).collect();
    let rates: Vec<f64> = all().filter_map(|run| run.learning_rate).collect();
    let same_rate = rates.len() == runs.len() && rates.windows(2).all(|pair| pair[0] == pair[1]);
    Group {
        key: key.to_owned(),
        name: first.map(|run| run.name.clone()).unwrap_or_default(),
        label: first.map(|run| run.label.clone()).unwrap_or_default(),
        seeds: all().map(|run| run.seed).collect(),
        reached: all().filter(|run| run.to_target.is_some()).count(),
        unpaired: all().filter(|run| !reference_seeds.contains(&run.seed)).count(),
        loss_start: Estimate::of(all().map(|run| run.loss_start)),
        loss_final: Estimate::of(all().map(|run| run.loss_final)),
        to_target: CostEstimate::of_costs(all().filter_map(|run| run.to_target.as_ref().map(|reached| &reached.cost))),
        saving: CostEstimate::of_savings(all().filter_map(|run| run.saving.as_ref())),
        saving_with_small: CostEstimate::of_savings(all().filter_map(|run| run.saving_with_small.as_ref())),
        at_equal_loss: CostEstimate::default(),
        at_equal_loss_with_small: CostEstimate::default(),
        mean_curve: mean_curve(runs, scratch, small),
        cost: CostEstimate::of_costs(all().map(|run| &run.cost)),
        operator_cost: CostEstimate::of_costs(all().map(|run| &run.operator_cost)),
        peak_memory_bytes: Estimate::of(all().filter_map(|run| run.peak_memory_bytes).map(|bytes| bytes as f64)),
        energy_kwh: Estimate::of(energies.iter().map(|energy| energy.kwh)),
        energy_measured: !energies.is_empty() && energies.iter().all(|energy| energy.measured),
        learning_rate: first.and_then(|run| run.learning_rate).filter(|_| same_rate),
    }
}

/// What runs saved at the losses that they ended at, each against the ends of all scratch runs of its seed.
fn at_equal_loss(runs: &[&MethodSummary], scratch: &[&MethodSummary], small: Option<Cost>) -> CostEstimate {
    let saving = |run: &MethodSummary, measure: fn(&Cost) -> f64| {
        let owed = small.filter(|_| run.owes_small.unwrap_or(true)).unwrap_or_default();
        let of_seed = scratch.iter().filter(|other| other.seed == run.seed);
        let frontier = Frontier::new(of_seed.map(|other| (measure(&other.cost), other.loss_final)));
        // One end is no curve.
        let cost = measure(&(run.cost + run.operator_cost + owed));
        frontier.saving(cost, run.loss_final).filter(|_| frontier.len() > 1)
    };
    let others = || runs.iter().filter(|run| !run.is_scratch());
    CostEstimate::of_measures(
        Cost::MEASURES.map(|measure| Estimate::of(others().filter_map(|run| saving(run, measure)))),
    )
}

fn reference(scratch: &[&MethodSummary]) -> Option<Reference> {
    let finite: Vec<_> = scratch.iter().filter(|run| run.loss_final.is_finite()).collect();
    if scratch.is_empty() {
        return None;
    }
    let to_target = Cost::MEASURES.map(|measure| {
        let curve = mean(scratch, measure)?;
        curve.cost_to_reach(curve.final_loss()).cost()
    });
    Some(Reference {
        seeds: finite.iter().map(|run| run.seed).collect(),
        losses: finite.iter().map(|run| run.loss_final).collect(),
        loss: Estimate::of(finite.iter().map(|run| run.loss_final)),
        mean_curve: all(to_target).map(Cost::of_measures),
    })
}

fn mean_curve(runs: &[&MethodSummary], scratch: &[&MethodSummary], small: Option<Cost>) -> MeanCurve {
    let compared = Cost::MEASURES.map(|measure| compare(runs, scratch, small, measure));
    let to_target = compared.map(|comparison| {
        let comparison = comparison?;
        Some(comparison.method.cost()? + comparison.charges.operator)
    });
    let is_scratch = runs.iter().any(|run| run.name == SCRATCH);
    let saving = |share: fn(&Comparison) -> Option<f64>| {
        let shares = all(compared.map(|comparison| share(&comparison?)));
        shares.map(Saving::of_measures).filter(|_| !is_scratch)
    };
    MeanCurve {
        to_target: all(to_target).map(Cost::of_measures),
        saving: saving(|comparison| comparison.saving.share()),
        saving_with_small: small.and_then(|_| saving(|comparison| comparison.saving_with_small_model.share())),
    }
}

/// The mean curves of a method and of scratch, by one way to count.
fn compare(
    runs: &[&MethodSummary],
    scratch: &[&MethodSummary],
    small: Option<Cost>,
    measure: fn(&Cost) -> f64,
) -> Option<Comparison> {
    let owes_small = runs.iter().any(|run| run.owes_small.unwrap_or(true));
    let operators = seeds::estimate(runs.iter().map(|run| measure(&run.operator_cost)));
    let charges = Charges {
        operator: operators.map_or(0.0, |estimate| estimate.mean),
        small_model: small.filter(|_| owes_small).as_ref().map_or(0.0, measure),
    };
    let scratch = mean(scratch, measure)?;
    let target = scratch.final_loss();
    Some(ligo_cost::compare(&scratch, &mean(runs, measure)?, target, charges))
}

/// The mean curve of the runs; nothing when they have no common steps or costs that do not grow.
fn mean(runs: &[&MethodSummary], measure: fn(&Cost) -> f64) -> Option<Curve> {
    let evaluations: Vec<Vec<Evaluation>> = runs
        .iter()
        .map(|run| {
            let points = run.curve.iter();
            let evaluation = |point: &super::CurvePoint| Evaluation {
                step: point.step,
                cost: measure(&point.cost),
                loss: point.loss,
            };
            points.map(evaluation).collect()
        })
        .collect();
    seeds::mean_curve(&evaluations).ok()
}

/// All three, or nothing.
fn all([exact, electra, seconds]: [Option<f64>; 3]) -> Option<[f64; 3]> {
    Some([exact?, electra?, seconds?])
}
