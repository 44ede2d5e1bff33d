use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::family::{FamilyConfig, Sizes, of_text, with_epsilon};
use crate::layer_types::{self, LayerType};
use crate::rope::{self, Base};
use crate::rows::{Rows, Stack};
use crate::settings::{Setting, padding};
use crate::unit::head_units;
use crate::{
    Axis, Error, HiddenAct, Init, Norm, NormKind, NormPlace, ParamTable, Repeat, Role, RopeParameters, Rotation, Task,
    Unit, defaults, limits,
};

/// `config.json` of a ModernBERT (Warner et al., arXiv:2412.13663), with the names of `transformers`' `ModernBertConfig`.
///
/// Fields that are not listed are kept in [`ModernBertConfig::extra`] and written back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModernBertConfig {
    /// Always `modernbert`.
    #[serde(default = "model_type")]
    pub model_type: String,
    /// Entries of the token table.
    pub vocab_size: usize,
    /// Width D of the residual stream.
    pub hidden_size: usize,
    /// Neurons of a feed-forward layer.
    pub intermediate_size: usize,
    /// Layers L.
    pub num_hidden_layers: usize,
    /// Attention heads; must divide `hidden_size`.
    pub num_attention_heads: usize,
    /// What gates neurons.
    #[serde(default)]
    pub hidden_activation: HiddenAct,
    /// Longest sequence that the model was made for.
    #[serde(default = "positions")]
    pub max_position_embeddings: usize,
    /// Standard deviation of initial matrices; what writes the residual stream has that by `√(2L)`.
    #[serde(default = "defaults::deviation")]
    pub initializer_range: f64,
    /// ε of LayerNorm.
    #[serde(default = "eps")]
    pub norm_eps: f64,
    /// Whether normalizations have shifts.
    #[serde(default)]
    pub norm_bias: bool,
    /// Whether the matrices of attention have biases.
    #[serde(default)]
    pub attention_bias: bool,
    /// Whether those of feed-forward networks have some.
    #[serde(default)]
    pub mlp_bias: bool,
    /// Whether the head's dense layer has one.
    #[serde(default)]
    pub classifier_bias: bool,
    /// Whether the decoder has one.
    #[serde(default = "defaults::yes")]
    pub decoder_bias: bool,
    /// Activation of the head.
    #[serde(default)]
    pub classifier_activation: HiddenAct,
    /// Dropout on attention probabilities and on what attention gives.
    #[serde(default)]
    pub attention_dropout: f64,
    /// Dropout on embeddings.
    #[serde(default)]
    pub embedding_dropout: f64,
    /// Dropout on neurons.
    #[serde(default)]
    pub mlp_dropout: f64,
    /// Positions that attention reaches over in layers that have a window, half of them to either side.
    #[serde(default = "window")]
    pub local_attention: usize,
    /// Rotary embedding, as files have it since `transformers` 5: an object for each type of layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_parameters: Option<RopeParameters>,
    /// The base of the rotation in layers without a window, as older files have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub global_rope_theta: Option<f64>,
    /// The base in layers with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_rope_theta: Option<f64>,
    /// Whether the decoder shares the token table.
    #[serde(default = "defaults::yes")]
    pub tie_word_embeddings: bool,
    /// Everything else in the file.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

const ARCHITECTURE: &str = "ModernBertForMaskedLM";

/// The encoder.
const LAYERS: Stack = Stack {
    name: "encoder",
    path: "model.layers",
};

/// Where there is no list, each so many-th layer has no window, from the first one on.
const INTERVAL: &str = "global_attn_every_n_layers";
const USUAL_INTERVAL: usize = 3;

fn model_type() -> String {
    "modernbert".into()
}
fn positions() -> usize {
    8192
}
fn eps() -> f64 {
    1e-5
}
fn window() -> usize {
    128
}

