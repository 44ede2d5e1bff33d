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
    /// Classification: once a sequence.
    EverySequence,
}

impl Predicted {
    /// Predicted tokens over all tokens of sequences of this length.
    #[must_use]
    pub fn fraction(self, seq_len: usize) -> f64 {
        match self {
            Self::Masked { fraction } => fraction,
            Self::EveryToken => 1.0,
            Self::EverySequence => 1.0 / seq_len as f64,
        }
    }
}

/// The sizes of layers that send each token through a few of several feed-forward networks. A router chooses them by a product of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SparseDims {
    /// Such layers, of [`TransformerDims::layers`]; the others have one network of [`TransformerDims::ffn`] neurons.
    pub layers: usize,
    /// Networks of each.
    pub experts: usize,
    /// Networks that a token goes through.
    pub active: usize,
    /// Neurons of each network.
    pub ffn: usize,
}

/// The sizes of a transformer that its arithmetic depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TransformerDims {
    /// Number of layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width of all queries together; `hidden` in most families.
    pub query: usize,
    /// Width of all keys together, and of all values; less than `query` with grouped queries.
    pub key_value: usize,
    /// Width inside the feed-forward network.
    pub ffn: usize,
    /// Matrices of the feed-forward network: 2, or 3 when it is gated.
    pub ffn_matrices: usize,
    /// Layers that send each token through a few of several feed-forward networks, where some do.
    pub sparse: Option<SparseDims>,
    /// Attention heads. They share `query`, so they change the count of the softmax only.
    pub heads: usize,
    /// Layers in which a class token, which joins here, attends to itself and all others (CaiT), beside `layers`.
    pub class_layers: usize,
    /// Outputs of the head: rows of the word embedding, or classes.
    pub vocab: usize,
    /// Numbers that make one patch of an image; 0 for text, which is looked up.
    pub patch: usize,
    /// Patches of an image; 0 for text. Class tokens are no patches.
    pub patches: usize,
    /// Tokens in a sequence, padding included; of an image patches and the class tokens that `layers` see.
    pub seq_len: usize,
    /// Which tokens the output layer predicts.
    pub predicted: Predicted,
    /// Whether a `hidden × hidden` layer stands before the output layer, as in BERT's masked-language head.
    pub head_transform: bool,
    /// Width of the token table, from which tokens are projected to `hidden`; nothing where it is as wide (ALBERT, small ELECTRA, OPT-350m).
    pub embedding: Option<usize>,
    /// Width that logits are computed in, behind a projection; nothing where that is `hidden`. The layer before the output is the projection then.
    pub head: Option<usize>,
}

impl TransformerDims {
    /// The layer that stands before the output, as its inputs and outputs, if there is one, and the width that logits are computed in.
    pub(crate) fn head_layers(&self) -> (Option<[f64; 2]>, f64) {
        let width = self.head.unwrap_or(self.hidden) as f64;
        let has_layer = self.head_transform || self.head.is_some();
        (has_layer.then_some([self.hidden as f64, width]), width)
    }

    /// Neurons that a token goes through in a layer, and rows of its router: the mean over layers.
    pub(crate) fn active_neurons(&self) -> [f64; 2] {
        let Some(sparse) = self.sparse else {
            return [self.ffn as f64, 0.0];
        };
        let share = sparse.layers as f64 / self.layers.max(1) as f64;
        let active = (sparse.active * sparse.ffn) as f64;
        [
            share * active + (1.0 - share) * self.ffn as f64,
            share * sparse.experts as f64,
        ]
    }

    /// A BERT as in the LiGO paper: feed-forward width 4 × hidden, heads of 64, the 30,522 words of
    /// `bert-base-uncased`, sequences of 128 tokens, 15 % of them predicted.
    #[must_use]
    pub fn bert(layers: usize, hidden: usize) -> Self {
        Self {
            layers,
            hidden,
            query: hidden,
            key_value: hidden,
            ffn: 4 * hidden,
            ffn_matrices: 2,
            sparse: None,
            class_layers: 0,
            patch: 0,
            patches: 0,
            heads: (hidden / 64).max(1),
            vocab: 30_522,
            seq_len: 128,
            predicted: Predicted::Masked { fraction: 0.15 },
            head_transform: true,
            embedding: None,
            head: None,
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
