//! What a `config.json` of `timm` says: the arguments of its constructors.

use serde_json::{Map, Value, json};

use super::architectures::{Architecture, Kind};
use crate::{Error, HiddenAct};

/// ε of every normalization; no argument that JSON could hold says another one.
pub(crate) const EPSILON: f64 = 1e-6;

/// The arguments that decide sizes and function, as far as they may differ here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Arguments {
    pub embed_dim: usize,
    pub depth: usize,
    pub num_heads: usize,
    /// `int(embed_dim · mlp_ratio)`.
    pub neurons: usize,
    /// `[height, width]`.
    pub patch_size: [usize; 2],
    /// `[height, width]`.
    pub img_size: [usize; 2],
    pub in_chans: usize,
    pub num_classes: usize,
    pub qkv_bias: bool,
    pub act: HiddenAct,
    pub attn_drop_rate: f64,
    pub drop_path_rate: f64,
    /// Of a CaiT.
    pub class_attention: Option<ClassAttention>,
}

/// What a CaiT has besides.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClassAttention {
    pub depth: usize,
    /// `int(embed_dim · mlp_ratio_token_only)`.
    pub neurons: usize,
    /// Start of LayerScale.
    pub init_values: f64,
}

/// Activations, by `timm`'s names and ours.
const ACTIVATIONS: [(&str, HiddenAct); 4] = [
    ("gelu", HiddenAct::Gelu),
    ("gelu_tanh", HiddenAct::GeluNew),
    ("quick_gelu", HiddenAct::QuickGelu),
    ("relu", HiddenAct::Relu),
];

/// Arguments that are read.
const READ: [&str; 12] = [
    "img_size",
    "patch_size",
    "in_chans",
    "num_classes",
    "embed_dim",
    "depth",
    "num_heads",
    "mlp_ratio",
    "qkv_bias",
    "act_layer",
    "attn_drop_rate",
    "drop_path_rate",
];
const READ_OF_CAIT: [&str; 3] = ["depth_token_only", "mlp_ratio_token_only", "init_values"];

/// Arguments that say how fresh weights are drawn, or what sizes of images are refused.
const WITHOUT_EFFECT: [&str; 4] = ["weight_init", "fix_init", "dynamic_img_size", "dynamic_img_pad"];

/// Arguments that may be there with the one value that is computed here; written as JSON.
const FIXED: [(&str, &str); 18] = [
    ("global_pool", "\"token\""),
    ("norm_layer", "\"layernorm\""),
    ("qk_norm", "false"),
    ("scale_attn_norm", "false"),
    ("scale_mlp_norm", "false"),
    ("proj_bias", "true"),
    ("init_values", "null"),
    ("class_token", "true"),
    ("pos_embed", "\"learn\""),
    ("no_embed_class", "false"),
    ("reg_tokens", "0"),
    ("pre_norm", "false"),
    ("final_norm", "true"),
    ("fc_norm", "false"),
    ("pool_include_prefix", "false"),
    ("drop_rate", "0"),
    ("pos_drop_rate", "0"),
    ("proj_drop_rate", "0"),
];

fn wrong(argument: &str, found: &Value, expected: impl Into<String>) -> Error {
    Error::TimmArgument {
        argument: argument.into(),
        found: found.to_string(),
        expected: expected.into(),
    }
}

/// The three places where `timm` finds an argument.
struct Places<'a> {
    top: &'a Map<String, Value>,
    arguments: Option<&'a Map<String, Value>>,
    pretrained: &'a Map<String, Value>,
}

fn object<'a>(of: &'a Map<String, Value>, key: &str) -> Option<&'a Map<String, Value>> {
    of.get(key).and_then(Value::as_object)
}

impl<'a> Places<'a> {
    fn of(top: &'a Map<String, Value>) -> Self {
        Self {
            top,
            arguments: object(top, "model_args"),
            // In older files the whole is what newer ones have there.
            pretrained: object(top, "pretrained_cfg").unwrap_or(top),
        }
    }

