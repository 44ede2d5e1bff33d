mod moe;
mod olmo2;
mod phi3;
mod smollm3;
mod table;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::family::{FamilyConfig, Sizes, of_text, with_epsilon};
use crate::layer_types::{self, LayerType};
use crate::rope::{self, Base, original_positions};
use crate::rows::Stack;
use crate::settings::{Setting, padding};
use crate::{Axis, Error, ParamTable, RopeParameters, Rotation, Task, defaults, limits};

pub use moe::Experts;
pub(crate) use moe::{ACTIVE, COUNTS, DENSE_LAYERS, NEURONS, NORMALIZED, STEP};

/// `config.json` of a Llama, a Mistral, a Mixtral, a Qwen2, a Qwen3, a Qwen3 mixture of experts, a SmolLM3, a Phi-3 or an OLMo 2, with the names of `transformers`' `LlamaConfig`.
///
/// They differ in few things: Qwen2 has biases on queries, keys and values; Llama, Qwen3, SmolLM3 and OLMo 2 have them where the file says so; Qwen3
/// normalizes each head's queries and keys, OLMo 2 those of all heads together; Mistral and Phi-3 limit the attention of all layers to a window, Qwen2,
/// Qwen3 and SmolLM3 that of some, where the file says so; some layers of a SmolLM3 rotate nothing, Phi-3 fuses matrices in files, OLMo 2 normalizes what
/// sub-layers give, and layers of mixtures have several feed-forward networks. Fields that are not listed are kept in [`LlamaConfig::extra`] and written back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LlamaConfig {
    /// `llama`, `mistral`, `mixtral`, `qwen2`, `qwen3`, `qwen3_moe`, `smollm3`, `phi3` or `olmo2`.
    #[serde(default = "model_type")]
    pub model_type: String,
    /// Entries of the token table.
    pub vocab_size: usize,
    /// Width D of the residual stream.
    pub hidden_size: usize,
    /// Neurons of a feed-forward layer; of each expert of a Mixtral.
    pub intermediate_size: usize,
    /// Layers L.
    pub num_hidden_layers: usize,
    /// Query heads H.
    pub num_attention_heads: usize,
    /// Key-value heads G; must divide H. As many as query heads when `null`, and when a Llama's file does not say it.
    #[serde(default)]
    pub num_key_value_heads: Option<usize>,
    /// Width d of a head; D/H when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_dim: Option<usize>,
    /// Activation function; always `silu`, which is also called `swish`.
    #[serde(default = "silu")]
    pub hidden_act: String,
    /// Longest sequence that the model was made for.
    #[serde(default = "positions")]
    pub max_position_embeddings: usize,
    /// Standard deviation of initial matrices.
    #[serde(default = "defaults::deviation")]
    pub initializer_range: f64,
    /// ε of RMSNorm.
    #[serde(default = "eps")]
    pub rms_norm_eps: f64,
    /// Whether the head shares the token table.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// Rotary embedding, as files have it since `transformers` 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_parameters: Option<RopeParameters>,
    /// The base of its frequencies, as older files have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_theta: Option<f64>,
    /// What older files have besides the base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<RopeParameters>,
    /// Dropout on attention probabilities.
    #[serde(default)]
    pub attention_dropout: f64,
    /// Whether projections of queries, keys, values and outputs have biases; in families that may have them.
    #[serde(default)]
    pub attention_bias: bool,
    /// Whether a Llama's or a SmolLM3's feed-forward matrices have biases.
    #[serde(default)]
    pub mlp_bias: bool,
    /// Everything else in the file.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What `model_type` may say; also the family of the table.
const FAMILIES: [&str; 9] = [
    "llama",
    "mistral",
    "mixtral",
    "qwen2",
    "qwen3",
    "qwen3_moe",
    "smollm3",
    "phi3",
    "olmo2",
];

/// The decoder.
pub(crate) const LAYERS: Stack = Stack {
    name: "decoder",
    path: "model.layers",
};

/// What the attention output reads when several query heads share a value head: each value head once for each of them.
const VALUE_HEADS: Axis = Axis::growing("value_heads");

