//! How the width matrices of a learned operator start, term by term.

use ligo_arch::{Axis, ParamTable};

use crate::operators::{Choice, Selection};
use crate::{FurtherInit, LigoConfig, WidthInit, init};

/// Which side of a matrix a width matrix widens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Rows; and columns where these follow rows.
    Out,
    /// Columns.
    In,
}

/// The beginning of the names of a term's matrices.
pub(crate) fn prefix(term: usize) -> String {
    if term == 0 { String::new() } else { format!("{term}.") }
}

/// The name of a width matrix.
pub(crate) fn width_name(term: usize, side: Side, axis: Axis, layer: Option<usize>) -> String {
    let kind = match side {
        Side::Out => "width",
        Side::In => "width_in",
    };
    let layer = layer.map(|layer| format!(".{layer}")).unwrap_or_default();
    format!("{}{kind}.{axis}{layer}", prefix(term))
}

/// The starting matrices of a pair.
pub(crate) struct WidthStarts<'a> {
    small: &'a ParamTable,
    large: &'a ParamTable,
    config: &'a LigoConfig,
    seed: u64,
    /// What copies what, for the start from FPI.
    copies: Option<Selection>,
}

impl<'a> WidthStarts<'a> {
    pub(crate) fn new(small: &'a ParamTable, large: &'a ParamTable, config: &'a LigoConfig, seed: u64) -> Self {
        let copies = match config.width_init {
            WidthInit::Fpi => Some(Selection::new(small, large, Choice::Uniform, seed)),
            _ => None,
        };
        Self {
            small,
            large,
            config,
            seed,
            copies,
        }
    }

    /// The matrix of an axis, row-major `[large, small]`.
    pub(crate) fn matrix(&self, term: usize, side: Side, axis: Axis, layer: Option<usize>) -> Vec<f32> {
        let (small, above) = (self.small.size(axis), self.config.further == FurtherInit::Above);
        let split = small * small;
        let mut matrix = self.first(side, axis, layer);
        match (side, term) {
            (Side::Out, 0) if above && self.config.terms > 1 => matrix[split..].fill(0.0),
            (Side::Out, 0) | (Side::In, _) => {}
            (Side::Out, _) if above => matrix[..split].fill(0.0),
            (Side::Out, _) => {
                let name = width_name(term, side, axis, layer);
                matrix = init::normal(&mut init::rng(self.seed, &name), self.config.width_noise, matrix.len());
            }
        }
        matrix
    }

    /// How a single term would start. Columns start as rows do, from the same draws, and so does what a tied head reads.
    fn first(&self, side: Side, axis: Axis, layer: Option<usize>) -> Vec<f32> {
        if let Some(sources) = self.copies.as_ref().and_then(|copies| copies.get(axis)) {
            let divides = side == Side::In || axis == Axis::HEAD_INPUT;
            let values = sources.rows(&|i| if divides { 1.0 / sources.copies(i) as f64 } else { 1.0 });
            return values.into_iter().map(|v| v as f32).collect();
        }
        let drawn = self.large.repeat(axis).map_or(axis, |r| r.of);
        let name = width_name(0, Side::Out, drawn, layer);
        let (small, large) = (self.small.size(axis), self.large.size(axis));
        let noise = self.config.width_noise;
        self.config
            .width_init
            .matrix(drawn, small, large, noise, self.seed, &name)
    }
}
