use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::decoder::Ending;
use crate::family::{FamilyConfig, Sizes, of_text, with_epsilon};
use crate::rope::{self, Base, original_positions};
use crate::rows::{Rows, Stack};
use crate::settings::{Setting, padding};
use crate::unit::head_units;
use crate::{
    Axis, Error, HiddenAct, Norm, NormKind, NormPlace, ParamTable, Role, RopeParameters, Rotation, Task, defaults,
    limits,
};

/// `config.json` of a GPT-NeoX (Black et al., arXiv:2204.06745) such as Pythia, with the names of `transformers`' `GPTNeoXConfig`.
///
/// Fields that are not listed are kept in [`GptNeoxConfig::extra`] and written back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GptNeoxConfig {
    /// Always `gpt_neox`.
    #[serde(default = "model_type")]
    pub model_type: String,
    /// Entries of the token table.
    pub vocab_size: usize,
    /// Width D of the residual stream.
    pub hidden_size: usize,
    /// Layers L.
    pub num_hidden_layers: usize,
    /// Attention heads; must divide `hidden_size`.
    pub num_attention_heads: usize,
    /// Neurons of a feed-forward layer.
    pub intermediate_size: usize,
    /// Activation function.
    #[serde(default = "activation")]
    pub hidden_act: HiddenAct,
    /// Dropout on attention probabilities.
    #[serde(default)]
    pub attention_dropout: f64,
    /// Dropout on embeddings and on the output of each sub-layer.
    #[serde(default)]
    pub hidden_dropout: f64,
    /// Longest sequence that the model was made for.
    #[serde(default = "positions")]
    pub max_position_embeddings: usize,
    /// Standard deviation of initial matrices.
    #[serde(default = "defaults::deviation")]
    pub initializer_range: f64,
    /// ε of LayerNorm.
    #[serde(default = "eps")]
    pub layer_norm_eps: f64,
    /// Whether the head shares the token table.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// Whether attention and feed-forward network read the same states, and their outputs are added together.
    #[serde(default = "defaults::yes")]
    pub use_parallel_residual: bool,
    /// Whether the matrices of attention have biases.
    #[serde(default = "defaults::yes")]
    pub attention_bias: bool,
    /// Rotary embedding, as files have it since `transformers` 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_parameters: Option<RopeParameters>,
    /// What older files have of it, with `rotary_emb_base` and `rotary_pct`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<RopeParameters>,
    /// The base of its frequencies, as older files have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotary_emb_base: Option<f64>,
    /// The share of each head that it turns, as older files have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotary_pct: Option<f64>,
    /// Everything else in the file.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

const ARCHITECTURE: &str = "GPTNeoXForCausalLM";

/// The decoder.
const LAYERS: Stack = Stack {
    name: "decoder",
    path: "gpt_neox.layers",
};

/// The share of a head that is turned where a file does not say it.
const USUAL_SHARE: f64 = 0.25;

fn model_type() -> String {
    "gpt_neox".into()
}
fn activation() -> HiddenAct {
    HiddenAct::Gelu
}
fn positions() -> usize {
    2048
}
fn eps() -> f64 {
    1e-5
}

impl GptNeoxConfig {
    /// A GPT-NeoX with the reference defaults and four neurons for each channel.
    pub fn new(vocab_size: usize, hidden_size: usize, num_hidden_layers: usize, num_attention_heads: usize) -> Self {
        let mut extra = Map::new();
        extra.insert("architectures".into(), json!([ARCHITECTURE]));
        Self {
            model_type: model_type(),
            vocab_size,
            hidden_size,
            num_hidden_layers,
            num_attention_heads,
            intermediate_size: hidden_size.saturating_mul(4),
            hidden_act: activation(),
            attention_dropout: 0.0,
            hidden_dropout: 0.0,
            max_position_embeddings: positions(),
            initializer_range: defaults::deviation(),
            layer_norm_eps: eps(),
            tie_word_embeddings: false,
            use_parallel_residual: true,
            attention_bias: true,
            rope_parameters: None,
            rope_scaling: None,
            rotary_emb_base: None,
            rotary_pct: None,
            extra,
        }
    }

    /// The width of a head.
    pub fn head_width(&self) -> usize {
        self.hidden_size.checked_div(self.num_attention_heads).unwrap_or(0)
    }

    /// How heads are turned by positions; of a valid configuration.
    pub fn rotation(&self) -> Rotation {
        let base = self.rope();
        base.rotation(self.scaling()).unwrap_or_else(|_| Rotation::plain(base))
    }

    /// What the file says of the rotation.
    fn scaling(&self) -> Option<&RopeParameters> {
        rope::said(&self.rope_scaling, &self.rope_parameters)
    }

    fn rope(&self) -> Base {
        let theta = self.scaling().and_then(|parameters| parameters.rope_theta);
        Base {
            theta: theta.or(self.rotary_emb_base).unwrap_or(10_000.0),
            head_dim: (self.head_width() as f64 * self.rotated_share()) as usize,
            share: self.rotated_share(),
            positions: self.max_position_embeddings,
            original: original_positions(&self.extra),
        }
    }

    /// The share of each head that is turned.
    pub fn rotated_share(&self) -> f64 {
        let own = self.scaling().and_then(RopeParameters::share);
        own.or(self.rotary_pct).unwrap_or(USUAL_SHARE)
    }
}

