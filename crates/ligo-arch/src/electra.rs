use serde_json::{Map, Value, json};

use crate::bert::fields::like_bert;
use crate::bert::{self, BertConfig};
use crate::family::{FamilyConfig, Sizes, of_text, with_epsilon};
use crate::rows::{Rows, Stack};
use crate::settings::{Setting, padding};
use crate::unit::head_units;
use crate::{Axis, Error, HiddenAct, Norm, NormKind, NormPlace, ParamTable, Repeat, Role, Task, Unit, limits};

like_bert! {
    /// `config.json` of an ELECTRA (Clark et al., arXiv:2003.10555), with the names of `transformers`' `ElectraConfig`.
    ///
    /// A BERT whose token tables may be narrower than its layers, under one of two heads: the discriminator's, which says of each token whether it was
    /// replaced (`ElectraForPreTraining`), or the generator's, which predicts masked tokens (`ElectraForMaskedLM`).
    ///
    /// Fields that are not listed are kept in [`ElectraConfig::extra`] and written back.
    ElectraConfig {
        /// Always `electra`.
        #[serde(default = "model_type")]
        pub model_type: String,
        /// Entries of the token table.
        pub vocab_size: usize,
        /// Width E of the tables of tokens, positions and types.
        #[serde(default = "embedding")]
        pub embedding_size: usize,
        /// Width D of the residual stream.
        pub hidden_size: usize,
        /// Layers L.
        pub num_hidden_layers: usize,
        /// Attention heads; must divide `hidden_size`.
        pub num_attention_heads: usize,
        /// Neurons of a feed-forward layer.
        pub intermediate_size: usize,
        /// Activation function of layers and discriminator; the generator's head always has GELU.
        #[serde(default)]
        pub hidden_act: HiddenAct,
    }
    dropout = crate::defaults::dropout()
}

const DISCRIMINATOR: &str = "ElectraForPreTraining";
const GENERATOR: &str = "ElectraForMaskedLM";
/// What names below a head begin with.
const BASE: &str = "electra.";
const WORDS: &str = "electra.embeddings.word_embeddings.weight";

const LAYERS: Stack = Stack {
    name: "encoder",
    path: "electra.encoder.layer",
};

fn model_type() -> String {
    "electra".into()
}
fn embedding() -> usize {
    128
}

impl ElectraConfig {
    /// A discriminator with the reference defaults, tables as wide as its layers and four neurons for each channel.
    pub fn new(vocab_size: usize, hidden_size: usize, num_hidden_layers: usize, num_attention_heads: usize) -> Self {
        let mut extra = Map::new();
        extra.insert("architectures".into(), json!([DISCRIMINATOR]));
        extra.insert("pad_token_id".into(), 0.into());
        Self {
            model_type: model_type(),
            vocab_size,
            embedding_size: hidden_size,
            hidden_size,
            num_hidden_layers,
            num_attention_heads,
            intermediate_size: hidden_size.saturating_mul(4),
            hidden_act: HiddenAct::Gelu,
            extra,
            ..Self::usual()
        }
    }

    /// Width of the tables, where it is another one than that of the residual stream.
    pub fn projected_from(&self) -> Option<usize> {
        (self.embedding_size != self.hidden_size).then_some(self.embedding_size)
    }

    /// Whether the head is the generator's.
    pub fn is_generator(&self) -> bool {
        let first = self.extra.get("architectures").and_then(|names| names.get(0));
        first.and_then(Value::as_str) == Some(GENERATOR)
    }

    /// The BERT whose embeddings these are.
    pub fn embeddings(&self) -> BertConfig {
        BertConfig {
            hidden_size: self.embedding_size,
            ..self.encoder()
        }
    }

    /// The BERT whose layers these are.
    pub fn encoder(&self) -> BertConfig {
        BertConfig {
            intermediate_size: self.intermediate_size,
            hidden_act: self.hidden_act,
            hidden_dropout_prob: self.hidden_dropout_prob,
            attention_probs_dropout_prob: self.attention_probs_dropout_prob,
            max_position_embeddings: self.max_position_embeddings,
            type_vocab_size: self.type_vocab_size,
            layer_norm_eps: self.layer_norm_eps,
            ..BertConfig::new(
                self.vocab_size,
                self.hidden_size,
                self.num_hidden_layers,
                self.num_attention_heads,
            )
        }
    }

    /// What the generator's decoder reads, and what gives it: the axis of its columns, and that of the rows of the layer in front.
    fn decoder_axes(&self) -> (Axis, Axis) {
        match (self.projected_from(), self.tie_word_embeddings) {
            (Some(_), _) => (Axis::WORD_EMBEDDING, Axis::WORD_EMBEDDING),
            (None, true) => (Axis::HEAD_INPUT, Axis::HEAD),
            (None, false) => (Axis::DECODER, Axis::HEAD),
        }
    }

    /// The generator's head. A tied decoder's columns are those of the token table, so that the LayerNorm in front of it follows these.
    fn generator(&self, rows: &mut Rows) -> Vec<(String, String)> {
        let (decoder, head) = self.decoder_axes();
        bert::linear(rows, "generator_predictions.dense", head, Axis::HIDDEN, "head");
        bert::norm(rows, "generator_predictions.LayerNorm", decoder, "head");
        rows.one("generator_lm_head.bias", &[Axis::VOCAB], "head", Role::Bias);
        let weight = "generator_lm_head.weight";
        if self.tie_word_embeddings {
            return vec![(weight.into(), WORDS.into())];
        }
        rows.one(weight, &[Axis::VOCAB, decoder], "head", Role::Weight);
        Vec::new()
    }
}

