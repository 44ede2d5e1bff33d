//! Advanced knowledge initialization (bert2BERT, arXiv 2110.07143).

use std::collections::BTreeMap;

use ligo_arch::Role;

use super::copies::{Copies, CopyConfig, Copying};
use super::facts::{Facts, HEADS};
use super::selection::Sources;
use crate::{Coverage, Fill, LinearMap, Term};

/// The operator with these settings.
pub(super) const fn operator(config: CopyConfig) -> Copying {
    Copying {
        name: "aki",
        label: "bert2BERT AKI",
        facts: Facts {
            about: "bert2BERT's AKI: as FPI, new rows from the layer above, but for normalizations",
            terms: "2",
            needs: HEADS,
            source: "[2110.07143](https://arxiv.org/abs/2110.07143)",
            ..Facts::OF_COPIES
        },
        config,
        map,
    }
}

/// Advanced knowledge initialization: as FPI, but new rows come from the layer above, `Out_2 W[l + 1] Inᵀ` with
/// `Out_1 = [I; 0]` and `Out_2 = [0; S]`. The last layer, what stands outside all layers, and normalizations use themselves.
///
/// Does not keep the function, and copies of a neuron are not alike.
fn map(copies: &Copies<'_>) -> LinearMap {
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
    LinearMap::new(vec![own, above], Fill::Zero)
}
