use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::family::{FamilyConfig, Sizes, of_text};
use crate::rows::{Rows, Stack};
use crate::settings::{Setting, padding};
use crate::unit::head_units;
use crate::{
    Axis, Error, HiddenAct, Norm, NormKind, NormPlace, ParamTable, Repeat, Role, Task, Unit, defaults, limits,
};

/// `config.json` of a DistilBERT (Sanh et al., arXiv:1910.01108), with the names of `transformers`' `DistilBertConfig`.
///
/// Fields that are not listed are kept in [`DistilBertConfig::extra`] and written back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DistilBertConfig {
    /// Always `distilbert`.
    #[serde(default = "model_type")]
    pub model_type: String,
    /// Entries of the token table.
    pub vocab_size: usize,
    /// Width D of the residual stream.
    pub dim: usize,
    /// Layers L.
    pub n_layers: usize,
    /// Attention heads; must divide `dim`.
    pub n_heads: usize,
    /// Neurons of a feed-forward layer.
    pub hidden_dim: usize,
    /// Rows of the position table.
    #[serde(default = "positions")]
    pub max_position_embeddings: usize,
    /// Activation function of layers and head.
    #[serde(default)]
    pub activation: HiddenAct,
    /// Dropout on embeddings and on the output of feed-forward networks.
    #[serde(default = "defaults::dropout")]
    pub dropout: f64,
    /// Dropout on attention probabilities.
    #[serde(default = "defaults::dropout")]
    pub attention_dropout: f64,
    /// Standard deviation of initial matrices.
    #[serde(default = "defaults::deviation")]
    pub initializer_range: f64,
    /// Whether the decoder shares the token table.
    #[serde(default = "defaults::yes")]
    pub tie_word_embeddings: bool,
    /// Everything else in the file.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

const ARCHITECTURE: &str = "DistilBertForMaskedLM";

/// The encoder.
const LAYERS: Stack = Stack {
    name: "encoder",
    path: "distilbert.transformer.layer",
};

/// ε of LayerNorm, of which `config.json` says nothing.
const EPSILON: f64 = 1e-12;

fn model_type() -> String {
    "distilbert".into()
}
fn positions() -> usize {
    512
}

impl DistilBertConfig {
    /// A DistilBERT with the reference defaults and four neurons for each channel.
    pub fn new(vocab_size: usize, dim: usize, n_layers: usize, n_heads: usize) -> Self {
        let mut extra = Map::new();
        extra.insert("architectures".into(), json!([ARCHITECTURE]));
        extra.insert("pad_token_id".into(), 0.into());
        Self {
            model_type: model_type(),
            vocab_size,
            dim,
            n_layers,
            n_heads,
            hidden_dim: dim.saturating_mul(4),
            max_position_embeddings: positions(),
            activation: HiddenAct::Gelu,
            dropout: defaults::dropout(),
            attention_dropout: defaults::dropout(),
            initializer_range: defaults::deviation(),
            tie_word_embeddings: true,
            extra,
        }
    }

    /// ε of LayerNorm, which no file says.
    pub fn layer_norm_eps(&self) -> f64 {
        EPSILON
    }
}

impl FamilyConfig for DistilBertConfig {
    fn validate(&self) -> Result<(), Error> {
        limits::sizes([
            ("vocab_size", self.vocab_size, limits::VOCABULARY),
            ("dim", self.dim, limits::WIDTH),
            ("n_layers", self.n_layers, limits::LAYERS),
            ("n_heads", self.n_heads, limits::HEADS),
            ("hidden_dim", self.hidden_dim, limits::NEURONS),
            (
                "max_position_embeddings",
                self.max_position_embeddings,
                limits::POSITIONS,
            ),
        ])?;
        limits::dropouts([("dropout", self.dropout), ("attention_dropout", self.attention_dropout)])?;
        limits::deviation("initializer_range", self.initializer_range)?;
        limits::heads_divide(self.n_heads, self.dim)
    }

