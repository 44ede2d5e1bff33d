use std::ops::{Add, Range};

use ligo_arch::{Axis, NormPlace, Param, ParamTable, Role};

use crate::experts::Difference;
use crate::{init, parallel};

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
    /// Zeros, and gains of one where a normalization has no source: it then does nothing but normalize. Where what it gives is added to the residual
    /// stream, nothing is.
    Identity,
    /// As [`Fill::Fresh`], but zero where a new row reads what the small model has, in look-up tables and in vectors (G_zero, Du et
    /// al., arXiv 2405.15319, and its code): nothing has been written to new channels yet, so that old rows may read them.
    ///
    /// Where the activation is flat at zero (ReLU), a neuron of zeros would stay one: it is fresh, and what reads it zero.
    ///
    /// A product of two zeros never moves. So rows of keys and gates stay fresh, whose partners are zero, and so do gains that have
    /// no shift beside them, as those of RMSNorm.
    Padded {
        /// Standard deviation of matrices and tables.
        initializer_range: f64,
        /// Seed of the draws.
        seed: u64,
    },
    /// Added to what the map writes: fresh values of every entry of a matrix, less their mean over the copies of an input, so that they
    /// cancel out (LEMON's projection). Columns `i` and `i + D1` of `D2` are copies, and what is left over beyond a whole multiple
    /// of the residual stream is read with fresh values. Otherwise as [`Fill::Identity`].
    FanOut {
        /// Standard deviation of matrices.
        initializer_range: f64,
        /// Seed of the draws.
        seed: u64,
    },
    /// Copies stay but for what makes experts differ; what copies nothing starts fresh.
    Experts {
        /// Standard deviation of matrices.
        initializer_range: f64,
        /// How copies differ from what they copy.
        difference: Difference,
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
    pub(crate) fn apply<E: From<f32> + Into<f64> + Copy + Add<Output = E> + Send>(
        self,
        small: &ParamTable,
        param: &Param<'_>,
        has_source: bool,
        values: &mut [E],
    ) {
        if let Self::Experts { difference, .. } = self
            && has_source
        {
            difference.apply(small, param, values);
            return;
        }
        parallel::by_rows(values, columns(param), |first, values| {
            self.apply_rows(small, param, has_source, first, values);
        });
    }

    /// As [`Fill::apply`], for some rows, which begin with row `first`.
    pub(crate) fn apply_rows<E: From<f32> + Copy + Add<Output = E>>(
        self,
        small: &ParamTable,
        param: &Param<'_>,
        has_source: bool,
        first: usize,
        values: &mut [E],
    ) {
        if self.is_nothing(small, param, has_source) {
            return;
        }
        let begin = first * columns(param);
        if let Some(added) = self.added(small, param, has_source, begin..begin + values.len()) {
            let sums = values.iter_mut().zip(added);
            sums.for_each(|(value, added)| *value = *value + added.into());
            return;
        }
        let (Self::Fresh {
            initializer_range,
            seed,
        }
        | Self::Padded {
            initializer_range,
            seed,
        }
        | Self::Silent {
            initializer_range,
            seed,
        }
        | Self::Experts {
            initializer_range,
            difference: Difference { seed, .. },
        }) = self
        else {
            let normalizes = matches!(self, Self::Identity | Self::FanOut { .. });
            let is_added = small.writes_residual(param.spec);
            if normalizes && !has_source && param.spec.role == Role::NormWeight && !is_added {
                values.fill(1.0.into());
            }
            return;
        };
        let is_silent: Box<dyn Fn(usize) -> bool> = match self {
            Self::Silent { .. } => silence(small, param, has_source),
            Self::Padded { .. } if has_source => padding(small, param),
            _ => Box::new(|_| false),
        };
        for new in new_ranges(small, param, has_source, begin..begin + values.len()) {
            let values = &mut values[new.start - begin..new.end - begin];
            if new.clone().all(&is_silent) {
                values.fill(0.0.into());
                continue;
            }
            let fresh = match self {
                Self::Experts { difference, .. } if difference.shares > 1 => {
                    shared_rows(param, new.clone(), difference, initializer_range)
                }
                _ => init::initial_values_in(param, initializer_range, seed, new.clone()),
            };
            for (index, (value, fresh)) in new.zip(values.iter_mut().zip(fresh)) {
                *value = if is_silent(index) { 0.0 } else { fresh }.into();
            }
        }
    }

    /// Whether the values of a tensor stay what the map writes.
    pub(crate) fn is_nothing(self, small: &ParamTable, param: &Param<'_>, has_source: bool) -> bool {
        let is_old = || {
            let mut sizes = param.axes().iter().zip(&param.shape);
            has_source && sizes.all(|(axis, size)| small.size(*axis) == *size)
        };
        match self {
            Self::Zero => true,
            Self::Experts { .. } => has_source && !self.needs_whole(small, param),
            Self::Added { own_layers, .. } => is_old() && !(own_layers && is_further(small, param)),
            _ => is_old(),
        }
    }

    /// Whether what stands in a tensor depends on all values that the map writes to it.
    pub(crate) fn needs_whole(self, small: &ParamTable, param: &Param<'_>) -> bool {
        match self {
            Self::Experts { difference, .. } => difference.concerns(small, param),
            _ => false,
        }
    }

    /// What is added to some values of a tensor, by their row-major indices, whatever the map writes; only [`Fill::Added`] and [`Fill::FanOut`] do.
    pub(crate) fn added(
        self,
        small: &ParamTable,
        param: &Param<'_>,
        has_source: bool,
        range: Range<usize>,
    ) -> Option<Vec<f32>> {
        if let Self::FanOut {
            initializer_range,
            seed,
        } = self
        {
            let fresh = || init::initial_values_in(param, initializer_range, seed, range.clone());
            return has_source.then(|| fan_out(small, param, &fresh)).flatten();
        }
        let Self::Added {
            initializer_range,
            seed,
            own_layers,
        } = self
        else {
            return None;
        };
        let mut fresh = init::initial_values_in(param, initializer_range, seed, range.clone());
        if !(own_layers && is_further(small, param)) {
            let is_old = old_block(small, param);
            let old = range.zip(&mut fresh).filter(|(index, _)| is_old(*index));
            old.for_each(|(_, value)| *value = 0.0);
        }
        Some(fresh)
    }
}