impl ModernBertConfig {
    /// A ModernBERT with the reference defaults.
    pub fn new(vocab_size: usize, hidden: usize, layers: usize, heads: usize, ffn: usize) -> Self {
        let mut extra = Map::new();
        extra.insert("architectures".into(), json!([ARCHITECTURE]));
        extra.insert("pad_token_id".into(), 0.into());
        Self {
            model_type: model_type(),
            vocab_size,
            hidden_size: hidden,
            intermediate_size: ffn,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            hidden_activation: HiddenAct::Gelu,
            max_position_embeddings: positions(),
            initializer_range: defaults::deviation(),
            norm_eps: eps(),
            norm_bias: false,
            attention_bias: false,
            mlp_bias: false,
            classifier_bias: false,
            decoder_bias: true,
            classifier_activation: HiddenAct::Gelu,
            attention_dropout: 0.0,
            embedding_dropout: 0.0,
            mlp_dropout: 0.0,
            local_attention: window(),
            rope_parameters: None,
            global_rope_theta: None,
            local_rope_theta: None,
            tie_word_embeddings: true,
            extra,
        }
    }

    /// Whether what attention reads is normalized in a layer. The first one reads embeddings, which are.
    pub fn normalizes_input(&self, layer: usize) -> bool {
        layer > 0
    }

    /// How far the attention of each layer sees.
    fn types(&self) -> Vec<LayerType> {
        let said = layer_types::said(&self.extra).ok().flatten();
        said.unwrap_or_else(|| {
            let interval = self.interval().unwrap_or(USUAL_INTERVAL).max(1);
            let slides = |layer: usize| !layer.is_multiple_of(interval);
            (0..self.num_hidden_layers)
                .map(|layer| LayerType::sliding(slides(layer)))
                .collect()
        })
    }

    fn interval(&self) -> Option<usize> {
        let interval = self.extra.get(INTERVAL).and_then(Value::as_u64)?;
        usize::try_from(interval).ok()
    }

    /// How many positions the attention of each layer reaches over, half of them to either side, where that is limited.
    pub fn layers(&self) -> impl Iterator<Item = (Option<usize>, LayerType)> + '_ {
        let window = |kind| (kind == LayerType::Sliding).then_some(self.local_attention);
        self.types().into_iter().map(move |kind| (window(kind), kind))
    }

    /// How heads are turned by positions in layers of this type; of a valid configuration.
    pub fn rotation(&self, kind: LayerType) -> Rotation {
        let plain = || Rotation::plain(self.base(self.usual_theta(kind)));
        self.try_rotation(kind).unwrap_or_else(|_| plain())
    }

    fn try_rotation(&self, kind: LayerType) -> Result<Rotation, Error> {
        let own = match &self.rope_parameters {
            Some(parameters) => rope::said_of(parameters, kind)?,
            None => None,
        };
        let theta = own.as_ref().and_then(|own| own.rope_theta);
        let theta = theta.unwrap_or_else(|| self.usual_theta(kind));
        self.base(theta).rotation(own.as_ref())
    }

    /// The base where no object says it.
    fn usual_theta(&self, kind: LayerType) -> f64 {
        match kind {
            LayerType::Full => self.global_rope_theta.unwrap_or(160_000.0),
            LayerType::Sliding => self.local_rope_theta.unwrap_or(10_000.0),
        }
    }

    fn base(&self, theta: f64) -> Base {
        Base {
            theta,
            head_dim: self.head_width(),
            share: 1.0,
            positions: self.max_position_embeddings,
            original: None,
        }
    }

    /// The width of a head.
    pub fn head_width(&self) -> usize {
        self.hidden_size.checked_div(self.num_attention_heads).unwrap_or(0)
    }
}

impl FamilyConfig for ModernBertConfig {
    fn validate(&self) -> Result<(), Error> {
        limits::sizes([
            ("vocab_size", self.vocab_size, limits::VOCABULARY),
            ("hidden_size", self.hidden_size, limits::WIDTH),
            ("num_hidden_layers", self.num_hidden_layers, limits::LAYERS),
            ("num_attention_heads", self.num_attention_heads, limits::HEADS),
            ("intermediate_size", self.intermediate_size, limits::NEURONS),
            ("local_attention", self.local_attention, limits::POSITIONS),
            (INTERVAL, self.interval().unwrap_or(1), usize::MAX),
            (
                "max_position_embeddings",
                self.max_position_embeddings,
                limits::POSITIONS,
            ),
        ])?;
        limits::dropouts([
            ("attention_dropout", self.attention_dropout),
            ("embedding_dropout", self.embedding_dropout),
            ("mlp_dropout", self.mlp_dropout),
        ])?;
        limits::epsilon("norm_eps", self.norm_eps)?;
        limits::deviation("initializer_range", self.initializer_range)?;
        limits::base("global_rope_theta", self.usual_theta(LayerType::Full))?;
        limits::base("local_rope_theta", self.usual_theta(LayerType::Sliding))?;
        limits::heads_divide(self.num_attention_heads, self.hidden_size)?;
        if !self.head_width().is_multiple_of(2) {
            return Err(Error::Invalid {
                model_type: self.model_type.clone(),
                reason: format!(
                    "heads have {} dimensions; rotary embedding needs an even number",
                    self.head_width()
                ),
            });
        }
        let found = layer_types::said(&self.extra)?.map_or(self.num_hidden_layers, |types| types.len());
        if found != self.num_hidden_layers {
            return Err(Error::LayerTypes {
                found,
                layers: self.num_hidden_layers as u64,
            });
        }
        self.try_rotation(LayerType::Full)?;
        self.try_rotation(LayerType::Sliding).map(drop)
    }

