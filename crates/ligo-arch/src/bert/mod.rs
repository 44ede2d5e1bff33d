pub(crate) mod fields;
mod names;
mod table;
mod task;

use serde_json::{Map, Value, json};

use crate::family::{FamilyConfig, Sizes, with_epsilon};
use crate::settings::{Setting, padding};
use crate::{Error, HiddenAct, ParamTable, Task, limits};

use fields::like_bert;
use names::Names;
pub(crate) use table::{embeddings, layers, linear, norm, optional};

like_bert! {
    /// `config.json` of a BERT or of a RoBERTa, XLM-RoBERTa or CamemBERT, with the names of `transformers`' `BertConfig` and `RobertaConfig`.
    ///
    /// They have one encoder. BERT and the others differ in how positions are counted, in their heads and in the names of their tensors;
    /// `model_type` says which one it is. The head follows from `architectures`, which may name a class without one.
    ///
    /// Fields that are not listed are kept in [`BertConfig::extra`] and written back.
    BertConfig {
        /// `bert`, `roberta`, `xlm-roberta` or `camembert`.
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
    }
    dropout = crate::defaults::dropout()
}

fn model_type() -> String {
    names::ALL[0].model_type.into()
}

impl BertConfig {
    /// A BERT with the reference defaults and `intermediate_size = 4 · hidden_size`.
    pub fn new(vocab_size: usize, hidden_size: usize, num_hidden_layers: usize, num_attention_heads: usize) -> Self {
        let mut extra = Map::new();
        extra.insert("architectures".into(), json!(["BertForMaskedLM"]));
        Self {
            model_type: model_type(),
            vocab_size,
            hidden_size,
            num_hidden_layers,
            num_attention_heads,
            intermediate_size: hidden_size.saturating_mul(4),
            hidden_act: HiddenAct::Gelu,
            extra,
            ..Self::usual()
        }
    }

    /// A RoBERTa as it was published: one token type, ε = 1e-5, padding is token 1, so that 514 positions hold 512 tokens.
    pub fn roberta(
        vocab_size: usize,
        hidden_size: usize,
        num_hidden_layers: usize,
        num_attention_heads: usize,
    ) -> Self {
        let mut extra = Map::new();
        extra.insert("architectures".into(), json!(["RobertaForMaskedLM"]));
        for (field, token) in [("bos_token_id", 0), ("pad_token_id", 1), ("eos_token_id", 2)] {
            extra.insert(field.into(), token.into());
        }
        Self {
            model_type: names::ALL[1].model_type.into(),
            max_position_embeddings: 514,
            type_vocab_size: 1,
            layer_norm_eps: 1e-5,
            extra,
            ..Self::new(vocab_size, hidden_size, num_hidden_layers, num_attention_heads)
        }
    }

    /// `hidden_size / num_attention_heads`.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Whether `model_type` says that it is a RoBERTa, an XLM-RoBERTa or a CamemBERT.
    pub fn is_roberta(&self) -> bool {
        self.names().is_roberta
    }

    /// The padding token that a RoBERTa counts its positions from, 1 unless `pad_token_id` says otherwise; `None` for a BERT,
    /// whose positions do not depend on padding.
    pub fn position_padding(&self) -> Option<usize> {
        if !self.is_roberta() {
            return None;
        }
        let given = self.extra.get("pad_token_id").and_then(Value::as_u64);
        Some(given.and_then(|id| usize::try_from(id).ok()).unwrap_or(1))
    }

    /// The longest sequence: one token for each row of the position table that is not needed for padding.
    pub fn max_tokens(&self) -> usize {
        let unused = self.position_padding().map_or(0, |padding| padding + 1);
        self.max_position_embeddings.saturating_sub(unused)
    }

    /// Dropout in front of a classifier: `classifier_dropout`, or `hidden_dropout_prob` where the file has none.
    pub fn classifier_dropout(&self) -> f64 {
        let given = self.extra.get("classifier_dropout").and_then(Value::as_f64);
        given.unwrap_or(self.hidden_dropout_prob)
    }

    fn names(&self) -> &'static Names {
        let named = names::ALL.iter().find(|names| names.model_type == self.model_type);
        named.unwrap_or(&names::ALL[0])
    }

    fn check_padding(&self) -> Result<(), Error> {
        let Some(padding) = self.position_padding() else {
            return Ok(());
        };
        let given = self.extra.get("pad_token_id");
        if given.is_some_and(|id| id.as_u64().is_none()) || padding >= self.vocab_size {
            return Err(Error::Unsupported {
                field: "pad_token_id",
                found: given.map_or_else(|| padding.to_string(), Value::to_string),
                supported: "a token of the vocabulary (positions are counted from it)",
            });
        }
        if self.max_position_embeddings <= padding + 1 {
            return Err(Error::Unsupported {
                field: "max_position_embeddings",
                found: self.max_position_embeddings.to_string(),
                supported: "at least pad_token_id + 2 (positions are counted from padding)",
            });
        }
        Ok(())
    }
}

impl FamilyConfig for BertConfig {
    fn validate(&self) -> Result<(), Error> {
        // Read from a file it is one of them; set by hand it may be anything.
        if self.model_type != self.names().model_type {
            return Err(Error::UnknownModelType {
                found: self.model_type.clone(),
                known: names::ALL.each_ref().map(|names| names.model_type).join(", "),
            });
        }
        limits::sizes([
            ("vocab_size", self.vocab_size, limits::VOCABULARY),
            ("hidden_size", self.hidden_size, limits::WIDTH),
            ("num_hidden_layers", self.num_hidden_layers, limits::LAYERS),
            ("num_attention_heads", self.num_attention_heads, limits::HEADS),
            ("intermediate_size", self.intermediate_size, limits::NEURONS),
        ])?;
        self.check_fields()?;
        limits::dropouts([("classifier_dropout", self.classifier_dropout())])?;
        limits::heads_divide(self.num_attention_heads, self.hidden_size)?;
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
        self.check_padding()?;
        self.check_labels()
    }

    fn table(&self) -> ParamTable {
        table::table(self)
    }

    fn task(&self) -> Task {
        self.head()
    }

    fn with_task(&self, task: Task) -> Result<Option<Self>, Error> {
        self.with_head(task)
    }

    fn sizes(&self) -> Sizes {
        let (outputs, head_transform) = match self.head() {
            Task::SequenceClassification { labels } => (labels, true),
            Task::QuestionAnswering => (2, false),
            Task::HiddenStates => (0, false),
            _ => (self.vocab_size, true),
        };
        Sizes {
            head_transform,
            ..Sizes::plain(
                self.num_hidden_layers,
                self.hidden_size,
                self.num_attention_heads,
                self.intermediate_size,
                outputs,
            )
        }
    }

    fn architecture(&self) -> Option<String> {
        Some(self.class_for(self.head()))
    }

    fn settings(&self) -> Vec<Setting> {
        let pad = match self.position_padding() {
            Some(id) => ("pad_token_id", id.into()),
            None => padding(&self.extra),
        };
        vec![
            ("hidden_act", json!(self.hidden_act)),
            ("layer_norm_eps", json!(self.layer_norm_eps)),
            pad,
        ]
    }

    fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    fn max_sequence_tokens(&self) -> usize {
        self.max_tokens()
    }

    fn initializer_range(&self) -> f64 {
        self.initializer_range
    }

    with_epsilon!(layer_norm_eps);
}
