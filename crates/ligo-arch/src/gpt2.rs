use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::decoder::Ending;
use crate::family::{FamilyConfig, Sizes, of_text, with_epsilon};
use crate::rows::{Rows, Stack};
use crate::settings::{Setting, padding};
use crate::unit::head_units;
use crate::{Axis, Error, HiddenAct, Init, Norm, NormKind, NormPlace, ParamTable, Role, Task, defaults, limits};

/// `config.json` of a GPT-2, with the names of `transformers`' `GPT2Config`.
///
/// Fields that are not listed are kept in [`Gpt2Config::extra`] and written back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gpt2Config {
    /// Always `gpt2`.
    #[serde(default = "model_type")]
    pub model_type: String,
    /// Entries of the token table.
    pub vocab_size: usize,
    /// Longest sequence; `n_ctx` in old files says the same.
    #[serde(default = "positions")]
    pub n_positions: usize,
    /// Width D of the residual stream.
    pub n_embd: usize,
    /// Layers L.
    pub n_layer: usize,
    /// Attention heads; must divide `n_embd`.
    pub n_head: usize,
    /// Neurons of a feed-forward layer; 4 · `n_embd` when absent.
    #[serde(default)]
    pub n_inner: Option<usize>,
    /// Activation function.
    #[serde(default = "activation")]
    pub activation_function: HiddenAct,
    /// Dropout on the output of each sub-layer.
    #[serde(default = "defaults::dropout")]
    pub resid_pdrop: f64,
    /// Dropout on embeddings.
    #[serde(default = "defaults::dropout")]
    pub embd_pdrop: f64,
    /// Dropout on attention probabilities.
    #[serde(default = "defaults::dropout")]
    pub attn_pdrop: f64,
    /// ε of LayerNorm.
    #[serde(default = "eps")]
    pub layer_norm_epsilon: f64,
    /// Standard deviation of initial matrices.
    #[serde(default = "defaults::deviation")]
    pub initializer_range: f64,
    /// Whether the head shares the token table.
    #[serde(default = "defaults::yes")]
    pub tie_word_embeddings: bool,
    /// Everything else in the file.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

const ARCHITECTURE: &str = "GPT2LMHeadModel";

/// The decoder.
const LAYERS: Stack = Stack {
    name: "decoder",
    path: "transformer.h",
};

fn model_type() -> String {
    "gpt2".into()
}
fn positions() -> usize {
    1024
}
fn activation() -> HiddenAct {
    HiddenAct::GeluNew
}
fn eps() -> f64 {
    1e-5
}

impl Gpt2Config {
    /// A GPT-2 with the reference defaults.
    pub fn new(vocab_size: usize, n_embd: usize, n_layer: usize, n_head: usize) -> Self {
        let mut extra = Map::new();
        extra.insert("architectures".into(), json!([ARCHITECTURE]));
        Self {
            model_type: model_type(),
            vocab_size,
            n_positions: positions(),
            n_embd,
            n_layer,
            n_head,
            n_inner: None,
            activation_function: activation(),
            resid_pdrop: defaults::dropout(),
            embd_pdrop: defaults::dropout(),
            attn_pdrop: defaults::dropout(),
            layer_norm_epsilon: eps(),
            initializer_range: defaults::deviation(),
            tie_word_embeddings: true,
            extra,
        }
    }

    /// Neurons of a feed-forward layer.
    pub fn inner(&self) -> usize {
        self.n_inner.unwrap_or(self.n_embd.saturating_mul(4))
    }

    /// A switch of the reference implementation that must have its default value.
    fn demand(&self, field: &'static str, default: bool) -> Result<(), Error> {
        match self.extra.get(field).and_then(Value::as_bool) {
            Some(found) if found != default => Err(Error::Unsupported {
                field,
                found: found.to_string(),
                supported: if default { "true" } else { "false" },
            }),
            _ => Ok(()),
        }
    }
}

impl FamilyConfig for Gpt2Config {
    fn validate(&self) -> Result<(), Error> {
        limits::sizes([
            ("vocab_size", self.vocab_size, limits::VOCABULARY),
            ("n_positions", self.n_positions, limits::POSITIONS),
            ("n_embd", self.n_embd, limits::WIDTH),
            ("n_layer", self.n_layer, limits::LAYERS),
            ("n_head", self.n_head, limits::HEADS),
            ("n_inner", self.inner(), limits::NEURONS),
        ])?;
        limits::dropouts([
            ("resid_pdrop", self.resid_pdrop),
            ("embd_pdrop", self.embd_pdrop),
            ("attn_pdrop", self.attn_pdrop),
        ])?;
        limits::epsilon("layer_norm_epsilon", self.layer_norm_epsilon)?;
        limits::deviation("initializer_range", self.initializer_range)?;
        limits::heads_divide(self.n_head, self.n_embd)?;
        self.demand("scale_attn_weights", true)?;
        self.demand("scale_attn_by_inverse_layer_idx", false)?;
        self.demand("reorder_and_upcast_attn", false)?;
        self.demand("add_cross_attention", false)
    }

