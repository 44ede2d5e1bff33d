use serde_json::{Map, Value, json};

use crate::family::{FamilyConfig, Sizes, with_epsilon};
use crate::image::set_labels;
use crate::image_config::{image_config, of_images};
use crate::rows::{Rows, Stack};
use crate::settings::Setting;
use crate::unit::head_units;
use crate::{
    Axis, Error, Extent, HiddenAct, Norm, NormKind, NormPlace, ParamTable, Patches, PositionGrid, Resample, Role,
    Sides, Task, defaults, limits, timm,
};

image_config! {
    /// `config.json` of a ViT or a DeiT, with the names of `transformers`' `ViTConfig` and `DeiTConfig`.
    ///
    /// A DeiT (Touvron et al., arXiv:2012.12877) is a ViT (Dosovitskiy et al., arXiv:2010.11929) with a distillation token behind the class
    /// token. The DeiT-S and DeiT-B that were trained without a teacher have no such token; they are `vit` models.
    /// What came from a `config.json` of `timm`'s is written as one again, and its tensors are stored under `timm`'s names.
    /// Fields that are not listed are kept in [`VitConfig::extra`] and written back.
    VitConfig {
        /// `vit` or `deit`.
        pub model_type: String,
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
    } {
        /// Whether queries, keys and values have a bias.
        #[serde(default = "defaults::yes")]
        pub qkv_bias: bool,
    }
    epsilon = 1e-12
}

const WITH_TEACHER: &str = "DeiTForImageClassificationWithTeacher";

impl VitConfig {
    /// A ViT for 224-pixel images and 16-pixel patches, with the reference defaults and `intermediate_size = 4 · hidden_size`.
    pub fn new(hidden_size: usize, num_hidden_layers: usize, num_attention_heads: usize, labels: usize) -> Self {
        Self::of(
            "vit",
            "ViTForImageClassification",
            hidden_size,
            num_hidden_layers,
            num_attention_heads,
            labels,
        )
    }

    /// A DeiT of the same shape: with a distillation token, and with a head for it when `with_teacher`.
    pub fn deit(
        hidden_size: usize,
        num_hidden_layers: usize,
        num_attention_heads: usize,
        labels: usize,
        with_teacher: bool,
    ) -> Self {
        let architecture = if with_teacher {
            WITH_TEACHER
        } else {
            "DeiTForImageClassification"
        };
        Self::of(
            "deit",
            architecture,
            hidden_size,
            num_hidden_layers,
            num_attention_heads,
            labels,
        )
    }

    fn of(model_type: &str, architecture: &str, hidden: usize, layers: usize, heads: usize, labels: usize) -> Self {
        let mut extra = Map::new();
        extra.insert("architectures".into(), json!([architecture]));
        set_labels(&mut extra, labels);
        Self {
            model_type: model_type.into(),
            hidden_size: hidden,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            intermediate_size: 4 * hidden,
            hidden_act: HiddenAct::Gelu,
            qkv_bias: true,
            extra,
            ..Self::usual()
        }
    }

    /// Whether there is a distillation token.
    pub fn is_deit(&self) -> bool {
        self.model_type == "deit"
    }

    /// Whether class token and distillation token have a head each (`DeiTForImageClassificationWithTeacher`, and all of `timm`'s).
    pub fn has_distillation_head(&self) -> bool {
        let named = self.extra.get("architectures").and_then(Value::as_array);
        let is_named = named.is_some_and(|names| names.iter().any(|name| name == WITH_TEACHER));
        self.is_deit() && (is_named || self.is_of_timm())
    }

    /// Whether files of this model are `timm`'s.
    fn is_of_timm(&self) -> bool {
        timm::is_kept(&self.extra)
    }

    /// What a file of `timm`'s says of class attention, which this model does not have.
    fn class_attention(&self) -> Option<timm::ClassAttention> {
        None
    }

