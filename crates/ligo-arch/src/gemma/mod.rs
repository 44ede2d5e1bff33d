//! Gemma, Gemma 2 and the text of Gemma 3.

mod layers;
mod table;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value, json};

use crate::family::{FamilyConfig, Sizes, of_text, with_epsilon};
use crate::layer_types::LayerType;
use crate::settings::{Setting, padding};
use crate::{Error, ParamTable, RopeParameters, Task, defaults, limits};

/// `config.json` of a Gemma, a Gemma 2 or a Gemma 3 of text, with the names of `transformers`' `GemmaConfig`.
///
/// All gate with GELU, keep gains less one in files, multiply tokens by `√D` and decode with their table. Gemma 2 and 3 also normalize what a
/// branch adds and limit the attention of some layers to a window; Gemma 2 levels off scores and logits; Gemma 3 normalizes each head's queries and
/// keys and rotates layers with a window otherwise than those without. Fields that are not listed are kept in [`GemmaConfig::extra`] and written back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GemmaConfig {
    /// `gemma`, `gemma2` or `gemma3_text`.
    pub model_type: String,
    /// Entries of the token table.
    pub vocab_size: usize,
    /// Width D of the residual stream.
    pub hidden_size: usize,
    /// Neurons of a feed-forward layer.
    pub intermediate_size: usize,
    /// Layers L.
    pub num_hidden_layers: usize,
    /// Query heads H.
    pub num_attention_heads: usize,
    /// Key-value heads G; must divide H.
    pub num_key_value_heads: usize,
    /// Width d of a head.
    pub head_dim: usize,
    /// Longest sequence that the model was made for.
    pub max_position_embeddings: usize,
    /// Standard deviation of initial matrices.
    #[serde(default = "defaults::deviation")]
    pub initializer_range: f64,
    /// ε of RMSNorm.
    #[serde(default = "eps")]
    pub rms_norm_eps: f64,
    /// Whether the head shares the token table.
    #[serde(default = "defaults::yes")]
    pub tie_word_embeddings: bool,
    /// Rotary embedding, as files have it since `transformers` 5; a Gemma 3's has an object for each type of layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_parameters: Option<RopeParameters>,
    /// The base of its frequencies, as older files have it; a Gemma 3's of layers without a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_theta: Option<f64>,
    /// The base in a Gemma 3's layers with a window, as older files have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_local_base_freq: Option<f64>,
    /// What older files have besides the bases; a Gemma 3's of layers without a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<RopeParameters>,
    /// Dropout on attention probabilities.
    #[serde(default)]
    pub attention_dropout: f64,
    /// Whether projections of queries, keys, values and outputs have biases.
    #[serde(default)]
    pub attention_bias: bool,
    /// What scores are divided by the root of in a Gemma 2 and 3; written as it was read, since the reference wants a whole number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_pre_attn_scalar: Option<Number>,
    /// How many positions attention reaches over in layers that have a window.
    #[serde(default)]
    pub sliding_window: Option<usize>,
    /// Where a Gemma 2's scores level off.
    #[serde(default)]
    pub attn_logit_softcapping: Option<f64>,
    /// Where logits level off in a Gemma 2 and 3.
    #[serde(default)]
    pub final_logit_softcapping: Option<f64>,
    /// Everything else in the file.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What `model_type` may say; also the family of the table.
const FAMILIES: [&str; 3] = ["gemma", "gemma2", "gemma3_text"];

fn eps() -> f64 {
    1e-6
}

/// Adds what the reference takes where a file leaves it out.
pub(crate) fn complete(model_type: &str, json: &mut Value) {
    let usual = match model_type {
        "gemma" => json!({"num_key_value_heads": 16, "head_dim": 256, "max_position_embeddings": 8192}),
        "gemma2" => json!({
            "num_key_value_heads": 4, "head_dim": 256, "max_position_embeddings": 8192, "query_pre_attn_scalar": 256, "sliding_window": 4096,
            "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0
        }),
        "gemma3_text" => json!({
            "num_key_value_heads": 4, "head_dim": 256, "max_position_embeddings": 131_072, "query_pre_attn_scalar": 256, "sliding_window": 4096
        }),
        _ => return,
    };
    if let (Some(fields), Value::Object(usual)) = (json.as_object_mut(), usual) {
        for (field, value) in usual {
            fields.entry(field).or_insert(value);
        }
    }
}

