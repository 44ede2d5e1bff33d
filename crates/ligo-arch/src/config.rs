use serde_json::Value;

use crate::{BertConfig, Error, ParamTable};

/// The configuration of a model of any family: what `config.json` says.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelConfig {
    /// BERT with a masked-language-model head.
    Bert(BertConfig),
}

const KNOWN: &str = "bert";

impl ModelConfig {
    /// Reads the content of a Hugging Face `config.json`.
    ///
    /// # Errors
    /// The family is missing or unknown, a field has the wrong type, sizes contradict each other, or a
    /// feature is asked for that is not supported.
    pub fn from_json(json: &Value) -> Result<Self, Error> {
        let model_type = json.get("model_type").and_then(Value::as_str);
        let config = match model_type {
            Some("bert") => Self::Bert(parse("bert", json)?),
            Some(other) => {
                return Err(Error::UnknownModelType {
                    found: other.into(),
                    known: KNOWN.into(),
                });
            }
            None => return Err(Error::NoModelType { known: KNOWN.into() }),
        };
        config.validate()?;
        Ok(config)
    }

    /// The content of `config.json`, fields that `ligo` does not know included.
    pub fn to_json(&self) -> Value {
        // A struct of plain fields always serialises.
        match self {
            Self::Bert(c) => serde_json::to_value(c).unwrap_or(Value::Null),
        }
    }

    /// Checks sizes and features.
    ///
    /// # Errors
    /// As for [`ModelConfig::from_json`].
    pub fn validate(&self) -> Result<(), Error> {
        match self {
            Self::Bert(c) => c.validate(),
        }
    }

    /// The parameters.
    pub fn table(&self) -> ParamTable {
        match self {
            Self::Bert(c) => c.table(),
        }
    }

    /// `model_type`.
    pub fn model_type(&self) -> &'static str {
        match self {
            Self::Bert(_) => "bert",
        }
    }

    /// The vocabulary size.
    pub fn vocab_size(&self) -> usize {
        match self {
            Self::Bert(c) => c.vocab_size,
        }
    }

    /// The longest sequence the model can read.
    pub fn max_sequence_tokens(&self) -> usize {
        match self {
            Self::Bert(c) => c.max_position_embeddings,
        }
    }

    /// Standard deviation of freshly initialised matrices.
    pub fn initializer_range(&self) -> f64 {
        match self {
            Self::Bert(c) => c.initializer_range,
        }
    }
}

fn parse<T: serde::de::DeserializeOwned>(model_type: &str, json: &Value) -> Result<T, Error> {
    serde_json::from_value(json.clone()).map_err(|e| Error::Invalid {
        model_type: model_type.into(),
        reason: e.to_string(),
    })
}
