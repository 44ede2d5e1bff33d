use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::decoder::{self, Ending};
use crate::family::{FamilyConfig, Sizes, of_text};
use crate::rows::{Rows, Stack};
use crate::settings::{Setting, padding};
use crate::unit::head_units;
use crate::{Axis, Error, HiddenAct, Norm, NormKind, NormPlace, ParamTable, Role, Task, defaults, limits};

/// `config.json` of an OPT (Zhang et al., arXiv:2205.01068), with the names of `transformers`' `OPTConfig`.
///
/// Fields that are not listed are kept in [`OptConfig::extra`] and written back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OptConfig {
    /// Always `opt`.
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
    pub ffn_dim: usize,
    /// Longest sequence.
    #[serde(default = "positions")]
    pub max_position_embeddings: usize,
    /// Whether each sub-layer normalizes what it reads, or, as in OPT-350m, the sum of its input and output.
    #[serde(default = "defaults::yes")]
    pub do_layer_norm_before: bool,
    /// Width of the token table, from which and to which hidden states are projected where it is not D; D when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word_embed_proj_dim: Option<usize>,
    /// Activation function.
    #[serde(default = "activation")]
    pub activation_function: HiddenAct,
    /// Dropout on the output of each sub-layer.
    #[serde(default = "defaults::dropout")]
    pub dropout: f64,
    /// Dropout on attention probabilities.
    #[serde(default)]
    pub attention_dropout: f64,
    /// Standard deviation of initial matrices.
    #[serde(default = "defaults::deviation")]
    pub init_std: f64,
    /// Whether the matrices of layers have biases.
    #[serde(default = "defaults::yes")]
    pub enable_bias: bool,
    /// Whether the head shares the token table.
    #[serde(default = "defaults::yes")]
    pub tie_word_embeddings: bool,
    /// Everything else in the file.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

const ARCHITECTURE: &str = "OPTForCausalLM";

/// The decoder.
const LAYERS: Stack = Stack {
    name: "decoder",
    path: "model.decoder.layers",
};

const WORDS: &str = "model.decoder.embed_tokens.weight";

/// Rows of the position table that no token is at.
const UNUSED_POSITIONS: usize = 2;

/// ε of PyTorch's LayerNorm, of which `config.json` says nothing.
const EPSILON: f64 = 1e-5;

fn model_type() -> String {
    "opt".into()
}
fn positions() -> usize {
    2048
}
fn activation() -> HiddenAct {
    HiddenAct::Relu
}

impl OptConfig {
    /// An OPT with the reference defaults and four neurons for each channel.
    pub fn new(vocab_size: usize, hidden_size: usize, num_hidden_layers: usize, num_attention_heads: usize) -> Self {
        let mut extra = Map::new();
        extra.insert("architectures".into(), json!([ARCHITECTURE]));
        for (field, token) in [("bos_token_id", 2), ("eos_token_id", 2), ("pad_token_id", 1)] {
            extra.insert(field.into(), token.into());
        }
        Self {
            model_type: model_type(),
            vocab_size,
            hidden_size,
            num_hidden_layers,
            num_attention_heads,
            ffn_dim: hidden_size.saturating_mul(4),
            max_position_embeddings: positions(),
            do_layer_norm_before: true,
            word_embed_proj_dim: None,
            activation_function: activation(),
            dropout: defaults::dropout(),
            attention_dropout: 0.0,
            init_std: defaults::deviation(),
            enable_bias: true,
            tie_word_embeddings: true,
            extra,
        }
    }

    /// Rows of the position table: two more than there are positions, which begin behind them.
    pub fn position_rows(&self) -> usize {
        self.max_position_embeddings + UNUSED_POSITIONS
    }

    /// The row of the first position.
    pub fn first_position(&self) -> usize {
        UNUSED_POSITIONS
    }

    /// Width of the token table, where it is another one than that of the residual stream.
    pub fn projected_from(&self) -> Option<usize> {
        self.word_embed_proj_dim.filter(|width| *width != self.hidden_size)
    }

    /// Whether there is a normalization behind the last layer.
    pub fn has_last_norm(&self) -> bool {
        self.do_layer_norm_before && !self.flag("_remove_final_layer_norm", false)
    }

    /// ε of LayerNorm, which no file says.
    pub fn layer_norm_eps(&self) -> f64 {
        EPSILON
    }

    fn flag(&self, field: &str, default: bool) -> bool {
        self.extra.get(field).and_then(Value::as_bool).unwrap_or(default)
    }
}

