mod long;

use std::f64::consts::TAU;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Error, LayerType};

/// How a configuration describes rotary position embedding: `rope_parameters`, or `rope_scaling` in older files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RopeParameters {
    /// The base of the frequencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_theta: Option<f64>,
    /// The kind: `default`, `linear`, `dynamic`, `llama3`, `yarn` or `longrope`. Older files call it `type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_type: Option<String>,
    /// Everything else in the object, such as `factor`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// How a model turns the pairs of its heads.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotation {
    /// By how many radians each pair of a head turns from one position to the next, rounded where PyTorch rounds.
    pub frequencies: Vec<f32>,
    /// A factor of all cosines and sines; 1 but for `yarn` and `longrope`.
    pub scale: f32,
    /// Other frequencies for longer sequences; `longrope` has them.
    pub beyond: Option<Beyond>,
}

/// How pairs turn in sequences that are longer than those that the model was first trained on.
#[derive(Clone, Debug, PartialEq)]
pub struct Beyond {
    /// The longest sequence that the other frequencies are for.
    pub positions: usize,
    /// By how many radians each pair turns.
    pub frequencies: Vec<f32>,
}

/// What a configuration says of a rotation outside of [`RopeParameters`].
#[derive(Clone, Copy)]
pub(crate) struct Base {
    pub(crate) theta: f64,
    /// Dimensions of a head that are turned.
    pub(crate) head_dim: usize,
    /// The share of a head that they are.
    pub(crate) share: f64,
    /// `max_position_embeddings`.
    pub(crate) positions: usize,
    /// `original_max_position_embeddings` beside the object, which wins over that in it.
    pub(crate) original: Option<usize>,
}

/// The share of a head that is turned.
const SHARE: &str = "partial_rotary_factor";

const ORIGINAL: &str = "original_max_position_embeddings";

const KINDS: &str = "default, linear, dynamic, llama3, yarn or longrope";

impl Default for RopeParameters {
    fn default() -> Self {
        Self {
            rope_theta: Some(10_000.0),
            rope_type: Some("default".into()),
            extra: Map::new(),
        }
    }
}

impl Base {
    /// The rotation that a file says, or the plain one.
    pub(crate) fn rotation(self, said: Option<&RopeParameters>) -> Result<Rotation, Error> {
        said.map_or_else(|| Ok(Rotation::plain(self)), |parameters| parameters.rotation(self))
    }
}

/// What a file says of its rotation: the older object (`rope_scaling`) wins where there are both and it says anything.
pub(crate) fn said<'a>(
    older: &'a Option<RopeParameters>,
    newer: &'a Option<RopeParameters>,
) -> Option<&'a RopeParameters> {
    let older = older.as_ref().filter(|parameters| !parameters.is_empty());
    older.or(newer.as_ref())
}

/// What a file says of the layers of one type, where it has an object for each.
///
/// # Errors
/// It has one for all of them, or what is there is no object of a rotation.
pub(crate) fn said_of(parameters: &RopeParameters, kind: LayerType) -> Result<Option<RopeParameters>, Error> {
    if parameters.rope_theta.is_some() || parameters.rope_type.is_some() {
        return Err(unsupported(
            "rope_parameters",
            "one rotation for all layers".into(),
            "an object for full_attention and one for sliding_attention",
        ));
    }
    match parameters.extra.get(kind.name()).filter(|own| !own.is_null()) {
        None => Ok(None),
        Some(own) => match serde_json::from_value(own.clone()) {
            Ok(own) => Ok(Some(own)),
            Err(_) => Err(unsupported(
                "rope_parameters",
                format!("{}: {own}", kind.name()),
                "an object with rope_theta and rope_type for each type of layer",
            )),
        },
    }
}

/// The length that the unscaled model was trained on, where a file says it beside its rotation.
pub(crate) fn original_positions(extra: &Map<String, Value>) -> Option<usize> {
    let original = extra.get(ORIGINAL).and_then(Value::as_u64);
    original.and_then(|positions| usize::try_from(positions).ok())
}

