use burn::tensor::{Int, Tensor};

use crate::{HeadScores, Scores, SpanInputs};

/// What is said of the answers' first tokens and of their last ones. The mean of both cross entropies is the loss of `transformers`'
/// question-answering models.
///
/// # Shapes
/// `logits [B, L, 2]`.
pub(crate) fn span_scores(logits: Tensor<3>, inputs: &SpanInputs) -> Scores {
    let [batch, length, _] = logits.dims();
    let end = |i: usize, labels: &Tensor<1, Int>| {
        let logits = logits.clone().slice_dim(2, i..i + 1).reshape([batch, length]);
        HeadScores::labeled(logits, inside(labels.clone(), length))
    };
    Scores {
        head: end(0, &inputs.starts),
        other: Some(end(1, &inputs.ends)),
        added: None,
    }
}

/// The labels with -1, which does not count, instead of those behind the last token: answers that were cut off.
fn inside(labels: Tensor<1, Int>, length: usize) -> Tensor<1, Int> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let behind = labels.clone().greater_equal_elem(length);
    labels.mask_fill(behind, -1)
}