impl FamilyConfig for OptConfig {
    fn validate(&self) -> Result<(), Error> {
        limits::sizes([
            ("vocab_size", self.vocab_size, limits::VOCABULARY),
            ("hidden_size", self.hidden_size, limits::WIDTH),
            ("num_hidden_layers", self.num_hidden_layers, limits::LAYERS),
            ("num_attention_heads", self.num_attention_heads, limits::HEADS),
            ("ffn_dim", self.ffn_dim, limits::NEURONS),
            (
                "max_position_embeddings",
                self.max_position_embeddings,
                limits::POSITIONS,
            ),
            (
                "word_embed_proj_dim",
                self.word_embed_proj_dim.unwrap_or(1),
                limits::WIDTH,
            ),
        ])?;
        limits::dropouts([("dropout", self.dropout), ("attention_dropout", self.attention_dropout)])?;
        limits::deviation("init_std", self.init_std)?;
        limits::heads_divide(self.num_attention_heads, self.hidden_size)?;
        let unsupported = |field, found: &str, supported| {
            Err(Error::Unsupported {
                field,
                found: found.into(),
                supported,
            })
        };
        if !self.flag("layer_norm_elementwise_affine", true) {
            return unsupported("layer_norm_elementwise_affine", "false", "true (gains and shifts)");
        }
        // Copies of channels would count twice in a head whose columns are those of the token table, and nothing in front of it could make up for it.
        if self.tie_word_embeddings && !self.has_last_norm() && self.projected_from().is_none() {
            let field = match self.do_layer_norm_before {
                true => "_remove_final_layer_norm",
                false => "do_layer_norm_before",
            };
            let found = (!self.do_layer_norm_before).then_some("false").unwrap_or("true");
            return unsupported(
                field,
                found,
                "a last normalization, a word_embed_proj_dim other than hidden_size, or tie_word_embeddings = false",
            );
        }
        Ok(())
    }

    /// The parameters of `OPTForCausalLM`.
    fn table(&self) -> ParamTable {
        use Role::{Bias, Embedding, NormBias, NormWeight, Weight};
        let mut rows = Rows::default();
        let h = Axis::HIDDEN;
        let word = self.projected_from().map(|_| Axis::WORD_EMBEDDING);
        rows.one(WORDS, &[Axis::VOCAB, word.unwrap_or(h)], "embeddings", Embedding);
        let positions = "model.decoder.embed_positions.weight";
        rows.one(positions, &[Axis::POSITION, h], "embeddings", Embedding);
        if let Some(word) = word {
            rows.one("model.decoder.project_in.weight", &[h, word], "project_in", Weight);
            rows.one("model.decoder.project_out.weight", &[word, h], "project_out", Weight);
        }
        for (path, out, input, module) in [
            ("self_attn.q_proj", Axis::QUERY, h, "query"),
            ("self_attn.k_proj", Axis::KEY, h, "key"),
            ("self_attn.v_proj", Axis::VALUE, h, "value"),
            ("self_attn.out_proj", h, Axis::VALUE, "attention_out"),
            ("fc1", Axis::FFN, h, "ffn_in"),
            ("fc2", h, Axis::FFN, "ffn_out"),
        ] {
            rows.layered(LAYERS, &format!("{path}.weight"), &[out, input], module, Weight);
            if self.enable_bias {
                rows.layered(LAYERS, &format!("{path}.bias"), &[out], module, Bias);
            }
        }
        for (path, module) in [
            ("self_attn_layer_norm", "attention_norm"),
            ("final_layer_norm", "ffn_norm"),
        ] {
            rows.layered(LAYERS, &format!("{path}.weight"), &[h], module, NormWeight);
            rows.layered(LAYERS, &format!("{path}.bias"), &[h], module, NormBias);
        }
        let ending = Ending {
            norm: self.has_last_norm().then_some("model.decoder.final_layer_norm"),
            has_shift: true,
            head: "lm_head.weight",
            words: WORDS,
            tied: self.tie_word_embeddings,
            word,
        };
        let ties = ending.rows(&mut rows);
        let d = self.hidden_size;
        let mut sizes = ending.sizes(d, self.ffn_dim, self.vocab_size);
        sizes.push((Axis::POSITION, self.position_rows()));
        sizes.extend(self.projected_from().map(|width| (Axis::WORD_EMBEDDING, width)));
        ParamTable::new("opt", rows.0, sizes, [(LAYERS.name, self.num_hidden_layers)], ties)
            .with_repeats(ending.tied_input(d))
            .with_units(head_units(d.checked_div(self.num_attention_heads).unwrap_or(1), 1))
            .with_activation(self.activation_function)
            .with_norm(Norm {
                kind: NormKind::Layer,
                place: match self.do_layer_norm_before {
                    true => NormPlace::Before,
                    false => NormPlace::After,
                },
            })
            .with_fixed_epsilon()
            .with_base_prefix(decoder::BASE)
    }

    fn task(&self) -> Task {
        Task::CausalLm
    }

    fn sizes(&self) -> Sizes {
        Sizes::plain(
            self.num_hidden_layers,
            self.hidden_size,
            self.num_attention_heads,
            self.ffn_dim,
            self.vocab_size,
        )
    }

    fn architecture(&self) -> Option<String> {
        Some(ARCHITECTURE.into())
    }

    fn settings(&self) -> Vec<Setting> {
        vec![
            ("activation_function", json!(self.activation_function)),
            ("do_layer_norm_before", json!(self.do_layer_norm_before)),
            ("enable_bias", json!(self.enable_bias)),
            ("word_embed_proj_dim", json!(self.projected_from())),
            padding(&self.extra),
        ]
    }

    of_text!(vocab_size, max_position_embeddings, init_std);

    fn norm_epsilon(&self) -> f64 {
        EPSILON
    }

    /// The same model: no file says its ε. Operators see that in the table ([`ParamTable::has_fixed_epsilon`]).
    fn with_norm_epsilon(&self, _: f64) -> Self {
        self.clone()
    }
}
