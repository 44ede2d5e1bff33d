//! Mixtral (arXiv:2401.04088) and Qwen3's mixture of experts (arXiv:2505.09388) as `transformers`' `MixtralForCausalLM` and `Qwen3MoeForCausalLM` compute
//! them: the attention of a Llama, and several feed-forward networks, of which each token goes through a few.
//!
//! Letters in shapes: `B` sequences, `L` tokens, `N` tokens of all sequences, `D` hidden, `E` experts.

mod layer;
mod routing;

pub use layer::{FeedForwards, Layer};
pub(crate) use routing::Ledger;

use crate::llama::DecoderForCausalLm;

/// A mixture of experts with a language-model head.
pub type MixtureForCausalLm = DecoderForCausalLm<Layer>;
