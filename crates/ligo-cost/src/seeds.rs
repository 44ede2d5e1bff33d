//! What several seeds of one method say together: a mean with its interval, and a mean curve.
//!
//! A saving over seeds can be taken in two ways, and they answer different questions:
//!
//! * **Paired:** each seed's run is [compared](crate::compare) with the scratch run of the same seed, at that scratch run's own
//!   final loss; the savings are then [estimated](estimate). The interval shows how far one run can be trusted. A scratch run
//!   that happens to end low moves the saving of its whole pair.
//! * **Mean curves:** the [mean curve](mean_curve) of the method is compared with the mean curve of scratch, at its final loss,
//!   which is the mean of the scratch runs' final losses. Here no single scratch run sets the target.

use crate::{Curve, Error};

/// A mean over seeds and how well it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The arithmetic mean.
    pub mean: f64,
    /// Half the width of the two-sided 95 % interval by Student's t: the mean lies within `mean ± half_width`. One value has
    /// no spread to judge by, so it has none.
    pub half_width: Option<f64>,
    /// How many values there were.
    pub count: usize,
}

impl Estimate {
    /// The interval, if there is one.
    #[must_use]
    pub fn interval(self) -> Option<[f64; 2]> {
        self.half_width.map(|half| [self.mean - half, self.mean + half])
    }
}

/// The mean of the values with its 95 % interval, `mean ± t(n − 1) · s / √n` with the sample's standard deviation *s*. Values that
/// are not finite are left out and not counted; nothing comes back when none is left.
#[must_use]
pub fn estimate(values: impl IntoIterator<Item = f64>) -> Option<Estimate> {
    let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    if values.is_empty() {
        return None;
    }
    let count = values.len();
    let mean = values.iter().sum::<f64>() / count as f64;
    let half_width = (count > 1).then(|| {
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (squares / (count - 1) as f64).sqrt();
        student_t(count - 1) * deviation / (count as f64).sqrt()
    });
    Some(Estimate {
        mean,
        half_width,
        count,
    })
}

/// The 97.5 % quantile of Student's t distribution: what a standard error is multiplied with for a two-sided 95 % interval.
///
/// Infinite for 0 degrees of freedom. Exact to the third decimal up to 30 degrees; beyond, the expansion in
/// `1 / degrees` (Abramowitz and Stegun 26.7.5), which is closer still.
#[must_use]
pub fn student_t(degrees: usize) -> f64 {
    const TABLE: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
        2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
    ];
    if degrees == 0 {
        return f64::INFINITY;
    }
    if let Some(&quantile) = TABLE.get(degrees - 1) {
        return quantile;
    }
    let (z, n) = (1.959_964_f64, degrees as f64);
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    z + first / n + second / n.powi(2) + third / n.powi(3)
}

/// One evaluation of a run, with the step that tells which evaluations of other seeds belong to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// Steps done.
    pub step: u64,
    /// What they cost.
    pub cost: f64,
    /// The validation loss.
    pub loss: f64,
}

/// The mean over seeds, evaluation by evaluation: mean loss over mean cost. Only steps at which every seed was evaluated count,
/// since a mean over fewer seeds would jump. A loss that is not finite makes the mean of its step so too.
///
/// # Errors
/// [`Error::EmptyCurve`] without a common step, and as [`Curve::new`].
pub fn mean_curve(seeds: &[Vec<Evaluation>]) -> Result<Curve, Error> {
    let Some((first, others)) = seeds.split_first() else {
        return Err(Error::EmptyCurve);
    };
    let points = first.iter().filter_map(|point| {
        let mut sum = (point.cost, point.loss);
        for seed in others {
            // The last one: where stages meet, a step is evaluated before and after growing.
            let same = seed.iter().rfind(|other| other.step == point.step)?;
            sum = (sum.0 + same.cost, sum.1 + same.loss);
        }
        let count = seeds.len() as f64;
        Some((sum.0 / count, sum.1 / count))
    });
    Curve::new(points)
}
