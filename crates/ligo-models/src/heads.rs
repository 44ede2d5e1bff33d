//! Attention with the heads that this rank has: all of them, where a model is whole.

use burn::tensor::Tensor;
use ligo_ops::{AttentionOptions, Dropout};

use crate::split;

/// [`ligo_ops::grouped_attention`]; the options say how many heads the whole model has.
pub(crate) fn attend([q, k, v]: [Tensor<3>; 3], options: AttentionOptions) -> Tensor<3> {
    let options = AttentionOptions {
        num_heads: split::share(options.num_heads),
        dropout: split::own(options.dropout),
        ..options
    };
    ligo_ops::grouped_attention(q, k, v, options)
}

/// Attention to all tokens but padding, as encoders have it.
pub(crate) fn attend_both_ways(
    parts: [Tensor<3>; 3],
    num_heads: usize,
    key_padding_mask: Option<Tensor<2>>,
    dropout: Option<Dropout>,
) -> Tensor<3> {
    let options = AttentionOptions {
        num_heads,
        key_padding_mask,
        dropout,
        ..AttentionOptions::default()
    };
    attend(parts, options)
}
