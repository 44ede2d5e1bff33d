//! A sweep: variants of one method, ranked by what they saved.

use std::cmp::Ordering;

use ligo_cost::Counter;
use ligo_report::summary::{Sweep, Variant};

use super::RunFolder;
use super::saving::measure;
use super::search::has_diverged;
use crate::Failure;
use crate::recipe::MethodSection;

impl RunFolder<'_> {
    /// The ranking of the variants that have ended; nothing before there are two of them.
    ///
    /// # Errors
    /// A result is damaged.
    pub fn sweep(&self) -> Result<Option<Sweep>, Failure> {
        let ranked = self.ranked()?;
        let variants: Vec<Variant> = ranked.into_iter().map(|(_, variant)| variant).collect();
        Ok((variants.len() > 1).then(|| Sweep {
            method: self.recipe.sweep.method.clone(),
            variants,
        }))
    }

    /// The variant that saved most.
    ///
    /// # Errors
    /// A variant has not ended, or all diverged.
    pub fn best_variant(&self) -> Result<&MethodSection, Failure> {
        let ranked = self.ranked()?;
        let missing = self.resolved.variants().len() - ranked.len();
        if missing > 0 {
            return Err(Failure::other(
                format!("{missing} variants of the sweep are not complete, so the best one is not known"),
                "the same command as before completes them",
            ));
        }
        let best = ranked.into_iter().find(|(_, variant)| variant.loss_final.is_finite());
        best.map(|(method, _)| method)
            .ok_or_else(|| Failure::other("every variant of the sweep diverged", "lower its learning rates"))
    }

    /// All variants that have ended, the best first: by the saving in FLOPs with the operator charged, then by the final loss.
    fn ranked(&self) -> Result<Vec<(&MethodSection, Variant)>, Failure> {
        let variants = self.resolved.variants();
        if variants.is_empty() {
            return Ok(Vec::new());
        }
        let seed = variants
            .first()
            .map_or(self.recipe.seed, |variant| self.recipe.seed_of(variant));
        let reference = self.recipe.with_seed(&self.recipe.reference(), seed);
        let scratch = self.run_of(&reference)?;
        let mut ranked = Vec::new();
        for method in variants {
            let folder = self.place(method).map(|(_, folder)| folder);
            let variant = if folder.is_ok_and(|folder| has_diverged(&folder)) {
                Variant {
                    id: method.id(),
                    loss_start: f64::NAN,
                    loss_final: f64::NAN,
                    ..Variant::default()
                }
            } else if let Some(run) = self.run_of(method)? {
                let saving = measure(&run, scratch.as_ref(), None)?.saving;
                Variant {
                    id: run.id(),
                    saving: saving.map(|saving| saving.flops(Counter::Exact)),
                    loss_start: run.result.curve.first().map_or(f64::NAN, |p| p.loss),
                    loss_final: run.final_loss(),
                    operator_cost: run.operator,
                }
            } else {
                continue;
            };
            ranked.push((method, variant));
        }
        ranked.sort_by(|(_, a), (_, b)| order(a, b));
        Ok(ranked)
    }
}

fn order(a: &Variant, b: &Variant) -> Ordering {
    // What saved nothing that is known stands below all that did; NaN below all losses.
    let saving = |v: &Variant| v.saving.unwrap_or(f64::NEG_INFINITY);
    let loss = |v: &Variant| {
        if v.loss_final.is_finite() {
            v.loss_final
        } else {
            f64::INFINITY
        }
    };
    saving(b).total_cmp(&saving(a)).then(loss(a).total_cmp(&loss(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_stand_by_saving_then_by_loss() {
        let variant = |id: &str, saving, loss_final| Variant {
            id: id.into(),
            saving,
            loss_final,
            ..Variant::default()
        };
        let mut variants = [
            variant("diverged", None, f64::NAN),
            variant("never", None, 2.6),
            variant("worse", Some(-0.1), 2.4),
            variant("never, lower", None, 2.5),
            variant("best", Some(0.4), 2.45),
        ];
        variants.sort_by(order);
        let ids: Vec<&str> = variants.iter().map(|v| v.id.as_str()).collect();
        assert_eq!(ids, ["best", "worse", "never, lower", "never", "diverged"]);
    }
}
