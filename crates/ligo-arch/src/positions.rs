//! A position table for another grid of patches.

/// Which cubic filter makes new positions from old ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resample {
    /// Four neighbors on each axis, whatever the sizes: PyTorch's `interpolate(mode="bicubic", align_corners=False)`, with which
    /// `transformers`' `interpolate_pos_encoding` and DeiT's fine-tuning read checkpoints of another resolution.
    #[default]
    Bicubic,
    /// A wider filter where the grid gets smaller, and another cubic: `antialias=True`, as `timm`'s `resample_abs_pos_embed`.
    Antialiased,
}

/// Resamples a position table `[prefix + rows · columns, width]`; its first `prefix` rows belong to tokens without a place and stay.
///
/// `from` and `to` are `[rows, columns]`. With equal grids the result equals `values`.
///
/// # Panics
/// When `values` does not hold `(prefix + from[0] · from[1]) · width` numbers or a side of either grid is 0.
///
/// ```
/// use ligo_arch::{Resample, resample_positions};
///
/// // A class token and one patch become a class token and four patches.
/// let table = resample_positions(&[9.0, 5.0], 1, [1, 1], [2, 2], 1, Resample::Bicubic);
/// assert_eq!(table, [9.0, 5.0, 5.0, 5.0, 5.0]);
/// ```
pub fn resample_positions(
    values: &[f32],
    prefix: usize,
    from: [usize; 2],
    to: [usize; 2],
    width: usize,
    filter: Resample,
) -> Vec<f32> {
    assert!(
        from.iter().chain(&to).all(|side| *side > 0),
        "a grid without patches: {from:?} to {to:?}"
    );
    assert_eq!(
        values.len(),
        (prefix + from[0] * from[1]) * width,
        "a table of {prefix} + {from:?} positions of width {width}"
    );
    if from == to {
        return values.to_vec();
    }
    let (fixed, patches) = values.split_at(prefix * width);
    let [down, across] = [0, 1].map(|axis| taps(from[axis], to[axis], filter));
    let mut table = fixed.to_vec();
    table.reserve(to[0] * to[1] * width);
    let mut cell = vec![0.0_f64; width];
    for row in &down {
        for column in &across {
            cell.fill(0.0);
            for (y, a) in row {
                for (x, b) in column {
                    let old = &patches[(y * from[1] + x) * width..][..width];
                    for (sum, value) in cell.iter_mut().zip(old) {
                        *sum += a * b * f64::from(*value);
                    }
                }
            }
            table.extend(cell.iter().map(|sum| *sum as f32));
        }
    }
    table
}

/// For each new position along an axis: old positions and their weights, which sum to 1.
fn taps(from: usize, to: usize, filter: Resample) -> Vec<Vec<(usize, f64)>> {
    let ratio = from as f64 / to as f64;
    (0..to)
        .map(|new| {
            // The middle of the new cell, in old cells.
            let center = (new as f64 + 0.5) * ratio;
            match filter {
                Resample::Bicubic => four(center - 0.5, from),
                Resample::Antialiased => covered(center, ratio.max(1.0), from),
            }
        })
        .collect()
}

/// Four neighbors; beyond the edge the outermost one stands in.
fn four(center: f64, from: usize) -> Vec<(usize, f64)> {
    let first = center.floor();
    let neighbors = [-1.0, 0.0, 1.0, 2.0].map(|step| {
        let at = first + step;
        (at.clamp(0.0, (from - 1) as f64) as usize, cubic(center - at, -0.75))
    });
    neighbors.to_vec()
}

/// All old cells under a filter that is `scale` times as wide; those beyond the edge are left out.
fn covered(center: f64, scale: f64, from: usize) -> Vec<(usize, f64)> {
    let reach = 2.0 * scale;
    let begin = (center - reach + 0.5).max(0.0) as usize;
    let end = ((center + reach + 0.5) as usize).min(from);
    let weights = (begin..end).map(|at| (at, cubic((at as f64 + 0.5 - center) / scale, -0.5)));
    let weights: Vec<_> = weights.collect();
    let total: f64 = weights.iter().map(|(_, w)| w).sum();
    weights.into_iter().map(|(at, w)| (at, w / total)).collect()
}

