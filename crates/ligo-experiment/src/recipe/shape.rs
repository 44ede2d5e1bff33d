use std::path::PathBuf;

use ligo_arch::{ModelConfig, Task};
use ligo_train::TrainConfig;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::faults::{Fault, nearest};
use super::limits::MOST_FAULTS;
use super::{Annealed, CorpusSource, Recipe};

/// The family of a model section that names none.
const USUAL_FAMILY: &str = "bert";

/// A model and how it is trained.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSection {
    /// A finished model (a Hugging Face directory) to use instead of training one. What `large.model` does not say is
    /// then as it is there.
    pub path: Option<PathBuf>,
    /// Fields of `config.json`; `model_type` is `bert` unless given, and `vocab_size` comes from the tokenizer.
    pub model: toml::Table,
    /// How it is trained.
    pub train: TrainConfig,
    /// For a small model at a constant rate: a branch of its training whose rate falls at the end tells what it would have come to. Large models are grown
    /// from the model at the constant rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annealed: Option<Annealed>,
}

/// What the data decide of a model.
#[derive(Clone, Debug)]
pub struct DataFacts {
    vocab_size: usize,
    labels: Option<usize>,
    seq_len: usize,
    like: Option<ModelConfig>,
    class_names: Vec<String>,
}

impl DataFacts {
    /// Text of so many different tokens, in samples of `seq_len`.
    pub fn text(vocab_size: usize, seq_len: usize) -> Self {
        Self {
            vocab_size,
            labels: None,
            seq_len,
            like: None,
            class_names: Vec::new(),
        }
    }

    /// Images of so many classes.
    pub fn images(labels: usize) -> Self {
        Self {
            vocab_size: 1,
            labels: Some(labels),
            seq_len: 1,
            like: None,
            class_names: Vec::new(),
        }
    }

    /// The classes by their names, which a model's configuration keeps.
    #[must_use]
    pub fn named(self, class_names: &[String]) -> Self {
        Self {
            class_names: class_names.to_vec(),
            ..self
        }
    }

    /// Beside the data, a finished small model: what a recipe does not say of the large one is as it is there.
    #[must_use]
    pub fn like(self, small: &ModelConfig) -> Self {
        let labels = match small.task() {
            Task::ImageClassification { labels } => Some(labels),
            _ => self.labels,
        };
        Self {
            vocab_size: small.vocab_size(),
            labels,
            like: Some(small.clone()),
            ..self
        }
    }

    /// Before the data were looked at: any vocabulary and any number of classes will do for the checks.
    pub fn expected(recipe: &Recipe) -> Self {
        match recipe.corpus.source {
            CorpusSource::Images => Self::images(2),
            CorpusSource::Files | CorpusSource::RustDocs => {
                Self::text(recipe.tokenizer.vocab_size.max(64), recipe.data.seq_len)
            }
        }
    }
}

impl ModelSection {
    /// `model_type`: its own, or a finished small model's, or `bert`.
    pub(super) fn model_type<'a>(&'a self, facts: &'a DataFacts) -> &'a str {
        let own = self.model.get("model_type").and_then(toml::Value::as_str);
        let like = facts.like.as_ref().map(ModelConfig::model_type);
        own.or(like).unwrap_or(USUAL_FAMILY)
    }

    /// The family that the section describes, when it is not that of a finished small model: its `model_type`, or `bert` where it has none and its fields
    /// are those of a BERT alone.
    pub(super) fn other_family(&self, small: &ModelConfig) -> Option<&str> {
        let own = self.model.get("model_type").and_then(toml::Value::as_str);
        if own.is_some() {
            return own.filter(|own| *own != small.model_type());
        }
        let all_in = |family: &str| {
            let known = ModelConfig::known_fields(family);
            self.model.keys().all(|key| known.contains(key))
        };
        (!all_in(small.model_type()) && all_in(USUAL_FAMILY)).then_some(USUAL_FAMILY)
    }

    /// Sets the number of layers, whatever the family calls it.
    #[must_use]
    pub(super) fn with_layers(mut self, layers: usize, facts: &DataFacts) -> Self {
        // An unknown family is reported when the configuration is made.
        if let Some(example) = ModelConfig::example(self.model_type(facts)) {
            let field = example.fields().layers;
            self.model.insert(field.into(), (layers as i64).into());
        }
        self
    }

