//! What an operator looks like, in few enough numbers for a report.

use serde::{Deserialize, Serialize};

use super::singular::singular_values;
use crate::plot::Matrix;

/// As many values of one kind as a picture can show.
pub const MAX_VALUES: usize = 256;

/// The matrices of one run's operator: depth matrices in full, width matrices by their norms and singular values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OperatorSummary {
    /// The [`id`](super::MethodSummary::id) of the run.
    pub run: String,
    /// A line above the pictures: `LiGO, seed 1`.
    pub title: String,
    /// One `[large layers, small layers]` matrix per module type.
    pub depth: Vec<Matrix>,
    /// One entry per axis.
    pub width: Vec<WidthMatrix>,
}

/// A `[large channels, small channels]` matrix in a few hundred numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WidthMatrix {
    /// The axis: `hidden`.
    pub name: String,
    /// Channels of the large model.
    pub rows: usize,
    /// Channels of the small model. Rows from here on have no counterpart in it.
    pub columns: usize,
    /// Euclidean norms of the rows in their order, [thinned](thinned).
    #[serde(with = "ligo_cost::nan_is_null::each")]
    pub row_norms: Vec<f64>,
    /// Singular values from the largest, [thinned](thinned); empty where nobody computed them.
    #[serde(with = "ligo_cost::nan_is_null::each")]
    pub singular_values: Vec<f64>,
}

impl WidthMatrix {
    /// Norms and singular values of the matrix. Of very large matrices (more than 768 channels on the smaller side) only the norms.
    #[must_use]
    pub fn of(matrix: &Matrix) -> Self {
        Self::new(matrix, &singular_values(matrix))
    }

    /// Norms of the matrix, and singular values that the caller computed (all of them, or none).
    #[must_use]
    pub fn new(matrix: &Matrix, singular_values: &[f64]) -> Self {
        Self {
            name: matrix.name.clone(),
            rows: matrix.rows,
            columns: matrix.columns,
            row_norms: thinned(&matrix.norms().0),
            singular_values: thinned(singular_values),
        }
    }
}

/// At most [`MAX_VALUES`] of the values, evenly spaced, the first and the last among them.
#[must_use]
pub fn thinned(values: &[f64]) -> Vec<f64> {
    let last = values.len().saturating_sub(1);
    if last < MAX_VALUES {
        return values.to_vec();
    }
    let place = |index: usize| (index * last + (MAX_VALUES - 1) / 2) / (MAX_VALUES - 1);
    (0..MAX_VALUES).map(|index| values[place(index)]).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn many_values_are_thinned_between_the_first_and_the_last() {
        let values: Vec<f64> = (0..1000).map(f64::from).collect();
        let few = thinned(&values);
        assert_eq!((few.len(), few[0], few[255]), (MAX_VALUES, 0.0, 999.0));
        assert!(
            few.windows(2).all(|pair| (3.0..=4.0).contains(&(pair[1] - pair[0]))),
            "{few:?}"
        );
        assert_eq!(thinned(&values[..256]), &values[..256]);
        assert!(thinned(&[]).is_empty());
    }

    #[test]
    fn values_that_are_no_numbers_survive_a_file() {
        let matrix = Matrix {
            name: "hidden".into(),
            rows: 1,
            columns: 2,
            values: vec![f32::NAN, 1.5],
        };
        let summary = OperatorSummary {
            width: vec![WidthMatrix::new(&matrix, &[2.0])],
            depth: vec![matrix],
            ..OperatorSummary::default()
        };
        let text = serde_json::to_string(&summary).unwrap();
        let again: OperatorSummary = serde_json::from_str(&text).unwrap();
        assert!(
            again.depth[0].values[0].is_nan() && again.depth[0].values[1] == 1.5,
            "{text}"
        );
        assert!(
            again.width[0].row_norms[0].is_nan() && again.width[0].singular_values == [2.0],
            "{text}"
        );
    }
}
