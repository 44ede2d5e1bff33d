//! What layers of decoders have in common, whatever their matrices are called.

use burn::tensor::Tensor;
use ligo_arch::HiddenAct;
use ligo_ops::AttentionOptions;

use crate::causal::Visibility;
use crate::heads::attend;
use crate::{DropoutStream, Linear, split};

/// What attention is besides its matrices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    /// Query heads.
    pub(crate) count: usize,
    /// Dropout on attention probabilities.
    pub(crate) dropout: f64,
    /// Dropout on what comes out.
    pub(crate) output_dropout: f64,
}

/// What a feed-forward network of two matrices is besides them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neurons {
    /// Between the matrices.
    pub(crate) activation: HiddenAct,
    /// Dropout on what comes out.
    pub(crate) dropout: f64,
}

impl Heads {
    /// `residual + dropout(join(attention(q, k, v)))`. Takes two dropout sites.
    pub(crate) fn forward(
        self,
        parts: [Tensor<3>; 3],
        visibility: &Visibility,
        join: &Linear,
        residual: Tensor<3>,
        dropout: &DropoutStream,
    ) -> Tensor<3> {
        let options = AttentionOptions {
            dropout: dropout.next(self.dropout),
            ..visibility.attention(self.count)
        };
        let heads = attend(parts, options);
        join.forward_add(heads, dropout.next(self.output_dropout), residual)
    }
}

impl Neurons {
    /// `residual + dropout(second(activation(first(x))))`. Takes one dropout site.
    pub(crate) fn forward(
        self,
        [first, second]: [&Linear; 2],
        x: Tensor<3>,
        residual: Tensor<3>,
        dropout: &DropoutStream,
    ) -> Tensor<3> {
        let inner = first.forward_activated(split::enter(x), self.activation);
        second.forward_add(inner, dropout.next(self.dropout), residual)
    }
}
