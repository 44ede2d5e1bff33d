//! What growing did to what the model computes.

use std::path::Path;

use burn::tensor::Device;
use ligo_cost::format;
use ligo_report::units;

use crate::commands::verify::{self, Inputs, Values};
use crate::load::{LoadError, Source, open_model};
use crate::{Failure, power};

/// Differences of logits up to this share of the largest one are rounding.
const ROUNDING: f64 = 1e-4;

/// How far the grown model's logits are from the small one's on the same fixed inputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effect {
    /// The largest difference.
    pub largest: f64,
    /// The mean difference.
    pub mean: f64,
    /// The small model's largest logit.
    pub scale: f64,
}

impl Effect {
    fn of(small: &[f32], large: &[f32]) -> Self {
        let pairs = || small.iter().zip(large).map(|(a, b)| f64::from((a - b).abs()));
        // A difference that is no number is as large as one can be.
        let worse = |worst: f64, gap: f64| if gap.is_nan() { f64::INFINITY } else { worst.max(gap) };
        Self {
            largest: pairs().fold(0.0, worse),
            mean: pairs().sum::<f64>() / small.len().max(1) as f64,
            scale: small.iter().map(|value| f64::from(value.abs())).fold(0.0, f64::max),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let share = self.largest / self.scale.max(f64::MIN_POSITIVE);
        match share <= ROUNDING {
            true => format!("computes what the small model does: logits differ by {share:.0e} of the largest at most"),
            false => format!(
                "computes something else than the small model: logits differ by {} at most and {} in the mean, where the largest is {}; train it",
                units::loss(self.largest),
                units::loss(self.mean),
                units::loss(self.scale)
            ),
        }
    }
}

/// Runs both models on the same inputs. `Err` of a sentence where that cannot be done.
///
/// # Errors
/// One of them cannot be read or computed.
pub fn measure(small: &Path, large: &Path, device: &Device) -> Result<Result<Effect, String>, Failure> {
    let small = open_model(small)?;
    let large = open_model(large)?;
    let inputs = Inputs::fixed(&small.config);
    let same = small.config.vocab_size() == large.config.vocab_size()
        && small.config.image_shape() == large.config.image_shape();
    if !same {
        return Ok(Err("the two models do not read the same inputs".into()));
    }
    // Both at once, in f32, and as much again while they are read.
    let parameters = small.config.table().num_parameters() + large.config.table().num_parameters();
    let needed = 2.0 * 4.0 * parameters as f64;
    if let Some(free) = power::available_bytes().filter(|free| needed > *free as f64) {
        let [needed, free] = [needed, free as f64].map(format::bytes);
        return Ok(Err(format!("both models together take {needed}, and {free} are free")));
    }
    let features = inputs.features(device);
    let logits = |source: &Source| -> Result<Values, verify::Error> {
        let logits = source.model(device)?.logits(&features).map_err(LoadError::from)?;
        Values::of(logits)
    };
    let logits = |source| {
        logits(source).map_err(|e| {
            Failure::other(
                e.to_string(),
                "the grown model is written; --no-check leaves the comparison out",
            )
        })
    };
    let (before, after) = (logits(&small)?, logits(&large)?);
    Ok(match before.shape == after.shape {
        true => Ok(Effect::of(&before.values, &after.values)),
        false => Err("the two models do not compute as many numbers".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_told_from_a_change() {
        let small = [1.0, -4.0, 2.0];
        let same = Effect::of(&small, &[1.0, -4.000_01, 2.0]);
        assert!(
            same.text().starts_with("computes what the small model does"),
            "{}",
            same.text()
        );
        let other = Effect::of(&small, &[1.0, -3.0, 2.0]);
        assert_eq!((other.largest, other.scale), (1.0, 4.0));
        assert!(
            other.text().contains("differ by 1.000 at most and 0.333 in the mean"),
            "{}",
            other.text()
        );
        let broken = Effect::of(&small, &[1.0, f32::NAN, 2.0]);
        assert_eq!(broken.largest, f64::INFINITY);
        assert!(broken.text().contains("something else"));
    }
}
