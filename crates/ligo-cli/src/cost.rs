//! From a model's configuration to the numbers that its cost depends on.

use ligo_arch::{ModelConfig, ParamTable, Task};
use ligo_cost::{Predicted, TransformerDims, electra, exact};
use ligo_growth::Sharing;
use ligo_train::CostPerStep;

/// The sizes that the counters need. Models of images have a sequence length of their own.
pub fn dims(config: &ModelConfig, seq_len: usize, mask_probability: f64) -> TransformerDims {
    let sizes = config.sizes();
    let seq_len = sizes.tokens.unwrap_or(seq_len);
    TransformerDims {
        layers: sizes.layers,
        class_layers: sizes.class_layers,
        hidden: sizes.hidden,
        query: sizes.query,
        key_value: sizes.key_value,
        ffn: sizes.ffn,
        ffn_matrices: sizes.ffn_matrices,
        heads: sizes.heads,
        vocab: sizes.outputs,
        patch: sizes.patch,
        seq_len,
        predicted: match config.task() {
            Task::MaskedLm => Predicted::Masked {
                fraction: mask_probability * (seq_len as f64 - 2.0) / seq_len as f64,
            },
            Task::CausalLm | Task::QuestionAnswering => Predicted::EveryToken,
            Task::SequenceClassification { .. } | Task::ImageClassification { .. } => Predicted::EverySequence,
        },
        head_transform: sizes.head_transform,
    }
}

/// The cost of a plain training step of `sequences` sequences.
pub fn step(dims: &TransformerDims, sequences: usize) -> CostPerStep {
    CostPerStep {
        exact: exact::train_step_flops(dims, sequences),
        electra: electra::train_step_flops(dims, sequences),
    }
}

/// The tensors that an operator computes, as the exact counter wants them.
pub fn growth(small: &ParamTable, large: &ParamTable) -> Vec<exact::TensorGrowth> {
    let rows = large.specs().iter().filter(|s| s.required);
    rows.map(|spec| {
        let size = |table: &ParamTable, i: usize| spec.axes.get(i).map_or(1, |a| table.size(*a));
        exact::TensorGrowth {
            rows_small: size(small, 0),
            cols_small: size(small, 1),
            rows_large: size(large, 0),
            cols_large: size(large, 1),
            layers_small: spec.stack.map_or(1, |s| small.depth(s)),
            layers_large: spec.stack.map_or(1, |s| large.depth(s)),
        }
    })
    .collect()
}

/// Whether an operator mixes the small layers before or after it widens them.
pub fn order(sharing: Sharing) -> exact::GrowthOrder {
    match sharing {
        Sharing::PerLargeLayer => exact::GrowthOrder::DepthThenWidth,
        Sharing::Shared | Sharing::PerSmallLayer => exact::GrowthOrder::WidthThenDepth,
    }
}

/// The cost of a step of operator learning: exact with the operator counted once, and as the paper counts.
pub fn learn_step(
    small: (&ModelConfig, &TransformerDims),
    large: (&ModelConfig, &TransformerDims),
    sequences: usize,
    sharing: Sharing,
) -> CostPerStep {
    let tensors = growth(&small.0.table(), &large.0.table());
    let order = order(sharing);
    CostPerStep {
        exact: exact::ligo_step_flops(large.1, sequences, &tensors, order),
        electra: electra::ligo_step_flops(small.1, large.1, sequences),
    }
}
