use std::path::PathBuf;

use ligo_arch::{BertConfig, ModelConfig};
use ligo_train::TrainConfig;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::faults::{Fault, nearest};

/// A model and how it is trained.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSection {
    /// A finished model (a Hugging Face directory) to use instead of training one.
    pub path: Option<PathBuf>,
    /// Fields of `config.json`; `vocab_size` comes from the tokenizer.
    pub model: toml::Table,
    /// How it is trained.
    pub train: TrainConfig,
}

impl ModelSection {
    /// The configuration for a vocabulary of `vocab_size` and samples of `seq_len` tokens.
    ///
    /// # Errors
    /// A field is unknown, of the wrong type, or does not fit the others.
    pub fn config(&self, section: &str, vocab_size: usize, seq_len: usize) -> Result<ModelConfig, Vec<Fault>> {
        let fault = |key: &str, message: String| Fault {
            key: format!("{section}.model{}{key}", if key.is_empty() { "" } else { "." }),
            message,
        };
        let mut json = serde_json::to_value(&self.model).unwrap_or(Value::Null);
        let Some(fields) = json.as_object_mut() else {
            return Err(vec![fault("", "must be a table".into())]);
        };
        let template = serde_json::to_value(BertConfig::new(1, 1, 1, 1)).unwrap_or(Value::Null);
        let known: Vec<&str> = template
            .as_object()
            .into_iter()
            .flatten()
            .map(|(k, _)| k.as_str())
            .collect();
        let mut faults: Vec<Fault> = fields
            .keys()
            .filter(|k| !known.contains(&k.as_str()))
            .map(|k| fault(k, unknown_key(k, known.iter().copied())))
            .collect();
        fields.entry("model_type").or_insert_with(|| "bert".into());
        fields
            .entry("architectures")
            .or_insert_with(|| serde_json::json!(["BertForMaskedLM"]));
        fields.insert("vocab_size".into(), vocab_size.into());
        fields
            .entry("max_position_embeddings")
            .or_insert_with(|| seq_len.into());
        if let Some(hidden) = fields.get("hidden_size").and_then(Value::as_u64) {
            fields.entry("intermediate_size").or_insert_with(|| (4 * hidden).into());
        }
        match ModelConfig::from_json(&json) {
            Ok(config) if faults.is_empty() => {
                if config.max_sequence_tokens() < seq_len {
                    let message = format!(
                        "is {}, but data.seq_len is {seq_len}; positions must cover a sample",
                        config.max_sequence_tokens()
                    );
                    return Err(vec![fault("max_position_embeddings", message)]);
                }
                Ok(config)
            }
            Ok(_) => Err(faults),
            Err(error) => {
                faults.push(fault("", error.to_string()));
                Err(faults)
            }
        }
    }
}

/// The message for a key that nothing reads.
pub(super) fn unknown_key<'a>(key: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(key, known.clone()) {
        Some(near) => format!("unknown key; did you mean `{near}`?"),
        None => {
            let known: Vec<&str> = known.into_iter().collect();
            format!("unknown key; known ones are {}", known.join(", "))
        }
    }
}
