//! What an OLMo 2 (arXiv:2501.00656) has otherwise than a Llama.

use crate::Axis;

/// All queries are normalized together, and so are all keys, so that a gain belongs to each of their rows.
pub(super) const INNER_NORMS: [(&str, Axis, &str); 2] =
    [("q_norm", Axis::QUERY, "query_norm"), ("k_norm", Axis::KEY, "key_norm")];

/// What each sub-layer gives is normalized before it is added.
pub(super) const NORMS: [(&str, &str); 2] = [
    ("post_attention_layernorm", "attention_norm"),
    ("post_feedforward_layernorm", "ffn_norm"),
];
