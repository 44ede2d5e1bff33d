//! Least squares that outliers do not pull: Levenberg–Marquardt with Huber's loss by reweighting.

/// More of them than any fit of a law needs.
const ITERATIONS: usize = 400;
/// A relative step or gain below which a fit has arrived.
const TOLERANCE: f64 = 1e-13;

/// What a fit ended with.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fit {
    /// The parameters.
    pub(super) at: Vec<f64>,
    /// Each point's residual there.
    pub(super) residuals: Vec<f64>,
    /// Huber's loss of all of them: `r²/2` up to `delta` and `delta (|r| - delta/2)` beyond.
    pub(super) loss: f64,
    /// The inverse of `Jᵀ W J`, if it has one.
    inverse: Option<Vec<Vec<f64>>>,
    /// `Σ w r²`.
    squares: f64,
}

impl Fit {
    /// The points less the parameters.
    pub(super) fn degrees(&self) -> usize {
        self.residuals.len().saturating_sub(self.at.len())
    }

    /// The variance of a residual, as far as there are more points than parameters.
    pub(super) fn variance(&self) -> Option<f64> {
        (self.degrees() > 0).then(|| self.squares / self.degrees() as f64)
    }

    /// The variance of what has this gradient by the parameters: `σ² gᵀ (Jᵀ W J)⁻¹ g`.
    pub(super) fn variance_of(&self, gradient: &[f64]) -> Option<f64> {
        let inverse = self.inverse.as_ref()?;
        let along = |row: &Vec<f64>| row.iter().zip(gradient).map(|(a, b)| a * b).sum::<f64>();
        let form: f64 = inverse.iter().zip(gradient).map(|(row, g)| along(row) * g).sum();
        Some(self.variance()? * form).filter(|variance| variance.is_finite() && *variance >= 0.0)
    }
}

/// Minimizes Huber's loss of `residuals` from each of the starts, and returns the best end; nothing where no start had finite residuals.
pub(super) fn fit(
    residuals: impl Fn(&[f64]) -> Vec<f64>,
    starts: impl IntoIterator<Item = Vec<f64>>,
    delta: f64,
) -> Option<Fit> {
    let ends = starts.into_iter().filter_map(|start| from(&residuals, start, delta));
    ends.min_by(|a, b| a.loss.total_cmp(&b.loss))
}

fn from(residuals: &impl Fn(&[f64]) -> Vec<f64>, start: Vec<f64>, delta: f64) -> Option<Fit> {
    let mut at = start;
    let mut now = residuals(&at);
    let mut loss = huber(&now, delta)?;
    let mut damping = 1e-3;
    for _ in 0..ITERATIONS {
        let jacobian = jacobian(residuals, &at);
        let (normal, gradient) = normal_equations(&jacobian, &now, delta);
        let mut moved = false;
        // Until a step goes down, or none does.
        while damping < 1e14 {
            let damped = (0..at.len()).map(|i| {
                let mut row = normal[i].clone();
                row[i] += damping * normal[i][i].max(1e-12);
                row
            });
            let tried = solve(damped.collect(), gradient.clone()).map(|step| {
                let next: Vec<f64> = at.iter().zip(&step).map(|(x, s)| x - s).collect();
                let found = residuals(&next);
                (next, huber(&found, delta), found)
            });
            match tried {
                Some((next, Some(lower), found)) if lower < loss => {
                    let gain = (loss - lower) / loss.max(f64::MIN_POSITIVE);
                    (at, now, loss) = (next, found, lower);
                    damping = (damping * 0.3).max(1e-14);
                    moved = gain > TOLERANCE;
                    break;
                }
                _ => damping *= 4.0,
            }
        }
        if !moved {
            break;
        }
    }
    let jacobian = jacobian(residuals, &at);
    let (normal, _) = normal_equations(&jacobian, &now, delta);
    let squares = now.iter().map(|r| weight(*r, delta) * r * r).sum();
    Some(Fit {
        inverse: inverse(&normal),
        at,
        residuals: now,
        loss,
        squares,
    })
}

fn huber(residuals: &[f64], delta: f64) -> Option<f64> {
    let one = |r: &f64| match r.abs() {
        small if small <= delta => 0.5 * small * small,
        large => delta * (large - 0.5 * delta),
    };
    Some(residuals.iter().map(one).sum::<f64>()).filter(|sum| sum.is_finite())
}

fn weight(residual: f64, delta: f64) -> f64 {
    (delta / residual.abs()).min(1.0)
}

