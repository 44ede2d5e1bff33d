use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::BertConfig;

use super::Layer;
use crate::{Error, Pass, stack};

/// The first token stands for its sequence.
const STAYING: usize = 1;

/// The stack of layers.
#[derive(Module, Debug)]
pub struct Encoder {
    /// First layer first.
    pub layer: Vec<Layer>,
}

impl Encoder {
    pub(crate) fn skeleton(c: &BertConfig, device: &Device) -> Self {
        Self {
            layer: (0..c.num_hidden_layers).map(|_| Layer::skeleton(c, device)).collect(),
        }
    }

    /// The hidden states behind the layers that the pass runs; `inspect` sees those that go in and those behind each layer.
    ///
    /// # Shapes
    /// `x [B, L, D]`; `attention_mask [B, L]`, 1 for a token and 0 for padding; the result is `[B, L, D]`.
    ///
    /// # Errors
    /// Those of [`Pass::check`].
    pub fn forward(
        &self,
        x: Tensor<3>,
        attention_mask: Option<Tensor<2>>,
        pass: &Pass,
        inspect: &mut dyn FnMut(&Tensor<3>),
    ) -> Result<Tensor<3>, Error> {
        stack::run(&self.layer, x, &attention_mask, STAYING, pass, inspect)
    }
}
