use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Axis, Error, ParamSpec, ParamTable, Role};

/// The activation of the feed-forward layers and of the head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HiddenAct {
    /// x·Φ(x) with the exact error function.
    #[default]
    #[serde(rename = "gelu")]
    Gelu,
    /// The tanh approximation of GELU, `gelu_new` and `gelu_pytorch_tanh` in `transformers`.
    #[serde(rename = "gelu_new", alias = "gelu_pytorch_tanh")]
    GeluNew,
    /// max(x, 0).
    #[serde(rename = "relu")]
    Relu,
}

/// `config.json` of a BERT, with the names of `transformers`' `BertConfig`.
///
/// Fields that are not listed are kept in [`BertConfig::extra`] and written back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BertConfig {
    /// Always `bert`.
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
    #[serde(default)]
    pub hidden_act: HiddenAct,
    /// Dropout on embeddings and on the output of each sub-layer.
    #[serde(default = "dropout")]
    pub hidden_dropout_prob: f64,
    /// Dropout on attention probabilities.
    #[serde(default = "dropout")]
    pub attention_probs_dropout_prob: f64,
    /// Longest sequence.
    #[serde(default = "positions")]
    pub max_position_embeddings: usize,
    /// Token types; 2 in the original.
    #[serde(default = "types")]
    pub type_vocab_size: usize,
    /// Standard deviation of initial matrices.
    #[serde(default = "init_std")]
    pub initializer_range: f64,
    /// ε of LayerNorm.
    #[serde(default = "eps")]
    pub layer_norm_eps: f64,
    /// Whether the decoder shares the token table.
    #[serde(default = "yes")]
    pub tie_word_embeddings: bool,
    /// Everything else in the file.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

fn model_type() -> String {
    "bert".into()
}
fn dropout() -> f64 {
    0.1
}
fn positions() -> usize {
    512
}
fn types() -> usize {
    2
}
fn init_std() -> f64 {
    0.02
}
fn eps() -> f64 {
    1e-12
}
fn yes() -> bool {
    true
}

impl BertConfig {
    /// A BERT with the reference defaults and `intermediate_size = 4 · hidden_size`.
    pub fn new(vocab_size: usize, hidden_size: usize, num_hidden_layers: usize, num_attention_heads: usize) -> Self {
        let mut extra = Map::new();
        extra.insert("architectures".into(), serde_json::json!(["BertForMaskedLM"]));
        Self {
            model_type: model_type(),
            vocab_size,
            hidden_size,
            num_hidden_layers,
            num_attention_heads,
            intermediate_size: 4 * hidden_size,
            hidden_act: HiddenAct::Gelu,
            hidden_dropout_prob: dropout(),
            attention_probs_dropout_prob: dropout(),
            max_position_embeddings: positions(),
            type_vocab_size: types(),
            initializer_range: init_std(),
            layer_norm_eps: eps(),
            tie_word_embeddings: true,
            extra,
        }
    }

