use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Error;

/// How a configuration describes rotary position embedding: `rope_parameters`, or `rope_scaling` in older files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RopeParameters {
    /// The base of the frequencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_theta: Option<f64>,
    /// The kind; `default` is the only one that is supported. Older files call it `type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_type: Option<String>,
    /// Everything else in the object.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Default for RopeParameters {
    fn default() -> Self {
        Self {
            rope_theta: Some(10_000.0),
            rope_type: Some("default".into()),
            extra: Map::new(),
        }
    }
}

impl RopeParameters {
    /// Refuses every rotation but that of all dimensions by unscaled angles.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let refuse = |field, found, supported| {
            Err(Error::Unsupported {
                field,
                found,
                supported,
            })
        };
        let older = self.extra.get("type").and_then(Value::as_str);
        if let Some(kind) = self.rope_type.as_deref().or(older)
            && kind != "default"
        {
            return refuse("rope_type", kind.into(), "default");
        }
        if let Some(part) = self.extra.get("partial_rotary_factor")
            && part.as_f64() != Some(1.0)
        {
            return refuse("partial_rotary_factor", part.to_string(), "1.0");
        }
        // One object for each kind of layer, as in models that mix them.
        match self.extra.iter().find(|(_, value)| value.is_object()) {
            Some((kind, _)) => refuse("rope_parameters", kind.clone(), "one rotation for all layers"),
            None => Ok(()),
        }
    }
}