/// The normalizations of a layer.
const NORMS: [(&str, &str); 2] = [
    ("input_layernorm", "attention_norm"),
    ("post_attention_layernorm", "ffn_norm"),
];

/// Those of each head's queries and keys.
const HEAD_NORMS: [(&str, Axis, &str); 2] = [("q_norm", HEAD_WIDTH, "query_norm"), ("k_norm", HEAD_WIDTH, "key_norm")];

/// One head, which has one gain for all of its kind: heads can be added and cannot be widened.
const HEAD_WIDTH: Axis = Axis::fixed("head_dim");

fn model_type() -> String {
    "llama".into()
}
fn silu() -> String {
    "silu".into()
}
fn positions() -> usize {
    2048
}
fn eps() -> f64 {
    1e-6
}

/// What `transformers` takes where a file of the later families leaves a size out: `(model_type, field, value)`.
const ABSENT: [(&str, &str, usize); 14] = [
    ("mixtral", "num_key_value_heads", 8),
    ("mixtral", "max_position_embeddings", 131_072),
    ("qwen3_moe", "num_key_value_heads", 4),
    ("qwen3_moe", "max_position_embeddings", 32_768),
    ("mistral", "num_key_value_heads", 8),
    ("mistral", "max_position_embeddings", 131_072),
    ("qwen2", "num_key_value_heads", 32),
    ("qwen2", "max_position_embeddings", 32_768),
    ("qwen3", "num_key_value_heads", 32),
    ("qwen3", "max_position_embeddings", 32_768),
    ("qwen3", "head_dim", 128),
    ("smollm3", "num_key_value_heads", 4),
    ("smollm3", "max_position_embeddings", 32_768),
    ("phi3", "max_position_embeddings", 4096),
];

/// Adds what a file leaves out and the reference takes otherwise than a Llama's.
pub(crate) fn complete(model_type: &str, json: &mut Value) {
    let Some(fields) = json.as_object_mut() else {
        return;
    };
    for (_, field, value) in ABSENT.iter().filter(|(family, ..)| *family == model_type) {
        fields.entry(*field).or_insert_with(|| json!(value));
    }
    match model_type {
        "smollm3" => smollm3::complete(fields),
        "phi3" | "olmo2" | "mixtral" => drop(fields.entry("rms_norm_eps").or_insert_with(|| json!(1e-5))),
        _ => {}
    }
}

impl LlamaConfig {
    /// A Llama with the reference defaults: as many key-value heads as query heads, an untied head, no biases.
    pub fn new(
        vocab_size: usize,
        hidden_size: usize,
        num_hidden_layers: usize,
        num_attention_heads: usize,
        intermediate_size: usize,
    ) -> Self {
        let mut extra = Map::new();
        extra.insert("architectures".into(), json!(["LlamaForCausalLM"]));
        Self {
            model_type: model_type(),
            vocab_size,
            hidden_size,
            intermediate_size,
            num_hidden_layers,
            num_attention_heads,
            num_key_value_heads: Some(num_attention_heads),
            head_dim: None,
            hidden_act: silu(),
            max_position_embeddings: positions(),
            initializer_range: defaults::deviation(),
            rms_norm_eps: eps(),
            tie_word_embeddings: false,
            rope_parameters: Some(RopeParameters::default()),
            rope_theta: None,
            rope_scaling: None,
            attention_dropout: 0.0,
            attention_bias: false,
            mlp_bias: false,
            extra,
        }
    }

    /// The width of a head.
    pub fn head_width(&self) -> usize {
        let divided = || self.hidden_size.checked_div(self.num_attention_heads);
        self.head_dim.or_else(divided).unwrap_or(0)
    }

    /// The number of key-value heads.
    pub fn key_value_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// The base of the rotary frequencies.
    pub fn rope_base(&self) -> f64 {
        let of = |rope: &Option<RopeParameters>| rope.as_ref().and_then(|r| r.rope_theta);
        // In this order, as `transformers` reads files of either age.
        let theta = of(&self.rope_scaling).or_else(|| of(&self.rope_parameters));
        theta.or(self.rope_theta).unwrap_or(match self.model_type.as_str() {
            "smollm3" => smollm3::THETA,
            "mixtral" => 1e6,
            _ => 10_000.0,
        })
    }

