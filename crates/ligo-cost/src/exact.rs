//! FLOPs of the matrix products that really happen.
//!
//! A product of `[m, k]` and `[k, n]` costs `2·m·k·n`. The backward pass of a product is two products of the same size, so
//! it costs twice the forward pass and a training step costs three times; the projection of patches has one, since nobody asks
//! for the gradient of pixels. Counted are all linear layers and both attention
//! products, the logits at predicted tokens only. Not counted: embedding look-ups (they copy) and everything elementwise,
//! the optimizer's update among it; the products that Muon makes its steps orthogonal with are counted on their own ([`muon_flops`]). Divided by the measured time this gives the share of a machine's matmul peak.
//!
//! Attention is counted over the whole `S × S` square, for causal models too, and padding counts as tokens.
//!
//! Legend: `N` tokens, `S` sequence length, `D` hidden, `F` feed-forward width, `V` vocabulary, `L` layers, `Q` and `K` width of all queries and keys, `M` patches of a batch of `P` numbers each; 1 small, 2 large.

use crate::dims::TransformerDims;

/// One forward and two backward products.
const FORWARD_AND_BACKWARD: f64 = 3.0;

/// Forward FLOPs of a batch, by part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForwardFlops {
    /// Query, key, value and output projections: `L · 2·N·(2·D·Q + 2·D·K)`, which is `L · 4 · 2·N·D²` where queries and keys are as wide
    /// as the residual stream; the patch embedding of images, `2·M·P·D`; and the projection of tokens from a table of width `E`, `2·N·E·D`.
    pub projections: f64,
    /// Scores and weighted average: `L · 2 · 2·N·S·Q`.
    pub attention: f64,
    /// The feed-forward network's two layers, or three when gated: `L · 2 · 2·N·D·F`. Of several networks those that a token goes through, and the product
    /// that chooses them.
    pub ffn: f64,
    /// The head at the `P` predicted tokens: `2·P·D·V`, and `2·P·D²` for the layer before it where there is one; `2·P·E·V` and `2·P·D·E` where logits
    /// are computed in another width.
    pub head: f64,
}

impl ForwardFlops {
    /// All parts together.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.projections + self.attention + self.ffn + self.head
    }
}

/// Forward FLOPs of a batch of sequences.
#[must_use]
pub fn forward_flops(dims: &TransformerDims, batch_sequences: usize) -> ForwardFlops {
    let [layers, class_layers] = [dims.layers, dims.class_layers].map(|n| n as f64);
    let layer = layer_flops(dims, batch_sequences, dims.seq_len, dims.seq_len);
    let class_layer = class_layer_flops(dims, batch_sequences);
    ForwardFlops {
        projections: layers * layer.projections()
            + class_layers * class_layer.projections()
            + patch_flops(dims, batch_sequences)
            + token_flops(dims, batch_sequences),
        attention: layers * layer.attention + class_layers * class_layer.attention,
        ffn: layers * layer.ffn + class_layers * class_layer.ffn,
        head: head_flops(dims, batch_sequences).total(),
    }
}

/// Forward FLOPs of one layer, by part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerFlops {
    /// Query, key and value projections.
    pub(crate) inputs: f64,
    /// The projection behind attention.
    pub(crate) output: f64,
    /// Scores and weighted average.
    pub(crate) attention: f64,
    /// The feed-forward network.
    pub(crate) ffn: f64,
}

impl LayerFlops {
    pub(crate) fn projections(&self) -> f64 {
        self.inputs + self.output
    }

    pub(crate) fn total(&self) -> f64 {
        self.projections() + self.attention + self.ffn
    }
}

/// One layer in which `reading` tokens of each sequence attend to `read` ones.
pub(crate) fn layer_flops(dims: &TransformerDims, batch_sequences: usize, reading: usize, read: usize) -> LayerFlops {
    let [d, matrices] = [dims.hidden, dims.ffn_matrices].map(|n| n as f64);
    let [f, router] = dims.active_neurons();
    let [q, kv] = [dims.query, dims.key_value].map(|n| n as f64);
    let [reading_tokens, read_tokens] = [reading, read].map(|tokens| (batch_sequences * tokens) as f64);
    LayerFlops {
        inputs: 2.0 * d * (reading_tokens * q + 2.0 * read_tokens * kv),
        output: 2.0 * d * reading_tokens * q,
        attention: 2.0 * 2.0 * reading_tokens * read as f64 * q,
        ffn: matrices * 2.0 * reading_tokens * d * f + 2.0 * reading_tokens * d * router,
    }
}

