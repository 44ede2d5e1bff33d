//! LongRoPE (Ding et al., arXiv:2402.13753): factors of each pair, one list for sequences up to the original length and one for longer ones.

use serde_json::Value;

use super::{Base, Beyond, RopeParameters, Rotation, powers, unsupported};
use crate::Error;

impl RopeParameters {
    /// As `transformers` computes it; the kind is called `longrope`.
    pub(super) fn long(&self, base: Base) -> Result<Rotation, Error> {
        let original = self.original(base)?;
        let factor = match self.extra.get("factor") {
            None | Some(Value::Null) => base.positions as f64 / f64::from(original),
            Some(_) => self.positive("factor")?,
        };
        let scale = match self.number("attention_factor")? {
            Some(given) => given,
            None if factor <= 1.0 => 1.0,
            None => (1.0 + factor.ln() / f64::from(original).ln()).sqrt(),
        };
        let [frequencies, long] = ["short_factor", "long_factor"].map(|field| {
            let factors = self.factors(field, base)?;
            let pairs = powers(base).into_iter().zip(factors);
            Ok(pairs.map(|(power, factor)| 1.0 / (factor * power)).collect())
        });
        Ok(Rotation {
            frequencies: frequencies?,
            scale: scale as f32,
            beyond: Some(Beyond {
                positions: original as usize,
                frequencies: long?,
            }),
        })
    }

    /// A list with a number above 0 for each pair.
    fn factors(&self, field: &'static str, base: Base) -> Result<Vec<f32>, Error> {
        let expected = "a list with a number above 0 for each pair of a head's dimensions that is turned";
        let Some(found) = self.extra.get(field) else {
            return Err(unsupported(field, "nothing".into(), expected));
        };
        let number = |value: &Value| value.as_f64().map(|factor| factor as f32);
        let fits = |factor: &f32| *factor > 0.0 && factor.is_finite();
        let factors: Option<Vec<f32>> = found
            .as_array()
            .and_then(|list| list.iter().map(|value| number(value).filter(fits)).collect());
        let factors = factors.filter(|factors| factors.len() == base.head_dim / 2);
        factors.ok_or_else(|| {
            let pairs = base.head_dim / 2;
            let entries = found.as_array().map(Vec::len);
            let found = entries.map_or_else(|| found.to_string(), |n| format!("a list of {n} for {pairs} pairs"));
            unsupported(field, found, expected)
        })
    }
}