    /// How heads are turned by positions; of a valid configuration.
    pub fn rotation(&self) -> Rotation {
        self.checked_rotation().unwrap_or_else(|_| Rotation::plain(self.rope()))
    }

    fn checked_rotation(&self) -> Result<Rotation, Error> {
        match self.model_type.as_str() {
            "phi3" => phi3::rotation(self),
            _ => self.rope().rotation(self.scaling()),
        }
    }

    /// Whether a layer turns its queries and keys; all do but some of a SmolLM3's.
    pub fn is_rotated(&self, layer: usize) -> bool {
        self.model_type != "smollm3" || smollm3::is_rotated(&self.extra, layer)
    }

    /// Dropout on what each sub-layer gives, in the family that has it.
    pub fn output_dropout(&self) -> Option<f64> {
        (self.model_type == "phi3").then(|| phi3::dropout(&self.extra))
    }

    /// The kind of rotation: `default`, `linear`, `dynamic`, `llama3`, `yarn` or `longrope`.
    pub fn rope_kind(&self) -> &str {
        self.scaling().map_or("default", RopeParameters::kind)
    }

    /// The length of the sequences that the model was trained on before its rotation was scaled.
    pub fn original_positions(&self) -> usize {
        let within = || self.scaling().and_then(RopeParameters::original_positions);
        let said = original_positions(&self.extra).or_else(within);
        said.unwrap_or(self.max_position_embeddings)
    }

    /// What the file says of the rotation.
    pub fn scaling(&self) -> Option<&RopeParameters> {
        rope::said(&self.rope_scaling, &self.rope_parameters)
    }

    fn rope(&self) -> Base {
        let whole = Base {
            theta: self.rope_base(),
            head_dim: self.head_width(),
            share: 1.0,
            positions: self.max_position_embeddings,
            original: original_positions(&self.extra),
        };
        match self.model_type.as_str() {
            "phi3" => phi3::base(self, whole),
            _ => whole,
        }
    }

    /// Whether each head's queries and keys are normalized.
    pub fn has_head_norms(&self) -> bool {
        ["qwen3", "qwen3_moe"].contains(&self.model_type.as_str())
    }

    /// Whether sub-layers read the residual stream as it is, and what they give is normalized, as all queries and all keys together are.
    pub fn normalizes_outputs(&self) -> bool {
        self.model_type == "olmo2"
    }

    /// Whether queries, keys and values have biases.
    pub fn has_input_bias(&self) -> bool {
        self.model_type == "qwen2" || self.has_output_bias()
    }

    /// Whether the attention output has one.
    pub fn has_output_bias(&self) -> bool {
        ["llama", "qwen3", "qwen3_moe", "smollm3", "olmo2"].contains(&self.model_type.as_str()) && self.attention_bias
    }

    /// Whether the feed-forward matrices have one.
    pub fn has_ffn_bias(&self) -> bool {
        ["llama", "smollm3"].contains(&self.model_type.as_str()) && self.mlp_bias
    }

    fn invalid(&self, reason: String) -> Error {
        Error::Invalid {
            model_type: self.model_type.clone(),
            reason,
        }
    }
}

