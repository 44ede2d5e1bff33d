use burn::tensor::{Tensor, activation::relu};
use ligo_arch::HiddenAct;
use ligo_ops::{GeluKind, gelu};

/// Which GELU it is, where it is one.
pub(crate) fn gelu_kind(kind: HiddenAct) -> Option<GeluKind> {
    match kind {
        HiddenAct::Gelu => Some(GeluKind::Erf),
        HiddenAct::GeluNew => Some(GeluKind::Tanh),
        HiddenAct::Relu => None,
    }
}

/// The non-linearity that the configuration names, element by element.
pub(crate) fn activate<const D: usize>(x: Tensor<D>, kind: HiddenAct) -> Tensor<D> {
    match gelu_kind(kind) {
        Some(kind) => gelu(x, kind),
        None => relu(x),
    }
}
