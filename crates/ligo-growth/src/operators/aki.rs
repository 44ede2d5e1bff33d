//! Advanced knowledge initialization (bert2BERT, arXiv 2110.07143).

use std::collections::BTreeMap;

use burn::tensor::Device;
use ligo_arch::{ParamTable, Role};

use super::check::Refusal;
use super::facts::{Facts, HEADS};
use super::fpi::{Copies, CopyConfig};
use super::operator::{Operator, Pair, all};
use super::selection::{Sources, check_units};
use crate::depth::stack_from_top;
use crate::{Coverage, Error, Fill, LinearMap, Term};

/// Advanced knowledge initialization: as FPI, but new rows come from the layer above, `Out_2 W[l + 1] Inᵀ` with
/// `Out_1 = [I; 0]` and `Out_2 = [0; S]`. The last layer, what stands outside all layers, and normalizations use themselves.
///
/// Does not keep the function, and copies of a neuron are not alike.
fn aki(small: &ParamTable, large: &ParamTable, device: &Device, config: CopyConfig, seed: u64) -> LinearMap {
    let copies = Copies::new(small, large, device, config, seed);
    // Normalizations belong to neither attention nor feed-forward network: theirs are copied within the layer.
    let norms = |takes: bool| {
        let rows = copies.outputs(&|_, _| takes);
        BTreeMap::from([(Role::NormWeight, rows.clone()), (Role::NormBias, rows)])
    };
    let own = Term {
        depth: copies.stacked(|j| j),
        out: copies.outputs(&|sources, i| !sources.is_new(i)),
        roles: norms(true),
        input: Some(copies.inputs()),
        ..Term::default()
    };
    let above = Term {
        depth: copies.stacked(|j| j + 1),
        out: copies.outputs(&Sources::is_new),
        roles: norms(false),
        input: Some(copies.inputs()),
        coverage: Coverage::Outputs,
        ..Term::default()
    };
    LinearMap {
        terms: vec![own, above],
        fill: Fill::Zero,
        ..LinearMap::default()
    }
}

/// With these settings.
pub(super) struct Aki(pub(super) CopyConfig);

impl Operator for Aki {
    fn name(&self) -> &'static str {
        "aki"
    }

    fn label(&self) -> &'static str {
        "bert2BERT AKI"
    }

    fn facts(&self) -> Facts {
        Facts {
            about: "bert2BERT's AKI: as FPI, new rows from the layer above, but for normalizations",
            terms: "2",
            needs: HEADS,
            source: "[2110.07143](https://arxiv.org/abs/2110.07143)",
            ..Facts::OF_COPIES
        }
    }

    fn sources(&self, small: usize, large: usize) -> Vec<Option<usize>> {
        all(stack_from_top(small, large))
    }

    fn check(&self, small: &ParamTable, large: &ParamTable) -> Result<(), Refusal> {
        check_units(small, large)
    }

    fn build(&self, pair: &Pair<'_>) -> Result<LinearMap, Error> {
        Ok(aki(pair.small, pair.large, pair.device, self.0, pair.seed))
    }
}