impl FamilyConfig for LlamaConfig {
    fn validate(&self) -> Result<(), Error> {
        if !FAMILIES.contains(&self.model_type.as_str()) {
            return Err(Error::UnknownModelType {
                found: self.model_type.clone(),
                known: FAMILIES.join(", "),
            });
        }
        limits::sizes([
            ("vocab_size", self.vocab_size, limits::VOCABULARY),
            ("hidden_size", self.hidden_size, limits::WIDTH),
            ("num_hidden_layers", self.num_hidden_layers, limits::LAYERS),
            ("num_attention_heads", self.num_attention_heads, limits::HEADS),
            ("num_key_value_heads", self.key_value_heads(), limits::HEADS),
            ("head_dim", self.head_dim.unwrap_or(1), limits::WIDTH),
            ("intermediate_size", self.intermediate_size, limits::NEURONS),
            (
                "max_position_embeddings",
                self.max_position_embeddings,
                limits::POSITIONS,
            ),
            ("sliding_window", self.window().unwrap_or(1), usize::MAX),
        ])?;
        limits::heads(self.num_attention_heads, self.head_width())?;
        limits::dropouts([("attention_dropout", self.attention_dropout)])?;
        limits::epsilon("rms_norm_eps", self.rms_norm_eps)?;
        limits::deviation("initializer_range", self.initializer_range)?;
        limits::base("rope_theta", self.rope_base())?;
        let (heads, groups) = (self.num_attention_heads, self.key_value_heads());
        // `transformers` wants this of a Llama even when `head_dim` says how wide a head is.
        if self.head_dim.is_none() || self.model_type == "llama" {
            limits::heads_divide(heads, self.hidden_size)?;
        }
        if !heads.is_multiple_of(groups) {
            return Err(self.invalid(format!(
                "num_key_value_heads = {groups} does not divide num_attention_heads = {heads}"
            )));
        }
        if !self.head_width().is_multiple_of(2) {
            return Err(self.invalid(format!(
                "heads have {} dimensions; rotary embedding needs an even number",
                self.head_width()
            )));
        }
        let types = layer_types::said(&self.extra)?.filter(|_| self.types().is_some());
        if types.is_some_and(|types| types.contains(&LayerType::Sliding)) && self.window().is_none() {
            return Err(self.invalid(
                "layer_types has sliding_attention, but no window is in use; set use_sliding_window and sliding_window"
                    .into(),
            ));
        }
        if !["silu", "swish"].contains(&self.hidden_act.as_str()) {
            return Err(Error::Unsupported {
                field: "hidden_act",
                found: self.hidden_act.clone(),
                supported: "silu (swish)",
            });
        }
        match self.model_type.as_str() {
            "smollm3" => smollm3::check(&self.extra, self.num_hidden_layers)?,
            "phi3" => phi3::check(self)?,
            _ => moe::check(self)?,
        }
        self.checked_rotation().map(drop)
    }

    fn table(&self) -> ParamTable {
        table::table(self)
    }

    fn task(&self) -> Task {
        Task::CausalLm
    }

    fn sizes(&self) -> Sizes {
        let ffn = match self.experts() {
            Some(experts) if !self.has_dense_layers() => experts.neurons,
            _ => self.intermediate_size,
        };
        Sizes {
            query: self.num_attention_heads * self.head_width(),
            key_value: self.key_value_heads() * self.head_width(),
            ffn_matrices: 3,
            sparse: self.sparse_sizes(),
            ..Sizes::plain(
                self.num_hidden_layers,
                self.hidden_size,
                self.num_attention_heads,
                ffn,
                self.vocab_size,
            )
        }
    }

    fn architecture(&self) -> Option<String> {
        let class = match self.model_type.as_str() {
            "mistral" => "MistralForCausalLM",
            "mixtral" => "MixtralForCausalLM",
            "qwen2" => "Qwen2ForCausalLM",
            "qwen3_moe" => "Qwen3MoeForCausalLM",
            "qwen3" => "Qwen3ForCausalLM",
            "smollm3" => "SmolLM3ForCausalLM",
            "phi3" => "Phi3ForCausalLM",
            "olmo2" => "Olmo2ForCausalLM",
            _ => "LlamaForCausalLM",
        };
        Some(class.into())
    }

    fn settings(&self) -> Vec<Setting> {
        vec![
            ("rope_theta", json!(self.rope_base())),
            (
                "rope_parameters",
                self.scaling().map_or(Value::Null, RopeParameters::scaling),
            ),
            ("rms_norm_eps", json!(self.rms_norm_eps)),
            ("attention_bias", json!(self.has_output_bias())),
            ("mlp_bias", json!(self.has_ffn_bias())),
            ("sliding_window", json!(self.window())),
            ("partial_rotary_factor", json!(self.rope().share)),
            (ACTIVE, json!(self.experts().map(|experts| experts.active))),
            (NORMALIZED, json!(self.experts().map(|experts| experts.normalized))),
            padding(&self.extra),
        ]
    }

    of_text!(vocab_size, max_position_embeddings, initializer_range);

    fn layer_types(&self) -> Option<Vec<LayerType>> {
        self.types()
    }

    with_epsilon!(rms_norm_eps);
}
