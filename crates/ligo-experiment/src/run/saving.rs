//! What a run saved against scratch, by each way to count.

use ligo_cost::{Charges, Cost, CostToReach, Curve};
use ligo_report::summary::{CurvePoint, Saving, ToTarget};

use super::results::Run;
use crate::Failure;

/// A run beside scratch.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// When it reached scratch's final loss, if it did.
    pub to_target: Option<ToTarget>,
    /// The saving, the operator charged. Scratch itself saves nothing.
    pub saving: Option<Saving>,
    /// The saving, the small model charged as well.
    pub saving_with_small: Option<Saving>,
}

/// The scratch run of a seed, or else the first one.
pub fn scratch_for(runs: &[Run], seed: u64) -> Option<&Run> {
    // What it is trained for less is held against methods at their own last loss, and is no target.
    let is_whole = |run: &&Run| run.name == ligo_report::summary::SCRATCH && run.key.is_whole();
    let scratch = || runs.iter().filter(is_whole);
    scratch().find(|r| r.seed == seed).or_else(|| scratch().next())
}

/// Measures a run against scratch, at scratch's final loss.
///
/// # Errors
/// A curve's costs do not grow.
pub fn measure(run: &Run, scratch: Option<&Run>, small: Option<Cost>) -> Result<Measured, Failure> {
    let Some(scratch) = scratch else {
        return Ok(Measured::default());
    };
    let is_scratch = run.name == ligo_report::summary::SCRATCH;
    let target = scratch.final_loss();
    let (points, scratch_points) = (run.curve(), scratch.curve());
    let mut costs = Vec::new();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for measure in Cost::MEASURES {
        let charges = Charges {
            operator: measure(&run.operator),
            small_model: small.as_ref().filter(|_| run.uses_small).map_or(0.0, measure),
        };
        let curve = |points: &[CurvePoint]| Curve::new(points.iter().map(|p| (measure(&p.cost), p.loss)));
        let comparison = ligo_cost::compare(&curve(&scratch_points)?, &curve(&points)?, target, charges);
        if let CostToReach::At(cost) = comparison.method {
            costs.push(cost + charges.operator);
        }
        without.extend(comparison.saving.share());
        with.extend(comparison.saving_with_small_model.share());
    }
    let step = Curve::new(points.iter().map(|p| (p.step as f64, p.loss)))?
        .cost_to_reach(target)
        .cost();
    let to_target = match (step, costs.as_slice()) {
        (Some(step), &[exact, electra, seconds]) => Some(ToTarget {
            step,
            cost: Cost::of_measures([exact, electra, seconds]),
        }),
        _ => None,
    };
    let triple = |shares: Vec<f64>| Some(Saving::of_measures(shares.try_into().ok()?));
    Ok(Measured {
        to_target,
        saving: triple(without).filter(|_| !is_scratch),
        saving_with_small: small.and_then(|_| triple(with)).filter(|_| !is_scratch),
    })
}
