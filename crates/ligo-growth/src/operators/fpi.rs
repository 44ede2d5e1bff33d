//! Function-preserving initialization (Net2Net, arXiv 1511.05641; bert2BERT, arXiv 2110.07143).

use super::copies::{Copies, CopyConfig, Copying};
use super::facts::{Facts, HEADS, Scope};
use crate::{Fill, LinearMap, Term};

/// The operator with these settings.
pub(super) const fn operator(config: CopyConfig) -> Copying {
    Copying {
        name: "fpi",
        label: "bert2BERT FPI",
        facts: Facts {
            about: "Net2Net, bert2BERT's FPI: new channels, neurons and heads copy random ones, their readers divide",
            needs: HEADS,
            source: "[1511.05641](https://arxiv.org/abs/1511.05641), [2110.07143](https://arxiv.org/abs/2110.07143)",
            keeps: [Scope::Nowhere, Scope::HeadsApart, Scope::Nowhere, Scope::Nowhere],
            ..Facts::OF_COPIES
        },
        config,
        map,
    }
}

/// Net2Net's `B = [I; S]`, `A = [I; S] D⁻¹` with `D` the number of copies of each channel (LiGO, arXiv 2303.00980, equation 2),
/// by whole heads in attention. The widened model is stacked `⌊L2/L1⌋` times; what is left comes from its top.
///
/// Keeps the function where heads and feed-forward neurons grow. The residual stream is normalized over all channels: its
/// mean and variance stay the same only when every channel has equally many copies.
fn map(copies: &Copies<'_>) -> LinearMap {
    let term = Term {
        depth: copies.stacked(|j| j),
        out: copies.outputs(&|_, _| true),
        input: Some(copies.inputs()),
        ..Term::default()
    };
    LinearMap::new(vec![term], Fill::Zero)
}
