//! Mixtral (arXiv:2401.04088) and Qwen3's mixture of experts (arXiv:2505.09388) as `transformers`' `MixtralForCausalLM` and `Qwen3MoeForCausalLM` compute
//! them: the attention of a Llama, and several feed-forward networks, of which each token goes through a few.
//!
//! Letters in shapes: `B` sequences, `L` tokens, `N` tokens of all sequences, `D` hidden, `E` experts, `V` vocabulary.

mod layer;
mod routing;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ligo_arch::LlamaConfig;

pub use layer::{FeedForwards, Layer};
use routing::{Around, Ledger};

use crate::causal::{NextTokens, Reading};
use crate::rotation::Turning;
use crate::{Embedding, Error, Linear, Pass, RmsNorm, stack};

/// A mixture of experts with a language-model head.
#[derive(Module, Debug)]
pub struct MixtureForCausalLm {
    /// Everything below the head.
    pub model: Mixture,
    /// The head of an untied model, `[V, D]`; a tied one decodes with its token table.
    pub lm_head: Option<Linear>,
    /// How much the loss that balances experts weighs, where it is asked for.
    #[module(skip)]
    balance: Option<f64>,
}

/// Token table, layers and the last normalisation.
#[derive(Module, Debug)]
pub struct Mixture {
    /// Tokens, `[V, D]`.
    pub embed_tokens: Embedding,
    /// First layer first.
    pub layers: Vec<Layer>,
    /// After the last layer.
    pub norm: RmsNorm,
    #[module(skip)]
    rotation: Turning,
}

impl MixtureForCausalLm {
    pub(crate) fn skeleton(c: &LlamaConfig, device: &Device) -> Self {
        let d = c.hidden_size;
        let head = || Linear::skeleton_with(d, c.vocab_size, false, device);
        Self {
            model: Mixture {
                embed_tokens: Embedding::skeleton(c.vocab_size, d, device),
                layers: (c.windows().enumerate())
                    .map(|(layer, window)| Layer::skeleton(c, layer, window, device))
                    .collect(),
                norm: RmsNorm::skeleton(d, c.rms_norm_eps, device),
                rotation: Turning::new(c.rotation()),
            },
            lm_head: (!c.tie_word_embeddings).then(head),
            balance: c.experts().and_then(|experts| experts.balance),
        }
    }
}

impl Mixture {
    /// Hidden states before the last normalisation. Shows `inspect` what comes out of the token table and of each layer.
    fn forward(
        &self,
        reading: &Reading,
        ledger: Option<Ledger>,
        pass: &Pass,
        inspect: &mut dyn FnMut(&Tensor<3>),
    ) -> Result<Tensor<3>, Error> {
        let around = Around {
            tokens: self.rotation.around(reading),
            ledger,
        };
        let x = self.embed_tokens.forward(reading.input_ids.clone());
        stack::run(&self.layers, x, &around, 0, pass, inspect)
    }
}

impl NextTokens for MixtureForCausalLm {
    fn hidden(&self, reading: &Reading, pass: &Pass, inspect: &mut dyn FnMut(&Tensor<3>)) -> Result<Tensor<3>, Error> {
        self.model.forward(reading, None, pass, inspect)
    }

    /// With what balances the experts.
    fn learn(&self, reading: &Reading, pass: &Pass) -> Result<(Tensor<3>, Option<Tensor<1>>), Error> {
        let ledger = self.balance.map(|_| Ledger::default());
        let hidden = self.model.forward(reading, ledger.clone(), pass, &mut |_| {})?;
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
