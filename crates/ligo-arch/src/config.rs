use serde_json::{Map, Value};

use crate::family::FamilyConfig;
use crate::settings::{Change, Setting};
use crate::words::in_words;
use crate::{
    AlbertConfig, BertConfig, CaitConfig, DistilBertConfig, ElectraConfig, Error, GemmaConfig, Gpt2Config,
    GptNeoxConfig, LlamaConfig, ModernBertConfig, OptConfig, ParamTable, Patches, PositionGrid, Sides, Sizes, Task,
    VitConfig,
};
use crate::{LayerType, gemma, layer_types, llama, timm};

/// The families: variant, type of the configuration, `model_type`s that it reads.
macro_rules! families {
    ($($(#[$doc:meta])* $variant:ident($config:ty) = $name:literal $(| $more:literal)*),+ $(,)?) => {
        /// The configuration of a model of any family: what `config.json` says.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(clippy::large_enum_variant, reason = "a program holds a handful of them")]
        pub enum ModelConfig {
            $($(#[$doc])* $variant($config)),+
        }

        impl ModelConfig {
            /// Every `model_type` that can be read.
            pub const MODEL_TYPES: &'static [&'static str] = &[$($name $(, $more)*),+];

            fn family(&self) -> &dyn FamilyConfig {
                match self {
                    $(Self::$variant(c) => c),+
                }
            }

            fn under_head(&self, task: Task) -> Result<Option<Self>, Error> {
                match self {
                    $(Self::$variant(c) => Ok(c.with_task(task)?.map(Self::$variant))),+
                }
            }

            fn with_image(&self, image: Sides) -> Option<Self> {
                match self {
                    $(Self::$variant(c) => c.with_image(image).map(Self::$variant)),+
                }
            }

            /// The same model with another ε, which some growth operators ask for.
            pub fn with_norm_epsilon(&self, epsilon: f64) -> Self {
                match self {
                    $(Self::$variant(c) => Self::$variant(c.with_norm_epsilon(epsilon))),+
                }
            }

            fn parse(model_type: &str, json: &Value) -> Result<Self, Error> {
                match model_type {
                    $($name $(| $more)* => Ok(Self::$variant(parse(model_type, json)?)),)+
                    other => Err(Error::UnknownModelType {
                        found: other.into(),
                        known: Self::MODEL_TYPES.join(", "),
                    }),
                }
            }

            /// The content of `config.json`, fields that `ligo` does not know included.
            pub fn to_json(&self) -> Value {
                // A struct of plain fields always serializes.
                let mut json = match self {
                    $(Self::$variant(c) => serde_json::to_value(c).unwrap_or(Value::Null)),+
                };
                // The number of layers may have been changed since it was read. A list that cannot follow stays, and is refused when it is read again.
                let _ = layer_types::follow_depth(&mut json);
                json
            }

            /// `model_type`.
            pub fn model_type(&self) -> &str {
                match self {
                    $(Self::$variant(c) => &c.model_type),+
                }
            }
        }
    };
}

families! {
    /// BERT and RoBERTa, which differ in positions, heads and names, and what is called otherwise than RoBERTa.
    Bert(BertConfig) = "bert" | "roberta" | "xlm-roberta" | "camembert",
    /// ModernBERT.
    ModernBert(ModernBertConfig) = "modernbert",
    /// DistilBERT.
    DistilBert(DistilBertConfig) = "distilbert",
    /// ALBERT.
    Albert(AlbertConfig) = "albert",
    /// ELECTRA, under the head of its discriminator or its generator.
    Electra(ElectraConfig) = "electra",
    /// ViT, and DeiT, which is a ViT with a distillation token.
    Vit(VitConfig) = "vit" | "deit",
    /// CaiT.
    Cait(CaitConfig) = "cait",
    /// GPT-2.
    Gpt2(Gpt2Config) = "gpt2",
    /// GPT-NeoX, the family of Pythia.
    GptNeox(GptNeoxConfig) = "gpt_neox",
    /// OPT.
    Opt(OptConfig) = "opt",
    /// Llama, and those that differ from it in biases, norms, rotations, names, defaults and experts.
    Llama(LlamaConfig) = "llama" | "mistral" | "mixtral" | "qwen2" | "qwen3" | "qwen3_moe" | "smollm3" | "phi3" | "olmo2",
    /// Gemma, and Gemma 2 and the text of Gemma 3, which add norms, windows and caps to it.
    Gemma(GemmaConfig) = "gemma" | "gemma2" | "gemma3_text",
}

impl ModelConfig {
    /// Reads the content of a Hugging Face `config.json`, or of one of `timm`'s, which names an `architecture` and no `model_type`.
    ///
    /// # Errors
    /// The family is missing or unknown, a field has the wrong type, sizes contradict each other, or a
    /// feature is asked for that is not supported.
    pub fn from_json(json: &Value) -> Result<Self, Error> {
        if timm::is_one(json) {
            return Self::from_json(&timm::translated(json)?);
        }
        let model_type = json.get("model_type").and_then(Value::as_str);
        let model_type = model_type.ok_or_else(|| Error::NoModelType {
            known: Self::MODEL_TYPES.join(", "),
        })?;
        let mut json = json.clone();
        llama::complete(model_type, &mut json);
        gemma::complete(model_type, &mut json);
        layer_types::follow_depth(&mut json)?;
        let config = Self::parse(model_type, &json)?;
        config.validate()?;
        Ok(config)
    }

    /// The content of `config.json` beside weights: [`ModelConfig::to_json`], or `timm`'s own where the model came from a folder of `timm`'s.
    pub fn to_file(&self) -> Value {
        let written = match self {
            Self::Vit(c) => timm::written(&c.extra, &c.timm_arguments()),
            Self::Cait(c) => timm::written(&c.extra, &c.timm_arguments()),
            _ => None,
        };
        written.unwrap_or_else(|| self.to_json())
    }

    /// Whether files of this model are `timm`'s: `config.json` and the names of tensors.
    pub fn is_of_timm(&self) -> bool {
        match self {
            Self::Vit(c) => timm::is_kept(&c.extra),
            Self::Cait(c) => timm::is_kept(&c.extra),
            _ => false,
        }
    }

    /// The same model of images with these names for its classes, where it has as many and none of them has a name.
    #[must_use]
    pub fn with_class_names(&self, names: &[String]) -> Self {
        let is_nameless = self.task() == Task::ImageClassification { labels: names.len() };
        let mut json = self.to_json();
        let fields = json
            .as_object_mut()
            .filter(|fields| is_nameless && !fields.contains_key("id2label"));
        let Some(fields) = fields else { return self.clone() };
        fields.remove("num_labels");
        let numbered = || names.iter().enumerate();
        let by_number: Map<String, Value> = numbered()
            .map(|(i, name)| (i.to_string(), name.as_str().into()))
            .collect();
        let by_name: Map<String, Value> = numbered().map(|(i, name)| (name.clone(), i.into())).collect();
        fields.insert("id2label".into(), by_number.into());
        fields.insert("label2id".into(), by_name.into());
        Self::from_json(&json).unwrap_or_else(|_| self.clone())
    }

    /// Checks sizes and features.
    ///
    /// # Errors
    /// As for [`ModelConfig::from_json`].
    pub fn validate(&self) -> Result<(), Error> {
        self.family().validate()
    }

    /// The parameters.
    pub fn table(&self) -> ParamTable {
        self.family().table()
    }

    /// What the model is trained to predict.
    pub fn task(&self) -> Task {
        self.family().task()
    }

    /// The same model without its head, under a fresh head for this task. See [`Transfer`](crate::Transfer) for the
    /// parameters.
    ///
    /// # Errors
    /// The family has no such head, or not with so many classes.
    pub fn with_task(&self, task: Task) -> Result<Self, Error> {
        if task == self.task() {
            return Ok(self.clone());
        }
        self.under_head(task)?.ok_or_else(|| Error::NoSuchTask {
            model_type: self.model_type().into(),
            task,
        })
    }

    /// The class of the reference library that computes what is computed here, such as `GPT2LMHeadModel`: what `architectures` says of a model without
    /// other heads. `None` where the reference has no names (CaiT).
    pub fn architecture(&self) -> Option<String> {
        self.family().architecture()
    }

    /// What decides the function beside the sizes; see [`ModelConfig::changes_to`].
    fn settings(&self) -> Vec<Setting> {
        self.family().settings()
    }

    /// The settings, no sizes, that a model of the same family changes: activation, biases, ε, the base of a rotation, the window of attention, padding.
    pub fn changes_to(&self, other: &Self) -> Vec<Change> {
        if self.model_type() != other.model_type() {
            return Vec::new();
        }
        let pairs = self.settings().into_iter().zip(other.settings());
        pairs
            .filter(|((_, from), (_, to))| from != to)
            .map(|((field, from), (_, to))| Change { field, from, to })
            .collect()
    }

    /// The sizes that the model's arithmetic depends on.
    pub fn sizes(&self) -> Sizes {
        self.family().sizes()
    }

    /// How far the attention of each layer sees, where the layers of the family may differ in that.
    pub fn layer_types(&self) -> Option<Vec<LayerType>> {
        self.family().layer_types()
    }

    /// The vocabulary size; 0 for models of images.
    pub fn vocab_size(&self) -> usize {
        self.family().vocab_size()
    }

    /// The longest sequence the model can read.
    pub fn max_sequence_tokens(&self) -> usize {
        self.family().max_sequence_tokens()
    }

    /// Channels, height and width of the images that the model reads; none for models of text.
    pub fn image_shape(&self) -> Option<[usize; 3]> {
        self.patches().map(|p| [p.channels, p.image[0], p.image[1]])
    }

    /// Standard deviation of freshly initialized matrices.
    pub fn initializer_range(&self) -> f64 {
        self.family().initializer_range()
    }

    /// ε of the model's normalizations.
    pub fn norm_epsilon(&self) -> f64 {
        self.family().norm_epsilon()
    }

    /// How the model cuts images into tokens; `None` for models of text.
    pub fn patches(&self) -> Option<Patches> {
        self.family().patches()
    }

    /// The position table of a model of images; `None` for models of text.
    pub fn position_grid(&self) -> Option<PositionGrid> {
        self.family().position_grid()
    }

    /// The same model for images as large as those of `wanted`; models of text stay as they are.
    ///
    /// Only the position table changes: [`PositionGrid::resample`] makes the new one.
    ///
    /// # Errors
    /// The patches do not fill such an image.
    pub fn at_resolution_of(&self, wanted: &Self) -> Result<Self, Error> {
        let sides = wanted
            .image_shape()
            .map(|[_, height, width]| Sides::of([height, width]));
        let Some(config) = sides.and_then(|sides| self.with_image(sides)) else {
            return Ok(self.clone());
        };
        config.validate()?;
        Ok(config)
    }
}

fn parse<T: serde::de::DeserializeOwned>(model_type: &str, json: &Value) -> Result<T, Error> {
    serde_path_to_error::deserialize(json).map_err(|error| {
        let place = error.path().to_string();
        let reason = in_words(&error.inner().to_string());
        let reason = match place.as_str() {
            // What is missing, or not an object at all, has no place; what is missing is named by the reason.
            "." => reason,
            field => format!("field `{field}`: {reason}"),
        };
        // Some reasons quote the file.
        let escaped = |c: char| {
            if c.is_control() {
                c.escape_debug().to_string()
            } else {
                c.into()
            }
        };
        Error::Invalid {
            model_type: model_type.into(),
            reason: reason.chars().map(escaped).collect(),
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn classes_get_their_names_where_they_have_none() {
        let with = |field: &str, value: Value| {
            let mut json = ModelConfig::example("vit").unwrap().to_json();
            json.as_object_mut().unwrap().remove("num_labels");
            json[field] = value;
            ModelConfig::from_json(&json).unwrap()
        };
        let names = ["cat".to_owned(), "dog".to_owned()];
        let named = with("num_labels", 2.into()).with_class_names(&names).to_json();
        assert_eq!(named["id2label"], json!({"0": "cat", "1": "dog"}));
        assert_eq!(named["label2id"], json!({"cat": 0, "dog": 1}));
        assert_eq!(named.get("num_labels"), None);
        for other in [
            with("num_labels", 3.into()),
            with("id2label", json!({"0": "a", "1": "b"})),
        ] {
            assert_eq!(other.with_class_names(&names), other);
        }
        let text = ModelConfig::example("gpt2").unwrap();
        assert_eq!(text.with_class_names(&names), text);
    }
}