/// A layer of class attention computes keys and values for every token and the class token, and all else for the class token.
pub(crate) fn class_layer_flops(dims: &TransformerDims, batch_sequences: usize) -> LayerFlops {
    layer_flops(dims, batch_sequences, 1, dims.seq_len + 1)
}

/// The patch embedding, `2·M·P·D`; 0 for text. Class tokens are learned as they are.
pub(crate) fn patch_flops(dims: &TransformerDims, batch_sequences: usize) -> f64 {
    2.0 * (batch_sequences * dims.patches) as f64 * dims.patch as f64 * dims.hidden as f64
}

/// The projection of tokens from a table of another width, `2·N·E·D`; 0 where there is none.
pub(crate) fn token_flops(dims: &TransformerDims, batch_sequences: usize) -> f64 {
    let width = dims.embedding.unwrap_or(0) as f64;
    2.0 * (batch_sequences * dims.seq_len) as f64 * width * dims.hidden as f64
}

/// Forward FLOPs of the head at the predicted tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadFlops {
    /// The logits.
    pub(crate) output: f64,
    /// The layer in front of them, 0 where there is none.
    pub(crate) transform: f64,
}

impl HeadFlops {
    pub(crate) fn total(&self) -> f64 {
        self.output + self.transform
    }
}

pub(crate) fn head_flops(dims: &TransformerDims, batch_sequences: usize) -> HeadFlops {
    let (layer, width) = dims.head_layers();
    let tokens = batch_sequences as f64 * dims.seq_len as f64;
    let predicted = tokens * dims.predicted.fraction(dims.seq_len);
    HeadFlops {
        output: 2.0 * predicted * width * dims.vocab as f64,
        transform: layer.map_or(0.0, |[inputs, outputs]| 2.0 * predicted * inputs * outputs),
    }
}

/// FLOPs of one training step: three times the forward pass, less the gradient of pixels.
#[must_use]
pub fn train_step_flops(dims: &TransformerDims, batch_sequences: usize) -> f64 {
    FORWARD_AND_BACKWARD * forward_flops(dims, batch_sequences).total() - patch_flops(dims, batch_sequences)
}

/// FLOPs of computing the layers once more, which gradient checkpointing adds to a step. Layers of class attention are not among them.
#[must_use]
pub fn recomputed_layers_flops(dims: &TransformerDims, batch_sequences: usize) -> f64 {
    dims.layers as f64 * layer_flops(dims, batch_sequences, dims.seq_len, dims.seq_len).total()
}

/// Whether the small layers are mixed before or after they are widened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrowthOrder {
    /// Widen each of the `L₁` small tensors, then mix them at the large size: the paper's order.
    WidthThenDepth,
    /// Mix at the small size, then widen each of the `L₂` mixed tensors: the official code's order.
    DepthThenWidth,
}

/// A tensor (of every layer that has it) and what it grows to.
///
/// An axis whose two sizes are equal is not multiplied: vocabularies and classes, the single column of a vector, and both
/// axes where a model grows in depth only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorGrowth {
    /// Rows of the small tensor, `R₁`.
    pub rows_small: usize,
    /// Columns of the small tensor, `C₁`; 1 for a vector.
    pub cols_small: usize,
    /// Rows of the large tensor, `R₂`.
    pub rows_large: usize,
    /// Columns of the large tensor, `C₂`; 1 for a vector.
    pub cols_large: usize,
    /// Small layers that have the tensor, `L₁`; 1 for embeddings and heads.
    pub layers_small: usize,
    /// Large layers that have the tensor, `L₂`; 1 for embeddings and heads.
    pub layers_large: usize,
}

impl TensorGrowth {
    /// FLOPs of `Out · W · Inᵀ` for one tensor, `Out: [R₂, R₁]`, `In: [C₂, C₁]`.
    ///
    /// With both axes growing, `2·R₂·R₁·C₁ + 2·R₂·C₁·C₂` from the left or `2·R₁·C₁·C₂ + 2·R₂·R₁·C₂` from the right,
    /// whichever is less.
    #[must_use]
    pub fn width_flops(&self) -> f64 {
        let [r1, c1, r2, c2] = [self.rows_small, self.cols_small, self.rows_large, self.cols_large].map(|n| n as f64);
        match (self.rows_small != self.rows_large, self.cols_small != self.cols_large) {
            (false, false) => 0.0,
            (true, false) => 2.0 * r2 * r1 * c1,
            (false, true) => 2.0 * r1 * c1 * c2,
            (true, true) => {
                let from_left = r2 * r1 * c1 + r2 * c1 * c2;
                let from_right = r1 * c1 * c2 + r2 * r1 * c2;
                2.0 * from_left.min(from_right)
            }
        }
    }

