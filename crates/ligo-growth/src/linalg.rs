//! The little dense linear algebra that the dual of a width matrix needs, on the host in double precision.

/// `FᵀF` of a row-major matrix with so many columns.
pub(crate) fn gram(matrix: &[f64], columns: usize) -> Vec<f64> {
    let mut gram = vec![0.0; columns * columns];
    for row in matrix.chunks(columns) {
        for (j, value) in row.iter().enumerate().filter(|(_, v)| **v != 0.0) {
            let sums = &mut gram[j * columns..][..columns];
            sums.iter_mut().zip(row).for_each(|(sum, other)| *sum += value * other);
        }
    }
    gram
}

/// `F · G⁺` for a symmetric positive semi-definite `G` of `n` rows. A diagonal one is inverted where it is not zero; any other
/// one has a ridge of 1e-8 of its mean diagonal.
pub(crate) fn right_inverse(matrix: &[f64], gram: &[f64], n: usize) -> Vec<f64> {
    let is_diagonal = gram
        .iter()
        .enumerate()
        .all(|(index, v)| index / n == index % n || *v == 0.0);
    let mut solved = matrix.to_vec();
    if is_diagonal {
        for row in solved.chunks_mut(n) {
            for (j, value) in row.iter_mut().enumerate() {
                let scale = gram[j * n + j];
                *value = if scale > 0.0 { *value / scale } else { 0.0 };
            }
        }
        return solved;
    }
    let mean = (0..n).map(|j| gram[j * n + j]).sum::<f64>() / n as f64;
    let lower = cholesky(gram, n, RIDGE * mean);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let rows = (solved.len() / n).div_ceil(threads);
    std::thread::scope(|scope| {
        for part in solved.chunks_mut(rows.max(1) * n) {
            let lower = &lower;
            scope.spawn(move || part.chunks_mut(n).for_each(|row| solve(lower, n, row)));
        }
    });
    solved
}

/// As a share of the mean diagonal.
const RIDGE: f64 = 1e-8;

/// In eight sums at a time, which a compiler may turn into vector instructions.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

/// The lower triangle `L` of `G + ridge·I = L Lᵀ`.
fn cholesky(gram: &[f64], n: usize, ridge: f64) -> Vec<f64> {
    let mut lower = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let (row, other) = (&lower[i * n..i * n + j], &lower[j * n..j * n + j]);
            let rest = gram[i * n + j] - dot(row, other);
            lower[i * n + j] = if i == j {
                // The ridge is also the least that rounding may leave of a pivot.
                (rest + ridge).max(ridge).sqrt()
            } else {
                rest / lower[j * n + j]
            };
        }
    }
    lower
}

/// Solves `L Lᵀ x = b` in place.
fn solve(lower: &[f64], n: usize, x: &mut [f64]) {
    for i in 0..n {
        x[i] = (x[i] - dot(&lower[i * n..i * n + i], &x[..i])) / lower[i * n + i];
    }
    for i in (0..n).rev() {
        let (before, rest) = x.split_at_mut(i);
        rest[0] /= lower[i * n + i];
        let known = rest[0];
        before
            .iter_mut()
            .zip(&lower[i * n..i * n + i])
            .for_each(|(x, l)| *x -= l * known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dual_of_a_matrix_is_its_left_inverse_transposed() {
        let matrix = [1.0, 0.0, 0.5, 2.0, -1.0, 0.25, 3.0, 1.0];
        let n = 2;
        let dual = right_inverse(&matrix, &gram(&matrix, n), n);
        for (a, b) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let dot: f64 = (0..4).map(|r| matrix[r * n + a] * dual[r * n + b]).sum();
            let expected = f64::from(u8::from(a == b));
            assert!((dot - expected).abs() < 1e-7, "{a} {b}: {dot}");
        }
    }

    #[test]
    fn channels_that_nothing_copies_have_no_dual() {
        let matrix = [1.0, 0.0, 1.0, 0.0];
        assert_eq!(right_inverse(&matrix, &gram(&matrix, 2), 2), [0.5, 0.0, 0.5, 0.0]);
    }

    #[test]
    fn a_singular_matrix_that_is_not_diagonal_stays_finite() {
        let matrix = [1.0, 1.0, 2.0, 2.0];
        let dual = right_inverse(&matrix, &gram(&matrix, 2), 2);
        // The pseudo-inverse: FᵀF has the eigenvector (1, 1)/√2 with eigenvalue 10.
        for (value, expected) in dual.iter().zip([0.1, 0.1, 0.2, 0.2]) {
            assert!((value - expected).abs() < 1e-6, "{dual:?}");
        }
    }
}