    /// The parameters of `DistilBertForMaskedLM`.
    fn table(&self) -> ParamTable {
        let mut rows = Rows::default();
        let h = Axis::HIDDEN;
        for (path, entries) in [
            ("word_embeddings", Axis::VOCAB),
            ("position_embeddings", Axis::POSITION),
        ] {
            let name = format!("distilbert.embeddings.{path}.weight");
            rows.one(name, &[entries, h], "embeddings", Role::Embedding);
        }
        norm(&mut rows, "distilbert.embeddings.LayerNorm", h, "embeddings");
        for (path, out, input, module) in [
            ("attention.q_lin", Axis::QUERY, h, "query"),
            ("attention.k_lin", Axis::KEY, h, "key"),
            ("attention.v_lin", Axis::VALUE, h, "value"),
            ("attention.out_lin", h, Axis::VALUE, "attention_out"),
            ("ffn.lin1", Axis::FFN, h, "ffn_in"),
            ("ffn.lin2", h, Axis::FFN, "ffn_out"),
        ] {
            rows.layered(LAYERS, &format!("{path}.weight"), &[out, input], module, Role::Weight);
            rows.layered(LAYERS, &format!("{path}.bias"), &[out], module, Role::Bias);
        }
        for (path, module) in [("sa_layer_norm", "attention_norm"), ("output_layer_norm", "ffn_norm")] {
            rows.layered(LAYERS, &format!("{path}.weight"), &[h], module, Role::NormWeight);
            rows.layered(LAYERS, &format!("{path}.bias"), &[h], module, Role::NormBias);
        }
        let tied = self.tie_word_embeddings;
        // A tied decoder's columns are those of the token table, so that the LayerNorm in front of it follows the residual stream.
        let decoder = if tied { Axis::HEAD_INPUT } else { Axis::DECODER };
        rows.one("vocab_transform.weight", &[Axis::HEAD, h], "head", Role::Weight);
        rows.one("vocab_transform.bias", &[Axis::HEAD], "head", Role::Bias);
        norm(&mut rows, "vocab_layer_norm", decoder, "head");
        rows.one("vocab_projector.bias", &[Axis::VOCAB], "head", Role::Bias);
        let mut ties = Vec::new();
        match tied {
            true => ties.push((
                "vocab_projector.weight".into(),
                "distilbert.embeddings.word_embeddings.weight".into(),
            )),
            false => drop(rows.one("vocab_projector.weight", &[Axis::VOCAB, decoder], "head", Role::Weight)),
        }

        let d = self.dim;
        let sizes = [
            (Axis::HIDDEN, d),
            (Axis::QUERY, d),
            (Axis::KEY, d),
            (Axis::VALUE, d),
            (Axis::FFN, self.hidden_dim),
            (Axis::HEAD, d),
            (decoder, d),
            (Axis::VOCAB, self.vocab_size),
            (Axis::POSITION, self.max_position_embeddings),
        ];
        let follows_hidden = Repeat {
            of: Axis::HIDDEN,
            block: d,
            times: 1,
        };
        // The head's LayerNorm scales what the dense layer gives, channel by channel.
        let read = if tied { Axis::HIDDEN } else { Axis::DECODER };
        let head = Unit {
            set: read.name(),
            block: 1,
        };
        ParamTable::new("distilbert", rows.0, sizes, [(LAYERS.name, self.n_layers)], ties)
            .with_units(head_units(d.checked_div(self.n_heads).unwrap_or(1), 1))
            .with_units([(Axis::HEAD, head)])
            .with_activation(self.activation)
            .with_norm(Norm {
                kind: NormKind::Layer,
                place: NormPlace::After,
            })
            .with_fixed_epsilon()
            .with_repeats(tied.then_some((Axis::HEAD_INPUT, follows_hidden)))
            .with_buffers(&[".position_ids"])
            .with_base_prefix("distilbert.")
    }

    fn task(&self) -> Task {
        Task::MaskedLm
    }

    fn sizes(&self) -> Sizes {
        Sizes {
            head_transform: true,
            ..Sizes::plain(self.n_layers, self.dim, self.n_heads, self.hidden_dim, self.vocab_size)
        }
    }

    fn architecture(&self) -> Option<String> {
        Some(ARCHITECTURE.into())
    }

    fn settings(&self) -> Vec<Setting> {
        vec![("activation", json!(self.activation)), padding(&self.extra)]
    }

    of_text!(vocab_size, max_position_embeddings, initializer_range);

    fn norm_epsilon(&self) -> f64 {
        EPSILON
    }

    /// The same model: no file says its ε. Operators see that in the table ([`ParamTable::has_fixed_epsilon`]).
    fn with_norm_epsilon(&self, _: f64) -> Self {
        self.clone()
    }
}

fn norm(rows: &mut Rows, path: &str, axis: Axis, module: &'static str) {
    rows.one(format!("{path}.weight"), &[axis], module, Role::NormWeight);
    rows.one(format!("{path}.bias"), &[axis], module, Role::NormBias);
}
