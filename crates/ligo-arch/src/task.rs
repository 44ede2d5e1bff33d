use std::fmt;

/// What a model is trained to predict; decides its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Tokens that were masked.
    MaskedLm,
    /// The next token.
    CausalLm,
    /// The class of a text.
    SequenceClassification {
        /// The number of classes.
        labels: usize,
    },
    /// Where an answer begins and ends.
    QuestionAnswering,
    /// Of each token whether it was replaced.
    ReplacedTokens,
    /// Nothing: there is no head, and what comes out are hidden states.
    HiddenStates,
    /// The class of an image.
    ImageClassification {
        /// The number of classes.
        labels: usize,
    },
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaskedLm => f.write_str("masked tokens"),
            Self::CausalLm => f.write_str("next tokens"),
            Self::SequenceClassification { labels } => write!(f, "{labels} classes of texts"),
            Self::QuestionAnswering => f.write_str("where an answer begins and ends"),
            Self::ReplacedTokens => f.write_str("which tokens were replaced"),
            Self::HiddenStates => f.write_str("nothing (hidden states, without a head)"),
            Self::ImageClassification { labels } => write!(f, "{labels} classes of images"),
        }
    }
}
