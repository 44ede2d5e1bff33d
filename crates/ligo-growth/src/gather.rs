//! Tensors that are grown by picking rows and columns: without a product, row by row.

use ligo_arch::{Param, ParamTable, Slice};
use ligo_checkpoint::Dtype;

use crate::picks::{Picks, WidthMatrix};
use crate::{Error, LinearMap, Term};

/// What one term takes of the small model for a tensor: a layer times a coefficient, of which rows and columns are picked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken<'m> {
    /// The source layer, in a stack.
    pub layer: Option<usize>,
    coefficient: f32,
    rows: Option<&'m Picks>,
    columns: Option<&'m Picks>,
}

impl Taken<'_> {
    /// Whether the source is taken as it is.
    pub(crate) fn is_copy(&self) -> bool {
        let is_identity = |picks: Option<&Picks>| picks.is_none_or(Picks::is_identity);
        self.coefficient == 1.0 && is_identity(self.rows) && is_identity(self.columns)
    }
}

/// What a term does to a tensor.
enum Share<'m> {
    Nothing,
    Taken(Taken<'m>),
    Product,
}

impl LinearMap {
    /// What is taken for a tensor, term by term, where nothing is done but to pick and to multiply by a factor; nothing where a term mixes, the
    /// fill looks at the whole tensor, or weights do not come from the small model alone.
    pub(crate) fn taken(&self, small: &ParamTable, param: &Param<'_>) -> Result<Option<Vec<Taken<'_>>>, Error> {
        if self.fill.needs_whole(small, param) || !self.small.is_empty() || self.residual.contains_key(&param.name) {
            return Ok(None);
        }
        let mut all = Vec::new();
        for term in &self.terms {
            match term.share(small, param)? {
                Share::Nothing => {}
                Share::Taken(taken) => all.push(taken),
                Share::Product => return Ok(None),
            }
        }
        Ok(Some(all))
    }
}

impl Term {
    fn share(&self, small: &ParamTable, param: &Param<'_>) -> Result<Share<'_>, Error> {
        let spec = param.spec;
        if !self.covers(spec) {
            return Ok(Share::Nothing);
        }
        let (mut layer, mut coefficient, mut at) = (None, 1.0, 0);
        if let (Some(stack), Some(own)) = (spec.stack, param.layer) {
            let coefficients = self.coefficients(stack, spec, own)?;
            let used = coefficients.into_iter().enumerate();
            let mut used = used.filter(|(j, c)| *c != 0.0 && small.has_in(spec, *j));
            let Some((j, c)) = used.next() else {
                return Ok(Share::Nothing);
            };
            if used.next().is_some() {
                return Ok(Share::Product);
            }
            (layer, coefficient) = (Some(j), c);
            at = if self.widens_small_layers(spec) { j } else { own };
        }
        let [rows, columns] = self.widths(spec, at);
        // Without a matrix nothing widens.
        let keeps_size = |index: usize| {
            spec.axes
                .get(index)
                .is_none_or(|a| small.size(*a) == param.shape[index])
        };
        let fits = |index: usize, matrix: Option<&WidthMatrix>| matrix.is_some() || keeps_size(index);
        if !fits(0, rows) || !fits(1, columns) {
            return Ok(Share::Product);
        }
        Ok(match (picked(rows)?, picked(columns)?) {
            (Some(rows), Some(columns)) => Share::Taken(Taken {
                layer,
                coefficient,
                rows,
                columns,
            }),
            _ => Share::Product,
        })
    }
}

/// What a matrix picks, where there is one; nothing where it does more.
fn picked(matrix: Option<&WidthMatrix>) -> Result<Option<Option<&Picks>>, Error> {
    match matrix {
        None => Ok(Some(None)),
        Some(matrix) => Ok(matrix.picks()?.map(Some)),
    }
}

/// A tensor of the small model, as a matrix.
#[derive(Clone, Debug)]
pub(crate) enum Values<'s> {
    /// In memory.
    Numbers(Vec<f32>),
    /// As a file holds it: some rows of a stored matrix.
    Stored {
        bytes: &'s [u8],
        dtype: Dtype,
        slice: Slice,
    },
}

impl Values<'_> {
    /// One row, as `f32`.
    fn row(&self, row: usize, columns: usize, out: &mut Vec<f32>) {
        out.clear();
        match self {
            Values::Numbers(values) => out.extend(&values[row * columns..][..columns]),
            Values::Stored { bytes, dtype, slice } => {
                let width = dtype.bits() / 8 * columns;
                out.resize(columns, 0.0);
                dtype.decode_into(&bytes[slice.stored_row(row) * width..][..width], out);
            }
        }
    }
}

/// A tensor that is made by picking: the sum of what some terms take.
#[derive(Debug)]
pub(crate) struct Gather<'m, 's> {
    parts: Vec<Part<'m, 's>>,
    columns: usize,
    /// What the sum is multiplied by, see [`LinearMap::ratio`].
    ratio: f64,
}

