//! OPT (Zhang et al., arXiv:2205.01068) as `transformers`' `OPTForCausalLM` computes it.
//!
//! Letters in shapes: `B` sequences, `L` tokens, `D` hidden, `E` token table, `F` feed-forward, `V` vocabulary.

mod layer;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ligo_arch::OptConfig;

pub use layer::{Attention, Layer};

use crate::causal::{CausalInput, NextTokens};
use crate::{Embedding, Error, LayerNorm, Linear, Pass, stack};

/// OPT with a language-model head.
#[derive(Module, Debug)]
pub struct OptForCausalLm {
    /// Everything below the head.
    pub model: Opt,
    /// The head of an untied model, `[V, E]`; a tied one decodes with its token table.
    pub lm_head: Option<Linear>,
}

/// What `transformers` has around the decoder.
#[derive(Module, Debug)]
pub struct Opt {
    /// The only part.
    pub decoder: Decoder,
}

/// Embeddings, layers and the last normalization.
#[derive(Module, Debug)]
pub struct Decoder {
    /// Tokens, `[V, E]`.
    pub embed_tokens: Embedding,
    /// Positions, `[max L + 2, D]`.
    pub embed_positions: Embedding,
    /// From `E` to `D` where these differ, `[D, E]`.
    pub project_in: Option<Linear>,
    /// Back again, `[E, D]`.
    pub project_out: Option<Linear>,
    /// The layers, first layer first.
    pub layers: Vec<Layer>,
    /// After the last layer, where layers normalize what they read.
    pub final_layer_norm: Option<LayerNorm>,
    #[module(skip)]
    max_positions: usize,
    #[module(skip)]
    first_position: usize,
}

impl OptForCausalLm {
    pub(crate) fn skeleton(c: &OptConfig, device: &Device) -> Self {
        let d = c.hidden_size;
        let word = c.projected_from();
        let width = word.unwrap_or(d);
        let project = |inputs, outputs| word.map(|_| Linear::skeleton_with(inputs, outputs, false, device));
        Self {
            model: Opt {
                decoder: Decoder {
                    embed_tokens: Embedding::skeleton(c.vocab_size, width, device),
                    embed_positions: Embedding::skeleton(c.position_rows(), d, device),
                    project_in: project(width, d),
                    project_out: project(d, width),
                    layers: (0..c.num_hidden_layers).map(|_| Layer::skeleton(c, device)).collect(),
                    final_layer_norm: c
                        .has_last_norm()
                        .then(|| LayerNorm::skeleton(d, c.layer_norm_eps(), device)),
                    max_positions: c.max_position_embeddings,
                    first_position: c.first_position(),
                },
            },
            lm_head: (!c.tie_word_embeddings).then(|| Linear::skeleton_with(width, c.vocab_size, false, device)),
        }
    }
}

impl Decoder {
    /// Tokens and positions, added.
    fn embed(&self, input: &CausalInput) -> Tensor<3> {
        let [_, length] = input.input_ids.dims();
        assert!(
            length <= self.max_positions,
            "the sequence has {length} tokens; the model has {} positions",
            self.max_positions
        );
        let tokens = self.embed_tokens.forward(input.input_ids.clone());
        let tokens = match &self.project_in {
            Some(project) => project.forward(tokens),
            None => tokens,
        };
        let first = self.first_position;
        match input.counted_position_ids() {
            Some(ids) => tokens + self.embed_positions.forward(ids.add_scalar(first as i64)),
            None => {
                let positions = self.embed_positions.weight.val().slice_dim(0, first..first + length);
                ligo_ops::add_positions(tokens, positions, None)
            }
        }
    }
}

impl NextTokens for OptForCausalLm {
    fn hidden(
        &self,
        input: &CausalInput,
        pass: &Pass,
        inspect: &mut dyn FnMut(&Tensor<3>),
    ) -> Result<Tensor<3>, Error> {
        let decoder = &self.model.decoder;
        let x = decoder.embed(input);
        stack::run(&decoder.layers, x, &input.visibility, 0, pass, inspect)
    }

    fn predict(&self, mut hidden: Tensor<3>) -> Tensor<3> {
        let decoder = &self.model.decoder;
        if let Some(norm) = &decoder.final_layer_norm {
            hidden = norm.forward(hidden);
        }
        if let Some(project) = &decoder.project_out {
            hidden = project.forward(hidden);
        }
        let head = self.lm_head.as_ref().map(|head| &head.weight);
        let matrix = head.unwrap_or(&decoder.embed_tokens.weight);
        ligo_ops::linear(hidden, Param::val(matrix), None)
    }
}
