use std::path::PathBuf;

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
    /// Weights of the small model are no numbers.
    #[error("NaN or infinity in the small model's weights: {}", listed(tensors))]
    NotFinite {
        /// Tensors, and how many of their elements.
        tensors: Vec<(String, usize)>,
    },
    /// The map makes NaN or infinity of numbers.
    #[error("the operator makes NaN or infinity of the small model's weights, in `{name}` first")]
    MapNotFinite {
        /// The first tensor.
        name: String,
    },
    /// There is a model already, and it is not to be replaced.
    #[error("{} exists already, and was not grown from the same model in the same way", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// Growth was stopped by the caller.
    #[error("growing was stopped before the last tensor")]
    Interrupted,
}

/// Tensors that are named one by one.
const LISTED: usize = 6;

/// Tensors with the number of their elements that are no numbers.
pub fn listed(tensors: &[(String, usize)]) -> String {
    let mut list: Vec<String> = tensors
        .iter()
        .take(LISTED)
        .map(|(name, count)| format!("`{name}` ({count} of its values)"))
        .collect();
    if let Some(more) = tensors.len().checked_sub(LISTED).filter(|more| *more > 0) {
        list.push(format!("and {more} tensors more"));
    }
    list.join(", ")
}
