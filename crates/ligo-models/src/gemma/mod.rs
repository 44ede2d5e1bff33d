//! Gemma (Gemma Team, arXiv:2403.08295), Gemma 2 (arXiv:2408.00118) and the text of Gemma 3 (arXiv:2503.19786), as `transformers`'
//! `GemmaForCausalLM`, `Gemma2ForCausalLM` and `Gemma3ForCausalLM` compute them.
//!
//! Letters in shapes: `B` sequences, `L` tokens, `D` hidden, `H` query heads and `G` key-value heads of width `d`, `F`
//! feed-forward, `V` vocabulary.

mod attention;
mod layer;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ligo_arch::GemmaConfig;

pub use crate::llama::Attention;
pub use layer::{FeedForward, Layer};

use crate::causal::{CausalInput, NextTokens};
use crate::rotation::Rotations;
use crate::{Embedding, Error, Linear, Pass, RmsNorm, stack};

/// A Gemma with a language-model head.
#[derive(Module, Debug)]
pub struct GemmaForCausalLm {
    /// Everything below the head.
    pub model: Gemma,
    /// The head of an untied model, `[V, D]`; a tied one decodes with its token table.
    pub lm_head: Option<Linear>,
    /// Where logits level off.
    #[module(skip)]
    cap: Option<f64>,
}

/// Token table, layers and the last normalization.
#[derive(Module, Debug)]
pub struct Gemma {
    /// Tokens, `[V, D]`.
    pub embed_tokens: Embedding,
    /// First layer first.
    pub layers: Vec<Layer>,
    /// After the last layer.
    pub norm: RmsNorm,
    /// What tokens are multiplied by.
    #[module(skip)]
    scale: f64,
    #[module(skip)]
    rotations: Rotations,
}

impl GemmaForCausalLm {
    pub(crate) fn skeleton(c: &GemmaConfig, device: &Device) -> Self {
        let d = c.hidden_size;
        let head = || Linear::skeleton_with(d, c.vocab_size, false, device);
        Self {
            model: Gemma {
                embed_tokens: Embedding::skeleton(c.vocab_size, d, device),
                layers: c
                    .layers()
                    .map(|(window, kind)| Layer::skeleton(c, window, kind, device))
                    .collect(),
                norm: RmsNorm::skeleton(d, c.rms_norm_eps, device),
                scale: c.token_scale(),
                rotations: Rotations::new(&|kind| c.rotation(kind)),
            },
            lm_head: (!c.tie_word_embeddings).then(head),
            cap: c.logit_cap(),
        }
    }
}

impl Gemma {
    /// Hidden states before the last normalization. Shows `inspect` the tokens as the first layer reads them, and what comes out of each layer.
    fn forward(
        &self,
        input: &CausalInput,
        pass: &Pass,
        inspect: &mut dyn FnMut(&Tensor<3>),
    ) -> Result<Tensor<3>, Error> {
        let around = self.rotations.around(input);
        let x = self
            .embed_tokens
            .forward(input.input_ids.clone())
            .mul_scalar(self.scale);
        stack::run(&self.layers, x, &around, 0, pass, inspect)
    }
}

impl NextTokens for GemmaForCausalLm {
    fn hidden(
        &self,
        input: &CausalInput,
        pass: &Pass,
        inspect: &mut dyn FnMut(&Tensor<3>),
    ) -> Result<Tensor<3>, Error> {
        self.model.forward(input, pass, inspect)
    }

    /// `RMSNorm(x) Eᵀ` with `E` the head or, when tied, the token table, leveled off.
    fn predict(&self, hidden: Tensor<3>) -> Tensor<3> {
        let head = self.lm_head.as_ref().map(|head| &head.weight);
        let matrix = head.unwrap_or(&self.model.embed_tokens.weight);
        let logits = ligo_ops::linear(self.model.norm.forward(hidden), Param::val(matrix), None);
        match self.cap {
            None => logits,
            Some(cap) => logits.div_scalar(cap).tanh().mul_scalar(cap),
        }
    }
}
