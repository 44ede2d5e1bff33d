//! What operations are told besides their tensors.

use burn::tensor::{Int, Tensor};

use crate::Dropout;

/// Which formula of GELU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GeluKind {
    /// `x · Φ(x)` with the error function; BERT's `gelu`.
    Erf,
    /// `x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))`; GPT-2's `gelu_new`.
    Tanh,
}

/// What attention is told besides its tensors.
#[derive(Clone, Debug, Default)]
pub struct AttentionOptions {
    /// The number `H` of query heads.
    pub num_heads: usize,
    /// `[B, L]`, 1 where a key may be attended to and 0 at padding; all 1 when absent.
    pub key_padding_mask: Option<Tensor<2>>,
    /// `[B, L]`, the document of each position: positions see their own document only.
    pub documents: Option<Tensor<2, Int>>,
    /// Whether a position sees itself and earlier positions only.
    pub causal: bool,
    /// How far a position sees: with `causal` itself and the `window - 1` positions before it, as a sliding window of `transformers`; without
    /// it `window / 2` positions to either side, as ModernBERT's local attention. What the window hides is not computed.
    pub window: Option<usize>,
    /// `[B, L]`, ascending in each sequence: where its tokens stand, which decides what is within the window; `0, 1, …` when absent. For sequences
    /// of which tokens were left out.
    pub positions: Option<Tensor<2, Int>>,
    /// The factor of the products of queries and keys; `1 / √d` with `d` the width of a head when absent.
    pub scale: Option<f64>,
    /// Where scores level off: they become `cap · tanh(score / cap)`, before anything is hidden (Gemma 2, arXiv:2408.00118).
    pub soft_cap: Option<f64>,
    /// Acts on the attention weights; element `((b·H + h)·L + i)·L + j` of the mask belongs to query `i` and key `j` of
    /// head `h` in batch element `b`.
    pub dropout: Option<Dropout>,
}

/// An affine map over attention heads: head `g` of the result is `Σ_h weight[g, h] · head h + bias[g]`.
#[derive(Clone, Debug)]
pub struct HeadMix {
    /// `[H, H]`.
    pub weight: Tensor<2>,
    /// `[H]`.
    pub bias: Tensor<1>,
}

/// Numbers of one AdamW update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamwStep {
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the denominator, outside the square root.
    pub eps: f64,
    /// Decoupled weight decay; 0 for parameters without.
    pub weight_decay: f64,
    /// Number of this update, counted from 1.
    pub step: u64,
    /// Factor on the gradient, e.g. of global-norm clipping.
    pub grad_scale: f64,
}

impl AdamwStep {
    /// `(1 - β₁ᵗ, 1 - β₂ᵗ)`.
    pub(crate) fn bias_corrections(&self) -> (f64, f64) {
        let t = self.step as f64;
        (1.0 - self.beta1.powf(t), 1.0 - self.beta2.powf(t))
    }
}
