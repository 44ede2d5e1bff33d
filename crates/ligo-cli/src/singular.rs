//! Singular values of a small dense matrix.

/// The singular values of a row-major `rows × columns` matrix, the largest first: the square roots of the eigenvalues of the
/// smaller of `AᵀA` and `AAᵀ`, which Householder reflections make tridiagonal and QL steps with implicit shifts diagonal.
///
/// Small values come out with the absolute accuracy of the largest one's square root of rounding, which is plenty for a
/// picture. Empty when a value is not finite or an eigenvalue does not settle.
pub fn singular_values(values: &[f32], rows: usize, columns: usize) -> Vec<f64> {
    if values.len() != rows * columns || values.iter().any(|v| !v.is_finite()) {
        return Vec::new();
    }
    let (size, gram) = gram(values, rows, columns);
    let (mut diagonal, mut beside) = tridiagonal(gram, size);
    if !diagonalise(&mut diagonal, &mut beside) {
        return Vec::new();
    }
    let mut singular: Vec<f64> = diagonal.into_iter().map(|square| square.max(0.0).sqrt()).collect();
    singular.sort_by(|a, b| b.total_cmp(a));
    singular
}

/// The smaller of the two products of the matrix with itself, and its size.
fn gram(values: &[f32], rows: usize, columns: usize) -> (usize, Vec<f64>) {
    let (size, long) = (rows.min(columns), rows.max(columns));
    // Each row of `vectors` is one of the `size` vectors, so that products run along memory.
    let at = |i: usize, k: usize| {
        if rows <= columns {
            i * columns + k
        } else {
            k * columns + i
        }
    };
    let vectors: Vec<f64> = (0..size * long)
        .map(|n| f64::from(values[at(n / long, n % long)]))
        .collect();
    let mut gram = vec![0.0; size * size];
    for i in 0..size {
        for j in 0..=i {
            let (a, b) = (&vectors[i * long..(i + 1) * long], &vectors[j * long..(j + 1) * long]);
            let product: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
            (gram[i * size + j], gram[j * size + i]) = (product, product);
        }
    }
    (size, gram)
}

/// The diagonal and what stands beside it of a tridiagonal matrix with the eigenvalues of a symmetric one.
fn tridiagonal(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut beside = vec![0.0; n];
    for k in 0..n.saturating_sub(2) {
        // H = 1 − 2vvᵀ takes what is left of column k to its first entry; then A ← H A H.
        let mut v: Vec<f64> = (k + 1..n).map(|i| a[i * n + k]).collect();
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        let target = if v[0] > 0.0 { -norm } else { norm };
        beside[k] = target;
        v[0] -= target;
        let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        if length == 0.0 {
            continue;
        }
        v.iter_mut().for_each(|x| *x /= length);
        let m = v.len();
        let row = |i: usize| (k + 1 + i) * n + k + 1;
        let product: Vec<f64> = (0..m)
            .map(|i| a[row(i)..row(i) + m].iter().zip(&v).map(|(a, v)| a * v).sum())
            .collect();
        let inner: f64 = product.iter().zip(&v).map(|(p, v)| p * v).sum();
        let w: Vec<f64> = product.iter().zip(&v).map(|(p, v)| p - inner * v).collect();
        for i in 0..m {
            let (vi, wi) = (v[i], w[i]);
            let values = a[row(i)..row(i) + m].iter_mut().zip(v.iter().zip(&w));
            values.for_each(|(a, (v, w))| *a -= 2.0 * (vi * w + wi * v));
        }
    }
    if n >= 2 {
        beside[n - 2] = a[(n - 1) * n + n - 2];
    }
    ((0..n).map(|i| a[i * n + i]).collect(), beside)
}