/// The piecewise cubic with slope `a` at distance 1 (Keys, IEEE TASSP 1981).
fn cubic(distance: f64, a: f64) -> f64 {
    let x = distance.abs();
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cells that the Python that made the numbers below started from.
    fn table([rows, columns]: [usize; 2], width: usize) -> Vec<f32> {
        let cell = |i: usize, j: usize, d: usize| ((i * 7 + 3 * j * j + 5 * d + i * j) % 11) as f32 / 4.0 - 1.0;
        let rows = (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j)));
        rows.flat_map(|(i, j)| (0..width).map(move |d| cell(i, j, d))).collect()
    }

    /// Compares with what `torch.nn.functional.interpolate` says of [`table`].
    fn check(from: [usize; 2], to: [usize; 2], width: usize, filter: Resample, torch: &str) {
        let found = resample_positions(&table(from, width), 0, from, to, width, filter);
        let torch: Vec<f32> = torch
            .split_whitespace()
            .map(|x| x.parse().unwrap_or(f32::NAN))
            .collect();
        assert_eq!(found.len(), torch.len());
        for (i, (a, b)) in found.iter().zip(&torch).enumerate() {
            assert!((a - b).abs() < 1e-6, "{i}: {a} and {b}");
        }
    }

    #[test]
    fn a_finer_grid_is_that_of_pytorch() {
        check(
            [3, 3],
            [4, 5],
            2,
            Resample::Bicubic,
            "-1.214837 0.2515001 -0.7134823 0.643107 -0.196167 1.053833 -0.5670306 0.789559 -0.980171 0.4861661 0.3424043 \
             -0.6956279 -0.3500312 -0.0958318 -0.9494629 0.6026611 0.0021556 0.4630071 0.9067266 0.1998223 0.6724951 \
             -0.2414004 0.076924 -0.1705962 -0.3616943 -0.1026611 0.7507377 -0.1746041 1.7521731 -0.2478223 -0.4624492 \
             1.2868371 0.2596917 0.4726938 1.1435547 -0.553833 1.1392391 -0.6637707 0.946885 -0.5341662",
        );
        check(
            [3, 3],
            [4, 5],
            2,
            Resample::Antialiased,
            "-1.1578779 0.2466207 -0.7531465 0.5836907 -0.2108209 1.0391791 -0.5977669 0.7390704 -0.9171008 0.4873979 \
             0.2445152 -0.5811991 -0.2630213 -0.1038371 -0.8603835 0.5825538 0.1036332 0.3967212 0.8126842 0.1944685 \
             0.5603367 -0.1733502 0.1373668 -0.1311363 -0.3061273 -0.0825538 0.8117576 -0.1691164 1.6053753 -0.2322043 \
             -0.408406 1.2144817 0.1970094 0.5189073 1.1044776 -0.5391791 1.0826743 -0.6037117 0.9640242 -0.5251338",
        );
    }

    #[test]
    fn a_coarser_grid_is_that_of_pytorch() {
        check(
            [4, 5],
            [2, 3],
            1,
            Resample::Bicubic,
            "-0.3457754 0.421875 0.0315393 0.6258681 0.703125 -0.1866322",
        );
        check(
            [4, 5],
            [2, 3],
            1,
            Resample::Antialiased,
            "-0.3268277 0.1777003 0.0603305 0.6268277 0.5216654 -0.1718689",
        );
    }

    #[test]
    fn rows_of_other_tokens_stay_and_an_equal_grid_changes_nothing() {
        let mut old = vec![7.0, 8.0, 9.0, 10.0];
        old.extend(table([2, 3], 2));
        assert_eq!(resample_positions(&old, 2, [2, 3], [2, 3], 2, Resample::Bicubic), old);
        let new = resample_positions(&old, 2, [2, 3], [3, 2], 2, Resample::Bicubic);
        assert_eq!(new[..4], [7.0, 8.0, 9.0, 10.0]);
        assert_eq!(new.len(), 16);
        // The same filter one axis at a time: along an axis that keeps its size every position is its own.
        for filter in [Resample::Bicubic, Resample::Antialiased] {
            for (i, row) in taps(4, 4, filter).iter().enumerate() {
                let own: f64 = row.iter().filter(|(at, _)| *at == i).map(|(_, w)| w).sum();
                let others = row.iter().filter(|(at, _)| *at != i).all(|(_, w)| w.abs() < 1e-12);
                assert!((own - 1.0).abs() < 1e-12 && others, "{row:?}");
            }
        }
    }
}
