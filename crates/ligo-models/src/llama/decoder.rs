//! The decoder that Llama's kin share: a token table, layers that see rotated positions, a last normalization and a head. What differs is the layer.
//!
//! Letters in shapes: `B` sequences, `L` tokens, `D` hidden, `V` vocabulary.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ligo_arch::LlamaConfig;

use crate::causal::{CausalInput, NextTokens};
use crate::mixture::Ledger;
use crate::rotation::{AttentionContext, Turning};
use crate::stack::{self, Stacked};
use crate::{Embedding, Error, Linear, Pass, RmsNorm};

/// A layer of such a decoder.
pub(crate) trait DecoderLayer: Stacked {
    /// Layer number `layer` without values; its attention reaches over `window` tokens, or over all.
    fn skeleton(c: &LlamaConfig, layer: usize, window: Option<usize>, device: &Device) -> Self;

    /// What a layer reads beside hidden states. Routers note in `ledger` what they do.
    fn context(tokens: AttentionContext, ledger: Option<Ledger>) -> Self::Context;
}

/// A decoder with a language-model head.
#[derive(Module, Debug)]
pub struct DecoderForCausalLm<L: Module> {
    /// Everything below the head.
    pub model: Decoder<L>,
    /// The head of an untied model, `[V, D]`; a tied one decodes with its token table.
    pub lm_head: Option<Linear>,
    /// How much the loss that balances experts weighs, where there are some and it is asked for.
    #[module(skip)]
    balance: Option<f64>,
}

/// Token table, layers and the last normalization.
#[derive(Module, Debug)]
pub struct Decoder<L: Module> {
    /// Tokens, `[V, D]`.
    pub embed_tokens: Embedding,
    /// First layer first.
    pub layers: Vec<L>,
    /// After the last layer.
    pub norm: RmsNorm,
    #[module(skip)]
    rotation: Turning,
}

impl<L: Module> DecoderForCausalLm<L> {
    pub(crate) fn skeleton(c: &LlamaConfig, device: &Device) -> Self
    where
        L: DecoderLayer,
    {
        let d = c.hidden_size;
        let head = || Linear::skeleton_with(d, c.vocab_size, false, device);
        Self {
            model: Decoder {
                embed_tokens: Embedding::skeleton(c.vocab_size, d, device),
                layers: (c.windows().enumerate())
                    .map(|(layer, window)| L::skeleton(c, layer, window, device))
                    .collect(),
                norm: RmsNorm::skeleton(d, c.rms_norm_eps, device),
                rotation: Turning::new(c.rotation()),
            },
            lm_head: (!c.tie_word_embeddings).then(head),
            balance: c.experts().and_then(|experts| experts.balance),
        }
    }
}

impl<L: Module> Decoder<L> {
    /// Hidden states before the last normalization. Shows `inspect` what comes out of the token table and of each layer.
    fn forward(
        &self,
        input: &CausalInput,
        ledger: Option<Ledger>,
        pass: &Pass,
        inspect: &mut dyn FnMut(&Tensor<3>),
    ) -> Result<Tensor<3>, Error>
    where
        L: DecoderLayer,
    {
        let context = L::context(self.rotation.around(input), ledger);
        let x = self.embed_tokens.forward(input.input_ids.clone());
        stack::run(&self.layers, x, &context, 0, pass, inspect)
    }
}

impl<L: DecoderLayer> NextTokens for DecoderForCausalLm<L> {
    fn hidden(
        &self,
        input: &CausalInput,
        pass: &Pass,
        inspect: &mut dyn FnMut(&Tensor<3>),
    ) -> Result<Tensor<3>, Error> {
        self.model.forward(input, None, pass, inspect)
    }

    /// With what balances the experts.
    fn learn(&self, input: &CausalInput, pass: &Pass) -> Result<(Tensor<3>, Option<Tensor<1>>), Error> {
        let ledger = self.balance.map(|_| Ledger::default());
        let hidden = self.model.forward(input, ledger.clone(), pass, &mut |_| {})?;
        let balance = ledger.and_then(|ledger| ledger.balance());
        let added = self.balance.zip(balance).map(|(weight, balance)| balance * weight);
        Ok((hidden, added))
    }

    /// `RMSNorm(x) Eᵀ` with `E` the head or, when tied, the token table.
    fn predict(&self, hidden: Tensor<3>) -> Tensor<3> {
        let head = self.lm_head.as_ref().map(|head| &head.weight);
        let matrix = head.unwrap_or(&self.model.embed_tokens.weight);
        ligo_ops::linear(self.model.norm.forward(hidden), Param::val(matrix), None)
    }
}