    /// Tokens in front of the patches: the class token, and the distillation token of a DeiT.
    pub fn prefix_tokens(&self) -> usize {
        1 + usize::from(self.is_deit())
    }

    /// Outputs of the pooler that checkpoints of the bare model have.
    pub fn pooler_size(&self) -> usize {
        let size = self.extra.get("pooler_output_size").and_then(Value::as_u64);
        let size = size.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
        size.unwrap_or(self.hidden_size)
    }

    /// The probability that a layer's sub-layers are skipped.
    pub fn drop_path(&self, layer: usize) -> f64 {
        // One layer has the first one's rate, as PyTorch's `linspace` has it.
        let last = self.num_hidden_layers.saturating_sub(1).max(1);
        self.drop_path_rate * layer as f64 / last as f64
    }

    fn base(&self) -> &'static str {
        if self.is_deit() { "deit" } else { "vit" }
    }

    fn stack(&self) -> Stack {
        Stack {
            name: "encoder",
            path: if self.is_deit() {
                "deit.encoder.layer"
            } else {
                "vit.encoder.layer"
            },
        }
    }
}

impl FamilyConfig for VitConfig {
    fn validate(&self) -> Result<(), Error> {
        limits::sizes([
            ("hidden_size", self.hidden_size, limits::WIDTH),
            ("num_hidden_layers", self.num_hidden_layers, limits::LAYERS),
            ("num_attention_heads", self.num_attention_heads, limits::HEADS),
            ("intermediate_size", self.intermediate_size, limits::NEURONS),
            ("pooler_output_size", self.pooler_size(), limits::WIDTH),
        ])?;
        self.check_fields()
    }

