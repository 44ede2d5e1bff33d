/// Which tokens the output layer predicts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Predicted {
    /// Masked language modelling: this share of the tokens.
    Masked {
        /// Predicted tokens over all tokens, 0 to 1.
        fraction: f64,
    },
    /// Causal language modelling: every token.
    EveryToken,
}

impl Predicted {
    /// Predicted tokens over all tokens.
    #[must_use]
    pub fn fraction(self) -> f64 {
        match self {
            Self::Masked { fraction } => fraction,
            Self::EveryToken => 1.0,
        }
    }
}

/// The sizes of a transformer that its arithmetic depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TransformerDims {
    /// Number of layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width inside the feed-forward network.
    pub ffn: usize,
    /// Attention heads. They share `hidden`, so they change the count of the softmax only.
    pub heads: usize,
    /// Rows of the word embedding.
    pub vocab: usize,
    /// Tokens in a sequence, padding included.
    pub seq_len: usize,
    /// Which tokens the output layer predicts.
    pub predicted: Predicted,
    /// Whether a `hidden × hidden` layer stands before the output layer, as in BERT's masked-language head.
    pub head_transform: bool,
}

impl TransformerDims {
    /// A BERT as in the LiGO paper: feed-forward width 4 × hidden, heads of 64, the 30,522 words of
    /// `bert-base-uncased`, sequences of 128 tokens, 15 % of them predicted.
    #[must_use]
    pub fn bert(layers: usize, hidden: usize) -> Self {
        Self {
            layers,
            hidden,
            ffn: 4 * hidden,
            heads: (hidden / 64).max(1),
            vocab: 30_522,
            seq_len: 128,
            predicted: Predicted::Masked { fraction: 0.15 },
            head_transform: true,
        }
    }

    /// A GPT-2: as [`bert`](Self::bert) with 50,257 words, sequences of 1,024 tokens, every token predicted, no layer
    /// before the output.
    #[must_use]
    pub fn gpt2(layers: usize, hidden: usize) -> Self {
        Self {
            vocab: 50_257,
            seq_len: 1024,
            predicted: Predicted::EveryToken,
            head_transform: false,
            ..Self::bert(layers, hidden)
        }
    }
}
