//! Upcycling: the experts of a mixture are copies of the one feed-forward network of a dense model (Komatsuzaki et al., arXiv 2212.05055), or of fewer
//! experts (Dwivedi et al., arXiv 2604.19835). Finer experts share its neurons among them (He et al., arXiv 2410.07524).

use std::collections::BTreeMap;

use ligo_arch::{Axis, ParamTable};
use serde::{Deserialize, Serialize};

use super::facts::{Facts, Scope};
use super::layers::depth_of;
use super::operator::{Operator, Pair, own};
use super::refusal::Refusal;
use crate::experts::Difference;
use crate::picks::{Picks, WidthMatrix};
use crate::{Error, Factors, Fill, LinearMap, Sharing, Term};

/// Settings of [`OperatorSpec::Upcycle`](crate::OperatorSpec::Upcycle).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "snake_case")]
pub struct UpcycleConfig {
    /// Standard deviation of what is added to each weight of a copied expert and to further rows of a router, as a share of that of the tensor's weights.
    pub noise: f64,
    /// Share of the neurons of each copied expert that begin anew, drawn with the mean and the standard deviation of the weights that they replace: 0.5 in
    /// Drop-Upcycling (Nakamura et al., arXiv 2502.19261).
    pub drop: f64,
}

/// All else is as it was. Which tensors experts copy stands in the small model's table ([`ligo_arch::ModelConfig::table_for`]); expert `i` of many is expert
/// `i` modulo their number, and so is its row of the router. A router of a dense model is fresh.
fn map(pair: &Pair<'_>, config: UpcycleConfig) -> LinearMap {
    let Pair {
        small,
        large,
        device,
        initializer_range,
        seed,
    } = *pair;
    let lists = large
        .depths()
        .map(|(stack, depth)| (stack, (0..depth).map(Some).collect()));
    let (few, many) = (small.size(Axis::EXPERTS), large.size(Axis::EXPERTS));
    let routed = Picks::new(few, (0..many).map(|i| (i % few.max(1), 1.0)));
    let matrices = BTreeMap::from([(Axis::EXPERTS, vec![WidthMatrix::picking(routed, device)])]);
    let term = Term {
        depth: depth_of(pair, &lists.collect()),
        out: Factors::of(Sharing::Shared, matrices),
        ..Term::default()
    };
    let fill = Fill::Experts {
        initializer_range,
        difference: Difference {
            noise: config.noise,
            drop: config.drop,
            shares: small.expert_shares(),
            seed,
        },
    };
    LinearMap::new(vec![term], fill)
}

/// Experts are all that may grow.
fn check(small: &ParamTable, large: &ParamTable, config: UpcycleConfig) -> Result<(), Refusal> {
    let wrong = |setting: &str, found: f64, expected: &str| {
        Err(Refusal::settings(format!(
            "{setting} must be {expected}, found {found}"
        )))
    };
    if !(config.noise >= 0.0 && config.noise.is_finite()) {
        return wrong("noise", config.noise, "0 or more");
    }
    if !(0.0..=1.0).contains(&config.drop) {
        return wrong("drop", config.drop, "a share of 0 to 1");
    }
    let pair = |reason: String| Err(Refusal::Pair(reason));
    if added(small, large).is_none() {
        return pair("the large model has no more experts than the small one".into());
    }
    let more = "and upcycling adds nothing but experts; grow the model first";
    let others = large.sizes().filter(|(axis, _)| *axis != Axis::EXPERTS);
    let mut grown = others.map(|(axis, size)| (axis, small.size(axis), size));
    if let Some((axis, old, new)) = grown.find(|(_, old, new)| old != new) {
        return pair(format!("{axis} grows from {old} to {new}, {more}"));
    }
    match large.depths().find(|(stack, depth)| small.depth(stack) != *depth) {
        Some((stack, depth)) => pair(format!(
            "layers of {stack} grow from {} to {depth}, {more}",
            small.depth(stack)
        )),
        None => Ok(()),
    }
}

/// How many experts there are and will be, where they become more.
pub(super) fn added(small: &ParamTable, large: &ParamTable) -> Option<[usize; 2]> {
    let [few, many] = [small, large].map(|table| table.size(Axis::EXPERTS));
    (few < many).then_some([few, many])
}

impl Operator for UpcycleConfig {
    fn name(&self) -> &'static str {
        "upcycle"
    }

    fn label(&self) -> &'static str {
        "upcycling"
    }

    fn facts(&self) -> Facts {
        Facts {
            about: "upcycling: experts copy the dense feed-forward network or a share of its neurons each (fresh router), or fewer experts and their rows of the router; `drop` begins neurons anew",
            needs: "more experts, all else the same",
            source: "[2212.05055](https://arxiv.org/abs/2212.05055), [2502.19261](https://arxiv.org/abs/2502.19261), [2410.07524](https://arxiv.org/abs/2410.07524), [2604.19835](https://arxiv.org/abs/2604.19835)",
            also: Some(
                "from a dense model, where probabilities are normalized, in shares where `top-k` is a multiple of their number; *n* times the experts with *n* times `top-k`",
            ),
            takes: [Scope::Nowhere; 4],
            ..Facts::OF_COPIES
        }
    }

    fn sources(&self, small: usize, large: usize) -> Vec<Option<usize>> {
        own(small, large)
    }

    fn check(&self, small: &ParamTable, large: &ParamTable) -> Result<(), Refusal> {
        check(small, large, *self)
    }

    fn adds_experts(&self) -> bool {
        true
    }

    fn build(&self, pair: &Pair<'_>) -> Result<LinearMap, Error> {
        Ok(map(pair, *self))
    }
}
