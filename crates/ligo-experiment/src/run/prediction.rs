//! What the plan in a run's folder said, beside what the runs did.

use ligo_cost::plan::{Plan, PlannedRun};
use ligo_report::summary::{Energy, Estimate, Figures, PredictedRun, Prediction};

use super::results::{JOULES_PER_KWH, Run, energy_of};
use super::{RunFolder, Small};
use crate::plan::PLAN_JSON;
use crate::sealed;

impl RunFolder<'_> {
    /// Plan and measurement of everything that was planned and has run; nothing without a plan.
    pub fn prediction(&self, small: &Small, runs: &[Run]) -> Option<Prediction> {
        let plan: Plan = sealed::read(&self.join(PLAN_JSON)).whole()?;
        let mut compared = Vec::new();
        if let (Some(planned), Some(result)) = (&plan.small_training, &small.trained) {
            let measured = Figures {
                flops_exact: Some(result.cost.flops.exact),
                seconds: Some(result.cost.seconds),
                memory_bytes: result.peak_memory_bytes.map(|bytes| bytes as f64),
                energy_kwh: energy_of(result).map(|energy| energy.kwh),
            };
            compared.push(beside(planned, planned.label.clone(), measured));
        }
        for (i, run) in runs.iter().enumerate() {
            if runs[..i].iter().any(|before| before.is_of(run)) {
                continue;
            }
            let id = run.id();
            if let Some(planned) = plan.methods.iter().find(|planned| planned.id == id) {
                let seeds: Vec<&Run> = runs.iter().filter(|other| other.is_of(run)).collect();
                compared.push(beside(planned, run.label.clone(), means(&seeds)));
            }
        }
        Some(Prediction {
            hardware: plan.rates.hardware,
            assumptions: plan.assumptions,
            runs: compared,
        })
    }
}

fn beside(planned: &PlannedRun, label: String, measured: Figures) -> PredictedRun {
    let whole = planned.whole();
    PredictedRun {
        label,
        predicted: Figures {
            flops_exact: Some(whole.cost.flops.exact),
            seconds: Some(whole.cost.seconds),
            memory_bytes: Some(planned.largest_bytes()),
            energy_kwh: whole.joules.map(|joules| joules / JOULES_PER_KWH),
        },
        measured,
    }
}

/// Means over seeds, the operator included.
fn means(runs: &[&Run]) -> Figures {
    let mean = |value: fn(&Run) -> Option<f64>| {
        let values = runs.iter().filter_map(|run| value(run));
        Estimate::of(values).map(|estimate| estimate.mean)
    };
    Figures {
        flops_exact: mean(|run| Some(run.whole().flops.exact)),
        seconds: mean(|run| Some(run.whole().seconds)),
        memory_bytes: mean(|run| run.peak_memory_bytes.map(|bytes| bytes as f64)),
        energy_kwh: mean(|run| run.energy.map(|Energy { kwh, .. }| kwh)),
    }
}
