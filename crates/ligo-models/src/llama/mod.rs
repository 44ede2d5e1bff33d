//! Llama (Touvron et al., arXiv:2302.13971), and Mistral, Qwen2, Qwen3, SmolLM3 and Phi-3 by the same code, as `transformers`'
//! `LlamaForCausalLM` computes it.
//!
//! Letters in shapes: `B` sequences, `L` tokens, `D` hidden, `H` query heads and `G` key-value heads of width `d`, `F`
//! feed-forward, `V` vocabulary.

mod attention;
mod decoder;
mod inner_norms;
mod layer;

pub(crate) use attention::Attending;
pub use attention::Attention;
pub(crate) use decoder::DecoderLayer;
pub use decoder::{Decoder, DecoderForCausalLm};
pub use layer::{FeedForward, Layer};

/// Llama with a language-model head.
pub type LlamaForCausalLm = DecoderForCausalLm<Layer>;
