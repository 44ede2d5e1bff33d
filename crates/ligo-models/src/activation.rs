use burn::tensor::{Tensor, activation::relu};
use ligo_arch::HiddenAct;
use ligo_ops::{GeluKind, gelu};

/// The non-linearity that the configuration names, element by element.
pub(crate) fn activate<const D: usize>(x: Tensor<D>, kind: HiddenAct) -> Tensor<D> {
    match kind {
        HiddenAct::Gelu => gelu(x, GeluKind::Erf),
        HiddenAct::GeluNew => gelu(x, GeluKind::Tanh),
        HiddenAct::Relu => relu(x),
    }
}