impl GemmaConfig {
    /// A Gemma with as many key-value heads as query heads, which fill the residual stream.
    pub fn new(vocab_size: usize, hidden: usize, layers: usize, heads: usize, ffn: usize) -> Self {
        let mut extra = Map::new();
        extra.insert("architectures".into(), json!(["GemmaForCausalLM"]));
        Self {
            model_type: "gemma".into(),
            vocab_size,
            hidden_size: hidden,
            intermediate_size: ffn,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            num_key_value_heads: heads,
            head_dim: hidden.checked_div(heads).unwrap_or(0),
            max_position_embeddings: 8192,
            initializer_range: defaults::deviation(),
            rms_norm_eps: eps(),
            tie_word_embeddings: true,
            rope_parameters: None,
            rope_theta: None,
            rope_local_base_freq: None,
            rope_scaling: None,
            attention_dropout: 0.0,
            attention_bias: false,
            query_pre_attn_scalar: None,
            sliding_window: None,
            attn_logit_softcapping: None,
            final_logit_softcapping: None,
            extra,
        }
    }

    /// A Gemma 2 of such sizes, with a window of 4096 positions in every other layer, the first one included.
    pub fn gemma2(vocab_size: usize, hidden: usize, layers: usize, heads: usize, ffn: usize) -> Self {
        Self {
            attn_logit_softcapping: Some(50.0),
            final_logit_softcapping: Some(30.0),
            ..Self::with_windows("gemma2", "Gemma2ForCausalLM", [vocab_size, hidden, layers, heads, ffn])
        }
    }

    /// A Gemma 3 of such sizes, with a window of 4096 positions in five of six layers.
    pub fn gemma3(vocab_size: usize, hidden: usize, layers: usize, heads: usize, ffn: usize) -> Self {
        let sizes = [vocab_size, hidden, layers, heads, ffn];
        Self {
            max_position_embeddings: 131_072,
            ..Self::with_windows("gemma3_text", "Gemma3ForCausalLM", sizes)
        }
    }

    fn with_windows(model_type: &str, class: &str, [vocab, hidden, layers, heads, ffn]: [usize; 5]) -> Self {
        let mut config = Self::new(vocab, hidden, layers, heads, ffn);
        config.model_type = model_type.into();
        config.extra.insert("architectures".into(), json!([class]));
        Self {
            query_pre_attn_scalar: Some(config.head_dim.into()),
            sliding_window: Some(4096),
            ..config
        }
    }

    fn is_first(&self) -> bool {
        self.model_type == "gemma"
    }

    /// Whether what a branch adds is normalized, too.
    pub fn has_output_norms(&self) -> bool {
        !self.is_first()
    }

    /// Whether each head's queries and keys are normalized.
    pub fn has_head_norms(&self) -> bool {
        self.model_type == "gemma3_text"
    }

    /// What scores are divided by the root of, where it is not the width of a head.
    fn divisor(&self) -> Option<f64> {
        let divisor = self.query_pre_attn_scalar.as_ref().filter(|_| !self.is_first());
        divisor.and_then(Number::as_f64)
    }

    /// The factor of scores.
    pub fn score_scale(&self) -> f64 {
        self.divisor().unwrap_or(self.head_dim as f64).powf(-0.5)
    }

    /// Where scores level off. The reference reads it of a Gemma 2 alone.
    pub fn score_cap(&self) -> Option<f64> {
        self.attn_logit_softcapping.filter(|_| self.model_type == "gemma2")
    }

    /// Where logits level off.
    pub fn logit_cap(&self) -> Option<f64> {
        self.final_logit_softcapping.filter(|_| !self.is_first())
    }

    /// What the model multiplies its tokens by: `√D`. The reference rounds it to the dtype it computes in, which is `f32` here.
    pub fn token_scale(&self) -> f64 {
        (self.hidden_size as f64).sqrt()
    }

    fn invalid(&self, reason: String) -> Error {
        Error::Invalid {
            model_type: self.model_type.clone(),
            reason,
        }
    }

    /// The name of the activation, as far as the reference reads it.
    fn activation(&self) -> Result<(), Error> {
        let field = if self.is_first() {
            "hidden_act"
        } else {
            "hidden_activation"
        };
        let found = self.extra.get(field).filter(|name| !name.is_null());
        let found = found.map_or(GELU.into(), |name| {
            name.as_str().map_or_else(|| name.to_string(), str::to_owned)
        });
        // What the first files of the first family say, and do not mean.
        let known = found == GELU || (self.is_first() && found == "gelu");
        if known {
            Ok(())
        } else {
            Err(unsupported(field, &found, GELU))
        }
    }
}

/// No number by which scores are divided, and at which they level off, is larger.
const MOST: f64 = 1e6;

const GELU: &str = "gelu_pytorch_tanh";

fn unsupported(field: &'static str, found: &str, supported: &'static str) -> Error {
    Error::Unsupported {
        field,
        found: found.into(),
        supported,
    }
}

