//! What work cost: FLOPs by both counters, and seconds.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Sub};

use serde::{Deserialize, Serialize};

/// A way to count FLOPs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Counter {
    /// Our own: [`exact`](crate::exact).
    #[default]
    Exact,
    /// ELECTRA's, as in the LiGO paper: [`electra`](crate::electra).
    Electra,
}

/// FLOPs of the same work by both counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flops {
    /// By our own count (backward = 2 × forward, sparse look-up, operator once per step).
    pub exact: f64,
    /// As ELECTRA's script counts them, which the paper used.
    pub electra: f64,
}

/// What something cost. All fields count the same work. In files they stand side by side, as `flops_exact`, `flops_electra` and `seconds`, among the
/// fields of what they belong to: flatten it there. A number that is not finite is `null` there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "SideBySide", into = "SideBySide")]
pub struct Cost {
    /// FLOPs of the training steps.
    pub flops: Flops,
    /// Wall time of the training steps, without evaluation and saving.
    pub seconds: f64,
}

/// A [`Cost`] as files have it. A struct and no second `flatten`, which would take nothing from among the fields that it stands with, so that what is not
/// known there could not be told from what is.
#[derive(Serialize, Deserialize)]
struct SideBySide {
    #[serde(with = "crate::nan_is_null")]
    flops_exact: f64,
    #[serde(with = "crate::nan_is_null")]
    flops_electra: f64,
    #[serde(with = "crate::nan_is_null")]
    seconds: f64,
}

impl From<SideBySide> for Cost {
    fn from(file: SideBySide) -> Self {
        Self::of_measures([file.flops_exact, file.flops_electra, file.seconds])
    }
}

impl From<Cost> for SideBySide {
    fn from(cost: Cost) -> Self {
        Self {
            flops_exact: cost.flops.exact,
            flops_electra: cost.flops.electra,
            seconds: cost.seconds,
        }
    }
}

impl Flops {
    /// Those of one counter.
    #[must_use]
    pub fn by(self, counter: Counter) -> f64 {
        match counter {
            Counter::Exact => self.exact,
            Counter::Electra => self.electra,
        }
    }
}

impl Cost {
    /// The three ways to measure it: FLOPs by our own count, FLOPs by ELECTRA's, seconds.
    pub const MEASURES: [fn(&Self) -> f64; 3] =
        [|cost| cost.flops.exact, |cost| cost.flops.electra, |cost| cost.seconds];

    /// The cost with these measures, in the order of [`Cost::MEASURES`].
    #[must_use]
    pub fn of_measures([exact, electra, seconds]: [f64; 3]) -> Self {
        Self {
            flops: Flops { exact, electra },
            seconds,
        }
    }

    /// All measures, in the order of [`Cost::MEASURES`].
    #[must_use]
    pub fn measures(&self) -> [f64; 3] {
        Self::MEASURES.map(|measure| measure(self))
    }
}

/// What is added, taken away and multiplied field by field.
macro_rules! field_by_field {
    ($type:ident { $($field:ident),+ }) => {
        impl Add for $type {
            type Output = Self;

            fn add(self, other: Self) -> Self {
                Self { $($field: self.$field + other.$field),+ }
            }
        }

        impl Sub for $type {
            type Output = Self;

            fn sub(self, other: Self) -> Self {
                Self { $($field: self.$field - other.$field),+ }
            }
        }

        impl Mul<f64> for $type {
            type Output = Self;

            fn mul(self, factor: f64) -> Self {
                Self { $($field: self.$field * factor),+ }
            }
        }

        impl AddAssign for $type {
            fn add_assign(&mut self, other: Self) {
                *self = *self + other;
            }
        }

        impl Sum for $type {
            fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
                all.fold(Self::default(), Add::add)
            }
        }
    };
}

field_by_field!(Flops { exact, electra });
field_by_field!(Cost { flops, seconds });

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn cost(exact: f64, electra: f64, seconds: f64) -> Cost {
        Cost::of_measures([exact, electra, seconds])
    }

    #[test]
    fn costs_are_added_taken_away_and_multiplied_measure_by_measure() {
        let (a, b) = (cost(1.0, 2.0, 3.0), cost(10.0, 20.0, 30.0));
        assert_eq!(a + b, cost(11.0, 22.0, 33.0));
        assert_eq!(b - a, cost(9.0, 18.0, 27.0));
        assert_eq!(a * 2.0, cost(2.0, 4.0, 6.0));
        assert_eq!([a, b, a].into_iter().sum::<Cost>(), cost(12.0, 24.0, 36.0));
        assert_eq!(b.measures(), [10.0, 20.0, 30.0]);
        assert_eq!((b.flops.by(Counter::Exact), b.flops.by(Counter::Electra)), (10.0, 20.0));
        let mut sum = a;
        sum += b;
        assert_eq!(sum, a + b);
    }

    #[test]
    fn files_have_the_measures_side_by_side() {
        // The neighbors of two short numbers, which come back to the bit.
        let odd = cost(0.1 + 0.2, 1e15 / 3.0, 4.35);
        let json = serde_json::to_string(&odd).unwrap();
        assert_eq!(
            json,
            r#"{"flops_exact":0.30000000000000004,"flops_electra":333333333333333.3,"seconds":4.35}"#
        );
        let again: Cost = serde_json::from_str(&json).unwrap();
        assert_eq!(again.measures().map(f64::to_bits), odd.measures().map(f64::to_bits));
        let unknown: Cost = serde_json::from_str(r#"{"seconds":2,"flops_electra":null,"flops_exact":1}"#).unwrap();
        assert!(unknown.flops.electra.is_nan());
        assert_eq!((unknown.flops.exact, unknown.seconds), (1.0, 2.0));
        assert!(serde_json::from_str::<Cost>(r#"{"seconds":2,"flops_exact":1}"#).is_err());
    }
}
