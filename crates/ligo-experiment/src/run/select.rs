//! Choosing the operator by the loss after some steps of training.

use ligo_cost::Cost;
use ligo_train::TrainResult;
use serde_json::json;

use super::method::{Growing, Operator};
use super::outcome::read_result;
use crate::Failure;
use crate::files::write_whole;
use crate::recipe::Selection;

const CHOICE_JSON: &str = "choice.json";

impl Growing<'_> {
    /// Grows the model by every candidate, trains each for some steps of the coming run, and returns the operator whose loss is then
    /// the lowest, with the price of the others. The steps of the chosen one are charged when it makes them again.
    ///
    /// # Errors
    /// Whatever growing and training end with.
    pub(super) fn select(&self, selection: &Selection) -> Result<(Operator, Cost), Failure> {
        let mut tried = Vec::new();
        for (i, spec) in selection.candidates.iter().enumerate() {
            let label = format!("{}, trying {}", self.label, spec.name());
            let candidate = self.beside(label, format!("candidates/{}-{}", i + 1, spec.name()));
            let operator = candidate.operator(spec)?;
            candidate.train(&operator, Cost::default(), Some(selection.lag_steps))?;
            let learned = spec.is_learned().then(|| read_result(&candidate.folder.join("learn")));
            tried.push(Tried {
                result: read_result(&candidate.folder)?,
                learned: learned.transpose()?,
                operator,
            });
        }
        let best = tried.iter().min_by(|a, b| a.loss().total_cmp(&b.loss()));
        let Some(best) = best else {
            return Err(Failure::other(
                "there is no candidate to choose from",
                "name operators in `select.candidates` that can grow this pair",
            ));
        };
        let mut spent = Cost::default();
        for candidate in &tried {
            let lost = !std::ptr::eq(candidate, best);
            let runs = [candidate.learned.as_ref(), lost.then_some(&candidate.result)];
            runs.into_iter().flatten().for_each(|result| spent += result.cost);
        }
        if !self.session.only_looks {
            self.report(&tried, best)?;
        }
        Ok((best.operator.clone(), spent))
    }

    fn report(&self, tried: &[Tried], best: &Tried) -> Result<(), Failure> {
        let losses = tried
            .iter()
            .map(|candidate| json!({"operator": candidate.operator.spec, "loss": candidate.loss()}));
        let choice = json!({
            "lag_steps": best.result.steps,
            "chosen": best.operator.spec,
            "tried": losses.collect::<Vec<_>>(),
        });
        write_whole(&self.folder.join(CHOICE_JSON), format!("{choice:#}").as_bytes())?;
        let losses = tried
            .iter()
            .map(|candidate| format!("{} {:.3}", candidate.operator.spec.name(), candidate.loss()));
        self.session.listener.say(&format!(
            "{}: {} after {} steps ({})",
            self.label,
            best.operator.spec.name(),
            best.result.steps,
            losses.collect::<Vec<_>>().join(", ")
        ));
        Ok(())
    }
}

/// A candidate and what it came to.
struct Tried {
    operator: Operator,
    result: TrainResult,
    learned: Option<TrainResult>,
}

impl Tried {
    fn loss(&self) -> f64 {
        self.result.final_loss().unwrap_or(f64::INFINITY)
    }
}
