use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ligo_arch::BertConfig;
use ligo_ops::{GeluKind, gelu};

use crate::bert::Decoder;
use crate::skeleton::vacant;
use crate::{LayerNorm, Linear};

/// The masked-language-model head.
#[derive(Module, Debug)]
pub struct LmHead {
    /// `[D, D]`.
    pub dense: Linear,
    /// After the activation; `layer_norm` in Hugging Face names.
    pub layer_norm_: LayerNorm,
    /// The decoder of an untied model; a tied one decodes with its token table.
    pub decoder: Option<Decoder>,
    /// Bias of the decoder, `[V]`. Files may also hold it as `lm_head.decoder.bias`.
    pub bias: Param<Tensor<1>>,
}

impl LmHead {
    pub(super) fn skeleton(c: &BertConfig, device: &Device) -> Self {
        let d = c.hidden_size;
        Self {
            dense: Linear::skeleton(d, d, device),
            layer_norm_: LayerNorm::skeleton(d, c.layer_norm_eps, device),
            decoder: Decoder::skeleton(c, device),
            bias: vacant([c.vocab_size], device),
        }
    }

    /// `LayerNorm(gelu(dense(x))) Eᵀ + bias` with `E` the decoder or, when tied, `token_table`. The activation is the exact
    /// GELU whatever the layers have.
    ///
    /// # Shapes
    /// `x [.., D]`, `token_table [V, D]`; the result is `[.., V]`.
    pub fn forward<const N: usize>(&self, x: Tensor<N>, token_table: &Param<Tensor<2>>) -> Tensor<N> {
        let x = self.layer_norm_.forward(gelu(self.dense.forward(x), GeluKind::Erf));
        let matrix = Decoder::matrix(self.decoder.as_ref(), token_table);
        ligo_ops::linear(x, matrix, Some(self.bias.val()))
    }
}
