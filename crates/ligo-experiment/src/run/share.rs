//! A part of the units of a comparison, for one job of an array.

use std::fmt;
use std::str::FromStr;

/// A part of the units: the K-th of N, as `K/N`. Units are dealt out like cards, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    number: usize,
    of: usize,
}

/// More than this is a slip of the pen.
const MOST_SHARES: usize = 10_000;

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let numbers = parts.and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        numbers
            .filter(|(number, of)| *of <= MOST_SHARES && (1..=*of).contains(number))
            .map(|(number, of)| Self { number, of })
            .ok_or_else(|| format!("expected K/N with K from 1 to N, and N up to {MOST_SHARES}, for example 2/8"))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl Share {
    /// The share that has the unit at this place.
    pub(super) fn with(self, unit: usize) -> Self {
        Self {
            number: unit % self.of + 1,
            ..self
        }
    }

    /// A name for what belongs to it.
    pub(super) fn folder_name(self) -> String {
        format!("{}-of-{}", self.number, self.of)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn shares_are_written_as_their_number_of_all() {
        let share: Share = "2/8".parse().unwrap();
        assert_eq!((share.number, share.of, share.to_string()), (2, 8, "2/8".into()));
        for wrong in ["", "2", "0/8", "9/8", "1/0", "-1/2", "1/2/3", "a/b", "1/10001"] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
        let numbers: Vec<usize> = (0..10).map(|unit| share.with(unit).number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 1, 2]);
    }
}
