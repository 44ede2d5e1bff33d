use thiserror::Error;

/// What can be wrong when a model is made or filled.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration contradicts itself or asks for something that is not supported.
    #[error(transparent)]
    Config(#[from] ligo_arch::Error),
    /// The model has a tensor for which the source has no values.
    #[error("tensor `{tensor}` is missing; expected one of shape {expected:?}")]
    Missing {
        /// The Hugging Face name.
        tensor: String,
        /// The shape that the model needs.
        expected: Vec<usize>,
    },
    /// The source gave a tensor with the wrong number of values.
    #[error("tensor `{tensor}` has {found} values; shape {expected:?} needs {}", expected.iter().product::<usize>())]
    Misshapen {
        /// The Hugging Face name.
        tensor: String,
        /// The shape that the model needs.
        expected: Vec<usize>,
        /// The number of values that the source gave.
        found: usize,
    },
    /// The source has a tensor for which the model has no place.
    #[error("tensor `{tensor}` ({found} values) has no place in the model")]
    Unexpected {
        /// The name in the source.
        tensor: String,
        /// The number of values that the source gave.
        found: usize,
    },
    /// A tensor that is not one of the family's optional ones was asked for as such.
    #[error("`{tensor}` is not an optional tensor of a `{family}` model; optional ones are: {known}")]
    NotOptional {
        /// The name that was asked for.
        tensor: String,
        /// `model_type`.
        family: String,
        /// The names that can be asked for.
        known: String,
    },
    /// A batch of another kind than the model learns from.
    #[error("this model learns from {expected}; the batch holds {found}")]
    WrongInputs {
        /// What the model learns from.
        expected: &'static str,
        /// What the batch holds.
        found: &'static str,
    },
    /// A model without a head learns nothing.
    #[error(
        "this model has no head, so that there is nothing it could learn to predict; give it one with ModelConfig::with_task"
    )]
    NoHead,
    /// Features of another kind than the model reads.
    #[error("this model reads {expected}, not {found}")]
    WrongFeatures {
        /// What the model reads.
        expected: &'static str,
        /// What it was given.
        found: &'static str,
    },
    /// A pass names a layer that the model does not have.
    #[error("the pass needs a model of at least {needed} layers; this one has {depth}")]
    TooFewLayers {
        /// Layers that a model must have for it.
        needed: usize,
        /// Layers that the model has.
        depth: usize,
    },
    /// Tokens cannot be left out between these layers.
    #[error(
        "tokens are left out from layer {from} to layer {to}; expected a first layer below the second, and no more than the \
         model's {depth} layers"
    )]
    WrongSpan {
        /// The first layer without them.
        from: usize,
        /// The first layer with them again.
        to: usize,
        /// Layers that the model has.
        depth: usize,
    },
    /// A share of tokens that cannot be kept.
    #[error("the share of tokens to keep is {keep}; expected more than 0 and at most 1")]
    WrongShare {
        /// The share.
        keep: f64,
    },
    /// A teacher that does not say the same kind of thing as its student.
    #[error("the student has scores of shapes {student:?}, its teacher of {teacher:?}; expected the same")]
    UnlikeTeacher {
        /// Rows and columns of each of the student's heads.
        student: Vec<[usize; 2]>,
        /// The same of the teacher.
        teacher: Vec<[usize; 2]>,
    },
    /// Ranks that compute layers together have lost each other.
    #[error("the ranks that compute this model's layers together have lost each other: {reason}")]
    RankLost {
        /// How.
        reason: String,
    },
}
