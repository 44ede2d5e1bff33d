//! FLOPs as the LiGO paper counts them.
//!
//! The paper uses the counter published with ELECTRA (`google-research/electra`, `flops_computation.py`) and, in its own
//! repository (`VITA-Group/LiGO`, `flop_computation.py`), adds the cost of building the large weights from the small ones.
//! Every published LiGO saving in FLOPs rests on it, so this module follows it to the last digit, oddities included:
//!
//! * a product of `[m, k]` and `[k, n]` costs `2·m·k·n`, and the backward pass costs **as much as** the forward pass
//!   (a real one costs about twice as much, see [`crate::exact`]);
//! * looking up a word costs a product with a one-hot vector, `2·V·D` per token (a real look-up costs nothing);
//! * a masked language model predicts 15.625 % of the tokens, whatever the recipe's masking rate;
//! * the LayerNorm after attention is counted as 5 FLOPs per token, not per channel;
//! * the operator's cost is **multiplied by the batch size**, as though every sequence built its own weights. A LiGO step
//!   is then 2.4 plain steps for BERT-Small → BERT-Base. Counted once per step the same operator adds 0.55 %
//!   (2.6 % by [`crate::exact`]). So the paper overstates the price of its own method.
//!
//! Legend: `S` sequence length, `D` hidden, `F` feed-forward width, `H` heads, `V` vocabulary, `L` layers.

use crate::dims::{Predicted, TransformerDims};

/// Share of the tokens that a masked language model is taken to predict: 20 of 128.
const MASKED_FRACTION: f64 = 0.15625;
/// Random number, comparison, product with the mask, product with `1 / (1 - rate)`.
const DROPOUT: f64 = 4.0;
/// Mean, variance (square and sum), shift, scale.
const LAYER_NORM: f64 = 5.0;
/// GELU by its tanh formula.
const ACTIVATION: f64 = 8.0;
/// Maximum, subtraction, exponential, sum, division.
const SOFTMAX: f64 = 5.0;
/// The paper's rule for the backward pass: as much again as the forward pass.
const FORWARD_AND_BACKWARD: f64 = 2.0;

/// Forward FLOPs of one sequence, by part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForwardFlops {
    /// All transformer layers.
    pub layers: f64,
    /// Word, position and type embeddings with their LayerNorm and dropout.
    pub embeddings: f64,
    /// The head: its hidden layer, logits and softmax at the predicted tokens.
    pub output: f64,
}

impl ForwardFlops {
    /// All parts together.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.layers + self.embeddings + self.output
    }
}

/// Forward FLOPs of one sequence.
///
/// Tables and heads of another width `E` are counted as the script counts them: look-ups and logits in it, and a projection of tokens.
///
/// The head's hidden layer is always counted, and a masked model always predicts 15.625 % of its tokens, as in ELECTRA's
/// file; [`TransformerDims::head_transform`] and the masking rate are not looked at.
#[must_use]
pub fn forward_flops(dims: &TransformerDims) -> ForwardFlops {
    let [s, d, v] = [dims.seq_len, dims.hidden, dims.vocab].map(|n| n as f64);
    let [e, h] = [dims.embedding, dims.head].map(|width| width.unwrap_or(dims.hidden) as f64);
    let projection = dims.embedding.map_or(0.0, |_| 2.0 * d * e + d);
    let embedding_per_token = 2.0 * e * v + 2.0 * e * (s + 2.0) + 2.0 * e + LAYER_NORM * e + DROPOUT * e + projection;
    let output_per_token = 2.0 * h * v + 2.0 * d * h + h + (ACTIVATION + LAYER_NORM) * h + (SOFTMAX + 2.0) * v;
    let predicted_fraction = match dims.predicted {
        Predicted::Masked { .. } => MASKED_FRACTION,
        Predicted::EveryToken => 1.0,
        Predicted::EverySequence => 1.0 / dims.seq_len as f64,
    };
    ForwardFlops {
        layers: dims.layers as f64 * layer_flops(dims),
        embeddings: s * embedding_per_token,
        output: s * predicted_fraction * output_per_token,
    }
}

