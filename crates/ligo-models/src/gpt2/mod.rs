//! GPT-2 (Radford et al., "Language Models are Unsupervised Multitask Learners") as `transformers`' `GPT2LMHeadModel`
//! computes it.
//!
//! Letters in shapes: `B` sequences, `L` tokens, `D` hidden, `F` feed-forward, `V` vocabulary.

mod attention;
mod block;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ligo_arch::Gpt2Config;

pub use attention::{Attention, QueryKeyValue};
pub use block::{Block, FeedForward};

use crate::causal::{CausalInput, NextTokens};
use crate::{Embedding, Error, LayerNorm, Linear, Pass, stack};

/// GPT-2 with a language-model head.
#[derive(Module, Debug)]
pub struct Gpt2LmHeadModel {
    /// Everything below the head.
    pub transformer: Gpt2,
    /// The head of an untied model, `[V, D]`; a tied one decodes with its token table.
    pub lm_head: Option<Linear>,
}

/// Embeddings, layers and the last normalization.
#[derive(Module, Debug)]
pub struct Gpt2 {
    /// Tokens, `[V, D]`.
    pub wte: Embedding,
    /// Positions, `[max L, D]`.
    pub wpe: Embedding,
    /// The layers, first layer first.
    pub h: Vec<Block>,
    /// After the last layer.
    pub ln_f: LayerNorm,
    #[module(skip)]
    dropout: f64,
    #[module(skip)]
    max_positions: usize,
}

impl Gpt2LmHeadModel {
    pub(crate) fn skeleton(c: &Gpt2Config, device: &Device) -> Self {
        let d = c.n_embd;
        let head = || Linear::skeleton_with(d, c.vocab_size, false, device);
        Self {
            transformer: Gpt2 {
                wte: Embedding::skeleton(c.vocab_size, d, device),
                wpe: Embedding::skeleton(c.n_positions, d, device),
                h: (0..c.n_layer).map(|_| Block::skeleton(c, device)).collect(),
                ln_f: LayerNorm::skeleton(d, c.layer_norm_epsilon, device),
                dropout: c.embd_pdrop,
                max_positions: c.n_positions,
            },
            lm_head: (!c.tie_word_embeddings).then(head),
        }
    }
}

impl Gpt2 {
    /// Hidden states before the last normalization. Shows `inspect` what comes out of the embeddings and of each layer.
    fn forward(
        &self,
        input: &CausalInput,
        pass: &Pass,
        inspect: &mut dyn FnMut(&Tensor<3>),
    ) -> Result<Tensor<3>, Error> {
        let [_, length] = input.input_ids.dims();
        assert!(
            length <= self.max_positions,
            "the sequence has {length} tokens; the model has {} positions",
            self.max_positions
        );
        let tokens = self.wte.forward(input.input_ids.clone());
        let x = match input.position_ids() {
            Some(ids) => tokens + self.wpe.forward(ids),
            None => ligo_ops::add_positions(tokens, self.wpe.weight.val(), None),
        };
        let x = ligo_ops::dropout(x, pass.dropout.next(self.dropout));
        stack::run(&self.h, x, &input.visibility, 0, pass, inspect)
    }
}

impl NextTokens for Gpt2LmHeadModel {
    fn hidden(
        &self,
        input: &CausalInput,
        pass: &Pass,
        inspect: &mut dyn FnMut(&Tensor<3>),
    ) -> Result<Tensor<3>, Error> {
        self.transformer.forward(input, pass, inspect)
    }

    /// `LayerNorm(x) Eᵀ` with `E` the head or, when tied, the token table.
    fn predict(&self, hidden: Tensor<3>) -> Tensor<3> {
        let head = self.lm_head.as_ref().map(|head| &head.weight);
        let matrix = head.unwrap_or(&self.transformer.wte.weight);
        ligo_ops::linear(self.transformer.ln_f.forward(hidden), Param::val(matrix), None)
    }
}
