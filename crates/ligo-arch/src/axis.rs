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
    /// Outputs of the dense layer in front of a masked-language-model decoder.
    pub const HEAD: Self = Self::growing("head");
    /// Inputs of an untied decoder (a tied one follows [`Axis::HIDDEN`]).
    pub const DECODER: Self = Self::growing("decoder");
    /// Outputs of BERT's pooler.
    pub const POOLER: Self = Self::growing("pooler");
    /// Vocabulary entries.
    pub const VOCAB: Self = Self::fixed("vocab");
    /// Rows of a position table.
    pub const POSITION: Self = Self::fixed("position");
    /// Rows of a token-type table.
    pub const TOKEN_TYPE: Self = Self::fixed("token_type");
    /// Outputs of a classifier.
    pub const CLASSES: Self = Self::fixed("classes");

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
