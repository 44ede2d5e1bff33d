//! What a method saved against training from scratch.
//!
//! `saving = 1 − cost of the method to reach the target loss / cost of scratch to reach it`, as the LiGO paper defines it.
//! The method's cost includes learning its operator. The paper leaves out the small model's own training, on the ground
//! that it exists already; where it does not, that is most of the bill, so both numbers are always given.

use std::fmt;

use crate::curve::{CostToReach, Curve};

/// What a method paid before the first step of the large model, in the curves' unit. Zero for scratch.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Charges {
    /// Learning and applying the growth operator.
    pub operator: f64,
    /// Training the small model.
    pub small_model: f64,
}

/// A saving, or why there is none to state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Saving {
    /// The share of scratch's cost that was saved: 0.447 is 44.7 %. Negative where the method cost more.
    Share(f64),
    /// The method did not reach the target loss.
    NeverReached,
    /// Scratch itself did not reach the target loss, or reached it at no cost, so there is nothing to compare with.
    NoReference,
}

impl Saving {
    /// The share saved, if there is one.
    #[must_use]
    pub fn share(self) -> Option<f64> {
        match self {
            Self::Share(share) => Some(share),
            Self::NeverReached | Self::NoReference => None,
        }
    }
}

impl fmt::Display for Saving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(share) => f.pad(&crate::format::percent(*share)),
            Self::NeverReached => f.pad("never reached"),
            Self::NoReference => f.pad("no reference"),
        }
    }
}

/// A method beside training from scratch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// The loss that both had to reach.
    pub target_loss: f64,
    /// What scratch paid to reach it.
    pub scratch: CostToReach,
    /// What the method paid on the large model to reach it, without any [`Charges`].
    pub method: CostToReach,
    /// What the method paid before that.
    pub charges: Charges,
    /// The saving with the operator's cost charged: the paper's number.
    pub saving: Saving,
    /// The saving with the operator's and the small model's cost charged.
    pub saving_with_small_model: Saving,
}

/// Compares a method with scratch at a target loss, usually `scratch.final_loss()`.
///
/// Both curves start at the large model's first step and have the same unit of cost. Scratch, too, is charged up to where
/// it *first* reached the target (see [`Curve::cost_to_reach`]), which may lie before the end of its run.
#[must_use]
pub fn compare(scratch: &Curve, method: &Curve, target_loss: f64, charges: Charges) -> Comparison {
    let scratch_cost = scratch.cost_to_reach(target_loss);
    let method_cost = method.cost_to_reach(target_loss);
    Comparison {
        target_loss,
        scratch: scratch_cost,
        method: method_cost,
        charges,
        saving: saving(scratch_cost, method_cost, charges.operator),
        saving_with_small_model: saving(scratch_cost, method_cost, charges.operator + charges.small_model),
    }
}

/// `1 − (charged + method) / scratch`.
#[must_use]
pub fn saving(scratch: CostToReach, method: CostToReach, charged: f64) -> Saving {
    match (scratch, method) {
        (CostToReach::At(scratch), CostToReach::At(method)) if scratch > 0.0 => {
            Saving::Share(1.0 - (charged + method) / scratch)
        }
        (CostToReach::At(scratch), CostToReach::Never { .. }) if scratch > 0.0 => Saving::NeverReached,
        _ => Saving::NoReference,
    }
}