    /// The configuration for these data.
    ///
    /// # Errors
    /// A field is unknown, of the wrong type, or does not fit the others.
    pub fn config(&self, section: &str, facts: &DataFacts) -> Result<ModelConfig, Vec<Fault>> {
        let fault = |key: &str, message: String| Fault {
            key: format!("{section}.model{}{key}", if key.is_empty() { "" } else { "." }),
            message,
        };
        let mut json = serde_json::to_value(&self.model).unwrap_or(Value::Null);
        let Some(fields) = json.as_object_mut() else {
            return Err(vec![fault("", "must be a table".into())]);
        };
        let model_type = self.model_type(facts);
        let Some(example) = ModelConfig::example(model_type) else {
            let known = ModelConfig::MODEL_TYPES;
            let near = nearest(model_type, known.iter().copied());
            let hint = near.map_or_else(
                || format!("known ones are {}", known.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            return Err(vec![fault(
                "model_type",
                format!("unknown family `{model_type}`; {hint}"),
            )]);
        };
        let known = ModelConfig::known_fields(model_type);
        let known = || known.iter().map(String::as_str);
        let unknown = fields.keys().filter(|k| !known().any(|name| name == k.as_str()));
        let mut faults: Vec<Fault> = unknown
            .take(MOST_FAULTS)
            .map(|k| {
                fault(
                    k,
                    format!(
                        "no field of a {model_type}: {}",
                        unknown_key(k, known().collect::<Vec<_>>())
                    ),
                )
            })
            .collect();
        if let Some(like) = &facts.like {
            inherit(fields, &like.to_json());
        }
        complete(fields, &example, facts);
        match ModelConfig::from_json(&json) {
            Ok(config) if faults.is_empty() => {
                let most = config.max_sequence_tokens();
                if config.image_shape().is_none() && most < facts.seq_len {
                    let message = format!(
                        "are {most}, but data.seq_len is {}; positions must cover a sample",
                        facts.seq_len
                    );
                    return Err(vec![fault(example.fields().positions, message)]);
                }
                Ok(config.with_class_names(&facts.class_names))
            }
            Ok(_) => Err(faults),
            Err(error) => {
                faults.push(fault("", error.to_string()));
                Err(faults)
            }
        }
    }
}

/// Fields that say the same in files of different ages: where one of them is given, none is taken over.
const ALTERNATIVES: [&[&str]; 2] = [
    &["rope_parameters", "rope_theta", "rope_scaling"],
    &["dtype", "torch_dtype"],
];

/// Adds what a finished small model says, but for the size of the feed-forward part where another width was asked for.
pub fn inherit(fields: &mut Map<String, Value>, small: &Value) {
    let widths = ["hidden_size", "n_embd", "dim"];
    let widened = widths
        .iter()
        .any(|k| fields.get(*k).is_some_and(|v| small.get(k) != Some(v)));
    let is_given = |key: &&str| fields.get(*key).is_some_and(|value| !value.is_null());
    let given: Vec<&str> = ALTERNATIVES
        .into_iter()
        .filter(|names| names.iter().any(|key| is_given(key)))
        .flatten()
        .copied()
        .collect();
    ligo_arch::repeat_layers(fields, small);
    // The width of a token table is that of the residual stream where nothing projects.
    let is_electra = small.get("model_type").and_then(Value::as_str) == Some("electra");
    let is_table = |key: &str| key == "word_embed_proj_dim" || (is_electra && key == "embedding_size");
    for (key, value) in small.as_object().into_iter().flatten() {
        let follows_width = ["intermediate_size", "n_inner", "ffn_dim", "hidden_dim"].contains(&key.as_str())
            || (is_table(key) && small.get("hidden_size") == Some(value));
        let left_out = (follows_width && widened) || given.contains(&key.as_str());
        if !left_out && !fields.contains_key(key) {
            fields.insert(key.clone(), value.clone());
        }
    }
}

/// Adds what a recipe need not say: what the family always has, and what the data decide.
fn complete(fields: &mut Map<String, Value>, example: &ModelConfig, facts: &DataFacts) {
    fields
        .entry("model_type")
        .or_insert_with(|| example.model_type().into());
    let usual = example.to_json();
    for name in ["architectures", "bos_token_id", "eos_token_id", "pad_token_id"] {
        if let Some(value) = usual.get(name) {
            fields.entry(name).or_insert_with(|| value.clone());
        }
    }
    let names = example.fields();
    if let (Some(hidden), Some(ratio)) = (
        fields.get(names.width).and_then(Value::as_u64),
        example.usual_ffn_ratio(),
    ) {
        fields
            .entry(names.ffn)
            .or_insert_with(|| hidden.saturating_mul(ratio).into());
    }
    if example.image_shape().is_some() {
        if let (Some(labels), None) = (facts.labels, fields.get("id2label")) {
            fields.insert("num_labels".into(), labels.into());
        }
        return;
    }
    fields.insert("vocab_size".into(), facts.vocab_size.into());
    let positions = example.fields().positions;
    // RoBERTa's table has two rows that no token uses.
    let rows = usual.get(positions).and_then(Value::as_u64).unwrap_or_default() as usize;
    let unused = rows.saturating_sub(example.max_sequence_tokens());
    fields
        .entry(positions)
        .or_insert_with(|| facts.seq_len.saturating_add(unused).into());
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
