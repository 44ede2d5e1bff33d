//! What decides a model's function beside its sizes.

use std::fmt;

use serde_json::{Map, Value};

/// A field of `config.json`, and the value that it has or that stands for its absence.
pub(crate) type Setting = (&'static str, Value);

/// A setting in which two models of one family differ, so that the same weights compute something else.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The name of the field in `config.json`.
    pub field: &'static str,
    /// Its value in the first model.
    pub from: Value,
    /// Its value in the second.
    pub to: Value,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} → {}", self.field, self.from, self.to)
    }
}

/// The padding token, which stands for where a text ends and, in some families, for where its positions begin.
pub(crate) fn padding(extra: &Map<String, Value>) -> Setting {
    let id = extra.get("pad_token_id").cloned();
    ("pad_token_id", id.unwrap_or(Value::Null))
}
