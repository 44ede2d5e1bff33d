//! Singular values for a picture.

use crate::plot::Matrix;

/// Matrices whose smaller side is longer are left alone: the work grows with its cube, and 768 take a second.
const LONGEST: usize = 768;

/// The singular values from the largest; nothing for matrices with values that are no numbers, or too large ones.
///
/// They are the roots of the eigenvalues of `AᵀA` (or `AAᵀ`, whichever is smaller), so values below about 1e-8 of the largest one are
/// noise, which no picture shows. The eigenvalues are found by bisection on the tridiagonal form (Golub and Van Loan, *Matrix
/// Computations*, 8.3.1 and 8.4.1).
pub(super) fn singular_values(matrix: &Matrix) -> Vec<f64> {
    let (rows, columns) = (matrix.rows, matrix.columns);
    let fits = rows.min(columns) <= LONGEST && matrix.values.len() == rows * columns;
    if !fits || !matrix.values.iter().all(|value| value.is_finite()) {
        return Vec::new();
    }
    let (diagonal, beside) = tridiagonal(gram(matrix));
    let mut values: Vec<f64> = (0..diagonal.len())
        .map(|index| eigenvalue(&diagonal, &beside, index).max(0.0).sqrt())
        .collect();
    values.reverse();
    values
}

/// The smaller of the products of the matrix with its transpose, row by row.
fn gram(matrix: &Matrix) -> Vec<Vec<f64>> {
    let (rows, columns) = (matrix.rows, matrix.columns);
    let at = |row: usize, column: usize| f64::from(matrix.values[row * columns + column]);
    let vectors: Vec<Vec<f64>> = if rows <= columns {
        (0..rows)
            .map(|row| (0..columns).map(|column| at(row, column)).collect())
            .collect()
    } else {
        (0..columns)
            .map(|column| (0..rows).map(|row| at(row, column)).collect())
            .collect()
    };
    let row = |a: &Vec<f64>| vectors.iter().map(|b| dot(a, b)).collect();
    vectors.iter().map(row).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Diagonal and secondary diagonal of a tridiagonal matrix with the same eigenvalues, by Householder reflections.
fn tridiagonal(mut a: Vec<Vec<f64>>) -> (Vec<f64>, Vec<f64>) {
    let size = a.len();
    let mut beside = Vec::with_capacity(size.saturating_sub(1));
    for step in 0..size.saturating_sub(1) {
        let first = step + 1;
        let mut v = a[step][first..].to_vec();
        let norm = dot(&v, &v).sqrt();
        let reflected = if v[0] > 0.0 { -norm } else { norm };
        beside.push(reflected);
        v[0] -= reflected;
        let length = dot(&v, &v).sqrt();
        if length == 0.0 {
            continue;
        }
        v.iter_mut().for_each(|value| *value /= length);
        // A − 2 (v wᵀ + w vᵀ) with w = A v − (vᵀ A v) v.
        let mut w: Vec<f64> = a[first..].iter().map(|row| dot(&row[first..], &v)).collect();
        let along = dot(&v, &w);
        w.iter_mut().zip(&v).for_each(|(w, v)| *w -= along * v);
        for (row, (&vi, &wi)) in a[first..].iter_mut().zip(v.iter().zip(&w)) {
            let change = v.iter().zip(&w).map(|(vj, wj)| 2.0 * (vi * wj + wi * vj));
            row[first..]
                .iter_mut()
                .zip(change)
                .for_each(|(value, change)| *value -= change);
        }
    }
    (a.iter().enumerate().map(|(index, row)| row[index]).collect(), beside)
}

/// The eigenvalue of which there are `index` smaller ones.
fn eigenvalue(diagonal: &[f64], beside: &[f64], index: usize) -> f64 {
    // Gershgorin: no eigenvalue is larger than the largest sum of a row, and none is negative.
    let next = |index: usize| beside.get(index).map_or(0.0, |value| value.abs());
    let sums = diagonal.iter().enumerate().map(|(row, value)| {
        let before = row.checked_sub(1).map_or(0.0, next);
        value.abs() + before + next(row)
    });
    let (mut low, mut high) = (0.0, sums.fold(0.0, f64::max));
    for _ in 0..64 {
        let middle = 0.5 * (low + high);
        if smaller(diagonal, beside, middle) > index {
            high = middle;
        } else {
            low = middle;
        }
    }
    0.5 * (low + high)
}

/// How many eigenvalues are below `x`: the negative pivots of `T − x`.
fn smaller(diagonal: &[f64], beside: &[f64], x: f64) -> usize {
    let mut count = 0;
    let mut pivot = 1.0;
    for (row, value) in diagonal.iter().enumerate() {
        let square = row.checked_sub(1).map_or(0.0, |before| beside[before] * beside[before]);
        pivot = value - x - if square == 0.0 { 0.0 } else { square / pivot };
        if pivot == 0.0 {
            pivot = f64::MIN_POSITIVE;
        }
        count += usize::from(pivot < 0.0);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: usize, columns: usize, value: impl Fn(usize, usize) -> f32) -> Matrix {
        let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        Matrix {
            name: String::new(),
            rows,
            columns,
            values: places.map(|(row, column)| value(row, column)).collect(),
        }
    }

    fn near(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        let close = found
            .iter()
            .zip(expected)
            .all(|(a, b)| (a - b).abs() < 1e-6 * expected[0].max(1.0));
        assert!(close, "{found:?}, expected {expected:?}");
    }

    #[test]
    fn a_matrix_worked_by_hand() {
        // [3 0; 4 5] has the singular values √45 and √5.
        let values = [3.0, 0.0, 4.0, 5.0];
        near(
            &singular_values(&matrix(2, 2, |r, c| values[2 * r + c])),
            &[45f64.sqrt(), 5f64.sqrt()],
        );
    }

    #[test]
    fn an_identity_over_copies_has_the_roots_of_the_copies() {
        // [I; I] of 6 columns: every value is √2, and so for its transpose.
        let tall = matrix(12, 6, |r, c| if r % 6 == c { 1.0 } else { 0.0 });
        near(&singular_values(&tall), &[2f64.sqrt(); 6]);
        let wide = matrix(6, 12, |r, c| if c % 6 == r { 1.0 } else { 0.0 });
        near(&singular_values(&wide), &[2f64.sqrt(); 6]);
    }

    #[test]
    fn their_squares_add_up_and_a_missing_rank_gives_zeros() {
        // Rank 2: row r is r·a + b.
        let flat = matrix(30, 20, |r, c| {
            (r as f32) * (c as f32 * 0.7).sin() + (c as f32 * 1.3).cos()
        });
        let values = singular_values(&flat);
        let squares: f64 = flat.values.iter().map(|&value| f64::from(value).powi(2)).sum();
        let sum: f64 = values.iter().map(|value| value * value).sum();
        assert!((sum / squares - 1.0).abs() < 1e-6, "{sum} {squares}");
        assert!(values[1] > 1.0 && values[2] < 1e-3, "{values:?}");
        assert!(values.windows(2).all(|pair| pair[0] >= pair[1]));
    }

    #[test]
    fn what_has_none_gives_none() {
        assert!(singular_values(&matrix(2, 2, |_, _| f32::NAN)).is_empty());
        assert!(singular_values(&matrix(0, 3, |_, _| 0.0)).is_empty());
        near(&singular_values(&matrix(3, 2, |_, _| 0.0)), &[0.0, 0.0]);
    }
}