/// Whether a tensor belongs to a layer that the small model, by its number, does not have.
fn is_further(small: &ParamTable, param: &Param<'_>) -> bool {
    let place = param.spec.stack.zip(param.layer);
    place.is_some_and(|(stack, layer)| layer >= small.depth(stack))
}

/// Whether an entry of a tensor, by its row-major index, lies in the block that the small model's tensor fills.
pub(crate) fn old_block(small: &ParamTable, param: &Param<'_>) -> impl Fn(usize) -> bool {
    let columns = param.shape.get(1).copied().unwrap_or(1);
    let old_rows = small.size(param.axes()[0]);
    let old_columns = param.axes().get(1).map_or(1, |a| small.size(*a));
    move |index| index / columns < old_rows && index % columns < old_columns
}

fn columns(param: &Param<'_>) -> usize {
    param.shape.get(1).copied().unwrap_or(1).max(1)
}

/// The entries of some whole rows that lie outside the small model's block.
fn new_ranges(small: &ParamTable, param: &Param<'_>, has_source: bool, rows: Range<usize>) -> Vec<Range<usize>> {
    let (columns, old_rows) = (columns(param), small.size(param.axes()[0]));
    let old_columns = param.axes().get(1).map_or(1, |a| small.size(*a)).min(columns);
    let old_end = if has_source { old_rows * columns } else { 0 };
    let in_old_rows = rows.start..rows.end.min(old_end).max(rows.start);
    let behind = in_old_rows.end..rows.end;
    let mut ranges: Vec<Range<usize>> = Vec::new();
    if old_columns < columns {
        let begins = in_old_rows.step_by(columns);
        ranges.extend(begins.map(|begin| begin + old_columns..begin + columns));
    }
    ranges.extend((!behind.is_empty()).then_some(behind));
    ranges
}

/// Fresh values that cancel over the copies of an input; none for what reads no copies.
fn fan_out(small: &ParamTable, param: &Param<'_>, fresh: &dyn Fn() -> Vec<f32>) -> Option<Vec<f32>> {
    let (Role::Weight, [_, read]) = (param.spec.role, param.axes()) else {
        return None;
    };
    let (old, columns) = (small.size(*read), param.shape[1]);
    if read.is_fixed() || old == columns {
        return None;
    }
    let is_left_over = is_residual(*read).then_some(columns - columns % old);
    let copied = is_left_over.unwrap_or(columns);
    let mut values = fresh();
    for row in values.chunks_mut(columns) {
        for j in 0..old.min(copied) {
            let copies = || (j..copied).step_by(old);
            let sum: f64 = copies().map(|i| f64::from(row[i])).sum();
            let mean = sum / copies().count() as f64;
            let largest = copies().map(|i| (f64::from(row[i]) - mean).abs()).fold(0.0, f64::max);
            // On a grid that is coarse enough every sum is exact, so that copies cancel to the last bit.
            let grid = 2f64.powi(largest.log2().ceil().max(-100.0) as i32 - GRID_BITS);
            let last = j + (copied - 1 - j) / old * old;
            let mut others = 0.0;
            for i in copies().filter(|i| *i != last) {
                let value = ((f64::from(row[i]) - mean) / grid).round() * grid;
                row[i] = value as f32;
                others += value;
            }
            row[last] = -others as f32;
        }
    }
    Some(values)
}

