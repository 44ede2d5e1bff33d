use serde_json::{Map, Value, json};

use crate::bert::fields::like_bert;
use crate::bert::{self, BertConfig};
use crate::family::{FamilyConfig, Sizes, of_text, with_epsilon};
use crate::rows::{Rows, Stack};
use crate::settings::{Setting, padding};
use crate::unit::head_units;
use crate::{Axis, Error, HiddenAct, Norm, NormKind, NormPlace, ParamTable, Role, Task, limits};

like_bert! {
    /// `config.json` of an ALBERT (Lan et al., arXiv:1909.11942), with the names of `transformers`' `AlbertConfig`.
    ///
    /// Layers come in groups whose parameters are shared: layer `i` of `L` is that of group `⌊i·G/L⌋`. More layers of the same groups cost no parameters.
    /// Tables of tokens, positions and types are narrower than layers, and are always projected.
    ///
    /// Fields that are not listed are kept in [`AlbertConfig::extra`] and written back.
    AlbertConfig {
        /// Always `albert`.
        #[serde(default = "model_type")]
        pub model_type: String,
        /// Entries of the token table.
        pub vocab_size: usize,
        /// Width E of the tables of tokens, positions and types.
        #[serde(default = "embedding")]
        pub embedding_size: usize,
        /// Width D of the residual stream.
        pub hidden_size: usize,
        /// How often a group runs, L.
        pub num_hidden_layers: usize,
        /// Groups G with parameters of their own; at most L.
        #[serde(default = "one")]
        pub num_hidden_groups: usize,
        /// Layers of a group.
        #[serde(default = "one")]
        pub inner_group_num: usize,
        /// Attention heads; must divide `hidden_size`.
        pub num_attention_heads: usize,
        /// Neurons of a feed-forward layer.
        pub intermediate_size: usize,
        /// Activation function of layers and head.
        #[serde(default = "activation")]
        pub hidden_act: HiddenAct,
    }
    dropout = 0.0
}

const ARCHITECTURE: &str = "AlbertForMaskedLM";
/// Computes the same, with a pooler and a head for the order of sentences besides.
const PRETRAINING: &str = "AlbertForPreTraining";
/// What names below a head begin with.
const BASE: &str = "albert.";
const WORDS: &str = "albert.embeddings.word_embeddings.weight";

/// The groups.
const GROUPS: Stack = Stack {
    name: "groups",
    path: "albert.encoder.albert_layer_groups",
};

fn model_type() -> String {
    "albert".into()
}
fn embedding() -> usize {
    128
}
fn one() -> usize {
    1
}
fn activation() -> HiddenAct {
    HiddenAct::GeluNew
}

impl AlbertConfig {
    /// An ALBERT of one group with the reference defaults and four neurons for each channel.
    pub fn new(vocab_size: usize, hidden_size: usize, num_hidden_layers: usize, num_attention_heads: usize) -> Self {
        let mut extra = Map::new();
        extra.insert("architectures".into(), json!([ARCHITECTURE]));
        for (field, token) in [("pad_token_id", 0), ("bos_token_id", 2), ("eos_token_id", 3)] {
            extra.insert(field.into(), token.into());
        }
        Self {
            model_type: model_type(),
            vocab_size,
            embedding_size: embedding(),
            hidden_size,
            num_hidden_layers,
            num_hidden_groups: one(),
            inner_group_num: one(),
            num_attention_heads,
            intermediate_size: hidden_size.saturating_mul(4),
            hidden_act: activation(),
            extra,
            ..Self::usual()
        }
    }

    /// The group that runs as layer `i`, as `transformers` rounds it.
    pub fn group_of(&self, layer: usize) -> usize {
        let each = self.num_hidden_layers as f64 / self.num_hidden_groups as f64;
        let group = (layer as f64 / each) as usize;
        group.min(self.num_hidden_groups.saturating_sub(1))
    }

    /// Whether no two layers share their parameters.
    pub fn is_unshared(&self) -> bool {
        self.num_hidden_groups == self.num_hidden_layers
    }

    /// The BERT whose embeddings these are.
    pub fn embeddings(&self) -> BertConfig {
        BertConfig {
            hidden_dropout_prob: self.hidden_dropout_prob,
            max_position_embeddings: self.max_position_embeddings,
            type_vocab_size: self.type_vocab_size,
            layer_norm_eps: self.layer_norm_eps,
            ..BertConfig::new(self.vocab_size, self.embedding_size, 1, 1)
        }
    }

    /// What the layers of a group hold.
    fn groups(&self, rows: &mut Rows) {
        let h = Axis::HIDDEN;
        for inner in 0..self.inner_group_num {
            let layer = |path: &str| format!("albert_layers.{inner}.{path}");
            for (path, out, input, module) in [
                ("attention.query", Axis::QUERY, h, "query"),
                ("attention.key", Axis::KEY, h, "key"),
                ("attention.value", Axis::VALUE, h, "value"),
                ("attention.dense", h, Axis::VALUE, "attention_out"),
                ("ffn", Axis::FFN, h, "ffn_in"),
                ("ffn_output", h, Axis::FFN, "ffn_out"),
            ] {
                let path = layer(path);
                rows.layered(GROUPS, &format!("{path}.weight"), &[out, input], module, Role::Weight);
                rows.layered(GROUPS, &format!("{path}.bias"), &[out], module, Role::Bias);
            }
            for (path, module) in [
                ("attention.LayerNorm", "attention_norm"),
                ("full_layer_layer_norm", "ffn_norm"),
            ] {
                let path = layer(path);
                rows.layered(GROUPS, &format!("{path}.weight"), &[h], module, Role::NormWeight);
                rows.layered(GROUPS, &format!("{path}.bias"), &[h], module, Role::NormBias);
            }
        }
    }

