//! The fields that the configurations of BERT, ELECTRA and ALBERT end with.

/// A configuration with these fields behind its own ones, and what makes and checks them. `dropout` is the default of both kinds.
macro_rules! like_bert {
    ($(#[$about:meta])* $name:ident { $($(#[$field_about:meta])* pub $field:ident: $type:ty,)* } dropout = $dropout:expr) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        pub struct $name {
            $($(#[$field_about])* pub $field: $type,)*
            /// Dropout on embeddings and on the output of each sub-layer; of attention alone in an ALBERT.
            #[serde(default = "usual_dropout")]
            pub hidden_dropout_prob: f64,
            /// Dropout on attention probabilities.
            #[serde(default = "usual_dropout")]
            pub attention_probs_dropout_prob: f64,
            /// Rows of the position table. A RoBERTa cannot use the first `pad_token_id + 1` of them for tokens.
            #[serde(default = "crate::bert::fields::positions")]
            pub max_position_embeddings: usize,
            /// Token types; 2 in the original BERT, 1 in RoBERTa.
            #[serde(default = "crate::bert::fields::token_types")]
            pub type_vocab_size: usize,
            /// Standard deviation of initial matrices.
            #[serde(default = "crate::defaults::deviation")]
            pub initializer_range: f64,
            /// ε of LayerNorm.
            #[serde(default = "crate::bert::fields::epsilon")]
            pub layer_norm_eps: f64,
            /// Whether the decoder of words shares the token table.
            #[serde(default = "crate::defaults::yes")]
            pub tie_word_embeddings: bool,
            /// Everything else in the file.
            #[serde(flatten)]
            pub extra: ::serde_json::Map<String, ::serde_json::Value>,
        }

        fn usual_dropout() -> f64 {
            $dropout
        }

        impl $name {
            /// The defaults of these fields, and nothing in the others.
            fn usual() -> Self {
                Self {
                    $($field: Default::default(),)*
                    hidden_dropout_prob: usual_dropout(),
                    attention_probs_dropout_prob: usual_dropout(),
                    max_position_embeddings: crate::bert::fields::positions(),
                    type_vocab_size: crate::bert::fields::token_types(),
                    initializer_range: crate::defaults::deviation(),
                    layer_norm_eps: crate::bert::fields::epsilon(),
                    tie_word_embeddings: crate::defaults::yes(),
                    extra: ::serde_json::Map::new(),
                }
            }

            /// Refuses what these fields cannot be.
            fn check_fields(&self) -> Result<(), crate::Error> {
                use crate::limits;
                limits::sizes([
                    (
                        "max_position_embeddings",
                        self.max_position_embeddings,
                        limits::POSITIONS,
                    ),
                    ("type_vocab_size", self.type_vocab_size, limits::VOCABULARY),
                ])?;
                limits::dropouts([
                    ("hidden_dropout_prob", self.hidden_dropout_prob),
                    ("attention_probs_dropout_prob", self.attention_probs_dropout_prob),
                ])?;
                limits::epsilon("layer_norm_eps", self.layer_norm_eps)?;
                limits::deviation("initializer_range", self.initializer_range)
            }
        }
    };
}

pub(crate) use like_bert;

pub(crate) fn positions() -> usize {
    512
}

pub(crate) fn token_types() -> usize {
    2
}

pub(crate) fn epsilon() -> f64 {
    1e-12
}
