//! OLMo 2 (arXiv:2501.00656) as `transformers`' `Olmo2ForCausalLM` computes it: the matrices of a Llama, normalized elsewhere.

mod layer;

pub use layer::Layer;

use crate::llama::DecoderForCausalLm;

/// OLMo 2 with a language-model head.
pub type Olmo2ForCausalLm = DecoderForCausalLm<Layer>;
