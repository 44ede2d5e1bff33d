use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What becomes of the optimizer's moments when a model is grown: `false`, `true` or `"reset-new"` in a recipe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepMoments {
    /// The grown model starts with a fresh optimizer.
    #[default]
    No,
    /// They are grown with the weights.
    All,
    /// They are grown, and those of new parameters are zero.
    ResetNew,
}

const RESET_NEW: &str = "reset-new";

impl Serialize for KeepMoments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::No => serializer.serialize_bool(false),
            Self::All => serializer.serialize_bool(true),
            Self::ResetNew => serializer.serialize_str(RESET_NEW),
        }
    }
}

impl<'de> Deserialize<'de> for KeepMoments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl Visitor<'_> for Words {
            type Value = KeepMoments;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "true, false or \"{RESET_NEW}\"")
            }

            fn visit_bool<E: Error>(self, keep: bool) -> Result<KeepMoments, E> {
                Ok(if keep { KeepMoments::All } else { KeepMoments::No })
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<KeepMoments, E> {
                match word {
                    RESET_NEW => Ok(KeepMoments::ResetNew),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }
        }
        deserializer.deserialize_any(Words)
    }
}
