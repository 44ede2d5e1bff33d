use burn::tensor::{Int, Tensor};

/// What a model of text reads. `B` sequences of `L` tokens.
#[derive(Clone, Debug)]
pub struct TextFeatures {
    /// Token ids `[B, L]`.
    pub input_ids: Tensor<2, Int>,
    /// Token types `[B, L]`; all 0 when absent. Only families with token types read them.
    pub token_type_ids: Option<Tensor<2, Int>>,
    /// `[B, L]`, 1 for a token and 0 for padding; all 1 when absent.
    pub attention_mask: Option<Tensor<2>>,
}

impl TextFeatures {
    /// Sequences without padding and of one type.
    pub fn new(input_ids: Tensor<2, Int>) -> Self {
        Self {
            input_ids,
            token_type_ids: None,
            attention_mask: None,
        }
    }
}

/// What a model reads.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "handles to tensors, a few of them at a time")]
pub enum Features {
    /// Token ids.
    Text(TextFeatures),
    /// Normalized pixels `[B, C, H, W]`.
    Images(Tensor<4>),
}

impl From<TextFeatures> for Features {
    fn from(text: TextFeatures) -> Self {
        Self::Text(text)
    }
}

/// One batch of training: what the model reads and what it should say.
#[derive(Clone, Debug)]
pub enum Inputs {
    /// Masked-language modelling.
    Masked(MlmInputs),
    /// Predicting the next token.
    Causal(CausalInputs),
    /// Classes of images.
    Images(ImageInputs),
    /// Classes of texts.
    Sequences(SequenceInputs),
    /// Where answers begin and end.
    Spans(SpanInputs),
    /// Which tokens were replaced.
    Replaced(ReplacedInputs),
}

impl Inputs {
    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Masked(_) => "masked tokens",
            Self::Causal(_) => "next tokens",
            Self::Images(_) => "images",
            Self::Sequences(_) => "classes of texts",
            Self::Spans(_) => "answer spans",
            Self::Replaced(_) => "replaced tokens",
        }
    }
}

/// One batch of masked-language-model training.
///
/// `B` sequences of `L` tokens, of which `N` in all are masked.
#[derive(Clone, Debug)]
pub struct MlmInputs {
    /// Token ids `[B, L]`, masked ones already replaced.
    pub input_ids: Tensor<2, Int>,
    /// Token types `[B, L]`; all 0 when absent.
    pub token_type_ids: Option<Tensor<2, Int>>,
    /// `[B, L]`, 1 for a token and 0 for padding; all 1 when absent.
    pub attention_mask: Option<Tensor<2>>,
    /// Where predictions count, `[N]`: `b · L + l` for position `l` of sequence `b`.
    pub masked_positions: Tensor<1, Int>,
    /// The original token at each of these positions, `[N]`; a negative label is not counted.
    pub labels: Tensor<1, Int>,
}

impl MlmInputs {
    /// What the model reads.
    pub(crate) fn text(&self) -> TextFeatures {
        TextFeatures {
            input_ids: self.input_ids.clone(),
            token_type_ids: self.token_type_ids.clone(),
            attention_mask: self.attention_mask.clone(),
        }
    }

    /// The hidden states `[N, D]` of `[B, L, D]` where tokens are masked. A head costs as much as several layers, and only one token in seven has a label.
    pub(crate) fn at_masked(&self, hidden: Tensor<3>) -> Tensor<2> {
        let [batch, length, width] = hidden.dims();
        let tokens = hidden.reshape([batch * length, width]);
        ligo_ops::rows(tokens, self.masked_positions.clone())
    }
}

impl From<MlmInputs> for Inputs {
    fn from(inputs: MlmInputs) -> Self {
        Self::Masked(inputs)
    }
}

/// One batch of causal training. `B` sequences of `L` tokens.
#[derive(Clone, Debug)]
pub struct CausalInputs {
    /// Token ids `[B, L]`.
    pub input_ids: Tensor<2, Int>,
    /// The token that follows each, `[B, L]`; a negative label is not counted.
    pub labels: Tensor<2, Int>,
    /// The document of each token, `[B, L]`: tokens see their own document only, and positions count from its
    /// first token here. Without it a sequence is one document.
    pub documents: Option<Tensor<2, Int>>,
    /// The position of each token, `[B, L]`. When absent, positions count from the first token of the sequence or of the document here; where
    /// there are documents that means reading them back from their device.
    pub position_ids: Option<Tensor<2, Int>>,
}

/// One batch of images. `B` images of `K` classes.
#[derive(Clone, Debug)]
pub struct ImageInputs {
    /// Normalized pixels `[B, C, H, W]`.
    pub pixels: Tensor<4>,
    /// The probability of each class, `[B, K]`: one-hot, or mixed and smoothed.
    pub targets: Tensor<2>,
}

/// One batch of texts with classes. `B` sequences of `L` tokens.
#[derive(Clone, Debug)]
pub struct SequenceInputs {
    /// The texts.
    pub text: TextFeatures,
    /// Their classes, `[B]`.
    pub labels: Tensor<1, Int>,
}

/// One batch of questions with answers in their text. `B` sequences of `L` tokens.
#[derive(Clone, Debug)]
pub struct SpanInputs {
    /// Question and text.
    pub text: TextFeatures,
    /// The answer's first token, `[B]`; a label that is negative or behind the last token is not counted.
    pub starts: Tensor<1, Int>,
    /// Its last token, `[B]`; counted in the same way.
    pub ends: Tensor<1, Int>,
}

/// One batch of texts in which a generator has replaced tokens. `B` sequences of `L` tokens.
#[derive(Clone, Debug)]
pub struct ReplacedInputs {
    /// The texts with replaced tokens; padding does not count.
    pub text: TextFeatures,
    /// 1 where a token was replaced and 0 where it is the original one, `[B, L]`; a negative label is not counted.
    pub labels: Tensor<2, Int>,
}