    /// Forward FLOPs of growing the tensor in all layers.
    ///
    /// Mixing costs `2·L₂·L₁` per element at the size where it happens, widening [`width_flops`](Self::width_flops) per
    /// layer it happens for. One layer on both sides is not mixed.
    #[must_use]
    pub fn forward_flops(&self, order: GrowthOrder) -> f64 {
        let [l1, l2] = [self.layers_small, self.layers_large].map(|n| n as f64);
        let (elements, widened) = match order {
            GrowthOrder::WidthThenDepth => (self.rows_large * self.cols_large, l1),
            GrowthOrder::DepthThenWidth => (self.rows_small * self.cols_small, l2),
        };
        let is_mixed = self.layers_small > 1 || self.layers_large > 1;
        let mix = if is_mixed { 2.0 * l2 * l1 * elements as f64 } else { 0.0 };
        mix + widened * self.width_flops()
    }

    /// The tensors of an encoder of the BERT family: embeddings of words and `positions` positions, per layer query, key,
    /// value, attention output, both feed-forward layers, all biases and both LayerNorms, and the head.
    ///
    /// For a real model, list its own table instead; this one prices a pair of sizes before a model exists.
    #[must_use]
    pub fn of_encoder(small: &TransformerDims, large: &TransformerDims, positions: usize) -> Vec<Self> {
        let once = |rows: [usize; 2], cols: [usize; 2]| Self {
            rows_small: rows[0],
            cols_small: cols[0],
            rows_large: rows[1],
            cols_large: cols[1],
            layers_small: 1,
            layers_large: 1,
        };
        let per_layer = |rows: [usize; 2], cols: [usize; 2]| Self {
            layers_small: small.layers,
            layers_large: large.layers,
            ..once(rows, cols)
        };
        let hidden = [small.hidden, large.hidden];
        let ffn = [small.ffn, large.ffn];
        let one = [1, 1];

        let mut tensors = vec![
            once([small.vocab, large.vocab], hidden),
            once([positions, positions], hidden),
        ];
        tensors.extend([once(hidden, one); 2]); // the embeddings' LayerNorm
        tensors.extend([per_layer(hidden, hidden); 4]);
        tensors.extend([per_layer(ffn, hidden), per_layer(hidden, ffn), per_layer(ffn, one)]);
        tensors.extend([per_layer(hidden, one); 9]); // five biases, two LayerNorms of two vectors
        if large.head_transform {
            tensors.push(once(hidden, hidden));
            tensors.extend([once(hidden, one); 3]);
        }
        tensors
    }
}

/// FLOPs of the operator in one step of learning it, forward and backward. It is paid once a step, whatever the batch.
///
/// Backward is counted as twice forward, which is a little too much as long as the small weights need no gradient, and what it takes where they
/// are learned along. What is added to the grown weights is no product.
#[must_use]
pub fn operator_step_flops(tensors: &[TensorGrowth], order: GrowthOrder) -> f64 {
    FORWARD_AND_BACKWARD * tensors.iter().map(|tensor| tensor.forward_flops(order)).sum::<f64>()
}

/// FLOPs of one update by Muon: what makes the steps of all matrices of the layers orthogonal.
///
/// An iteration for a matrix whose shorter side is `r` and whose longer one is `c` is three products, `X Xᵀ`, its square, and what it is applied
/// to: `2·r²·c + 2·r³ + 2·r²·c`. It costs the same however many tokens a step reads.
#[must_use]
pub fn muon_flops(dims: &TransformerDims, iterations: u32) -> f64 {
    let product = |one: usize, other: usize| {
        let (r, c) = (one.min(other) as f64, one.max(other) as f64);
        4.0 * r * r * c + 2.0 * r * r * r
    };
    let [d, q, kv] = [dims.hidden, dims.query, dims.key_value];
    let layer = 2.0 * product(q, d) + 2.0 * product(kv, d) + dims.ffn_matrices as f64 * product(dims.ffn, d);
    (dims.layers + dims.class_layers) as f64 * f64::from(iterations) * layer
}

/// FLOPs of one step of learning the operator: a training step of the large model and the operator once.
///
/// The gradients of the large weights are computed in both kinds of step; here they go on into the operator.
#[must_use]
pub fn ligo_step_flops(
    large: &TransformerDims,
    batch_sequences: usize,
    tensors: &[TensorGrowth],
    order: GrowthOrder,
) -> f64 {
    train_step_flops(large, batch_sequences) + operator_step_flops(tensors, order)
}