impl FamilyConfig for GptNeoxConfig {
    fn validate(&self) -> Result<(), Error> {
        limits::sizes([
            ("vocab_size", self.vocab_size, limits::VOCABULARY),
            ("hidden_size", self.hidden_size, limits::WIDTH),
            ("num_hidden_layers", self.num_hidden_layers, limits::LAYERS),
            ("num_attention_heads", self.num_attention_heads, limits::HEADS),
            ("intermediate_size", self.intermediate_size, limits::NEURONS),
            (
                "max_position_embeddings",
                self.max_position_embeddings,
                limits::POSITIONS,
            ),
        ])?;
        limits::dropouts([
            ("attention_dropout", self.attention_dropout),
            ("hidden_dropout", self.hidden_dropout),
        ])?;
        limits::epsilon("layer_norm_eps", self.layer_norm_eps)?;
        limits::deviation("initializer_range", self.initializer_range)?;
        limits::base("rope_theta", self.rope().theta)?;
        limits::heads_divide(self.num_attention_heads, self.hidden_size)?;
        let share = self.rotated_share();
        let turned = self.rope().head_dim;
        if !(share <= 1.0 && turned > 0 && turned.is_multiple_of(2)) {
            return Err(Error::Number {
                field: "partial_rotary_factor",
                found: share,
                expected: "a share of 0 to 1 of a head that is an even number of dimensions",
            });
        }
        self.rope().rotation(self.scaling()).map(drop)
    }

    /// The parameters of `GPTNeoXForCausalLM`.
    ///
    /// Files fuse query, key and value into one matrix, head by head: `[query, key, value]` of the first head, then those of the second. Here
    /// they are three.
    fn table(&self) -> ParamTable {
        use Role::{Bias, Embedding, NormBias, NormWeight, Weight};
        let mut rows = Rows::default();
        let h = Axis::HIDDEN;
        let width = self.head_width();
        rows.one("gpt_neox.embed_in.weight", &[Axis::VOCAB, h], "embeddings", Embedding);
        let norm = |rows: &mut Rows, path: &str, module| {
            rows.layered(LAYERS, &format!("{path}.weight"), &[h], module, NormWeight);
            rows.layered(LAYERS, &format!("{path}.bias"), &[h], module, NormBias);
        };
        norm(&mut rows, "input_layernorm", "attention_norm");
        let parts = [Axis::QUERY, Axis::KEY, Axis::VALUE];
        for (part, (axis, name)) in parts.into_iter().zip(["query", "key", "value"]).enumerate() {
            let path = "attention.query_key_value";
            rows.layered(LAYERS, &format!("{path}.{name}.weight"), &[axis, h], name, Weight)
                .part(LAYERS.template(&format!("{path}.weight")), &parts, part, false)
                .interleaved(width);
            if self.attention_bias {
                rows.layered(LAYERS, &format!("{path}.{name}.bias"), &[axis], name, Bias)
                    .part(LAYERS.template(&format!("{path}.bias")), &parts, part, false)
                    .interleaved(width);
            }
        }
        let mut matrix = |path: &str, out, input, module, bias: bool| {
            rows.layered(LAYERS, &format!("{path}.weight"), &[out, input], module, Weight);
            if bias {
                rows.layered(LAYERS, &format!("{path}.bias"), &[out], module, Bias);
            }
        };
        matrix("attention.dense", h, Axis::VALUE, "attention_out", self.attention_bias);
        matrix("mlp.dense_h_to_4h", Axis::FFN, h, "ffn_in", true);
        matrix("mlp.dense_4h_to_h", h, Axis::FFN, "ffn_out", true);
        norm(&mut rows, "post_attention_layernorm", "ffn_norm");
        let ending = Ending {
            norm: Some("gpt_neox.final_layer_norm"),
            has_shift: true,
            head: "embed_out.weight",
            words: "gpt_neox.embed_in.weight",
            tied: self.tie_word_embeddings,
            word: None,
        };
        let ties = ending.rows(&mut rows);

        let d = self.hidden_size;
        let sizes = ending.sizes(d, self.intermediate_size, self.vocab_size);
        ParamTable::new("gpt_neox", rows.0, sizes, [(LAYERS.name, self.num_hidden_layers)], ties)
            .with_repeats(ending.tied_input(d))
            .with_units(head_units(width, 1))
            .with_activation(self.hidden_act)
            .with_norm(Norm {
                kind: NormKind::Layer,
                place: NormPlace::Before,
            })
            .with_buffers(&[".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq"])
            .with_base_prefix("gpt_neox.")
    }

    fn task(&self) -> Task {
        Task::CausalLm
    }

    fn sizes(&self) -> Sizes {
        Sizes::plain(
            self.num_hidden_layers,
            self.hidden_size,
            self.num_attention_heads,
            self.intermediate_size,
            self.vocab_size,
        )
    }

    fn architecture(&self) -> Option<String> {
        Some(ARCHITECTURE.into())
    }

    fn settings(&self) -> Vec<Setting> {
        vec![
            ("hidden_act", json!(self.hidden_act)),
            ("layer_norm_eps", json!(self.layer_norm_eps)),
            ("use_parallel_residual", json!(self.use_parallel_residual)),
            ("attention_bias", json!(self.attention_bias)),
            ("rope_theta", json!(self.rope().theta)),
            ("partial_rotary_factor", json!(self.rotated_share())),
            (
                "rope_parameters",
                self.scaling().map_or(Value::Null, RopeParameters::scaling),
            ),
            padding(&self.extra),
        ]
    }

    of_text!(vocab_size, max_position_embeddings, initializer_range);

    with_epsilon!(layer_norm_eps);
}
