use thiserror::Error;

/// What can go wrong while a model is grown.
#[derive(Debug, Error)]
pub enum Error {
    /// The pair of models cannot be grown.
    #[error(transparent)]
    Arch(#[from] ligo_arch::Error),
    /// A file cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] ligo_checkpoint::Error),
    /// The small model lacks a tensor.
    #[error("the small model has no tensor `{name}`")]
    MissingTensor {
        /// The tensor.
        name: String,
    },
    /// A tensor of the small model has another shape than its table says.
    #[error("tensor `{name}` has shape {found:?}, expected {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// The shape that the table says.
        expected: Vec<usize>,
        /// The shape that was found.
        found: Vec<usize>,
    },
    /// A list of source layers does not fit.
    #[error("the layer list of `{stack}` is wrong: {reason}")]
    LayerList {
        /// The stack.
        stack: String,
        /// Why.
        reason: String,
    },
    /// An operator cannot grow this pair of models.
    #[error("{operator} cannot grow this pair: {reason}; {instead} can")]
    CannotGrow {
        /// The operator.
        operator: &'static str,
        /// Why.
        reason: String,
        /// Operators that can.
        instead: String,
    },
    /// The settings of an operator contradict each other.
    #[error("operator settings: {0}")]
    Settings(String),
    /// An operator file does not hold what it should.
    #[error("the operator in {path} is not usable: {reason}")]
    OperatorFile {
        /// The directory.
        path: String,
        /// Why.
        reason: String,
    },
    /// An operator lacks one of its matrices.
    #[error("the operator has no tensor `{name}`")]
    MissingOperatorTensor {
        /// The matrix.
        name: String,
    },
    /// Growth was stopped by the caller.
    #[error("growing was stopped before the last tensor; nothing was written")]
    Interrupted,
}
