//! What becomes of an optimizer's moments when a model grows.

use burn::tensor::{Tensor, TensorData};
use ligo_arch::Axis;

use crate::host::host;
use crate::linalg::{gram, right_inverse};
use crate::{Carried, Coverage, Error, Factors, Fill, LinearMap, Term};

impl LinearMap {
    /// The map of first moments (momentum, Adam's `exp_avg`), which are means of gradients.
    ///
    /// Gradients run against the map: `G_small = Outᵀ · G_large · In`. Of all large tensors with this property the map gives the
    /// smallest, which has the dual factors `Out (OutᵀOut)⁻¹` and `In (InᵀIn)⁻¹` in the place of `Out` and `In`. Where channels are
    /// copied and their readers divided it is exact: on doubling by HyperCloning every copy of a weight has half of the
    /// gradient (the rule of staged training, Shen et al., arXiv 2203.06211). New entries have no moments.
    ///
    /// A singular `OutᵀOut` has its pseudo-inverse, and a dense one a ridge of 1e-8 of its mean diagonal. In a sum of terms
    /// `Out_t` is multiplied by the inverse of `Σ_s Out_sᵀ Out_s`, which is exact where the terms write different rows (AKI),
    /// and `In_t` by that of the first term, of which the others are variations. [`Coverage::Noise`] is left out.
    /// Depth coefficients stay as they are: each copy of a layer takes over its moments whole.
    ///
    /// # Errors
    /// A device returns unreadable data.
    pub fn for_first_moments(&self) -> Result<Self, Error> {
        self.moments(Carried::Gradients, &|value| value)
    }

    /// The map of second moments (Adam's `exp_avg_sq`), which are means of squared gradients: that of
    /// [`LinearMap::for_first_moments`] with all entries squared, as for gradients that are independent of each other. Exact
    /// where each entry comes from one entry: a quarter on doubling.
    ///
    /// # Errors
    /// As [`LinearMap::for_first_moments`].
    pub fn for_second_moments(&self) -> Result<Self, Error> {
        self.moments(Carried::SquaredGradients, &|value| value * value)
    }

    fn moments(&self, carried: Carried, entry: &dyn Fn(f64) -> f64) -> Result<Self, Error> {
        let terms: Vec<&Term> = self.terms.iter().filter(|t| t.coverage != Coverage::Noise).collect();
        let mut grown = Vec::new();
        for term in &terms {
            let disjoint =
                |a: &Term, b: &Term| a.coverage != b.coverage && [a, b].iter().all(|t| t.coverage != Coverage::Whole);
            let beside: Vec<&Term> = terms.iter().copied().filter(|other| !disjoint(term, other)).collect();
            let mut roles = term.roles.clone();
            for (role, factors) in &mut roles {
                let all: Vec<&Factors> = beside.iter().map(|t| t.roles.get(role).unwrap_or(&t.out)).collect();
                *factors = dual(factors, &all, entry)?;
            }
            // Tied columns are not tied any more once rows and columns have different inverses.
            let input = match (&term.input, beside.as_slice()) {
                (None, [_]) => None,
                (input, _) => {
                    let first = beside[0].input.as_ref().unwrap_or(&beside[0].out);
                    Some(dual(input.as_ref().unwrap_or(&term.out), &[first], entry)?)
                }
            };
            let (mut depth, mut bias_depth) = (term.depth.clone(), term.bias_depth.clone());
            for matrix in depth.values_mut().chain(bias_depth.values_mut()) {
                *matrix = mapped(matrix, entry)?;
            }
            grown.push(Term {
                depth,
                bias_depth,
                out: dual(&term.out, &beside.iter().map(|t| &t.out).collect::<Vec<_>>(), entry)?,
                roles,
                input,
                coverage: term.coverage,
            });
        }
        Ok(Self {
            terms: grown,
            fill: Fill::Zero,
            carried,
            ..Self::default()
        })
    }
}

/// `F (Σ_s F_sᵀ F_s)⁻¹` for every matrix of `factors`, the sum over `all`, with `entry` applied to each entry.
fn dual(factors: &Factors, all: &[&Factors], entry: &dyn Fn(f64) -> f64) -> Result<Factors, Error> {
    let mut duals = factors.clone();
    for (axis, matrices) in &mut duals.matrices {
        for (layer, matrix) in matrices.iter_mut().enumerate() {
            let [rows, columns] = matrix.dims();
            let sum = gram_sum(*axis, layer, columns, all)?;
            let mut values = right_inverse(&read(matrix.tensor())?, &sum, columns);
            values.iter_mut().for_each(|v| *v = entry(*v));
            let device = matrix.tensor().device();
            *matrix = Tensor::<2>::from_data(TensorData::new(values, [rows, columns]), &device).into();
        }
    }
    Ok(duals)
}

fn gram_sum(axis: Axis, layer: usize, columns: usize, all: &[&Factors]) -> Result<Vec<f64>, Error> {
    let mut sum = vec![0.0; columns * columns];
    for factors in all {
        if let Some(matrix) = factors.get(axis, layer) {
            let part = gram(&read(matrix)?, columns);
            sum.iter_mut().zip(part).for_each(|(s, p)| *s += p);
        }
    }
    Ok(sum)
}

fn mapped(matrix: &Tensor<2>, entry: &dyn Fn(f64) -> f64) -> Result<Tensor<2>, Error> {
    let shape = matrix.dims();
    let values: Vec<f64> = read(matrix)?.into_iter().map(entry).collect();
    Ok(Tensor::from_data(TensorData::new(values, shape), &matrix.device()))
}

fn read(matrix: &Tensor<2>) -> Result<Vec<f64>, Error> {
    let [rows, columns] = matrix.dims();
    host(matrix.clone().reshape([rows * columns]))
}
