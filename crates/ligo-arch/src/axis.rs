use std::fmt;

/// The name of one dimension of a parameter.
///
/// Dimensions with the same axis grow with the same matrix. An axis is *fixed* when growth never changes its
/// size (a vocabulary, a position table), so it has no width matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Axis {
    name: &'static str,
    fixed: bool,
}

impl Axis {
    /// The residual stream; `B_emb` in the paper.
    pub const HIDDEN: Self = Self::growing("hidden");
    /// Rows of the query projection; `B^Q`.
    pub const QUERY: Self = Self::growing("query");
    /// Rows of the key projection; `B^K`.
    pub const KEY: Self = Self::growing("key");
    /// Rows of the value projection and columns of the attention output; `B^V`.
    pub const VALUE: Self = Self::growing("value");
    /// Neurons of the feed-forward layer; `B^fc1`.
    pub const FFN: Self = Self::growing("ffn");
    /// Neurons of each expert, in layers that have several feed-forward networks of which a token goes through a few.
    pub const EXPERT_FFN: Self = Self::growing("expert_ffn");
    /// Experts of a layer: rows of what routes tokens to them.
    pub const EXPERTS: Self = Self::growing("experts");
    /// Outputs of the dense layer in front of a masked-language-model decoder.
    pub const HEAD: Self = Self::growing("head");
    /// Inputs of an untied decoder (a tied one follows [`Axis::HIDDEN`]).
    pub const DECODER: Self = Self::growing("decoder");
    /// What a tied decoder reads: the residual stream behind the last normalization. It grows as [`Axis::HIDDEN`] does, unless
    /// an operator has its own matrix for it; one that copies channels scales them here, since the decoder's columns are those
    /// of the look-up table.
    pub const HEAD_INPUT: Self = Self::growing("head_input");
    /// Outputs of the layer that summarizes a sequence: BERT's pooler, the first layer of RoBERTa's classifier.
    pub const POOLER: Self = Self::growing("pooler");
    /// Vocabulary entries.
    pub const VOCAB: Self = Self::fixed("vocab");
    /// Columns of a token table that is projected to the residual stream; no growth changes them.
    pub const WORD_EMBEDDING: Self = Self::fixed("word_embedding");
    /// Rows of a position table.
    pub const POSITION: Self = Self::fixed("position");
    /// Rows of a token-type table.
    pub const TOKEN_TYPE: Self = Self::fixed("token_type");
    /// Outputs of a classifier.
    pub const CLASSES: Self = Self::fixed("classes");

    /// Attention heads where they are mixed with each other (talking heads).
    pub const HEADS: Self = Self::growing("heads");
    /// Rows of the query projection of class attention.
    pub const CLASS_QUERY: Self = Self::growing("class_query");
    /// Rows of its key projection.
    pub const CLASS_KEY: Self = Self::growing("class_key");
    /// Rows of its value projection and columns of its output.
    pub const CLASS_VALUE: Self = Self::growing("class_value");
    /// Neurons of the feed-forward layer behind class attention.
    pub const CLASS_FFN: Self = Self::growing("class_ffn");
    /// Numbers of one patch of an image: channels × height × width.
    pub const PATCH: Self = Self::fixed("patch");

    /// An axis that growth may widen.
    pub const fn growing(name: &'static str) -> Self {
        Self { name, fixed: false }
    }

    /// An axis whose size growth never changes.
    pub const fn fixed(name: &'static str) -> Self {
        Self { name, fixed: true }
    }

    /// The name used in files and messages.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether growth never changes this axis.
    pub const fn is_fixed(&self) -> bool {
        self.fixed
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
