use burn::module::Module;
use burn::tensor::Device;
use ligo_arch::BertConfig;

use crate::Linear;

/// The pooler of a checkpoint that has one. Masked-language modelling does not use it: it is carried, so that a
/// grown model has what the small one had, and gets no gradient.
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
}
