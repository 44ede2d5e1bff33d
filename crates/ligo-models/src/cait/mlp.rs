use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::HiddenAct;
use ligo_ops::Dropout;

use crate::image::drop_path;
use crate::{DropoutStream, Linear};

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

    /// `residual + dropout(γ ∘ (W₂ dropout(act(W₁ x + b₁)) + b₂))`, with the factors of LayerScale; `path` drops the whole branch.
    ///
    /// # Shapes
    /// `x`, `residual` and the result `[B, L, D]`; `gamma [D]`.
    pub fn forward(
        &self,
        x: Tensor<3>,
        residual: Tensor<3>,
        gamma: Tensor<1>,
        dropout: &DropoutStream,
        path: f64,
    ) -> Tensor<3> {
        let inner = self.fc1.forward_activated(x, self.activation);
        let inner = ligo_ops::dropout(inner, dropout.next(self.dropout));
        let end = BranchEnd {
            gamma,
            elements: dropout.next(self.dropout),
            path: dropout.next(path),
        };
        end.add(&self.fc2, inner, residual)
    }
}

/// The end of a branch: LayerScale, and what is dropped.
pub(super) struct BranchEnd {
    /// Factors, `[D]`.
    pub(super) gamma: Tensor<1>,
    /// Dropout of elements.
    pub(super) elements: Option<Dropout>,
    /// Dropout of the whole branch.
    pub(super) path: Option<Dropout>,
}

impl BranchEnd {
    /// `residual + dropped(γ ∘ layer(x))`.
    ///
    /// # Shapes
    /// `x [.., in]`; `residual` and the result `[.., D]`.
    pub(super) fn add(self, layer: &Linear, x: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        let Self { gamma, elements, path } = self;
        if path.is_none() {
            return ligo_ops::linear_scale_add(x, layer.dense(), gamma, elements, residual);
        }
        let scaled = ligo_ops::linear_scale(x, layer.dense(), gamma);
        residual + drop_path(ligo_ops::dropout(scaled, elements), path)
    }
}
