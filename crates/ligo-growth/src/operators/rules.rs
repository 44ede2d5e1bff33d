//! Operators whose layers follow a rule of their number alone.

use super::facts::{Facts, Scope};
use super::layers::by_rule;
use super::operator::{Operator, Pair, all};
use crate::depth::{interpose, middle, stack};
use crate::{Error, Fill, LinearMap};

/// An operator that copies whole layers by a rule.
pub(super) struct Rule {
    name: &'static str,
    label: &'static str,
    facts: Facts,
    /// The small model's layer of each layer of the large one, by the numbers of both.
    layers: fn(usize, usize) -> Vec<usize>,
    /// What stands in new channels.
    fill: fn(&Pair<'_>) -> Fill,
}

impl Rule {
    /// One whose new channels start fresh.
    const fn fresh(
        [name, label]: [&'static str; 2],
        layers: fn(usize, usize) -> Vec<usize>,
        about: &'static str,
        source: &'static str,
    ) -> Self {
        Self {
            name,
            label,
            facts: Facts {
                about,
                source,
                ..Facts::OF_COPIES
            },
            layers,
            fill: |pair| pair.fresh(),
        }
    }
}

/// StackBERT (Gong et al., 2019) and G_stack (arXiv 2405.15319): layer `i mod L1`; new channels start fresh.
pub(super) const STACKBERT: Rule = Rule::fresh(
    ["stackbert", "StackBERT"],
    stack,
    "StackBERT, G_stack: layer *i* mod *L*; new channels fresh",
    "[Gong et al.](https://proceedings.mlr.press/v97/gong19a.html), [2405.15319](https://arxiv.org/abs/2405.15319)",
);

/// Interposition: each layer several times in a row, layer `⌊i·L1/L2⌋`; new channels start fresh.
pub(super) const INTERPOSE: Rule = Rule::fresh(
    ["interpose", "interposition"],
    interpose,
    "interposition: layer ⌊*i·L/L'*⌋; new channels fresh",
    "[2510.08008](https://arxiv.org/abs/2510.08008)",
);

/// MIDAS (arXiv 2409.19044): copies of the middle layers behind them; new channels start fresh.
pub(super) const MIDAS: Rule = Rule::fresh(
    ["midas", "MIDAS"],
    middle,
    "MIDAS: copies of the middle layers behind them; new channels fresh",
    "[2409.19044](https://arxiv.org/abs/2409.19044)",
);

/// G_zero (arXiv 2405.15319): as StackBERT, but new rows are zero where they read old channels.
pub(super) const ZERO_PAD: Rule = Rule {
    name: "zero-pad",
    label: "zero pad",
    facts: Facts {
        about: "G_zero: as StackBERT, but new rows are zero where they read old channels; new columns fresh",
        source: "[2405.15319](https://arxiv.org/abs/2405.15319)",
        keeps: [Scope::Nowhere, Scope::HeadsApart, Scope::Nowhere, Scope::Nowhere],
        ..Facts::OF_COPIES
    },
    layers: stack,
    fill: |pair| Fill::Padded {
        initializer_range: pair.initializer_range,
        seed: pair.seed,
    },
};

impl Operator for Rule {
    fn name(&self) -> &'static str {
        self.name
    }

    fn label(&self) -> &'static str {
        self.label
    }

    fn facts(&self) -> Facts {
        self.facts
    }

    fn sources(&self, small: usize, large: usize) -> Vec<Option<usize>> {
        all((self.layers)(small, large))
    }

    fn build(&self, pair: &Pair<'_>) -> Result<LinearMap, Error> {
        by_rule(pair, self.layers, (self.fill)(pair))
    }
}
