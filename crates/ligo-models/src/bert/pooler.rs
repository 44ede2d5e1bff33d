use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::BertConfig;

use crate::Linear;

/// What a sequence is as a whole, for its classifier. Masked-language modelling does not use it: there it is carried, so that
/// a grown model has what the small one had, and gets no gradient.
#[derive(Module, Debug)]
pub struct Pooler {
    /// `[D, D]`.
    pub dense: Linear,
}

impl Pooler {
    pub(super) fn skeleton(c: &BertConfig, device: &Device) -> Self {
        Self {
            dense: Linear::skeleton(c.hidden_size, c.hidden_size, device),
        }
    }

    /// `tanh(dense(x))` of a sequence's first token.
    ///
    /// # Shapes
    /// `first [B, D]`; the result is `[B, D]`.
    pub fn forward(&self, first: Tensor<2>) -> Tensor<2> {
        self.dense.forward(first).tanh()
    }
}