    /// The parameters of `ViTForImageClassification`, `DeiTForImageClassification` or `…WithTeacher`; the pooler is optional.
    ///
    /// Names are those of the files: `transformers` 5 calls the modules in memory differently and translates. Tied as in
    /// the paper (§3.3): what reads the residual stream has columns `hidden`, what writes it has rows `hidden`, learned tokens and
    /// positions included; positions, the pixels of a patch and the classes never grow.
    fn table(&self) -> ParamTable {
        use Role::{Bias, NormBias, NormWeight, Token, Weight};
        let (h, base, layers) = (Axis::HIDDEN, self.base(), self.stack());
        let (one, width) = (Extent::Exactly(1), Extent::Axis(h));
        let mut rows = Rows::default();
        let emb = format!("{base}.embeddings");
        let tokens: &[&str] = if self.is_deit() {
            &["cls_token", "distillation_token"]
        } else {
            &["cls_token"]
        };
        for token in tokens {
            rows.one(format!("{emb}.{token}"), &[h], "embeddings", Token)
                .shaped(&[one, one, width]);
        }
        rows.one(
            format!("{emb}.position_embeddings"),
            &[Axis::POSITION, h],
            "embeddings",
            Token,
        )
        .shaped(&[one, Extent::Axis(Axis::POSITION), width]);
        let projection = format!("{emb}.patch_embeddings.projection");
        let [c, y, x] = self.patches().kernel();
        rows.one(format!("{projection}.weight"), &[h, Axis::PATCH], "embeddings", Weight)
            .shaped(&[width, c, y, x]);
        rows.one(format!("{projection}.bias"), &[h], "embeddings", Bias);
        for (path, out, input, module, bias) in [
            ("attention.attention.query", Axis::QUERY, h, "query", self.qkv_bias),
            ("attention.attention.key", Axis::KEY, h, "key", self.qkv_bias),
            ("attention.attention.value", Axis::VALUE, h, "value", self.qkv_bias),
            ("attention.output.dense", h, Axis::VALUE, "attention_out", true),
            ("intermediate.dense", Axis::FFN, h, "ffn_in", true),
            ("output.dense", h, Axis::FFN, "ffn_out", true),
        ] {
            rows.layered(layers, &format!("{path}.weight"), &[out, input], module, Weight);
            if bias {
                rows.layered(layers, &format!("{path}.bias"), &[out], module, Bias);
            }
        }
        for (path, module) in [("layernorm_before", "attention_norm"), ("layernorm_after", "ffn_norm")] {
            rows.layered(layers, &format!("{path}.weight"), &[h], module, NormWeight);
            rows.layered(layers, &format!("{path}.bias"), &[h], module, NormBias);
        }
        rows.one(format!("{base}.layernorm.weight"), &[h], "final_norm", NormWeight);
        rows.one(format!("{base}.layernorm.bias"), &[h], "final_norm", NormBias);
        let heads: &[&str] = if self.has_distillation_head() {
            &["cls_classifier", "distillation_classifier"]
        } else {
            &["classifier"]
        };
        for head in heads {
            rows.one(format!("{head}.weight"), &[Axis::CLASSES, h], "head", Weight);
            rows.one(format!("{head}.bias"), &[Axis::CLASSES], "head", Bias);
        }
        let pooler = format!("{base}.pooler.dense");
        rows.one(format!("{pooler}.weight"), &[Axis::POOLER, h], "pooler", Weight)
            .optional();
        rows.one(format!("{pooler}.bias"), &[Axis::POOLER], "pooler", Bias)
            .optional();

        if self.is_of_timm() {
            timm::stored_as_in_timm(&mut rows, base, layers);
        }

        let d = self.hidden_size;
        let patches = self.patches();
        let sizes = [
            (Axis::HIDDEN, d),
            (Axis::QUERY, d),
            (Axis::KEY, d),
            (Axis::VALUE, d),
            (Axis::FFN, self.intermediate_size),
            (Axis::POOLER, self.pooler_size()),
            (Axis::POSITION, patches.count() + self.prefix_tokens()),
            (Axis::PATCH, patches.numbers()),
            (Axis::CLASSES, self.labels()),
        ];
        let depths = [(layers.name, self.num_hidden_layers)];
        let prefix = if self.is_deit() { "deit." } else { "vit." };
        let width = d.checked_div(self.num_attention_heads).unwrap_or(1);
        let table = ParamTable::new(base, rows.0, sizes, depths, Vec::new())
            .with_units(head_units(width, 1))
            .with_activation(self.hidden_act)
            .with_norm(Norm {
                kind: NormKind::Layer,
                place: NormPlace::Before,
            });
        match self.is_of_timm() {
            true => table.with_fixed_epsilon(),
            false => table.with_base_prefix(prefix),
        }
    }

    fn sizes(&self) -> Sizes {
        let patches = self.patches();
        let heads = if self.has_distillation_head() { 2 } else { 1 };
        Sizes {
            patch: patches.numbers(),
            tokens: Some(patches.count() + self.prefix_tokens()),
            ..Sizes::plain(
                self.num_hidden_layers,
                self.hidden_size,
                self.num_attention_heads,
                self.intermediate_size,
                heads * self.labels(),
            )
        }
    }

    fn architecture(&self) -> Option<String> {
        if self.is_of_timm() {
            return None;
        }
        let class = match (self.is_deit(), self.has_distillation_head()) {
            (false, _) => "ViTForImageClassification",
            (true, false) => "DeiTForImageClassification",
            (true, true) => WITH_TEACHER,
        };
        Some(class.into())
    }

    fn max_sequence_tokens(&self) -> usize {
        self.patches().count() + self.prefix_tokens()
    }

    of_images!();

    with_epsilon!(layer_norm_eps);

    fn position_grid(&self) -> Option<PositionGrid> {
        Some(PositionGrid {
            tensor: format!("{}.embeddings.position_embeddings", self.base()),
            prefix: self.prefix_tokens(),
            grid: self.patches().grid(),
            filter: match self.is_of_timm() {
                true => Resample::Antialiased,
                false => Resample::Bicubic,
            },
        })
    }
}
