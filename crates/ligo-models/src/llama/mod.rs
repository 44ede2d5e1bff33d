//! Llama (Touvron et al., arXiv:2302.13971), and Mistral, Qwen2, Qwen3, SmolLM3 and Phi-3 by the same code, as `transformers`'
//! `LlamaForCausalLM` computes it.
//!
//! Letters in shapes: `B` sequences, `L` tokens, `D` hidden, `H` query heads and `G` key-value heads of width `d`, `F`
//! feed-forward, `V` vocabulary.

mod attention;
mod layer;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ligo_arch::LlamaConfig;

pub use attention::Attention;
pub(crate) use attention::by_head;
pub use layer::{FeedForward, Layer};

use crate::causal::{NextTokens, Reading};
use crate::rotation::Turning;
use crate::{Embedding, Error, Linear, Pass, RmsNorm, stack};

/// Llama with a language-model head.
#[derive(Module, Debug)]
pub struct LlamaForCausalLm {
    /// Everything below the head.
    pub model: Llama,
    /// The head of an untied model, `[V, D]`; a tied one decodes with its token table.
    pub lm_head: Option<Linear>,
}

/// Token table, layers and the last normalisation.
#[derive(Module, Debug)]
pub struct Llama {
    /// Tokens, `[V, D]`.
    pub embed_tokens: Embedding,
    /// First layer first.
    pub layers: Vec<Layer>,
    /// After the last layer.
    pub norm: RmsNorm,
    #[module(skip)]
    rotation: Turning,
}

impl LlamaForCausalLm {
    pub(crate) fn skeleton(c: &LlamaConfig, device: &Device) -> Self {
        let d = c.hidden_size;
        let head = || Linear::skeleton_with(d, c.vocab_size, false, device);
        Self {
            model: Llama {
                embed_tokens: Embedding::skeleton(c.vocab_size, d, device),
                layers: (c.windows().enumerate())
                    .map(|(layer, window)| Layer::skeleton(c, layer, window, device))
                    .collect(),
                norm: RmsNorm::skeleton(d, c.rms_norm_eps, device),
                rotation: Turning::new(c.rotation()),
            },
            lm_head: (!c.tie_word_embeddings).then(head),
        }
    }
}

impl Llama {
    /// Hidden states before the last normalisation. Shows `inspect` what comes out of the token table and of each layer.
    fn forward(&self, reading: &Reading, pass: &Pass, inspect: &mut dyn FnMut(&Tensor<3>)) -> Result<Tensor<3>, Error> {
        let around = self.rotation.around(reading);
        let x = self.embed_tokens.forward(reading.input_ids.clone());
        stack::run(&self.layers, x, &around, 0, pass, inspect)
    }
}

impl NextTokens for LlamaForCausalLm {
    fn hidden(&self, reading: &Reading, pass: &Pass, inspect: &mut dyn FnMut(&Tensor<3>)) -> Result<Tensor<3>, Error> {
        self.model.forward(reading, pass, inspect)
    }

    /// `RMSNorm(x) Eᵀ` with `E` the head or, when tied, the token table.
    fn predict(&self, hidden: Tensor<3>) -> Tensor<3> {
        let head = self.lm_head.as_ref().map(|head| &head.weight);
        let matrix = head.unwrap_or(&self.model.embed_tokens.weight);
        ligo_ops::linear(self.model.norm.forward(hidden), Param::val(matrix), None)
    }
}
