/// What can be wrong with the numbers given to this crate.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A loss curve without a single evaluation.
    #[error("a loss curve needs at least one evaluation, this one has none")]
    EmptyCurve,
    /// A cost that is NaN, infinite or negative.
    #[error("evaluation {index} has cost {cost}; expected a finite number, 0 or more")]
    BadCost {
        /// Position of the evaluation in the curve, from 0.
        index: usize,
        /// The cost found there.
        cost: f64,
    },
    /// Costs that do not grow along the curve.
    #[error("evaluation {index} has cost {cost}; expected more than the {previous} of the evaluation before it")]
    CostNotIncreasing {
        /// Position of the evaluation in the curve, from 0.
        index: usize,
        /// The cost found there.
        cost: f64,
        /// The cost of the evaluation before it.
        previous: f64,
    },
    /// A law of the loss needs a model that was trained from scratch at two lengths.
    #[error("a law of the loss needs training from scratch at two lengths or more, found {found}")]
    TooFewLengths {
        /// The most lengths of one model.
        found: usize,
    },
    /// Losses that no law of this form can be fitted to.
    #[error("{points} losses cannot decide a law with {needed} numbers")]
    NoFit {
        /// The losses that there were.
        points: usize,
        /// The numbers of the law.
        needed: usize,
    },
}
