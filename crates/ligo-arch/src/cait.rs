use serde_json::{Map, json};

use crate::family::{FamilyConfig, Sizes, with_epsilon};
use crate::image::set_labels;
use crate::image_config::{image_config, of_images};
use crate::rows::{Rows, Stack};
use crate::settings::Setting;
use crate::unit::head_units;
use crate::{
    Axis, Error, Extent, HiddenAct, Init, Norm, NormKind, NormPlace, ParamTable, Patches, PositionGrid, Resample, Role,
    Sides, Task, Unit, defaults, limits, timm,
};

image_config! {
    /// `config.json` of a CaiT (Touvron et al., arXiv:2103.17239) as `timm`'s `Cait` computes it.
    ///
    /// `timm` describes a model by the name of an architecture and arguments of a Python function; its own `config.json` is read, and written again. The
    /// fields here are ours, in the words of `transformers`. Tensors are called and shaped exactly as in `timm`: its `model.safetensors` may also lie beside
    /// a `config.json` such as
    ///
    /// ```json
    /// {"model_type": "cait", "hidden_size": 192, "num_hidden_layers": 24, "num_attention_heads": 4, "intermediate_size": 768,
    ///  "init_values": 1e-5, "image_size": 224, "patch_size": 16, "num_labels": 1000}
    /// ```
    ///
    /// for `cait_xxs24_224` (`embed_dim`, `depth`, `num_heads`, `mlp_ratio · embed_dim`, …). A field with a default below may be left out.
    CaitConfig {
        /// Always `cait`.
        #[serde(default = "model_type")]
        pub model_type: String,
        /// Width D of the residual stream; `embed_dim`.
        pub hidden_size: usize,
        /// Layers in which patches attend to patches; `depth`.
        pub num_hidden_layers: usize,
        /// Layers in which the class token attends to all; `depth_token_only`.
        #[serde(default = "class_layers")]
        pub depth_token_only: usize,
        /// Attention heads; must divide `hidden_size`.
        pub num_attention_heads: usize,
        /// Neurons of a feed-forward layer; `int(mlp_ratio · embed_dim)`.
        pub intermediate_size: usize,
        /// The same in the class-attention layers, `int(mlp_ratio_token_only · embed_dim)`; as `intermediate_size` when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub intermediate_size_token_only: Option<usize>,
        /// Activation function.
        #[serde(default)]
        pub hidden_act: HiddenAct,
        /// Initial value of every factor of LayerScale; 1e-5 up to depth 24 in the paper, 1e-6 at 36.
        #[serde(default = "layer_scale")]
        pub init_values: f64,
        /// Whether queries, keys and values have a bias.
        #[serde(default = "defaults::yes")]
        pub qkv_bias: bool,
    } {}
    epsilon = 1e-6
}

/// Patches attend to patches.
const BLOCKS: Stack = Stack {
    name: "blocks",
    path: "blocks",
};

/// The class token attends to all.
const CLASS_BLOCKS: Stack = Stack {
    name: "blocks_token_only",
    path: "blocks_token_only",
};

fn model_type() -> String {
    "cait".into()
}
fn class_layers() -> usize {
    2
}
fn layer_scale() -> f64 {
    1e-5
}
impl CaitConfig {
    /// A CaiT for 224-pixel images and 16-pixel patches, with the defaults of `timm`'s `cait_*24` models.
    pub fn new(hidden_size: usize, num_hidden_layers: usize, num_attention_heads: usize, labels: usize) -> Self {
        let mut extra = Map::new();
        set_labels(&mut extra, labels);
        Self {
            model_type: model_type(),
            hidden_size,
            num_hidden_layers,
            depth_token_only: class_layers(),
            num_attention_heads,
            intermediate_size: 4 * hidden_size,
            intermediate_size_token_only: None,
            hidden_act: HiddenAct::Gelu,
            init_values: layer_scale(),
            qkv_bias: true,
            extra,
            ..Self::usual()
        }
    }

