//! OLMo 2 (arXiv:2501.00656) as `transformers`' `Olmo2ForCausalLM` computes it: the matrices of a Llama, normalised elsewhere.
//!
//! Letters in shapes: `B` sequences, `L` tokens, `D` hidden, `V` vocabulary.

mod layer;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ligo_arch::LlamaConfig;

pub use layer::Layer;

use crate::causal::{NextTokens, Reading};
use crate::rotation::Turning;
use crate::{Embedding, Error, Linear, Pass, RmsNorm, stack};

/// OLMo 2 with a language-model head.
#[derive(Module, Debug)]
pub struct Olmo2ForCausalLm {
    /// Everything below the head.
    pub model: Olmo2,
    /// The head of an untied model, `[V, D]`; a tied one decodes with its token table.
    pub lm_head: Option<Linear>,
}

/// Token table, layers and the last normalisation.
#[derive(Module, Debug)]
pub struct Olmo2 {
    /// Tokens, `[V, D]`.
    pub embed_tokens: Embedding,
    /// First layer first.
    pub layers: Vec<Layer>,
    /// After the last layer.
    pub norm: RmsNorm,
    #[module(skip)]
    rotation: Turning,
}

impl Olmo2ForCausalLm {
    pub(crate) fn skeleton(c: &LlamaConfig, device: &Device) -> Self {
        let d = c.hidden_size;
        let head = || Linear::skeleton_with(d, c.vocab_size, false, device);
        Self {
            model: Olmo2 {
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

impl NextTokens for Olmo2ForCausalLm {
    fn hidden(&self, reading: &Reading, pass: &Pass, inspect: &mut dyn FnMut(&Tensor<3>)) -> Result<Tensor<3>, Error> {
        let around = self.model.rotation.around(reading);
        let x = self.model.embed_tokens.forward(reading.input_ids.clone());
        stack::run(&self.model.layers, x, &around, 0, pass, inspect)
    }

    fn predict(&self, hidden: Tensor<3>) -> Tensor<3> {
        let head = self.lm_head.as_ref().map(|head| &head.weight);
        let matrix = head.unwrap_or(&self.model.embed_tokens.weight);
        ligo_ops::linear(self.model.norm.forward(hidden), Param::val(matrix), None)
    }
}
