//! For `#[serde(with)]`: JSON has no NaN, so a number that is not finite is written as `null` and read as NaN.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes a number, or `null` for one that is not finite.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    value.is_finite().then_some(*value).serialize(serializer)
}

/// Reads a number, or NaN for `null`.
///
/// # Errors
/// Those of the deserializer.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// The same for each number of a list.
pub mod each {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// The two kinds of number that lists are made of.
    pub trait Float: Copy {
        /// Not a number.
        const NAN: Self;
        /// Whether it is a number at all, and not infinite.
        fn is_finite(self) -> bool;
    }

    impl Float for f32 {
        const NAN: Self = Self::NAN;
        fn is_finite(self) -> bool {
            self.is_finite()
        }
    }

    impl Float for f64 {
        const NAN: Self = Self::NAN;
        fn is_finite(self) -> bool {
            self.is_finite()
        }
    }

    /// Writes numbers, and `null` for those that are not finite.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<T: Float + Serialize, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|value| value.is_finite().then_some(value)))
    }

    /// Reads numbers, and NaN for `null`.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, T: Float + Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        let values: Vec<Option<T>> = Vec::deserialize(deserializer)?;
        Ok(values.into_iter().map(|value| value.unwrap_or(T::NAN)).collect())
    }
}