    fn argument(&self, name: &str) -> Option<&'a Value> {
        self.arguments?.get(name).filter(|value| !value.is_null())
    }

    fn count(&self, name: &str, usual: usize) -> Result<usize, Error> {
        self.argument(name).map_or(Ok(usual), |value| whole(name, value))
    }

    fn number(&self, name: &str, usual: f64) -> Result<f64, Error> {
        let Some(value) = self.argument(name) else {
            return Ok(usual);
        };
        value.as_f64().ok_or_else(|| wrong(name, value, "a number"))
    }

    fn flag(&self, name: &str, usual: bool) -> Result<bool, Error> {
        let Some(value) = self.argument(name) else {
            return Ok(usual);
        };
        value.as_bool().ok_or_else(|| wrong(name, value, "true or false"))
    }

    /// `[channels, height, width]` of pretraining.
    fn input(&self) -> Result<Option<[usize; 3]>, Error> {
        let Some(value) = self.pretrained.get("input_size").filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let sizes: Option<Vec<usize>> = value.as_array().and_then(|sizes| {
            let each = sizes
                .iter()
                .map(|size| size.as_u64().and_then(|size| size.try_into().ok()));
            each.collect()
        });
        let sizes = sizes.and_then(|sizes| sizes.try_into().ok());
        sizes
            .ok_or_else(|| wrong("input_size", value, "three whole numbers"))
            .map(Some)
    }

    fn sides(&self, name: &str, usual: [usize; 2]) -> Result<[usize; 2], Error> {
        let Some(value) = self.argument(name) else {
            return Ok(usual);
        };
        match value.as_array().map(Vec::as_slice) {
            Some([height, width]) => Ok([whole(name, height)?, whole(name, width)?]),
            Some(_) => Err(wrong(name, value, "one whole number or two")),
            None => whole(name, value).map(|side| [side, side]),
        }
    }

    fn activation(&self) -> Result<HiddenAct, Error> {
        let Some(value) = self.argument("act_layer") else {
            return Ok(HiddenAct::Gelu);
        };
        let known = ACTIVATIONS.iter().find(|(name, _)| value.as_str() == Some(name));
        known.map(|(_, act)| *act).ok_or_else(|| {
            let names = ACTIVATIONS.map(|(name, _)| name).join(", ");
            wrong("act_layer", value, format!("one of {names}"))
        })
    }

    fn classes(&self) -> Result<usize, Error> {
        let places = [
            self.argument("num_classes"),
            self.top.get("num_classes"),
            self.pretrained.get("num_classes"),
        ];
        let said = places.into_iter().flatten().find(|value| !value.is_null());
        let Some(value) = said else { return Ok(1000) };
        match whole("num_classes", value)? {
            0 => Err(wrong(
                "num_classes",
                value,
                "at least 1: a model without a head is not read; timm.create_model(…, num_classes=N) adds one",
            )),
            classes => Ok(classes),
        }
    }

    /// Refuses what would compute something else.
    fn check(&self, kind: Kind) -> Result<(), Error> {
        let pools = [self.top.get("global_pool"), self.pretrained.get("global_pool")];
        for pool in pools.into_iter().flatten().filter(|pool| !pool.is_null()) {
            if pool != "token" {
                return Err(wrong("global_pool", pool, "\"token\""));
            }
        }
        for (name, value) in self.arguments.into_iter().flatten().filter(|(_, v)| !v.is_null()) {
            let is_read = READ.contains(&name.as_str()) && (kind != Kind::Cait || name != "act_layer");
            let of_cait = kind == Kind::Cait && READ_OF_CAIT.contains(&name.as_str());
            if is_read || of_cait || WITHOUT_EFFECT.contains(&name.as_str()) {
                continue;
            }
            let Some((_, only)) = FIXED.iter().find(|(fixed, _)| fixed == name) else {
                return Err(wrong(name, value, "no such argument"));
            };
            let allowed: Value = serde_json::from_str(only).unwrap_or(Value::Null);
            let is_same = match (value.as_f64(), allowed.as_f64()) {
                (Some(value), Some(allowed)) => value == allowed,
                _ => *value == allowed,
            };
            if !is_same {
                return Err(wrong(name, value, format!("{only}, or nothing")));
            }
        }
        Ok(())
    }
}

fn whole(name: &str, value: &Value) -> Result<usize, Error> {
    let number = value.as_u64().and_then(|n| usize::try_from(n).ok());
    number.ok_or_else(|| wrong(name, value, "a whole number"))
}

/// Python's `int(width * ratio)`.
fn neurons(name: &str, width: usize, ratio: f64) -> Result<usize, Error> {
    let neurons = width as f64 * ratio;
    if neurons.is_finite() && (0.0..1e12).contains(&neurons) {
        return Ok(neurons as usize);
    }
    Err(wrong(name, &json!(ratio), "a positive number"))
}

/// A ratio from which `int(width * ratio)` gives so many neurons.
fn ratio(neurons: usize, width: usize) -> f64 {
    let plain = neurons as f64 / width.max(1) as f64;
    // Rounded down, the product may miss the number by a last digit.
    let mut near = [plain, plain.next_up(), plain.next_up().next_up()].into_iter();
    near.find(|ratio| (width as f64 * ratio) as usize == neurons)
        .unwrap_or(plain)
}