/// Central differences: a row for each residual.
fn jacobian(residuals: &impl Fn(&[f64]) -> Vec<f64>, at: &[f64]) -> Vec<Vec<f64>> {
    let columns: Vec<Vec<f64>> = (0..at.len())
        .map(|i| {
            let step = 1e-6 * at[i].abs().max(1e-3);
            let shifted = |by: f64| {
                let mut to = at.to_vec();
                to[i] += by;
                residuals(&to)
            };
            let (up, down) = (shifted(step), shifted(-step));
            up.iter().zip(&down).map(|(a, b)| (a - b) / (2.0 * step)).collect()
        })
        .collect();
    let rows = columns.first().map_or(0, Vec::len);
    (0..rows)
        .map(|r| columns.iter().map(|column| column[r]).collect())
        .collect()
}

/// `Jᵀ W J` and `Jᵀ W r`.
fn normal_equations(jacobian: &[Vec<f64>], residuals: &[f64], delta: f64) -> (Vec<Vec<f64>>, Vec<f64>) {
    let size = jacobian.first().map_or(0, Vec::len);
    let mut normal = vec![vec![0.0; size]; size];
    let mut gradient = vec![0.0; size];
    for (row, residual) in jacobian.iter().zip(residuals) {
        let weight = weight(*residual, delta);
        for i in 0..size {
            gradient[i] += weight * row[i] * residual;
            for j in 0..size {
                normal[i][j] += weight * row[i] * row[j];
            }
        }
    }
    (normal, gradient)
}

/// Gauss with pivots; nothing where the matrix has no inverse to speak of.
fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Option<Vec<f64>> {
    let size = right.len();
    let largest = matrix.iter().flatten().fold(0.0_f64, |most, x| most.max(x.abs()));
    for column in 0..size {
        let pivot = (column..size).max_by(|a, b| matrix[*a][column].abs().total_cmp(&matrix[*b][column].abs()))?;
        if matrix[pivot][column].abs() <= largest * 1e-16 {
            return None;
        }
        matrix.swap(column, pivot);
        right.swap(column, pivot);
        for row in column + 1..size {
            let factor = matrix[row][column] / matrix[column][column];
            for k in column..size {
                matrix[row][k] -= factor * matrix[column][k];
            }
            right[row] -= factor * right[column];
        }
    }
    for column in (0..size).rev() {
        for row in 0..column {
            let factor = matrix[row][column] / matrix[column][column];
            right[row] -= factor * right[column];
        }
        right[column] /= matrix[column][column];
    }
    Some(right).filter(|found| found.iter().all(|x| x.is_finite()))
}

fn inverse(matrix: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
    let size = matrix.len();
    let unit = |i: usize| (0..size).map(|j| f64::from(u8::from(i == j))).collect::<Vec<f64>>();
    (0..size).map(|i| solve(matrix.to_vec(), unit(i))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_line_is_found_whatever_one_outlier_says() {
        let xs: Vec<f64> = (0..20).map(f64::from).collect();
        let ys: Vec<f64> = xs
            .iter()
            .map(|x| 3.0 - 0.5 * x + if *x == 7.0 { 40.0 } else { 0.0 })
            .collect();
        let residuals = |p: &[f64]| xs.iter().zip(&ys).map(|(x, y)| p[0] + p[1] * x - y).collect();
        let found = fit(residuals, [vec![0.0, 0.0], vec![10.0, 1.0]], 1e-3).unwrap();
        assert!(
            (found.at[0] - 3.0).abs() < 1e-3 && (found.at[1] + 0.5).abs() < 1e-3,
            "{found:?}"
        );
        assert_eq!(found.degrees(), 18);
    }

    #[test]
    fn the_variance_of_a_mean_is_that_of_the_textbook() {
        let values = [1.0, 2.0, 4.0, 5.0];
        let residuals = |p: &[f64]| values.iter().map(|v| p[0] - v).collect();
        let found = fit(residuals, [vec![0.0]], 1e6).unwrap();
        assert!((found.at[0] - 3.0).abs() < 1e-9);
        // s² = 10 / 3 over n = 4.
        assert!((found.variance_of(&[1.0]).unwrap() - 10.0 / 12.0).abs() < 1e-6);
    }

    #[test]
    fn what_no_start_can_compute_is_no_fit() {
        assert!(fit(|_| vec![f64::NAN], [vec![1.0]], 1.0).is_none());
        assert_eq!(solve(vec![vec![1.0, 1.0], vec![1.0, 1.0]], vec![1.0, 1.0]), None);
    }
}
