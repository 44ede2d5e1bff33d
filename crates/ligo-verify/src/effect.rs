//! What growing did to what the model computes.

use burn::tensor::Device;
use ligo_arch::{ModelConfig, Task};
use ligo_cost::format;
use ligo_device::power;
use ligo_models::{Features, Model};
use ligo_pretrained::{LoadError, Source};

use crate::{Error, Inputs, Values};

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
    /// What is compared.
    pub compared: Compared,
}

/// What of two models is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compared {
    /// Logits, all of them.
    #[default]
    Logits,
    /// Logits of the tokens that both know.
    OldTokens,
    /// The hidden states of an encoder without a head, as far as both have the channels.
    States,
}

impl Compared {
    fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::OldTokens => "logits of the old tokens",
            Self::States => "hidden states, in the channels that both have,",
        }
    }
}

impl Effect {
    fn of<'a>(small: &[f32], large: impl IntoIterator<Item = &'a f32>, compared: Compared) -> Self {
        let gaps: Vec<f64> = small.iter().zip(large).map(|(a, b)| f64::from((a - b).abs())).collect();
        // A difference that is no number is as large as one can be.
        let worse = |worst: f64, gap: f64| if gap.is_nan() { f64::INFINITY } else { worst.max(gap) };
        Self {
            largest: gaps.iter().copied().fold(0.0, worse),
            mean: gaps.iter().sum::<f64>() / small.len().max(1) as f64,
            scale: small.iter().map(|value| f64::from(value.abs())).fold(0.0, f64::max),
            compared,
        }
    }

    /// Whether what differs is rounding.
    pub fn is_rounding(&self) -> bool {
        self.largest <= ROUNDING * self.scale.max(f64::MIN_POSITIVE)
    }

    /// For people.
    pub fn text(&self) -> String {
        let share = self.largest / self.scale.max(f64::MIN_POSITIVE);
        let what = self.compared.name();
        let others = match self.compared {
            Compared::OldTokens => "; new tokens take their share of the probability",
            Compared::Logits | Compared::States => "",
        };
        match self.is_rounding() {
            true if self.largest == 0.0 => {
                format!("computes what the small model does: {what} the same to the last bit{others}")
            }
            true => {
                format!(
                    "computes what the small model does: {what} differ by {share:.0e} of the largest at most{others}"
                )
            }
            false => format!(
                "computes something else than the small model: {what} differ by {} at most and {} in the mean, where the largest is {}; train it",
                format::loss(self.largest),
                format::loss(self.mean),
                format::loss(self.scale)
            ),
        }
    }
}

/// Whether both models can be run on the same inputs; where not, a sentence says why.
///
/// # Errors
/// The sentence.
pub fn fits(small: &Source, large: &Source) -> Result<(), String> {
    if small.config.image_shape() != large.config.image_shape() {
        return Err("the two models do not read the same inputs".into());
    }
    // Both at once, in f32, and as much again while they are read.
    let parameters = small.config.table().num_parameters() + large.config.table().num_parameters();
    let needed = 2.0 * 4.0 * parameters as f64;
    match power::available_bytes().filter(|free| needed > *free as f64) {
        Some(free) => {
            let [needed, free] = [needed, free as f64].map(format::bytes);
            Err(format!("both models together take {needed}, and {free} are free"))
        }
        None => Ok(()),
    }
}

/// Inputs that the small model can read, always the same ones.
pub fn inputs(small: &Source, device: &Device) -> Features {
    Inputs::fixed(&small.config).features(device)
}

/// What a model makes of them.
///
/// # Errors
/// It cannot be computed.
pub fn logits(model: &Model, inputs: &Features) -> Result<Values, Error> {
    Values::of(model.logits(inputs).map_err(LoadError::from)?)
}

/// How far what the large model computes is from what the small one does.
///
/// # Errors
/// A sentence where it cannot be compared.
pub fn compare(small: &ModelConfig, before: &Values, after: &Values) -> Result<Effect, String> {
    let [of_small, of_large] = [before, after].map(|values| values.shape.last().copied().unwrap_or(1));
    let same_rows = before.shape.split_last().map(|(_, rows)| rows) == after.shape.split_last().map(|(_, rows)| rows);
    if !same_rows || of_small > of_large {
        return Err("the two models do not compute as many numbers".into());
    }
    // What new tokens get, the small model cannot say.
    let common = after.values.chunks_exact(of_large).flat_map(|row| &row[..of_small]);
    let compared = match small.task() {
        Task::HiddenStates => Compared::States,
        _ if of_small < of_large => Compared::OldTokens,
        _ => Compared::Logits,
    };
    Ok(Effect::of(&before.values, common, compared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_told_from_a_change() {
        let small = [1.0, -4.0, 2.0];
        let of = |large: &[f32]| Effect::of(&small, large, Compared::Logits);
        let same = of(&[1.0, -4.000_01, 2.0]);
        assert!(
            same.text().starts_with("computes what the small model does"),
            "{}",
            same.text()
        );
        let other = of(&[1.0, -3.0, 2.0]);
        assert_eq!((other.largest, other.scale), (1.0, 4.0));
        assert!(
            other.text().contains("differ by 1.000 at most and 0.333 in the mean"),
            "{}",
            other.text()
        );
        let more = Effect::of(&small, &small, Compared::OldTokens).text();
        assert!(
            more.contains("logits of the old tokens the same to the last bit; new tokens take"),
            "{more}"
        );
        let broken = of(&[1.0, f32::NAN, 2.0]);
        assert_eq!(broken.largest, f64::INFINITY);
        assert!(broken.text().contains("something else"));
    }
}