    /// Neurons of a feed-forward layer behind class attention.
    pub fn class_ffn(&self) -> usize {
        self.intermediate_size_token_only.unwrap_or(self.intermediate_size)
    }

    /// What a file of `timm`'s says of class attention.
    fn class_attention(&self) -> Option<timm::ClassAttention> {
        Some(timm::ClassAttention {
            depth: self.depth_token_only,
            neurons: self.class_ffn(),
            init_values: self.init_values,
        })
    }
}

impl FamilyConfig for CaitConfig {
    fn validate(&self) -> Result<(), Error> {
        limits::sizes([
            ("hidden_size", self.hidden_size, limits::WIDTH),
            ("num_hidden_layers", self.num_hidden_layers, limits::LAYERS),
            ("depth_token_only", self.depth_token_only, limits::LAYERS),
            ("num_attention_heads", self.num_attention_heads, limits::HEADS),
            ("intermediate_size", self.intermediate_size, limits::NEURONS),
            ("intermediate_size_token_only", self.class_ffn(), limits::NEURONS),
        ])?;
        limits::deviation("init_values", self.init_values)?;
        self.check_fields()
    }

    /// The parameters of `timm`'s `Cait`.
    ///
    /// The two stacks share nothing but the residual stream: class attention has axes and depth coefficients of its own. The
    /// matrices that mix heads (talking heads, Shazeer et al., arXiv:2003.02436) read and write `heads`, before and behind the softmax alike:
    /// head `i` means the same in queries, keys and values, so one matrix says which large head comes from which small ones.
    fn table(&self) -> ParamTable {
        use Role::{Bias, NormWeight, Scale, Token, Weight};
        let h = Axis::HIDDEN;
        let (one, width) = (Extent::Exactly(1), Extent::Axis(h));
        let mut rows = Rows::default();
        rows.one("cls_token", &[h], "embeddings", Token)
            .shaped(&[one, one, width]);
        rows.one("pos_embed", &[Axis::POSITION, h], "embeddings", Token)
            .shaped(&[one, Extent::Axis(Axis::POSITION), width]);
        let [c, y, x] = self.patches().kernel();
        rows.one("patch_embed.proj.weight", &[h, Axis::PATCH], "embeddings", Weight)
            .shaped(&[width, c, y, x]);
        rows.one("patch_embed.proj.bias", &[h], "embeddings", Bias);

        let parts = [Axis::QUERY, Axis::KEY, Axis::VALUE];
        for (part, module) in ["query", "key", "value"].into_iter().enumerate() {
            let fused = |end: &str| BLOCKS.template(&format!("attn.qkv.{end}"));
            let name = format!("attn.qkv.{module}");
            rows.layered(BLOCKS, &format!("{name}.weight"), &[parts[part], h], module, Weight)
                .part(fused("weight"), &parts, part, false);
            if self.qkv_bias {
                rows.layered(BLOCKS, &format!("{name}.bias"), &[parts[part]], module, Bias)
                    .part(fused("bias"), &parts, part, false);
            }
        }
        for (path, out, input, module) in [
            ("attn.proj", h, Axis::VALUE, "attention_out"),
            ("attn.proj_l", Axis::HEADS, Axis::HEADS, "heads_of_scores"),
            ("attn.proj_w", Axis::HEADS, Axis::HEADS, "heads_of_weights"),
            ("mlp.fc1", Axis::FFN, h, "ffn_in"),
            ("mlp.fc2", h, Axis::FFN, "ffn_out"),
        ] {
            rows.layered(BLOCKS, &format!("{path}.weight"), &[out, input], module, Weight);
            rows.layered(BLOCKS, &format!("{path}.bias"), &[out], module, Bias);
        }
        for (path, out, input, module, bias) in [
            ("attn.q", Axis::CLASS_QUERY, h, "query", self.qkv_bias),
            ("attn.k", Axis::CLASS_KEY, h, "key", self.qkv_bias),
            ("attn.v", Axis::CLASS_VALUE, h, "value", self.qkv_bias),
            ("attn.proj", h, Axis::CLASS_VALUE, "attention_out", true),
            ("mlp.fc1", Axis::CLASS_FFN, h, "ffn_in", true),
            ("mlp.fc2", h, Axis::CLASS_FFN, "ffn_out", true),
        ] {
            rows.layered(CLASS_BLOCKS, &format!("{path}.weight"), &[out, input], module, Weight);
            if bias {
                rows.layered(CLASS_BLOCKS, &format!("{path}.bias"), &[out], module, Bias);
            }
        }
        for stack in [BLOCKS, CLASS_BLOCKS] {
            norm(&mut rows, stack, "norm1", "attention_norm");
            norm(&mut rows, stack, "norm2", "ffn_norm");
            let start = Init::Constant(self.init_values);
            for (path, module) in [("gamma_1", "attention_scale"), ("gamma_2", "ffn_scale")] {
                rows.layered(stack, path, &[h], module, Scale).init(start);
            }
        }
        rows.one("norm.weight", &[h], "final_norm", NormWeight);
        rows.one("norm.bias", &[h], "final_norm", Role::NormBias);
        rows.one("head.weight", &[Axis::CLASSES, h], "head", Weight);
        rows.one("head.bias", &[Axis::CLASSES], "head", Bias);

        let d = self.hidden_size;
        let patches = self.patches();
        let sizes = [
            (Axis::HIDDEN, d),
            (Axis::QUERY, d),
            (Axis::KEY, d),
            (Axis::VALUE, d),
            (Axis::HEADS, self.num_attention_heads),
            (Axis::FFN, self.intermediate_size),
            (Axis::CLASS_QUERY, d),
            (Axis::CLASS_KEY, d),
            (Axis::CLASS_VALUE, d),
            (Axis::CLASS_FFN, self.class_ffn()),
            (Axis::POSITION, patches.count()),
            (Axis::PATCH, patches.numbers()),
            (Axis::CLASSES, self.labels()),
        ];
        let depths = [
            (BLOCKS.name, self.num_hidden_layers),
            (CLASS_BLOCKS.name, self.depth_token_only),
        ];
        let width = d.checked_div(self.num_attention_heads).unwrap_or(1);
        let in_class_attention = Unit {
            set: "class_heads",
            block: width,
        };
        let class_axes = [Axis::CLASS_QUERY, Axis::CLASS_KEY, Axis::CLASS_VALUE];
        let mixed = Unit { set: "heads", block: 1 };
        let table = ParamTable::new("cait", rows.0, sizes, depths, Vec::new())
            .with_units(head_units(width, 1))
            .with_activation(self.hidden_act)
            .with_norm(Norm {
                kind: NormKind::Layer,
                place: NormPlace::Before,
            })
            .with_units([(Axis::HEADS, mixed)])
            .with_units(class_axes.map(|axis| (axis, in_class_attention)));
        match timm::is_kept(&self.extra) {
            true => table.with_fixed_epsilon(),
            false => table,
        }
    }

    fn sizes(&self) -> Sizes {
        let patches = self.patches();
        Sizes {
            class_layers: self.depth_token_only,
            patch: patches.numbers(),
            tokens: Some(patches.count()),
            ..Sizes::plain(
                self.num_hidden_layers,
                self.hidden_size,
                self.num_attention_heads,
                self.intermediate_size,
                self.labels(),
            )
        }
    }

    fn architecture(&self) -> Option<String> {
        None
    }

    fn max_sequence_tokens(&self) -> usize {
        self.patches().count()
    }

    of_images!();

    with_epsilon!(layer_norm_eps);

    fn position_grid(&self) -> Option<PositionGrid> {
        Some(PositionGrid {
            tensor: "pos_embed".into(),
            prefix: 0,
            grid: self.patches().grid(),
            filter: Resample::Antialiased,
        })
    }
}

fn norm(rows: &mut Rows, stack: Stack, path: &str, module: &'static str) {
    let h = [Axis::HIDDEN];
    rows.layered(stack, &format!("{path}.weight"), &h, module, Role::NormWeight);
    rows.layered(stack, &format!("{path}.bias"), &h, module, Role::NormBias);
}
