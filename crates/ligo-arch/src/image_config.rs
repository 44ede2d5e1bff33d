//! What the configurations of models of images are made of alike.

/// A configuration with fields of its own in front of and behind those that all of these models have, and what makes and checks them. `epsilon` is the
/// default of ε.
macro_rules! image_config {
    ($(#[$about:meta])* $name:ident { $($(#[$front_about:meta])* pub $front:ident: $front_type:ty,)* } { $($(#[$behind_about:meta])* pub $behind:ident: $behind_type:ty,)* } epsilon = $epsilon:expr) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        pub struct $name {
            $($(#[$front_about])* pub $front: $front_type,)*
            /// Dropout on embeddings and on the output of each sub-layer; of a CaiT's class-attention layers none has any.
            #[serde(default)]
            pub hidden_dropout_prob: f64,
            /// Dropout on attention probabilities; of a CaiT's first stack alone.
            #[serde(default)]
            pub attention_probs_dropout_prob: f64,
            /// Stochastic depth (Huang et al., arXiv:1603.09382): the probability that a sub-layer is skipped for an image. A ViT's is that of the last layer,
            /// up to which it rises linearly from 0 at the first one, and `transformers` does not have it and ignores it; a CaiT's is equal for all layers
            /// of the first stack.
            #[serde(default, skip_serializing_if = "crate::image::is_zero")]
            pub drop_path_rate: f64,
            /// Standard deviation of initial matrices.
            #[serde(default = "crate::defaults::deviation")]
            pub initializer_range: f64,
            /// ε of LayerNorm.
            #[serde(default = "usual_epsilon")]
            pub layer_norm_eps: f64,
            /// Size of an image.
            #[serde(default = "crate::image::default_image")]
            pub image_size: crate::Sides,
            /// Size of a patch; must divide `image_size`.
            #[serde(default = "crate::image::default_patch")]
            pub patch_size: crate::Sides,
            /// Colors of a pixel.
            #[serde(default = "crate::image::default_channels")]
            pub num_channels: usize,
            $($(#[$behind_about])* pub $behind: $behind_type,)*
            /// Everything else in the file, the classes (`id2label` or `num_labels`) included.
            #[serde(flatten)]
            pub extra: ::serde_json::Map<String, ::serde_json::Value>,
        }

        fn usual_epsilon() -> f64 {
            $epsilon
        }

        impl $name {
            /// The defaults of these fields, and nothing in the others.
            fn usual() -> Self {
                Self {
                    $($front: Default::default(),)*
                    hidden_dropout_prob: 0.0,
                    attention_probs_dropout_prob: 0.0,
                    drop_path_rate: 0.0,
                    initializer_range: crate::defaults::deviation(),
                    layer_norm_eps: usual_epsilon(),
                    image_size: crate::image::default_image(),
                    patch_size: crate::image::default_patch(),
                    num_channels: crate::image::default_channels(),
                    $($behind: Default::default(),)*
                    extra: ::serde_json::Map::new(),
                }
            }

            /// The number of classes.
            pub fn labels(&self) -> usize {
                crate::image::label_count(&self.extra)
            }

            /// How an image is cut into tokens.
            pub fn patches(&self) -> crate::Patches {
                crate::Patches {
                    channels: self.num_channels,
                    image: self.image_size.both(),
                    patch: self.patch_size.both(),
                }
            }

            /// What a file of `timm`'s says of this model.
            pub(crate) fn timm_arguments(&self) -> crate::timm::Arguments {
                crate::timm::Arguments {
                    embed_dim: self.hidden_size,
                    depth: self.num_hidden_layers,
                    num_heads: self.num_attention_heads,
                    neurons: self.intermediate_size,
                    patch_size: self.patch_size.both(),
                    img_size: self.image_size.both(),
                    in_chans: self.num_channels,
                    num_classes: self.labels(),
                    qkv_bias: self.qkv_bias,
                    act: self.hidden_act,
                    attn_drop_rate: self.attention_probs_dropout_prob,
                    drop_path_rate: self.drop_path_rate,
                    class_attention: self.class_attention(),
                }
            }

            /// Refuses what these fields cannot be, and what no file of `timm`'s can say where this model's is one.
            fn check_fields(&self) -> Result<(), crate::Error> {
                use crate::{image, limits, timm};
                limits::dropouts([
                    ("hidden_dropout_prob", self.hidden_dropout_prob),
                    ("attention_probs_dropout_prob", self.attention_probs_dropout_prob),
                    ("drop_path_rate", self.drop_path_rate),
                ])?;
                limits::epsilon("layer_norm_eps", self.layer_norm_eps)?;
                limits::deviation("initializer_range", self.initializer_range)?;
                image::check_labels(&self.extra)?;
                self.patches().validate()?;
                limits::heads_divide(self.num_attention_heads, self.hidden_size)?;
                timm::check(&self.extra, self.layer_norm_eps, self.hidden_dropout_prob, || {
                    self.timm_arguments()
                })
            }
        }
    };
}

/// What they tell alike of their family.
macro_rules! of_images {
    () => {
        fn task(&self) -> Task {
            Task::ImageClassification {
                labels: self.labels(),
            }
        }

        /// Another number of classes.
        fn with_task(&self, task: Task) -> Result<Option<Self>, Error> {
            let Task::ImageClassification { labels } = task else {
                return Ok(None);
            };
            let mut config = self.clone();
            crate::image::set_labels(&mut config.extra, labels);
            config.validate()?;
            Ok(Some(config))
        }

        fn settings(&self) -> Vec<Setting> {
            vec![
                ("hidden_act", json!(self.hidden_act)),
                ("layer_norm_eps", json!(self.layer_norm_eps)),
                ("qkv_bias", json!(self.qkv_bias)),
            ]
        }

        fn vocab_size(&self) -> usize {
            0
        }

        fn initializer_range(&self) -> f64 {
            self.initializer_range
        }

        fn with_image(&self, image: Sides) -> Option<Self> {
            Some(Self {
                image_size: image,
                ..self.clone()
            })
        }

        fn patches(&self) -> Option<Patches> {
            Some(Self::patches(self))
        }
    };
}

pub(crate) use {image_config, of_images};