    /// The parameters of `GPT2LMHeadModel`.
    ///
    /// Files fuse query, key and value into one matrix, and store every matrix of a layer `[in, out]` (`Conv1D`); here they
    /// are three, `[out, in]`, as Algorithm 1 of the paper grows them. The head reads the residual stream; a tied one through
    /// the columns of the token table, so that what the last LayerNorm gives has an axis of its own.
    fn table(&self) -> ParamTable {
        use Role::{Bias, Embedding, NormBias, NormWeight, Weight};
        let mut rows = Rows::default();
        let h = Axis::HIDDEN;
        rows.one("transformer.wte.weight", &[Axis::VOCAB, h], "embeddings", Embedding);
        rows.one("transformer.wpe.weight", &[Axis::POSITION, h], "embeddings", Embedding);
        let norm = |rows: &mut Rows, path: &str, module| {
            rows.layered(LAYERS, &format!("{path}.weight"), &[h], module, NormWeight);
            rows.layered(LAYERS, &format!("{path}.bias"), &[h], module, NormBias);
        };
        norm(&mut rows, "ln_1", "attention_norm");
        let parts = [Axis::QUERY, Axis::KEY, Axis::VALUE];
        for (part, (axis, name)) in parts.into_iter().zip(["query", "key", "value"]).enumerate() {
            let path = "attn.c_attn";
            rows.layered(LAYERS, &format!("{path}.{name}.weight"), &[axis, h], name, Weight)
                .part(LAYERS.template(&format!("{path}.weight")), &parts, part, true);
            rows.layered(LAYERS, &format!("{path}.{name}.bias"), &[axis], name, Bias)
                .part(LAYERS.template(&format!("{path}.bias")), &parts, part, false);
        }
        // What each sub-layer adds to the residual stream starts smaller, the deeper the model (GPT-2's report, section 2.3).
        let residual = Init::Normal(self.initializer_range / (2.0 * self.n_layer as f64).sqrt());
        let mut matrix = |path: &str, out, input, module, init: Option<Init>| {
            let row = rows.layered(LAYERS, &format!("{path}.weight"), &[out, input], module, Weight);
            let row = row.transposed();
            if let Some(init) = init {
                row.init(init);
            }
            rows.layered(LAYERS, &format!("{path}.bias"), &[out], module, Bias);
        };
        matrix("attn.c_proj", h, Axis::VALUE, "attention_out", Some(residual));
        matrix("mlp.c_fc", Axis::FFN, h, "ffn_in", None);
        matrix("mlp.c_proj", h, Axis::FFN, "ffn_out", Some(residual));
        norm(&mut rows, "ln_2", "ffn_norm");
        let ending = Ending {
            norm: Some("transformer.ln_f"),
            has_shift: true,
            head: "lm_head.weight",
            words: "transformer.wte.weight",
            tied: self.tie_word_embeddings,
            word: None,
        };
        let ties = ending.rows(&mut rows);

        let d = self.n_embd;
        let mut sizes = ending.sizes(d, self.inner(), self.vocab_size);
        sizes.push((Axis::POSITION, self.n_positions));
        // The first of these is the causal mask of older files. `.c_attn.bias`, a parameter, has another ending.
        let width = d.checked_div(self.n_head).unwrap_or(1);
        ParamTable::new("gpt2", rows.0, sizes, [(LAYERS.name, self.n_layer)], ties)
            .with_repeats(ending.tied_input(d))
            .with_units(head_units(width, 1))
            .with_activation(self.activation_function)
            .with_norm(Norm {
                kind: NormKind::Layer,
                place: NormPlace::Before,
            })
            .with_buffers(&[".attn.bias", ".attn.masked_bias"])
            .with_base_prefix("transformer.")
    }

    fn task(&self) -> Task {
        Task::CausalLm
    }

    fn sizes(&self) -> Sizes {
        Sizes::plain(self.n_layer, self.n_embd, self.n_head, self.inner(), self.vocab_size)
    }

    fn architecture(&self) -> Option<String> {
        Some(ARCHITECTURE.into())
    }

    fn settings(&self) -> Vec<Setting> {
        vec![
            ("activation_function", json!(self.activation_function)),
            ("layer_norm_epsilon", json!(self.layer_norm_epsilon)),
            padding(&self.extra),
        ]
    }

    of_text!(vocab_size, n_positions, initializer_range);

    with_epsilon!(layer_norm_epsilon);
}
