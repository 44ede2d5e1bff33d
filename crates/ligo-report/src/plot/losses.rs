//! The losses that a comparison is judged by, and the part of the loss axis that is worth showing.

use crate::summary::{Summary, Unit};
use ligo_cost::format;

/// Horizontal lines across the picture. A loss that is not known is NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Losses {
    /// What all runs had to reach: scratch's final loss, or the mean of several.
    pub target: f64,
    pub small: f64,
    pub unigram: f64,
    pub context_free: f64,
}

/// What stands beside an axis of losses.
pub(crate) fn axis_label(unit: Unit) -> &'static str {
    match unit {
        Unit::Tokens => "validation loss (nats per predicted token)",
        Unit::Images => "validation loss (nats per image)",
    }
}

impl Losses {
    pub(crate) fn of(summary: &Summary) -> Self {
        let reference = summary.reference.as_ref().and_then(|reference| reference.loss);
        Self {
            target: reference
                .filter(|loss| loss.seeds > 1)
                .map_or(summary.target_loss, |loss| loss.mean),
            small: summary.small.loss,
            unigram: summary.corpus.unigram_loss,
            context_free: summary.corpus.context_free_loss.unwrap_or(f64::NAN),
        }
    }

    /// What the target is, with its value.
    pub(crate) fn target_label(self, summary: &Summary) -> String {
        let several = summary
            .reference
            .as_ref()
            .is_some_and(|reference| reference.losses.len() > 1);
        let what = if several {
            "target: mean of scratch’s final losses"
        } else {
            "target: scratch’s final loss"
        };
        format!("{what} {}", format::loss(self.target))
    }
}

/// The losses between which runs differ: from the lowest loss up to what they have after a third of their way, with
/// the small model's line, with the starts of grown models near it, and with the unigram line if that leaves
/// two thirds of the height to the rest.
pub(crate) fn range(summary: &Summary) -> (f64, f64) {
    let Losses {
        target, small, unigram, ..
    } = Losses::of(summary);
    let all = || {
        let points = summary.methods.iter().flat_map(|method| &method.curve);
        points.map(|point| point.loss)
    };
    let finite = |loss: &f64| loss.is_finite();
    let low = all()
        .chain([small, target])
        .filter(finite)
        .fold(f64::INFINITY, f64::min);
    let settled = summary.methods.iter().filter_map(|method| {
        let end = method.curve.last()?.step as f64;
        let third = method.curve.iter().find(|point| point.step as f64 >= end / 3.0);
        third.map(|point| point.loss)
    });
    let starts = summary.methods.iter().map(|method| method.loss_start);
    let starts = starts.filter(|loss| *loss < unigram);
    let high = settled
        .chain([small, target])
        .filter(finite)
        .fold(f64::NEG_INFINITY, f64::max);
    let high = starts
        .filter(|start| start - low < 1.6 * (high - low))
        .fold(high, f64::max);
    if !low.is_finite() || !high.is_finite() {
        return (0.0, 1.0);
    }
    let high = if unigram > high && unigram - low < 1.5 * (high - low) {
        unigram
    } else {
        high
    };
    let range = (high - low).max(1e-3);
    (low - 0.07 * range, high + 0.09 * range)
}