    /// `hidden_size / num_attention_heads`.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        for (field, value) in [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
        ] {
            if value == 0 {
                return Err(Error::Zero { field });
            }
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(Error::HeadsDoNotDivide {
                heads: self.num_attention_heads,
                hidden: self.hidden_size,
            });
        }
        if let Some(kind) = self.extra.get("position_embedding_type").and_then(Value::as_str)
            && kind != "absolute"
        {
            return Err(Error::Unsupported {
                field: "position_embedding_type",
                found: kind.into(),
                supported: "absolute",
            });
        }
        for field in ["is_decoder", "add_cross_attention"] {
            if self.extra.get(field).and_then(Value::as_bool) == Some(true) {
                return Err(Error::Unsupported {
                    field,
                    found: "true".into(),
                    supported: "false (an encoder)",
                });
            }
        }
        Ok(())
    }

    /// The parameters of `BertForMaskedLM`; pooler and next-sentence head are optional.
    ///
    /// Ties (FACTS of the paper, Algorithm 1): every matrix that reads the residual stream has columns
    /// `hidden`, every matrix that writes it has rows `hidden`, the attention output reads `value`, the second
    /// feed-forward matrix reads `ffn`. A tied decoder reads `hidden`, so the LayerNorm in front of it does too.
    pub fn table(&self) -> ParamTable {
        use Role::{Bias, Embedding, NormBias, NormWeight, Weight};
        let mut rows = Rows::default();
        let h = Axis::HIDDEN;
        let emb = "bert.embeddings";
        rows.one(
            &format!("{emb}.word_embeddings.weight"),
            &[Axis::VOCAB, h],
            "embeddings",
            Embedding,
        );
        rows.one(
            &format!("{emb}.position_embeddings.weight"),
            &[Axis::POSITION, h],
            "embeddings",
            Embedding,
        );
        rows.one(
            &format!("{emb}.token_type_embeddings.weight"),
            &[Axis::TOKEN_TYPE, h],
            "embeddings",
            Embedding,
        );
        rows.one(&format!("{emb}.LayerNorm.weight"), &[h], "embeddings", NormWeight);
        rows.one(&format!("{emb}.LayerNorm.bias"), &[h], "embeddings", NormBias);
        for (path, out, input, module) in [
            ("attention.self.query", Axis::QUERY, h, "query"),
            ("attention.self.key", Axis::KEY, h, "key"),
            ("attention.self.value", Axis::VALUE, h, "value"),
            ("attention.output.dense", h, Axis::VALUE, "attention_out"),
            ("intermediate.dense", Axis::FFN, h, "ffn_in"),
            ("output.dense", h, Axis::FFN, "ffn_out"),
        ] {
            rows.layered(&format!("{path}.weight"), &[out, input], module, Weight);
            rows.layered(&format!("{path}.bias"), &[out], module, Bias);
        }
        for (path, module) in [
            ("attention.output.LayerNorm", "attention_norm"),
            ("output.LayerNorm", "ffn_norm"),
        ] {
            rows.layered(&format!("{path}.weight"), &[h], module, NormWeight);
            rows.layered(&format!("{path}.bias"), &[h], module, NormBias);
        }
        let decoder = if self.tie_word_embeddings { h } else { Axis::DECODER };
        let head = "cls.predictions";
        rows.one(
            &format!("{head}.transform.dense.weight"),
            &[Axis::HEAD, h],
            "head",
            Weight,
        );
        rows.one(&format!("{head}.transform.dense.bias"), &[Axis::HEAD], "head", Bias);
        rows.one(
            &format!("{head}.transform.LayerNorm.weight"),
            &[decoder],
            "head",
            NormWeight,
        );
        rows.one(
            &format!("{head}.transform.LayerNorm.bias"),
            &[decoder],
            "head",
            NormBias,
        );
        rows.one(&format!("{head}.bias"), &[Axis::VOCAB], "head", Bias);
        if !self.tie_word_embeddings {
            rows.one(
                &format!("{head}.decoder.weight"),
                &[Axis::VOCAB, decoder],
                "head",
                Weight,
            );
        }
        rows.optional("bert.pooler.dense.weight", &[Axis::POOLER, h], "pooler", Weight);
        rows.optional("bert.pooler.dense.bias", &[Axis::POOLER], "pooler", Bias);
        rows.optional(
            "cls.seq_relationship.weight",
            &[Axis::CLASSES, Axis::POOLER],
            "pooler",
            Weight,
        );
        rows.optional("cls.seq_relationship.bias", &[Axis::CLASSES], "pooler", Bias);

        let d = self.hidden_size;
        let mut ties = vec![(format!("{head}.decoder.bias"), format!("{head}.bias"))];
        if self.tie_word_embeddings {
            ties.push((
                format!("{head}.decoder.weight"),
                format!("{emb}.word_embeddings.weight"),
            ));
        }
        let mut sizes = vec![
            (Axis::HIDDEN, d),
            (Axis::QUERY, d),
            (Axis::KEY, d),
            (Axis::VALUE, d),
            (Axis::FFN, self.intermediate_size),
            (Axis::HEAD, d),
            (Axis::POOLER, d),
            (Axis::VOCAB, self.vocab_size),
            (Axis::POSITION, self.max_position_embeddings),
            (Axis::TOKEN_TYPE, self.type_vocab_size),
            (Axis::CLASSES, 2),
        ];
        if !self.tie_word_embeddings {
            sizes.push((Axis::DECODER, d));
        }
        // An untied decoder's bias has two names in `transformers`, and a file without either counts as incomplete.
        let stored = if self.tie_word_embeddings {
            Vec::new()
        } else {
            ties.clone()
        };
        ParamTable::new("bert", rows.0, sizes, [("encoder", self.num_hidden_layers)], ties).with_stored_aliases(stored)
    }
}

#[derive(Default)]
struct Rows(Vec<ParamSpec>);

impl Rows {
    fn push(
        &mut self,
        template: String,
        axes: &[Axis],
        stack: Option<&'static str>,
        module: &'static str,
        role: Role,
        required: bool,
    ) {
        self.0.push(ParamSpec {
            template,
            axes: axes.to_vec(),
            stack,
            module,
            role,
            required,
        });
    }
    fn one(&mut self, name: &str, axes: &[Axis], module: &'static str, role: Role) {
        self.push(name.into(), axes, None, module, role, true);
    }
    fn optional(&mut self, name: &str, axes: &[Axis], module: &'static str, role: Role) {
        self.push(name.into(), axes, None, module, role, false);
    }
    fn layered(&mut self, path: &str, axes: &[Axis], module: &'static str, role: Role) {
        let template = format!("bert.encoder.layer.{}.{path}", crate::LAYER_PLACEHOLDER);
        self.push(template, axes, Some("encoder"), module, role, true);
    }
}