#[derive(Debug)]
struct Part<'m, 's> {
    taken: Taken<'m>,
    values: Values<'s>,
    /// Columns of the source.
    width: usize,
    /// Columns that lie together, with the same factor; none where they are too scattered for it.
    runs: Option<Vec<Run>>,
    /// The factors in the order in which the products of [`Term::widen`] are taken.
    columns_first: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Run {
    at: usize,
    from: usize,
    len: usize,
    factor: f32,
}

/// Runs shorter than this on average cost more than they save.
const SHORT_RUN: usize = 8;

impl<'m, 's> Gather<'m, 's> {
    /// What is taken from these sources, for a tensor of this shape.
    pub(crate) fn new(
        small: &ParamTable,
        param: &Param<'_>,
        taken: Vec<Taken<'m>>,
        ratio: f64,
        mut source: impl FnMut(&Taken<'m>) -> Result<Values<'s>, Error>,
    ) -> Result<Self, Error> {
        let axes = param.axes();
        let [rows1, columns1] = [small.size(axes[0]), axes.get(1).map_or(1, |a| small.size(*a))];
        let [rows2, columns2] = [param.shape[0], param.shape.get(1).copied().unwrap_or(1)];
        let parts = taken.into_iter().map(|taken| {
            Ok(Part {
                values: source(&taken)?,
                width: columns1,
                runs: taken.columns.and_then(runs),
                columns_first: crate::term::columns_first([rows1, columns1], [rows2, columns2]),
                taken,
            })
        });
        Ok(Self {
            parts: parts.collect::<Result<_, Error>>()?,
            columns: columns2,
            ratio,
        })
    }

    /// Whether anything is taken at all.
    pub(crate) fn has_source(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Columns of what is made.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Makes the rows from one on, which are zero where nothing is taken.
    pub(crate) fn rows(&self, first: usize, out: &mut [f32]) {
        let (mut source, mut added) = (
            Vec::new(),
            vec![0.0; if self.parts.len() > 1 { self.columns } else { 0 }],
        );
        for (row, out) in (first..).zip(out.chunks_exact_mut(self.columns)) {
            let mut is_first = true;
            for part in &self.parts {
                if is_first {
                    is_first = !part.row(row, &mut source, out);
                } else if part.row(row, &mut source, &mut added) {
                    out.iter_mut().zip(&added).for_each(|(sum, value)| *sum += value);
                }
            }
            if is_first {
                out.fill(0.0);
            } else if self.ratio != 1.0 {
                out.iter_mut()
                    .for_each(|value| *value = (f64::from(*value) * self.ratio) as f32);
            }
        }
    }
}

impl Part<'_, '_> {
    /// Writes one row, and says whether there is one.
    fn row(&self, row: usize, source: &mut Vec<f32>, out: &mut [f32]) -> bool {
        let Taken {
            coefficient,
            rows,
            columns,
            ..
        } = self.taken;
        let Some((from, factor)) = rows.map_or(Some((row, 1.0)), |rows| rows.get(row)) else {
            return false;
        };
        let factor = factor as f32;
        self.values.row(from, self.width, source);
        scale(source, coefficient);
        if !self.columns_first {
            scale(source, factor);
        }
        match (columns, &self.runs) {
            (None, _) => out.copy_from_slice(source),
            (Some(_), Some(runs)) => spread(runs, source, out),
            (Some(columns), None) => {
                for (column, out) in out.iter_mut().enumerate() {
                    *out = columns
                        .get(column)
                        .map_or(0.0, |(from, factor)| source[from] * factor as f32);
                }
            }
        }
        if self.columns_first {
            scale(out, factor);
        }
        true
    }
}

fn scale(values: &mut [f32], factor: f32) {
    if factor != 1.0 {
        values.iter_mut().for_each(|value| *value *= factor);
    }
}

fn spread(runs: &[Run], source: &[f32], out: &mut [f32]) {
    for run in runs {
        let out = &mut out[run.at..][..run.len];
        if run.factor == 0.0 {
            out.fill(0.0);
            continue;
        }
        let from = &source[run.from..][..run.len];
        if run.factor == 1.0 {
            out.copy_from_slice(from);
        } else {
            out.iter_mut()
                .zip(from)
                .for_each(|(out, value)| *out = value * run.factor);
        }
    }
}

/// Columns that lie together; nothing where they are too scattered.
fn runs(picks: &Picks) -> Option<Vec<Run>> {
    let mut runs: Vec<Run> = Vec::new();
    for at in 0..picks.len() {
        let (from, factor) = picks.get(at).unwrap_or((0, 0.0));
        let factor = factor as f32;
        match runs.last_mut() {
            Some(run) if run.factor == factor && (factor == 0.0 || run.from + run.len == from) => run.len += 1,
            _ => runs.push(Run {
                at,
                from,
                len: 1,
                factor,
            }),
        }
    }
    (runs.len() * SHORT_RUN <= picks.len()).then_some(runs)
}
