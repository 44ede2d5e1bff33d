//! What a training step keeps in memory.
//!
//! The parts do not all reach their largest size at the same moment (gradients appear while activations go), so their sum is
//! an upper bound of the step; the program itself, its data and what an allocator holds back come on top. All numbers are
//! taken to be `f32`.
//!
//! Legend: `N` tokens of a micro-batch, `S` sequence length, `D` hidden, `Q` and `K` width of all queries and of all keys, `F` feed-forward
//! width, `G` matrices of the feed-forward network, `H` heads, `V` vocabulary, `P` predicted tokens.

use serde::{Deserialize, Serialize};

use crate::dims::TransformerDims;
use crate::exact::{GrowthOrder, TensorGrowth};

const BYTES: f64 = 4.0;

/// Bytes by part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// The model's weights.
    pub weights_bytes: f64,
    /// Their gradients.
    pub gradients_bytes: f64,
    /// The optimizer's moments.
    pub moments_bytes: f64,
    /// What the forward pass keeps for the backward pass.
    pub activations_bytes: f64,
    /// Logits at the predicted positions, their gradient, and what the head keeps.
    pub logits_bytes: f64,
    /// What learning an operator adds: the small model, what the large weights are made of, the operator with gradients and moments.
    pub operator_bytes: f64,
}

impl Memory {
    /// All parts together.
    #[must_use]
    pub fn total_bytes(&self) -> f64 {
        self.weights_bytes
            + self.gradients_bytes
            + self.moments_bytes
            + self.activations_bytes
            + self.logits_bytes
            + self.operator_bytes
    }

    /// The same where only a share of moments of so many bytes is kept here, and other devices keep the rest.
    #[must_use]
    pub fn sharing(self, moments_bytes: f64, share: f64) -> Self {
        Self {
            moments_bytes: self.moments_bytes - moments_bytes * (1.0 - share),
            ..self
        }
    }
}

/// How a step goes over its samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Batch {
    /// Sequences that are in memory at once.
    pub sequences: usize,
    /// Micro-batches of a step on this device. Their gradients are added in a tree, so with 2, 4, 8 … of them, 2, 3, 4 … sets meet.
    pub accumulation: usize,
    /// Numbers that are kept for each parameter beside its value and gradient: 2 by Adam, 0 by plain descent, and one for each of the weights that
    /// are averaged.
    pub moments: f64,
    /// Whether layers keep their input only and are computed again in the backward pass, one after the other.
    pub recomputes_layers: bool,
}

/// The memory of training a model of so many parameters.
#[must_use]
pub fn training(parameters: usize, dims: &TransformerDims, batch: Batch) -> Memory {
    let weights = BYTES * parameters as f64;
    Memory {
        weights_bytes: weights,
        gradients_bytes: weights * f64::from(sets_of_gradients(batch.accumulation)),
        moments_bytes: weights * batch.moments,
        activations_bytes: BYTES * activations(dims, batch),
        logits_bytes: BYTES * head(dims, batch.sequences),
        operator_bytes: 0.0,
    }
}

/// Sets of gradients that are there at once: one that is new, and the sums of 1, 2, 4 … micro-batches before it.
fn sets_of_gradients(accumulation: usize) -> u32 {
    accumulation.max(1).ilog2() + 1
}

/// Parameters of the two models and of the operator between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    /// Of the small model.
    pub small: usize,
    /// Of the large model.
    pub large: usize,
    /// Of the operator, those that are learned.
    pub operator: usize,
}

/// The memory of learning an operator: the large model's weights and gradients are there as in [`training`], without moments.
#[must_use]
pub fn learning(
    parameters: Parameters,
    large: &TransformerDims,
    tensors: &[TensorGrowth],
    order: GrowthOrder,
    batch: Batch,
) -> Memory {
    let made_of: f64 = tensors.iter().map(|tensor| intermediates(tensor, order)).sum();
    let learned = parameters.operator as f64 * ((1 + batch.accumulation.min(2)) as f64 + batch.moments);
    Memory {
        moments_bytes: 0.0,
        operator_bytes: BYTES * (parameters.small as f64 + made_of + learned),
        ..training(parameters.large, large, batch)
    }
}

/// Numbers between the small tensors and the large ones.
///
/// Width first: each small layer half widened, widened, and once more among all layers side by side. Depth first: the small
/// layers side by side, and each large layer mixed and half widened.
fn intermediates(tensor: &TensorGrowth, order: GrowthOrder) -> f64 {
    let [r1, c1, r2, c2, l1, l2] = [
        tensor.rows_small,
        tensor.cols_small,
        tensor.rows_large,
        tensor.cols_large,
        tensor.layers_small,
        tensor.layers_large,
    ]
    .map(|n| n as f64);
    let half = if r1 != r2 && c1 != c2 { r2 * c1 } else { 0.0 };
    if l1 == 1.0 && l2 == 1.0 {
        return half;
    }
    match order {
        GrowthOrder::WidthThenDepth => l1 * (half + 2.0 * r2 * c2),
        GrowthOrder::DepthThenWidth => l1 * r1 * c1 + l2 * (r1 * c1 + half),
    }
}

/// Numbers that the layers and embeddings keep.
///
/// A layer keeps for each token the inputs of its matrix products and of its activation: `4·D + 2·Q + 2·K + G·F + H`, which is
/// `16·D + H` where `Q = K = D`, `F = 4·D` and `G = 2`: attention keeps no `S × S` map. When layers are recomputed, each keeps its input, `D`,
/// and all else is there for one layer at a time.
fn activations(dims: &TransformerDims, batch: Batch) -> f64 {
    let [s, d, q, kv, h] = [dims.seq_len, dims.hidden, dims.query, dims.key_value, dims.heads].map(|n| n as f64);
    let [f, router] = dims.active_neurons();
    let sequences = batch.sequences as f64;
    let tokens = sequences * s;
    let gates = dims.ffn_matrices as f64;
    // Of experts also their inputs and outputs, once for each that a token goes through.
    let routed = dims
        .sparse
        .map_or(0.0, |sparse| 2.0 * sparse.active as f64 * d + router);
    let layer = 4.0 * d + 2.0 * q + 2.0 * kv + gates * f + h + routed;
    let layers = match batch.recomputes_layers {
        false => dims.layers as f64 * layer,
        true => dims.layers as f64 * d + layer,
    };
    // Class attention: keys and values of all tokens, all else of one token in a sequence.
    let class_layer = tokens * (d + 2.0 * kv) + sequences * (3.0 * d + 2.0 * q + gates * f + h * s);
    let embeddings = 3.0 * d + (dims.patch + dims.embedding.unwrap_or(0)) as f64;
    tokens * (layers + embeddings) + dims.class_layers as f64 * class_layer
}

/// Numbers that the head keeps: `P · (2·V + D)`, and `4·D` more where a layer stands before the output.
fn head(dims: &TransformerDims, sequences: usize) -> f64 {
    let predicted = (sequences * dims.seq_len) as f64 * dims.predicted.fraction(dims.seq_len);
    let (layer, width) = dims.head_layers();
    let kept = match layer {
        None => 0.0,
        // Of a bare projection its input; behind a layer of its own there are an activation and a norm too.
        Some([inputs, _]) if !dims.head_transform => inputs,
        Some([inputs, outputs]) => inputs + 3.0 * outputs,
    };
    predicted * (2.0 * dims.vocab as f64 + width + kept)
}
