use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::BertConfig;

use super::Layer;
use crate::DropoutStream;

/// The stack of layers.
#[derive(Module, Debug)]
pub struct Encoder {
    /// First layer first.
    pub layer: Vec<Layer>,
}

impl Encoder {
    pub(super) fn skeleton(c: &BertConfig, device: &Device) -> Self {
        Self {
            layer: (0..c.num_hidden_layers).map(|_| Layer::skeleton(c, device)).collect(),
        }
    }

    /// Runs all layers and shows `inspect` the output of each.
    ///
    /// # Shapes
    /// `x [B, L, D]`; `attention_mask [B, L]`, 1 for a token and 0 for padding; the result is `[B, L, D]`.
    pub fn forward(
        &self,
        x: Tensor<3>,
        attention_mask: Option<Tensor<2>>,
        dropout: &DropoutStream,
        mut inspect: impl FnMut(&Tensor<3>),
    ) -> Tensor<3> {
        self.layer.iter().fold(x, |x, layer| {
            let x = layer.forward(x, attention_mask.clone(), dropout);
            inspect(&x);
            x
        })
    }
}
