use ligo_arch::{Param, ParamTable};

use crate::init;

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
}

impl Fill {
    /// Overwrites the entries of `values` that lie outside the small model's block; all of them when the tensor has no
    /// source at all (`has_source = false`).
    pub(crate) fn apply(self, small: &ParamTable, param: &Param<'_>, has_source: bool, values: &mut [f32]) {
        let Self::Fresh {
            initializer_range,
            seed,
        } = self
        else {
            return;
        };
        let fresh = init::initial_value(param, initializer_range, seed);
        let columns = param.shape.get(1).copied().unwrap_or(1);
        let old_rows = small.size(param.axes()[0]);
        let old_columns = param.axes().get(1).map_or(1, |a| small.size(*a));
        for (index, (value, fresh)) in values.iter_mut().zip(fresh).enumerate() {
            let covered = has_source && index / columns < old_rows && index % columns < old_columns;
            if !covered {
                *value = fresh;
            }
        }
    }
}