/// A number that divides, or that something levels off at.
fn positive(field: &'static str, number: Option<f64>) -> Result<(), Error> {
    match number {
        Some(found) if !(found > 0.0 && found <= MOST) => Err(Error::Number {
            field,
            found,
            expected: "a number above 0 and up to a million",
        }),
        _ => Ok(()),
    }
}

impl FamilyConfig for GemmaConfig {
    fn validate(&self) -> Result<(), Error> {
        if !FAMILIES.contains(&self.model_type.as_str()) {
            return Err(Error::UnknownModelType {
                found: self.model_type.clone(),
                known: FAMILIES.join(", "),
            });
        }
        let (heads, groups) = (self.num_attention_heads, self.num_key_value_heads);
        limits::sizes([
            ("vocab_size", self.vocab_size, limits::VOCABULARY),
            ("hidden_size", self.hidden_size, limits::WIDTH),
            ("num_hidden_layers", self.num_hidden_layers, limits::LAYERS),
            ("num_attention_heads", heads, limits::HEADS),
            ("num_key_value_heads", groups, limits::HEADS),
            ("head_dim", self.head_dim, limits::WIDTH),
            ("intermediate_size", self.intermediate_size, limits::NEURONS),
            (
                "max_position_embeddings",
                self.max_position_embeddings,
                limits::POSITIONS,
            ),
            ("sliding_window", self.sliding_window.unwrap_or(1), limits::POSITIONS),
        ])?;
        limits::heads(heads, self.head_dim)?;
        limits::dropouts([("attention_dropout", self.attention_dropout)])?;
        limits::epsilon("rms_norm_eps", self.rms_norm_eps)?;
        limits::deviation("initializer_range", self.initializer_range)?;
        limits::base("rope_theta", self.usual_theta(LayerType::Full))?;
        limits::base("rope_local_base_freq", self.usual_theta(LayerType::Sliding))?;
        positive("query_pre_attn_scalar", self.divisor())?;
        positive("attn_logit_softcapping", self.attn_logit_softcapping)?;
        positive("final_logit_softcapping", self.final_logit_softcapping)?;
        if !heads.is_multiple_of(groups) {
            return Err(self.invalid(format!(
                "num_key_value_heads = {groups} does not divide num_attention_heads = {heads}"
            )));
        }
        // `transformers` wants this although `head_dim` says how wide a head is.
        if !self.is_first() {
            limits::heads_divide(heads, self.hidden_size)?;
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(self.invalid(format!(
                "heads have {} dimensions; rotary embedding needs an even number",
                self.head_dim
            )));
        }
        if self.extra.get("use_bidirectional_attention").and_then(Value::as_bool) == Some(true) {
            return Err(unsupported("use_bidirectional_attention", "true", "false"));
        }
        self.activation()?;
        self.windows()?;
        self.try_rotation(LayerType::Full)?;
        self.try_rotation(LayerType::Sliding).map(drop)
    }

    fn table(&self) -> ParamTable {
        table::table(self)
    }

    fn task(&self) -> Task {
        Task::CausalLm
    }

    fn sizes(&self) -> Sizes {
        Sizes {
            query: self.num_attention_heads * self.head_dim,
            key_value: self.num_key_value_heads * self.head_dim,
            ffn_matrices: 3,
            ..Sizes::plain(
                self.num_hidden_layers,
                self.hidden_size,
                self.num_attention_heads,
                self.intermediate_size,
                self.vocab_size,
            )
        }
    }

    fn architecture(&self) -> Option<String> {
        let class = match self.model_type.as_str() {
            "gemma2" => "Gemma2ForCausalLM",
            "gemma3_text" => "Gemma3ForCausalLM",
            _ => "GemmaForCausalLM",
        };
        Some(class.into())
    }

    fn settings(&self) -> Vec<Setting> {
        let scaling = |rope: &Option<RopeParameters>| rope.as_ref().map_or(Value::Null, RopeParameters::scaling);
        vec![
            ("rope_theta", json!(self.usual_theta(LayerType::Full))),
            ("rope_local_base_freq", json!(self.usual_theta(LayerType::Sliding))),
            ("rope_parameters", scaling(&self.rope_parameters)),
            ("rope_scaling", scaling(&self.rope_scaling)),
            ("rms_norm_eps", json!(self.rms_norm_eps)),
            ("attention_bias", json!(self.attention_bias)),
            ("query_pre_attn_scalar", json!(self.divisor())),
            ("attn_logit_softcapping", json!(self.score_cap())),
            ("final_logit_softcapping", json!(self.logit_cap())),
            ("sliding_window", json!(self.sliding_window)),
            padding(&self.extra),
        ]
    }

    of_text!(vocab_size, max_position_embeddings, initializer_range);

    fn layer_types(&self) -> Option<Vec<LayerType>> {
        (!self.is_first()).then(|| self.types())
    }

    with_epsilon!(rms_norm_eps);
}
