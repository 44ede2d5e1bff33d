//! GPT-NeoX (Black et al., arXiv:2204.06745), the family of Pythia, as `transformers`' `GPTNeoXForCausalLM` computes it.
//!
//! Letters in shapes: `B` sequences, `L` tokens, `D` hidden, `F` feed-forward, `V` vocabulary.

mod layer;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ligo_arch::GptNeoxConfig;

pub use layer::{Attention, FeedForward, Layer};

use crate::causal::{CausalInput, NextTokens};
use crate::rotation::Turning;
use crate::{Embedding, Error, LayerNorm, Linear, Pass, stack};

/// GPT-NeoX with a language-model head.
#[derive(Module, Debug)]
pub struct GptNeoxForCausalLm {
    /// Everything below the head.
    pub gpt_neox: GptNeox,
    /// The head of an untied model, `[V, D]`; a tied one decodes with its token table.
    pub embed_out: Option<Linear>,
}

/// Token table, layers and the last normalization.
#[derive(Module, Debug)]
pub struct GptNeox {
    /// Tokens, `[V, D]`.
    pub embed_in: Embedding,
    /// First layer first.
    pub layers: Vec<Layer>,
    /// After the last layer.
    pub final_layer_norm: LayerNorm,
    #[module(skip)]
    rotation: Turning,
    #[module(skip)]
    dropout: f64,
}

impl GptNeoxForCausalLm {
    pub(crate) fn skeleton(c: &GptNeoxConfig, device: &Device) -> Self {
        let d = c.hidden_size;
        let head = || Linear::skeleton_with(d, c.vocab_size, false, device);
        Self {
            gpt_neox: GptNeox {
                embed_in: Embedding::skeleton(c.vocab_size, d, device),
                layers: (0..c.num_hidden_layers).map(|_| Layer::skeleton(c, device)).collect(),
                final_layer_norm: LayerNorm::skeleton(d, c.layer_norm_eps, device),
                rotation: Turning::new(c.rotation()),
                dropout: c.hidden_dropout,
            },
            embed_out: (!c.tie_word_embeddings).then(head),
        }
    }
}

impl GptNeox {
    /// Hidden states before the last normalization. Shows `inspect` what comes out of the token table and of each layer.
    fn forward(
        &self,
        input: &CausalInput,
        pass: &Pass,
        inspect: &mut dyn FnMut(&Tensor<3>),
    ) -> Result<Tensor<3>, Error> {
        let around = self.rotation.around(input);
        let x = self.embed_in.forward(input.input_ids.clone());
        let x = ligo_ops::dropout(x, pass.dropout.next(self.dropout));
        stack::run(&self.layers, x, &around, 0, pass, inspect)
    }
}

impl NextTokens for GptNeoxForCausalLm {
    fn hidden(
        &self,
        input: &CausalInput,
        pass: &Pass,
        inspect: &mut dyn FnMut(&Tensor<3>),
    ) -> Result<Tensor<3>, Error> {
        self.gpt_neox.forward(input, pass, inspect)
    }

    /// `LayerNorm(x) Eᵀ` with `E` the head or, when tied, the token table.
    fn predict(&self, hidden: Tensor<3>) -> Tensor<3> {
        let head = self.embed_out.as_ref().map(|head| &head.weight);
        let matrix = head.unwrap_or(&self.gpt_neox.embed_in.weight);
        ligo_ops::linear(self.gpt_neox.final_layer_norm.forward(hidden), Param::val(matrix), None)
    }
}