    /// The parameters of `ModernBertForMaskedLM`.
    fn table(&self) -> ParamTable {
        table(self)
    }

    fn task(&self) -> Task {
        Task::MaskedLm
    }

    fn sizes(&self) -> Sizes {
        Sizes {
            ffn_matrices: 3,
            head_transform: true,
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
        Some(ARCHITECTURE.into())
    }

    fn settings(&self) -> Vec<Setting> {
        let scaling = |kind| {
            let said = self
                .rope_parameters
                .as_ref()
                .and_then(|said| rope::said_of(said, kind).ok().flatten());
            said.map_or(Value::Null, |said| said.scaling())
        };
        let theta = |kind| {
            let said = self
                .rope_parameters
                .as_ref()
                .and_then(|said| rope::said_of(said, kind).ok().flatten());
            json!(
                said.and_then(|said| said.rope_theta)
                    .unwrap_or_else(|| self.usual_theta(kind))
            )
        };
        vec![
            ("hidden_activation", json!(self.hidden_activation)),
            ("classifier_activation", json!(self.classifier_activation)),
            ("norm_eps", json!(self.norm_eps)),
            ("norm_bias", json!(self.norm_bias)),
            ("attention_bias", json!(self.attention_bias)),
            ("mlp_bias", json!(self.mlp_bias)),
            ("local_attention", json!(self.local_attention)),
            ("global_rope_theta", theta(LayerType::Full)),
            ("local_rope_theta", theta(LayerType::Sliding)),
            (
                "rope_parameters",
                json!([scaling(LayerType::Full), scaling(LayerType::Sliding)]),
            ),
            padding(&self.extra),
        ]
    }

    of_text!(vocab_size, max_position_embeddings, initializer_range);

    fn layer_types(&self) -> Option<Vec<LayerType>> {
        Some(self.types())
    }

    with_epsilon!(norm_eps);
}

/// A normalization with or without a shift, in some layers, in all or outside of them.
fn norm(c: &ModernBertConfig, rows: &mut Rows, name: &str, axis: Axis, module: &'static str) {
    rows.one(format!("{name}.weight"), &[axis], module, Role::NormWeight);
    if c.norm_bias {
        rows.one(format!("{name}.bias"), &[axis], module, Role::NormBias);
    }
}

fn table(c: &ModernBertConfig) -> ParamTable {
    let mut rows = Rows::default();
    let (d, h, layers) = (c.hidden_size, Axis::HIDDEN, c.num_hidden_layers);
    let words = "model.embeddings.tok_embeddings.weight";
    rows.one(words, &[Axis::VOCAB, h], "embeddings", Role::Embedding);
    norm(c, &mut rows, "model.embeddings.norm", h, "embeddings");
    let attention = [Axis::QUERY, Axis::KEY, Axis::VALUE].as_slice();
    let neurons = [Axis::FFN, Axis::FFN].as_slice();
    // What is written to the residual stream starts smaller in deep models.
    let written = Init::Normal(c.initializer_range / (2.0 * layers as f64).sqrt());
    for (path, axes, module, (stored, parts, part)) in [
        ("attn.query", [Axis::QUERY, h], "query", ("attn.Wqkv", attention, 0)),
        ("attn.key", [Axis::KEY, h], "key", ("attn.Wqkv", attention, 1)),
        ("attn.value", [Axis::VALUE, h], "value", ("attn.Wqkv", attention, 2)),
        ("attn.out", [h, Axis::VALUE], "attention_out", ("attn.Wo", &[h], 0)),
        ("mlp.gate", [Axis::FFN, h], "ffn_gate", ("mlp.Wi", neurons, 0)),
        ("mlp.neurons", [Axis::FFN, h], "ffn_in", ("mlp.Wi", neurons, 1)),
        ("mlp.out", [h, Axis::FFN], "ffn_out", ("mlp.Wo", &[h], 0)),
    ] {
        let template = |kind: &str| LAYERS.template(&format!("{stored}.{kind}"));
        let mut row = rows.layered(LAYERS, &format!("{path}.weight"), &axes, module, Role::Weight);
        if axes[0] == h {
            row = row.init(written);
        }
        row.part(template("weight"), parts, part, false);
        let has_bias = if path.starts_with("attn") {
            c.attention_bias
        } else {
            c.mlp_bias
        };
        if has_bias {
            let row = rows.layered(LAYERS, &format!("{path}.bias"), &axes[..1], module, Role::Bias);
            row.part(template("bias"), parts, part, false);
        }
    }
    for (path, module) in [("attn_norm", "attention_norm"), ("mlp_norm", "ffn_norm")] {
        let normalized: Vec<usize> = (0..layers)
            .filter(|i| path != "attn_norm" || c.normalizes_input(*i))
            .collect();
        let kinds = [("weight", Role::NormWeight), ("bias", Role::NormBias)];
        for (kind, role) in kinds.into_iter().take(if c.norm_bias { 2 } else { 1 }) {
            let row = rows.layered(LAYERS, &format!("{path}.{kind}"), &[h], module, role);
            if normalized.len() < layers {
                row.in_layers(normalized.iter().copied());
            }
        }
    }
    norm(c, &mut rows, "model.final_norm", h, "final_norm");
    let ties = head(c, &mut rows, written);

    // A tied decoder's columns are those of the token table, so that the LayerNorm in front of it follows the residual stream.
    let tied = c.tie_word_embeddings;
    let decoder = if tied { Axis::HEAD_INPUT } else { Axis::DECODER };
    let sizes = [
        (h, d),
        (Axis::QUERY, d),
        (Axis::KEY, d),
        (Axis::VALUE, d),
        (Axis::FFN, c.intermediate_size),
        (Axis::HEAD, d),
        (decoder, d),
        (Axis::VOCAB, c.vocab_size),
    ];
    let follows_hidden = Repeat {
        of: h,
        block: d,
        times: 1,
    };
    // The head's LayerNorm scales what the dense layer gives, channel by channel.
    let read = if tied { h } else { Axis::DECODER };
    let scaled = Unit {
        set: read.name(),
        block: 1,
    };
    ParamTable::new("modernbert", rows.0, sizes, [(LAYERS.name, layers)], ties)
        .with_units(head_units(c.head_width(), 1))
        .with_units([(Axis::HEAD, scaled)])
        .with_activation(c.hidden_activation)
        .with_norm(Norm {
            kind: NormKind::Layer,
            place: NormPlace::Before,
        })
        .with_repeats(tied.then_some((Axis::HEAD_INPUT, follows_hidden)))
        .with_base_prefix("model.")
}

/// The masked-language-model head. Returns the names that are tied.
fn head(c: &ModernBertConfig, rows: &mut Rows, written: Init) -> Vec<(String, String)> {
    let tied = c.tie_word_embeddings;
    let decoder = if tied { Axis::HEAD_INPUT } else { Axis::DECODER };
    rows.one("head.dense.weight", &[Axis::HEAD, Axis::HIDDEN], "head", Role::Weight)
        .init(written);
    if c.classifier_bias {
        rows.one("head.dense.bias", &[Axis::HEAD], "head", Role::Bias);
    }
    norm(c, rows, "head.norm", decoder, "head");
    if c.decoder_bias {
        rows.one("decoder.bias", &[Axis::VOCAB], "head", Role::Bias);
    }
    if tied {
        return vec![("decoder.weight".into(), "model.embeddings.tok_embeddings.weight".into())];
    }
    rows.one("decoder.weight", &[Axis::VOCAB, decoder], "head", Role::Weight)
        .init(written);
    Vec::new()
}