impl Rotation {
    /// `theta^(-2i/d)` for pair `i` of a head of width `d` (Su et al., arXiv:2104.09864).
    pub(crate) fn plain(base: Base) -> Self {
        Self {
            frequencies: powers(base).into_iter().map(|power| 1.0 / power).collect(),
            scale: 1.0,
            beyond: None,
        }
    }
}

/// `theta^(2i/d)`.
fn powers(base: Base) -> Vec<f32> {
    let exponent = |i: usize| f64::from((2 * i) as f32 / base.head_dim as f32);
    (0..base.head_dim / 2)
        .map(|i| base.theta.powf(exponent(i)) as f32)
        .collect()
}

impl RopeParameters {
    /// Whether it says nothing.
    fn is_empty(&self) -> bool {
        self.rope_theta.is_none() && self.rope_type.is_none() && self.extra.is_empty()
    }

    /// The share of each head that is turned, where it says one.
    pub(crate) fn share(&self) -> Option<f64> {
        self.extra.get(SHARE).and_then(Value::as_f64)
    }

    /// What makes it another rotation than the plain one of this base.
    pub(crate) fn scaling(&self) -> Value {
        if self.kind() == "default" {
            return Value::Null;
        }
        let mut said = self.extra.clone();
        said.remove("type");
        said.remove(SHARE);
        said.insert("rope_type".into(), self.kind().into());
        Value::Object(said)
    }

    /// The kind, by the name of either age.
    pub(crate) fn kind(&self) -> &str {
        let older = self.extra.get("type").and_then(Value::as_str);
        self.rope_type.as_deref().or(older).unwrap_or("default")
    }

    /// The rotation, as `transformers` computes it (`modeling_rope_utils.py`).
    ///
    /// `dynamic` changes angles beyond `max_position_embeddings` tokens only, which no sequence here reaches.
    ///
    /// # Errors
    /// A kind that is not supported, a number that is missing or no number, a rotation of a part of each head or of some layers only.
    fn rotation(&self, base: Base) -> Result<Rotation, Error> {
        if let Some(share) = self.extra.get(SHARE)
            && share.as_f64() != Some(base.share)
        {
            return Err(unsupported(SHARE, share.to_string(), "1.0"));
        }
        // One object for each kind of layer, as in models that mix them.
        if let Some((kind, _)) = self.extra.iter().find(|(_, value)| value.is_object()) {
            return Err(unsupported(
                "rope_parameters",
                kind.clone(),
                "one rotation for all layers",
            ));
        }
        match self.kind() {
            "default" => Ok(Rotation::plain(base)),
            "dynamic" => self.positive("factor").map(|_| Rotation::plain(base)),
            "linear" => self.linear(base),
            "llama3" => self.llama3(base),
            "yarn" => self.yarn(base),
            "longrope" => self.long(base),
            other => Err(unsupported("rope_type", other.into(), KINDS)),
        }
    }

    /// Positions closer together: all frequencies are divided by `factor` (Chen et al., arXiv:2306.15595).
    fn linear(&self, base: Base) -> Result<Rotation, Error> {
        let factor = self.positive("factor")? as f32;
        let mut rotation = Rotation::plain(base);
        rotation
            .frequencies
            .iter_mut()
            .for_each(|frequency| *frequency /= factor);
        Ok(rotation)
    }

    /// Llama 3.1's: slow pairs are divided by `factor`, fast ones stay, those in between are mixed by their wave length.
    fn llama3(&self, base: Base) -> Result<Rotation, Error> {
        let [factor, low, high] = [
            self.positive("factor")?,
            self.positive("low_freq_factor")?,
            self.positive("high_freq_factor")?,
        ];
        if low >= high {
            return Err(Error::Number {
                field: "high_freq_factor",
                found: high,
                expected: "more than low_freq_factor",
            });
        }
        let original = self.original(base)?;
        let (factor, low, high) = (factor as f32, low as f32, high as f32);
        let (longest, shortest) = (original / low, original / high);
        let scaled = |frequency: f32| {
            let length = TAU as f32 / frequency;
            if length > longest {
                frequency / factor
            } else if length < shortest {
                frequency
            } else {
                let smooth = (original / length - low) / (high - low);
                (1.0 - smooth) * frequency / factor + smooth * frequency
            }
        };
        let mut rotation = Rotation::plain(base);
        rotation
            .frequencies
            .iter_mut()
            .for_each(|frequency| *frequency = scaled(*frequency));
        Ok(rotation)
    }