/// Bits of the largest value on the grid of fresh values: what is left of the 24 of an `f32` is for sums.
const GRID_BITS: i32 = 20;

fn is_residual(axis: Axis) -> bool {
    [Axis::HIDDEN, Axis::HEAD_INPUT].contains(&axis)
}

/// Whether a new entry, by its row-major index, is zero with [`Fill::Padded`].
fn padding(small: &ParamTable, param: &Param<'_>) -> Box<dyn Fn(usize) -> bool> {
    let spec = param.spec;
    let all = |zero: bool| -> Box<dyn Fn(usize) -> bool> { Box::new(move |_| zero) };
    let has_shift = small.has_shifts();
    match (spec.role, spec.axes.get(1)) {
        (Role::NormWeight, _) => all(has_shift),
        // What LayerScale scales is zero already.
        (Role::Scale, _) => all(false),
        (Role::Bias | Role::NormBias | Role::Embedding | Role::Token, _) | (Role::Weight, None) => all(true),
        (Role::Weight, Some(_)) if [Axis::KEY, Axis::CLASS_KEY].contains(&spec.axes[0]) => all(false),
        (Role::Weight, Some(_)) if GATES.contains(&spec.module) => all(false),
        (Role::Weight, Some(columns)) if small.is_flat_at_zero() && NEURONS.iter().any(|n| spec.axes.contains(n)) => {
            all(NEURONS.contains(columns))
        }
        (Role::Weight, Some(columns)) => {
            let (old, width) = (small.size(*columns), param.shape[1]);
            Box::new(move |index| index % width < old)
        }
    }
}

/// The axes of feed-forward networks.
const NEURONS: [Axis; 3] = [Axis::FFN, Axis::CLASS_FFN, Axis::EXPERT_FFN];

/// The modules of what gated neurons are multiplied by.
const GATES: [&str; 2] = ["ffn_gate", "expert_gate"];

/// Whether a new entry, by its row-major index, must be zero. In a layer without a source nothing but the residual stream is old.
fn silence(small: &ParamTable, param: &Param<'_>, has_source: bool) -> Box<dyn Fn(usize) -> bool> {
    let spec = param.spec;
    let residual = |axis: &Axis| is_residual(*axis);
    let outputs_are_normalized = small.norm().is_some_and(|norm| norm.place == NormPlace::Output);
    let [rows, columns] = [spec.axes.first(), spec.axes.get(1)];
    match (spec.role, rows, columns) {
        // What a layer without a source would add to the residual stream.
        (Role::NormWeight, ..) if !has_source && small.writes_residual(spec) => Box::new(|_| true),
        // Gains and shifts: what they scale is zero already.
        (Role::NormWeight | Role::NormBias | Role::Scale, ..) => Box::new(|_| false),
        // What writes the residual stream.
        (Role::Embedding | Role::Token, _, Some(_)) => Box::new(|_| true),
        (_, Some(rows), _) if residual(rows) && (has_source || !outputs_are_normalized) => Box::new(|_| true),
        // A new neuron or head that an old row would read. New channels of the residual stream are zero, so that reading them
        // is harmless.
        (_, Some(rows), Some(columns)) if has_source && !columns.is_fixed() && !residual(columns) => {
            let (old_rows, width) = (small.size(*rows), param.shape[1]);
            Box::new(move |index| index / width < old_rows)
        }
        _ => Box::new(|_| false),
    }
}

/// Fresh values in a range of a tensor whose rows are the same for all shares of an expert.
fn shared_rows(param: &Param<'_>, range: Range<usize>, difference: Difference, initializer_range: f64) -> Vec<f32> {
    let columns = columns(param).max(1);
    let mut fresh = Vec::with_capacity(range.len());
    let mut at = range.start;
    while at < range.end {
        let end = range.end.min((at / columns + 1) * columns);
        let moved = (at / columns - difference.router_row(param, at / columns)) * columns;
        let source = at - moved..end - moved;
        fresh.extend(init::initial_values_in(
            param,
            initializer_range,
            difference.seed,
            source,
        ));
        at = end;
    }
    fresh
}