    /// The head, and what pretraining has besides.
    fn head(&self, rows: &mut Rows) -> Vec<(String, String)> {
        bert::linear(rows, "predictions.dense", Axis::WORD_EMBEDDING, Axis::HIDDEN, "head");
        bert::norm(rows, "predictions.LayerNorm", Axis::WORD_EMBEDDING, "head");
        rows.one("predictions.bias", &[Axis::VOCAB], "head", Role::Bias);
        bert::optional(rows, "albert.pooler", Axis::POOLER, Axis::HIDDEN);
        bert::optional(rows, "sop_classifier.classifier", Axis::CLASSES, Axis::POOLER);
        let mut ties = vec![("predictions.decoder.bias".to_owned(), "predictions.bias".to_owned())];
        let weight = "predictions.decoder.weight";
        match self.tie_word_embeddings {
            true => ties.push((weight.into(), WORDS.into())),
            false => drop(rows.one(weight, &[Axis::VOCAB, Axis::WORD_EMBEDDING], "head", Role::Weight)),
        }
        ties
    }
}

impl FamilyConfig for AlbertConfig {
    fn validate(&self) -> Result<(), Error> {
        limits::sizes([
            ("vocab_size", self.vocab_size, limits::VOCABULARY),
            ("embedding_size", self.embedding_size, limits::WIDTH),
            ("hidden_size", self.hidden_size, limits::WIDTH),
            ("num_hidden_layers", self.num_hidden_layers, limits::LAYERS),
            ("num_hidden_groups", self.num_hidden_groups, self.num_hidden_layers),
            ("inner_group_num", self.inner_group_num, limits::LAYERS),
            (
                "num_hidden_layers · inner_group_num",
                self.num_hidden_layers.saturating_mul(self.inner_group_num),
                limits::LAYERS,
            ),
            ("num_attention_heads", self.num_attention_heads, limits::HEADS),
            ("intermediate_size", self.intermediate_size, limits::NEURONS),
        ])?;
        self.check_fields()?;
        limits::heads_divide(self.num_attention_heads, self.hidden_size)?;
        let first = self.extra.get("architectures").and_then(|names| names.get(0));
        match first.and_then(Value::as_str) {
            None | Some(ARCHITECTURE | PRETRAINING) => Ok(()),
            Some(other) => Err(Error::Unsupported {
                field: "architectures",
                found: other.into(),
                supported: "AlbertForMaskedLM or AlbertForPreTraining",
            }),
        }
    }

    /// The parameters of `AlbertForMaskedLM`; the pooler and the head for the order of sentences are optional.
    fn table(&self) -> ParamTable {
        let mut rows = Rows::default();
        bert::embeddings(&mut rows, BASE, Axis::WORD_EMBEDDING);
        let mapping = "albert.encoder.embedding_hidden_mapping_in";
        bert::linear(&mut rows, mapping, Axis::HIDDEN, Axis::WORD_EMBEDDING, "project_in");
        self.groups(&mut rows);
        let ties = self.head(&mut rows);
        let d = self.hidden_size;
        let sizes = [
            (Axis::HIDDEN, d),
            (Axis::QUERY, d),
            (Axis::KEY, d),
            (Axis::VALUE, d),
            (Axis::FFN, self.intermediate_size),
            (Axis::POOLER, d),
            (Axis::WORD_EMBEDDING, self.embedding_size),
            (Axis::VOCAB, self.vocab_size),
            (Axis::POSITION, self.max_position_embeddings),
            (Axis::TOKEN_TYPE, self.type_vocab_size),
            (Axis::CLASSES, 2),
        ];
        // An untied decoder's bias has two names in `transformers`, and a file without either counts as incomplete.
        let stored = match self.tie_word_embeddings {
            true => Vec::new(),
            false => ties.clone(),
        };
        ParamTable::new("albert", rows.0, sizes, [(GROUPS.name, self.num_hidden_groups)], ties)
            .with_runs(GROUPS.name, self.num_hidden_layers)
            .with_units(head_units(d.checked_div(self.num_attention_heads).unwrap_or(1), 1))
            .with_activation(self.hidden_act)
            .with_norm(Norm {
                kind: NormKind::Layer,
                place: NormPlace::After,
            })
            .with_stored_aliases(stored)
            .with_buffers(&[".position_ids"])
            .with_base_prefix(BASE)
    }

    fn task(&self) -> Task {
        Task::MaskedLm
    }

    fn sizes(&self) -> Sizes {
        Sizes {
            head_transform: true,
            ..Sizes::plain(
                self.num_hidden_layers * self.inner_group_num,
                self.hidden_size,
                self.num_attention_heads,
                self.intermediate_size,
                self.vocab_size,
            )
        }
    }

    fn architecture(&self) -> Option<String> {
        Some(ARCHITECTURE.into())
    }

    fn settings(&self) -> Vec<Setting> {
        vec![
            ("hidden_act", json!(self.hidden_act)),
            ("layer_norm_eps", json!(self.layer_norm_eps)),
            ("inner_group_num", json!(self.inner_group_num)),
            padding(&self.extra),
        ]
    }

    of_text!(vocab_size, max_position_embeddings, initializer_range);

    with_epsilon!(layer_norm_eps);
}