impl Arguments {
    /// Those of a file of this architecture.
    pub(super) fn of(top: &Map<String, Value>, usual: Architecture) -> Result<Self, Error> {
        let places = Places::of(top);
        places.check(usual.kind)?;
        let input = places.input()?;
        // A file that does not fix the size is read at the constructor's.
        let fixes = places.pretrained.get("fixed_input_size") == Some(&Value::Bool(true));
        let image = input.filter(|_| fixes).map_or([224, 224], |[_, y, x]| [y, x]);
        let embed_dim = places.count("embed_dim", usual.width)?;
        let wide = |name, usual| neurons(name, embed_dim, places.number(name, usual)?);
        let class_attention = match usual.kind {
            Kind::Cait => Some(ClassAttention {
                depth: places.count("depth_token_only", 2)?,
                neurons: wide("mlp_ratio_token_only", 4.0)?,
                init_values: places.number("init_values", usual.scale)?,
            }),
            Kind::Vit | Kind::Distilled => None,
        };
        Ok(Self {
            embed_dim,
            depth: places.count("depth", usual.layers)?,
            num_heads: places.count("num_heads", usual.heads)?,
            neurons: wide("mlp_ratio", usual.ratio)?,
            patch_size: places.sides("patch_size", [usual.patch; 2])?,
            img_size: places.sides("img_size", image)?,
            in_chans: places.count("in_chans", input.map_or(3, |[channels, ..]| channels))?,
            num_classes: places.classes()?,
            qkv_bias: places.flag("qkv_bias", true)?,
            act: places.activation()?,
            attn_drop_rate: places.number("attn_drop_rate", 0.0)?,
            drop_path_rate: places.number("drop_path_rate", 0.0)?,
            class_attention,
        })
    }

    /// Changes a file so that these are its arguments; what it says already stays as it is.
    pub(super) fn write(&self, top: &mut Map<String, Value>, usual: Architecture) -> Result<(), Error> {
        self.write_pretrained(top, usual)?;
        let now = Self::of(top, usual)?;
        let side = |[height, width]: [usize; 2]| match height == width {
            true => json!(height),
            false => json!([height, width]),
        };
        let mut changes: Vec<(&str, Value)> = Vec::new();
        let mut change = |name, is_said: bool, value: Value| {
            if !is_said {
                changes.push((name, value));
            }
        };
        change("embed_dim", now.embed_dim == self.embed_dim, json!(self.embed_dim));
        change("depth", now.depth == self.depth, json!(self.depth));
        change("num_heads", now.num_heads == self.num_heads, json!(self.num_heads));
        change("img_size", now.img_size == self.img_size, side(self.img_size));
        change("patch_size", now.patch_size == self.patch_size, side(self.patch_size));
        change("in_chans", now.in_chans == self.in_chans, json!(self.in_chans));
        change(
            "num_classes",
            now.num_classes == self.num_classes,
            json!(self.num_classes),
        );
        change("qkv_bias", now.qkv_bias == self.qkv_bias, json!(self.qkv_bias));
        let act = ACTIVATIONS.iter().find(|(_, act)| *act == self.act);
        change("act_layer", now.act == self.act, json!(act.map(|(name, _)| name)));
        for (name, before, after) in [
            ("attn_drop_rate", now.attn_drop_rate, self.attn_drop_rate),
            ("drop_path_rate", now.drop_path_rate, self.drop_path_rate),
        ] {
            change(name, before == after, json!(after));
        }
        // What a ratio gives depends on the width that is written before it.
        insert(top, &changes)?;
        let now = Self::of(top, usual)?;
        let wide = |neurons| json!(ratio(neurons, self.embed_dim));
        let mut changes = Vec::new();
        if now.neurons != self.neurons {
            changes.push(("mlp_ratio", wide(self.neurons)));
        }
        if let (Some(now), Some(wanted)) = (&now.class_attention, &self.class_attention) {
            if now.depth != wanted.depth {
                changes.push(("depth_token_only", json!(wanted.depth)));
            }
            if now.neurons != wanted.neurons {
                changes.push(("mlp_ratio_token_only", wide(wanted.neurons)));
            }
            if now.init_values != wanted.init_values {
                changes.push(("init_values", json!(wanted.init_values)));
            }
        }
        insert(top, &changes)
    }

    /// What stands outside of the arguments: classes, the width of features, the size of images.
    fn write_pretrained(&self, top: &mut Map<String, Value>, usual: Architecture) -> Result<(), Error> {
        let before = Self::of(top, usual)?;
        if top.contains_key("num_features") || before.embed_dim != self.embed_dim {
            top.insert("num_features".into(), json!(self.embed_dim));
        }
        let classes = before.num_classes != self.num_classes;
        if classes {
            top.insert("num_classes".into(), json!(self.num_classes));
            for names in ["label_names", "label_descriptions"] {
                top.remove(names);
            }
        }
        let pretrained = match top.get_mut("pretrained_cfg").and_then(Value::as_object_mut) {
            Some(pretrained) => pretrained,
            None => top,
        };
        if classes && pretrained.contains_key("num_classes") {
            pretrained.insert("num_classes".into(), json!(self.num_classes));
        }
        if before.img_size != self.img_size && pretrained.contains_key("input_size") {
            let [height, width] = self.img_size;
            pretrained.insert("input_size".into(), json!([self.in_chans, height, width]));
        }
        Ok(())
    }
}

fn insert(top: &mut Map<String, Value>, changes: &[(&str, Value)]) -> Result<(), Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let arguments = top.entry("model_args").or_insert_with(|| json!({}));
    if arguments.is_null() {
        *arguments = json!({});
    }
    let Some(arguments) = arguments.as_object_mut() else {
        return Err(wrong("model_args", arguments, "an object"));
    };
    for (name, value) in changes {
        arguments.insert((*name).into(), value.clone());
    }
    Ok(())
}