impl FamilyConfig for ElectraConfig {
    fn validate(&self) -> Result<(), Error> {
        limits::sizes([("embedding_size", self.embedding_size, limits::WIDTH)])?;
        self.check_fields()?;
        let mut encoder = self.encoder();
        for field in ["position_embedding_type", "is_decoder", "add_cross_attention"] {
            let said = self.extra.get(field).cloned();
            encoder.extra.extend(said.map(|value| (field.to_owned(), value)));
        }
        encoder.validate()?;
        let first = self.extra.get("architectures").and_then(|names| names.get(0));
        match first.and_then(Value::as_str) {
            None | Some(DISCRIMINATOR | GENERATOR) => Ok(()),
            Some(other) => Err(Error::Unsupported {
                field: "architectures",
                found: other.into(),
                supported: "ElectraForPreTraining (the discriminator) or ElectraForMaskedLM (the generator)",
            }),
        }
    }

    /// The parameters of `ElectraForPreTraining` or `ElectraForMaskedLM`.
    fn table(&self) -> ParamTable {
        let h = Axis::HIDDEN;
        let mut rows = Rows::default();
        let word = self.projected_from().map(|_| Axis::WORD_EMBEDDING);
        bert::embeddings(&mut rows, BASE, word.unwrap_or(h));
        if let Some(word) = word {
            bert::linear(&mut rows, "electra.embeddings_project", h, word, "project_in");
        }
        bert::layers(&mut rows, LAYERS);
        let mut ties = Vec::new();
        if self.is_generator() {
            ties = self.generator(&mut rows);
        } else {
            bert::linear(&mut rows, "discriminator_predictions.dense", Axis::HEAD, h, "head");
            let prediction = "discriminator_predictions.dense_prediction";
            bert::linear(&mut rows, prediction, Axis::CLASSES, Axis::HEAD, "head");
        }

        let d = self.hidden_size;
        let used = |axis: &Axis| rows.0.iter().any(|row| row.axes.contains(axis));
        let sizes = [
            (h, d),
            (Axis::QUERY, d),
            (Axis::KEY, d),
            (Axis::VALUE, d),
            (Axis::FFN, self.intermediate_size),
            (Axis::HEAD, d),
            (Axis::DECODER, d),
            (Axis::HEAD_INPUT, d),
            (Axis::WORD_EMBEDDING, self.embedding_size),
            (Axis::VOCAB, self.vocab_size),
            (Axis::POSITION, self.max_position_embeddings),
            (Axis::TOKEN_TYPE, self.type_vocab_size),
            (Axis::CLASSES, 1),
        ];
        let sizes: Vec<_> = sizes.into_iter().filter(|(axis, _)| used(axis)).collect();
        let follows_hidden = Repeat {
            of: h,
            block: d,
            times: 1,
        };
        let tied_head = used(&Axis::HEAD_INPUT).then_some((Axis::HEAD_INPUT, follows_hidden));
        // A LayerNorm behind the dense layer scales what it gives, channel by channel.
        let normalized = self.is_generator() && word.is_none();
        let read = match self.tie_word_embeddings {
            true => h,
            false => Axis::DECODER,
        };
        let head = Unit {
            set: read.name(),
            block: 1,
        };
        ParamTable::new("electra", rows.0, sizes, [(LAYERS.name, self.num_hidden_layers)], ties)
            .with_units(head_units(d.checked_div(self.num_attention_heads).unwrap_or(1), 1))
            .with_units(normalized.then_some((Axis::HEAD, head)))
            .with_activation(self.hidden_act)
            .with_norm(Norm {
                kind: NormKind::Layer,
                place: NormPlace::After,
            })
            .with_repeats(tied_head)
            .with_buffers(&[".position_ids"])
            .with_base_prefix(BASE)
    }

    fn task(&self) -> Task {
        match self.is_generator() {
            true => Task::MaskedLm,
            false => Task::ReplacedTokens,
        }
    }

    fn with_task(&self, task: Task) -> Result<Option<Self>, Error> {
        let class = match task {
            Task::MaskedLm => GENERATOR,
            Task::ReplacedTokens => DISCRIMINATOR,
            _ => return Ok(None),
        };
        let mut config = self.clone();
        config.extra.insert("architectures".into(), json!([class]));
        Ok(Some(config))
    }

    fn sizes(&self) -> Sizes {
        Sizes {
            head_transform: true,
            ..Sizes::plain(
                self.num_hidden_layers,
                self.hidden_size,
                self.num_attention_heads,
                self.intermediate_size,
                if self.is_generator() { self.vocab_size } else { 1 },
            )
        }
    }

    fn architecture(&self) -> Option<String> {
        let class = if self.is_generator() { GENERATOR } else { DISCRIMINATOR };
        Some(class.into())
    }

    fn settings(&self) -> Vec<Setting> {
        vec![
            ("hidden_act", json!(self.hidden_act)),
            ("layer_norm_eps", json!(self.layer_norm_eps)),
            ("embedding_size", json!(self.projected_from())),
            padding(&self.extra),
        ]
    }

    of_text!(vocab_size, max_position_embeddings, initializer_range);

    with_epsilon!(layer_norm_eps);
}
