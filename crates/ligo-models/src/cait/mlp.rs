use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ligo_arch::HiddenAct;

use crate::{DropoutStream, Linear, activation::activate};

/// Two feed-forward matrices.
#[derive(Module, Debug)]
pub struct Mlp {
    /// `[F, D]`.
    pub fc1: Linear,
    /// `[D, F]`.
    pub fc2: Linear,
    #[module(skip)]
    activation: HiddenAct,
    #[module(skip)]
    dropout: f64,
}

impl Mlp {
    pub(super) fn skeleton(width: usize, inner: usize, activation: HiddenAct, dropout: f64, device: &Device) -> Self {
        Self {
            fc1: Linear::skeleton(width, inner, device),
            fc2: Linear::skeleton(inner, width, device),
            activation,
            dropout,
        }
    }

    /// `γ ∘ dropout(W₂ dropout(act(W₁ x + b₁)) + b₂)`, with the factors of LayerScale.
    ///
    /// # Shapes
    /// `x` and the result `[B, L, D]`; `gamma [D]`.
    pub fn forward(&self, x: Tensor<3>, gamma: Tensor<1>, dropout: &DropoutStream) -> Tensor<3> {
        let inner = activate(self.fc1.forward(x), self.activation);
        let inner = ligo_ops::dropout(inner, dropout.next(self.dropout));
        ligo_ops::dropout(scaled(&self.fc2, inner, gamma), dropout.next(self.dropout))
    }
}

/// `γ ∘ (x Wᵀ + b)`, computed as `x (diag(γ) W)ᵀ + γ ∘ b`: one pass over a matrix instead of one over every token.
///
/// # Shapes
/// `x [.., in]`, `gamma [out]`; the result is `[.., out]`.
pub(super) fn scaled(layer: &Linear, x: Tensor<3>, gamma: Tensor<1>) -> Tensor<3> {
    let weight = layer.weight.val() * gamma.clone().unsqueeze_dim::<2>(1);
    let bias = layer.bias.as_ref().map(Param::val);
    ligo_ops::linear(x, weight, bias.map(|bias| bias * gamma))
}