    /// YaRN (Peng et al., arXiv:2309.00071): a ramp over the pairs from unscaled to divided frequencies, and larger cosines and sines.
    fn yarn(&self, base: Base) -> Result<Rotation, Error> {
        let original = self.original(base)?;
        let factor = match self.extra.get("factor") {
            None | Some(Value::Null) => base.positions as f64 / f64::from(original),
            Some(_) => self.positive("factor")?,
        };
        let magnitude = |weight: f64| {
            if factor <= 1.0 {
                1.0
            } else {
                0.1 * weight * factor.ln() + 1.0
            }
        };
        let scale = match (
            self.number("attention_factor")?,
            self.number("mscale")?.filter(|weight| *weight != 0.0),
            self.number("mscale_all_dim")?.filter(|weight| *weight != 0.0),
        ) {
            (Some(given), ..) => given,
            (None, Some(weight), Some(all)) => magnitude(weight) / magnitude(all),
            (None, ..) => magnitude(1.0),
        };
        let (fast, slow) = (self.number("beta_fast")?, self.number("beta_slow")?);
        let or = |given: Option<f64>, usual: f64| given.filter(|given| *given != 0.0).unwrap_or(usual);
        // The pair that turns so often over the original length.
        let pair =
            |turns: f64| base.head_dim as f64 * (f64::from(original) / (turns * TAU)).ln() / (2.0 * base.theta.ln());
        let (mut first, mut last) = (pair(or(fast, 32.0)), pair(or(slow, 1.0)));
        if self.extra.get("truncate").and_then(Value::as_bool) != Some(false) {
            (first, last) = (first.floor(), last.ceil());
        }
        let first = first.max(0.0);
        let last = last.min(base.head_dim as f64 - 1.0);
        // As in the reference, so that nothing is divided by zero.
        let last = if first == last { last + 0.001 } else { last };
        let ramp = |i: usize| ((i as f32 - first as f32) / (last - first) as f32).clamp(0.0, 1.0);
        let mixed = powers(base).into_iter().enumerate().map(|(i, power)| {
            let kept = 1.0 - ramp(i);
            1.0 / (factor as f32 * power) * (1.0 - kept) + 1.0 / power * kept
        });
        Ok(Rotation {
            frequencies: mixed.collect(),
            scale: scale as f32,
            beyond: None,
        })
    }

    /// The same, where the object says it.
    pub(crate) fn original_positions(&self) -> Option<usize> {
        let said = self.extra.get(ORIGINAL).and_then(Value::as_f64);
        said.map(|positions| positions as usize)
    }

    /// The length of the sequences that the unscaled model was trained on.
    fn original(&self, base: Base) -> Result<f32, Error> {
        let own = || match self.extra.get(ORIGINAL) {
            None | Some(Value::Null) => Ok(base.positions as f64),
            Some(_) => self.positive(ORIGINAL),
        };
        Ok(base.original.map_or_else(own, |original| Ok(original as f64))? as f32)
    }

    /// A number of the object, where it is there.
    fn number(&self, field: &'static str) -> Result<Option<f64>, Error> {
        match self.extra.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_f64().filter(|number| number.is_finite()) {
                Some(number) => Ok(Some(number)),
                None => {
                    let found = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    Err(unsupported(field, found, "a number"))
                }
            },
        }
    }

    /// A number above 0 that has to be there.
    fn positive(&self, field: &'static str) -> Result<f64, Error> {
        let Some(found) = self.number(field)? else {
            return Err(unsupported(field, "nothing".into(), "a number"));
        };
        // As an `f32` too.
        let fits = found as f32 > 0.0 && (found as f32).is_finite();
        let expected = "a number above 0";
        if fits {
            Ok(found)
        } else {
            Err(Error::Number { field, found, expected })
        }
    }
}

fn unsupported(field: &'static str, found: String, supported: &'static str) -> Error {
    Error::Unsupported {
        field,
        found,
        supported,
    }
}
