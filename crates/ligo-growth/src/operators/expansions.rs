//! Zero-initialized expansions (Gesmundo and Maile, arXiv 2308.06103), composed: neurons and heads that nothing reads yet, channels of
//! the residual stream that are zero, layers that add nothing.

use std::collections::BTreeMap;

use ligo_arch::{Axis, ModelConfig, ParamTable, Role};

use super::facts::{Facts, HEADS, Scope};
use super::layers::identity_factors;
use super::operator::{Operator, Pair, all};
use super::refusal::Refusal;
use super::selection::{check_units, growing};
use super::zero_blocks::{self, Placement};
use crate::picks::{Picks, WidthMatrix};
use crate::{Error, Factors, Fill, LinearMap, Sharing, Term};

/// The small model in the top left corner. The sum of squares over a wider residual stream is what it was, and its mean
/// smaller: gains are scaled by `√(D1/D2)`, and ε by `D1/D2` ([`OperatorSpec::adjust`](crate::OperatorSpec::adjust)).
///
/// New neurons, heads and layers keep the function of every family, and new channels of the residual stream that of families with
/// RMSNorm: LayerNorm would subtract another mean.
fn map(pair: &Pair<'_>) -> LinearMap {
    let Pair {
        small,
        large,
        device,
        initializer_range,
        seed,
    } = *pair;
    let shrink = (small.size(Axis::HIDDEN) as f64 / large.size(Axis::HIDDEN) as f64).sqrt();
    let gains: BTreeMap<_, _> = growing(small, large)
        .map(|(axis, size)| {
            let picks = Picks::identity_top(small.size(axis), size, shrink);
            (axis, vec![WidthMatrix::picking(picks, device)])
        })
        .collect();
    let term = Term {
        depth: zero_blocks::own_lists(pair, Placement::Interposed),
        out: identity_factors(pair),
        roles: BTreeMap::from([(Role::NormWeight, Factors::of(Sharing::Shared, gains))]),
        ..Term::default()
    };
    let fill = Fill::Silent {
        initializer_range,
        seed,
    };
    LinearMap::new(vec![term], fill)
}

/// New channels, neurons, heads and layers, all without effect.
pub(super) struct Expansions;

impl Operator for Expansions {
    fn name(&self) -> &'static str {
        "expansions"
    }

    fn label(&self) -> &'static str {
        "expansions"
    }

    fn facts(&self) -> Facts {
        Facts {
            about: "zero-initialized expansions: new channels, neurons, heads and layers fresh, without effect",
            needs: HEADS,
            source: "[2308.06103](https://arxiv.org/abs/2308.06103)",
            keeps: [Scope::Everywhere, Scope::HeadsApart, Scope::RmsNorm, Scope::RmsNorm],
            ..Facts::OF_COPIES
        }
    }

    fn sources(&self, small: usize, large: usize) -> Vec<Option<usize>> {
        all(Placement::Interposed.list(small, large))
    }

    fn check(&self, small: &ParamTable, large: &ParamTable) -> Result<(), Refusal> {
        check_units(small, large)
    }

    /// The large model with the small one's ε times `D1/D2`.
    fn adjust(&self, small: &ModelConfig, large: &ModelConfig) -> ModelConfig {
        let [old, new] = [small, large].map(|config| config.sizes().hidden as f64);
        large.with_norm_epsilon(small.norm_epsilon() * old / new)
    }

    fn build(&self, pair: &Pair<'_>) -> Result<LinearMap, Error> {
        Ok(map(pair))
    }
}
