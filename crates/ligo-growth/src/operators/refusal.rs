//! Why an operator does not grow a pair.

use crate::Error;

/// Why an operator does not grow a pair.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The pair is none for it.
    Pair(String),
    /// Its settings are wrong, for every pair or for this one.
    Settings(Error),
}

impl Refusal {
    /// Settings that are wrong, in words.
    pub(super) fn settings(message: impl Into<String>) -> Self {
        Self::Settings(Error::Settings(message.into()))
    }
}
