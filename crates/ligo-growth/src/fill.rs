use std::ops::Add;

use ligo_arch::{Axis, Param, ParamTable, Role};

use crate::init;
use crate::novelty::old_block;

/// What stands where a map writes nothing: new channels of a copied tensor, or layers without a source.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Fill {
    /// Zeros.
    #[default]
    Zero,
    /// The large model's own fresh initial values.
    Fresh {
        /// Standard deviation of matrices and tables.
        initializer_range: f64,
        /// Seed of the draws.
        seed: u64,
    },
    /// As [`Fill::Fresh`], but added to what the map writes, so that a learned map can write there as well.
    Added {
        /// Standard deviation of matrices and tables.
        initializer_range: f64,
        /// Seed of the draws.
        seed: u64,
        /// Whether all of a layer is new that the small model, by its number, does not have.
        own_layers: bool,
    },
    /// As [`Fill::Fresh`], but zero where a new channel would reach an old one or the residual stream: new channels of the
    /// residual stream stay zero, and nothing reads new neurons and heads yet (Gesmundo and Maile, arXiv 2308.06103).
    Silent {
        /// Standard deviation of matrices and tables.
        initializer_range: f64,
        /// Seed of the draws.
        seed: u64,
    },
}

impl Fill {
    /// Overwrites the entries of `values` that lie outside the small model's block; all of them when the tensor has no
    /// source at all (`has_source = false`).
    pub(crate) fn apply<E: From<f32> + Copy + Add<Output = E>>(
        self,
        small: &ParamTable,
        param: &Param<'_>,
        has_source: bool,
        values: &mut [E],
    ) {
        if let Some(added) = self.added(small, param) {
            let sums = values.iter_mut().zip(added);
            sums.for_each(|(value, added)| *value = *value + added.into());
            return;
        }
        let (Self::Fresh {
            initializer_range,
            seed,
        }
        | Self::Silent {
            initializer_range,
            seed,
        }) = self
        else {
            return;
        };
        let fresh = init::initial_value(param, initializer_range, seed);
        let is_old = old_block(small, param);
        let is_silent: Box<dyn Fn(usize) -> bool> = match self {
            Self::Silent { .. } => silence(small, param, has_source),
            _ => Box::new(|_| false),
        };
        for (index, (value, fresh)) in values.iter_mut().zip(fresh).enumerate() {
            if !has_source || !is_old(index) {
                *value = if is_silent(index) { 0.0 } else { fresh }.into();
            }
        }
    }

    /// What is added to the values of a tensor, whatever the map writes; only [`Fill::Added`] does.
    pub(crate) fn added(self, small: &ParamTable, param: &Param<'_>) -> Option<Vec<f32>> {
        let Self::Added {
            initializer_range,
            seed,
            own_layers,
        } = self
        else {
            return None;
        };
        let mut fresh = init::initial_value(param, initializer_range, seed);
        let place = param.spec.stack.zip(param.layer);
        if !(own_layers && place.is_some_and(|(stack, layer)| layer >= small.depth(stack))) {
            let is_old = old_block(small, param);
            let old = fresh.iter_mut().enumerate().filter(|(index, _)| is_old(*index));
            old.for_each(|(_, value)| *value = 0.0);
        }
        Some(fresh)
    }
}

/// Whether a new entry, by its row-major index, must be zero. In a layer without a source nothing but the residual stream is old.
fn silence(small: &ParamTable, param: &Param<'_>, has_source: bool) -> Box<dyn Fn(usize) -> bool> {
    let spec = param.spec;
    let residual = |axis: &Axis| [Axis::HIDDEN, Axis::HEAD_INPUT].contains(axis);
    let [rows, columns] = [spec.axes.first(), spec.axes.get(1)];
    match (spec.role, rows, columns) {
        // Gains and shifts: what they scale is zero already.
        (Role::NormWeight | Role::NormBias | Role::Scale, ..) => Box::new(|_| false),
        // What writes the residual stream.
        (Role::Embedding | Role::Token, _, Some(_)) => Box::new(|_| true),
        (_, Some(rows), _) if residual(rows) => Box::new(|_| true),
        // A new neuron or head that an old row would read. New channels of the residual stream are zero, so that reading them
        // is harmless.
        (_, Some(rows), Some(columns)) if has_source && !columns.is_fixed() && !residual(columns) => {
            let (old_rows, width) = (small.size(*rows), param.shape[1]);
            Box::new(move |index| index / width < old_rows)
        }
        _ => Box::new(|_| false),
    }
}