/// Forward FLOPs of one layer on one sequence.
pub(crate) fn layer_flops(dims: &TransformerDims) -> f64 {
    dims.seq_len as f64 * layer_flops_per_token(dims)
}

fn layer_flops_per_token(dims: &TransformerDims) -> f64 {
    let [s, d, h] = [dims.seq_len, dims.hidden, dims.heads].map(|n| n as f64);
    let [f, _] = dims.active_neurons();
    let query_key_value = 3.0 * (2.0 * d * d + d);
    let scores_and_average = 2.0 * (2.0 * d * s);
    let scale_softmax_dropout = (1.0 + SOFTMAX + DROPOUT) * s * h;
    // Product, bias, dropout, residual; the LayerNorm lacks its factor D in ELECTRA's file.
    let attention_output = 2.0 * d * d + (1.0 + DROPOUT + 1.0) * d + LAYER_NORM;
    let intermediate = 2.0 * d * f + (ACTIVATION + 1.0) * f;
    let output = 2.0 * d * f + (1.0 + DROPOUT + 1.0 + LAYER_NORM) * d;
    query_key_value + scores_and_average + scale_softmax_dropout + attention_output + intermediate + output
}

/// FLOPs of one training step on a batch of sequences: `2 · batch · forward`.
#[must_use]
pub fn train_step_flops(dims: &TransformerDims, batch_sequences: usize) -> f64 {
    FORWARD_AND_BACKWARD * batch_sequences as f64 * forward_flops(dims).total()
}

/// FLOPs that the paper counts for building all the large model's weights once, forward only.
///
/// The paper's file mixes `L₁` small tensors into each large one (`2·L₁` per weight) and multiplies by the new part of the
/// width matrices, `D₂ − D₁` rows, tensor by tensor. It counts query, key and value once instead of three times, and
/// leaves out embeddings and head. Those slips are kept, since Table 3 of the paper contains them.
#[must_use]
pub fn operator_flops(small: &TransformerDims, large: &TransformerDims) -> f64 {
    let [l1, d1, d2, f] = [small.layers, small.hidden, large.hidden, large.ffn].map(|n| n as f64);
    let new = d2 - d1;
    let mix = |weights: f64| 2.0 * l1 * weights;
    let mix_vector = |channels: f64| l1 * channels;

    let query_key_value = mix(d2 * d2) + 4.0 * new * d1 * d1 + mix_vector(d2) + new * d1;
    let attention_output = mix(d2 * d2) + 4.0 * new * d1 * d1 + mix_vector(d2) + new * d1;
    let attention_layer_norm = 2.0 * (mix_vector(d2) + new * d1);
    let intermediate = mix(d2 * f) + 4.0 * new * d1 * f + mix_vector(f) + new * f;
    let output = mix(d2 * f) + 2.0 * new * f * d2 + 2.0 * mix_vector(d2) + new * d2;
    let output_layer_norm = 2.0 * mix_vector(d2) + new * d2;
    large.layers as f64
        * (query_key_value + attention_output + attention_layer_norm + intermediate + output + output_layer_norm)
}

/// FLOPs of one step of learning the operator **as the paper counts it**: a training step of the large model, and the
/// operator forward and backward once for every sequence of the batch.
#[must_use]
pub fn ligo_step_flops(small: &TransformerDims, large: &TransformerDims, batch_sequences: usize) -> f64 {
    train_step_flops(large, batch_sequences)
        + FORWARD_AND_BACKWARD * batch_sequences as f64 * operator_flops(small, large)
}

/// FLOPs of one step of learning the operator when its cost is counted once a step, as it is paid.
#[must_use]
pub fn ligo_step_flops_operator_once(small: &TransformerDims, large: &TransformerDims, batch_sequences: usize) -> f64 {
    train_step_flops(large, batch_sequences) + FORWARD_AND_BACKWARD * operator_flops(small, large)
}