/// Turns the diagonal into eigenvalues; false when one does not settle.
fn diagonalise(d: &mut [f64], e: &mut [f64]) -> bool {
    const MOST_STEPS: usize = 60;
    let n = d.len();
    for l in 0..n {
        for step in 0.. {
            let is_small = |m: usize| e[m].abs() <= f64::EPSILON * (d[m].abs() + d[m + 1].abs());
            let m = (l..n - 1).find(|m| is_small(*m)).unwrap_or(n - 1);
            if m == l {
                break;
            }
            if step == MOST_STEPS {
                return false;
            }
            let mut g = (d[l + 1] - d[l]) / (2.0 * e[l]);
            g = d[m] - d[l] + e[l] / (g + g.hypot(1.0).copysign(g));
            let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
            let mut vanished = false;
            for i in (l..m).rev() {
                let (f, b) = (s * e[i], c * e[i]);
                let r = f.hypot(g);
                e[i + 1] = r;
                if r == 0.0 {
                    d[i + 1] -= p;
                    e[m] = 0.0;
                    vanished = true;
                    break;
                }
                (s, c) = (f / r, g / r);
                g = d[i + 1] - p;
                let t = (d[i] - g) * s + 2.0 * c * b;
                p = s * t;
                d[i + 1] = g + p;
                g = c * t - b;
            }
            if !vanished {
                d[l] -= p;
                e[l] = g;
                e[m] = 0.0;
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-6, "{found:?}, expected {expected:?}");
        }
    }

    #[test]
    fn known_values_come_out() {
        close(&singular_values(&[3.0, 0.0, 0.0, -2.0, 0.0, 0.0], 3, 2), &[3.0, 2.0]);
        // [I; I]: every channel twice.
        close(
            &singular_values(&[1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0], 4, 2),
            &[2f64.sqrt(); 2],
        );
        // [[1, 2], [3, 4]]: (15 ± √221) / 2 of the squares.
        let root = 221f64.sqrt();
        let expected = [15.0 + root, 15.0 - root].map(|x| x.sqrt());
        close(&singular_values(&[1.0, 2.0, 3.0, 4.0], 2, 2), &expected);
        close(&singular_values(&[0.0; 12], 4, 3), &[0.0; 3]);
        close(&singular_values(&[5.0], 1, 1), &[5.0]);
        assert!(singular_values(&[], 0, 0).is_empty());
        assert!(singular_values(&[f32::NAN, 1.0], 1, 2).is_empty());
    }

    #[test]
    fn squares_add_up_and_neither_transposition_nor_reflection_matters() {
        let (rows, columns) = (37, 23);
        let mut state = 1_u64;
        let values: Vec<f32> = (0..rows * columns)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 40) as f32 / (1 << 24) as f32 - 0.5
            })
            .collect();
        let singular = singular_values(&values, rows, columns);
        let squares: f64 = singular.iter().map(|s| s * s).sum();
        let norm: f64 = values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
        assert!((squares - norm).abs() < 1e-9 * norm, "{squares} {norm}");
        assert!(singular.is_sorted_by(|a, b| a >= b));
        let transposed: Vec<f32> = (0..values.len())
            .map(|n| values[n % rows * columns + n / rows])
            .collect();
        close(&singular_values(&transposed, columns, rows), &singular);
        let reflected: Vec<f32> = values.iter().rev().map(|v| -v).collect();
        close(&singular_values(&reflected, rows, columns), &singular);
        // The product of all, by elimination on the Gram matrix: det(AᵀA) = Π s².
        let (n, mut gram) = gram(&values, rows, columns);
        let mut log_determinant = 0.0;
        for k in 0..n {
            log_determinant += gram[k * n + k].ln();
            for i in k + 1..n {
                let factor = gram[i * n + k] / gram[k * n + k];
                (k..n).for_each(|j| gram[i * n + j] -= factor * gram[k * n + j]);
            }
        }
        let log_product: f64 = singular.iter().map(|s| 2.0 * s.ln()).sum();
        assert!(
            (log_determinant - log_product).abs() < 1e-8,
            "{log_determinant} {log_product}"
        );
    }
}
