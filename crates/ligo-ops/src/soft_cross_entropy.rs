//! Cross-entropy with the probabilities of classes.

use burn::tensor::{Tensor, activation::log_softmax};

#[cfg(feature = "cube")]
use crate::cube;

/// `mean over rows of -Σ targets · log softmax(logits)`: classes that are mixed or smoothed (Szegedy et al., arXiv:1512.00567).
///
/// # Shapes
/// `logits` and `targets [N, K]`; the result has one element.
///
/// # Panics
/// When the shapes differ.
pub fn soft_cross_entropy(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    assert_eq!(
        logits.dims(),
        targets.dims(),
        "the targets need one probability for each image and class"
    );
    let [rows, _] = logits.dims();
    #[cfg(feature = "cube")]
    if cube::is_native(&logits) && cube::is_native(&targets) && logits.shape().num_elements() > 0 {
        return cube::soft_cross_entropy::soft_cross_entropy(logits, targets);
    }
    let targets = targets.cast(logits.dtype());
    -(log_softmax(logits, 1) * targets).sum() / rows.max(1) as f64
}
