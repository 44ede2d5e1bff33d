//! HyperCloning (Samragh et al., arXiv 2409.12903), symmetric form: every channel occurs n times.

use std::collections::BTreeMap;

use burn::tensor::Device;
use ligo_arch::{Axis, ParamTable};

use super::{matrix, zero_blocks};
use crate::{Error, Factors, Fill, LinearMap, Sharing, Term};

/// `Out = [I; …; I]`, `In = [I; …; I] / n` for an axis that grows n-fold: each copy carries the small model's value, and each
/// reader divides by the number of copies. Exact for every family whose heads keep their size; layers that are added do
/// nothing, see [`zero_blocks`].
pub(super) fn build(small: &ParamTable, large: &ParamTable, device: &Device) -> Result<LinearMap, Error> {
    let (mut out, mut input) = (BTreeMap::new(), BTreeMap::new());
    for (axis, size) in large.sizes().filter(|(axis, _)| !axis.is_fixed()) {
        let old = small.size(axis);
        if !size.is_multiple_of(old) {
            return Err(Error::CannotGrow {
                operator: "hyper-cloning",
                reason: format!("{axis} grows from {old} to {size}; every width must be a whole multiple"),
                instead: "direct-copy, stackbert or ligo",
            });
        }
        let copies = size / old;
        if copies == 1 || large.repeat(axis).is_some_and(|r| r.of != Axis::HIDDEN) {
            continue;
        }
        let tiled = |value: f32| {
            let mut values = vec![0.0; size * old];
            for i in 0..size {
                values[i * old + i % old] = value;
            }
            vec![matrix(values, size, old, device)]
        };
        let share = 1.0 / copies as f32;
        // A tied decoder sums the copies, and its columns cannot be divided: what it reads is.
        out.insert(axis, tiled(if axis == Axis::HEAD_INPUT { share } else { 1.0 }));
        input.insert(axis, tiled(share));
    }
    let factors = |matrices| Factors::new(Sharing::Shared, matrices).with_repeats(small, large);
    let term = Term {
        depth: zero_blocks::depth(small, large, device),
        out: factors(out),
        input: Some(factors(input)),
    };
    Ok(LinearMap {
        terms: vec![term],
        fill: Fill::Zero,
    })
}
