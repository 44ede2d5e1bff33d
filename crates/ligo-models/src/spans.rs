use burn::tensor::{Int, Tensor};

use crate::SpanInputs;

/// The mean of two cross entropies over a sequence's tokens: of the answer's first token and of its last one, as
/// `transformers`' question-answering models compute it.
///
/// # Shapes
/// `logits [B, L, 2]`; the result has one element.
pub(crate) fn span_loss(logits: Tensor<3>, inputs: &SpanInputs) -> Tensor<1> {
    let [batch, length, _] = logits.dims();
    let ends = [&inputs.starts, &inputs.ends].into_iter().enumerate();
    let losses = ends.map(|(i, labels)| {
        let logits = logits.clone().slice_dim(2, i..i + 1).reshape([batch, length]);
        ligo_ops::cross_entropy(logits, inside(labels.clone(), length))
    });
    losses.fold(Tensor::zeros([1], &logits.device()), |sum, loss| sum + loss) * 0.5
}

/// The labels with -1, which does not count, instead of those behind the last token: answers that were cut off.
fn inside(labels: Tensor<1, Int>, length: usize) -> Tensor<1, Int> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let behind = labels.clone().greater_equal_elem(length);
    labels.mask_fill(behind, -1)
}
