//! Layers that see a window and layers that see everything: which type each layer of the large model has.

use ligo_arch::{LayerType, ModelConfig};

use super::OperatorSpec;
use super::zero_blocks::Placement;
use crate::DepthInit;
use crate::depth::{interpose, middle, stack, stack_from_top};

/// The large model, in which each layer has the type of the one it comes from. A layer that comes from none has the type that the configuration
/// gives it.
pub(super) fn adjust(operator: &OperatorSpec, small: &ModelConfig, large: &ModelConfig) -> ModelConfig {
    let (Some(before), Some(own)) = (small.layer_types(), large.layer_types()) else {
        return large.clone();
    };
    let sources = sources(operator, before.len(), own.len());
    let types: Vec<LayerType> = (own.iter().zip(sources))
        .map(|(own, source)| source.and_then(|j| before.get(j)).unwrap_or(own))
        .copied()
        .collect();
    // Where it has no window for them, it is no larger model of the small one, and that is said elsewhere.
    large.with_layer_types(&types).unwrap_or_else(|_| large.clone())
}

/// For each layer of the large model the small model's that it comes from.
fn sources(operator: &OperatorSpec, small: usize, large: usize) -> Vec<Option<usize>> {
    if small == 0 || large < small {
        return vec![None; large];
    }
    let own = || (0..large).map(|i| (i < small).then_some(i)).collect();
    let list = match operator {
        OperatorSpec::Scratch => return vec![None; large],
        OperatorSpec::DirectCopy => return own(),
        OperatorSpec::Stackbert | OperatorSpec::ZeroPad => stack(small, large),
        OperatorSpec::Interpose => interpose(small, large),
        OperatorSpec::Middle => middle(small, large),
        OperatorSpec::Layers { layers } => {
            let known = layers.iter().map(Some).chain(std::iter::repeat(None)).take(large);
            return known.map(Option::<&usize>::copied).collect();
        }
        OperatorSpec::Fpi(_) | OperatorSpec::Aki(_) => stack_from_top(small, large),
        OperatorSpec::HyperCloning(_) | OperatorSpec::Expansions => Placement::Interposed.list(small, large),
        OperatorSpec::ZeroBlocks(config) => config.placement.list(small, large),
        OperatorSpec::Lemon(config) => config.placement.list(small, large),
        // Learned mixtures of all layers, of which these are the first.
        OperatorSpec::Ligo(config) => match config.depth_init {
            DepthInit::Stack | DepthInit::Rand | DepthInit::RandSoftmax => stack(small, large),
            DepthInit::Interpose => interpose(small, large),
            DepthInit::Own => return own(),
        },
    };
    list.into_iter().map(Some).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use burn::tensor::Device;
    use ligo_arch::{Resize, Size};
    use serde_json::json;

    use super::*;

    /// Five layers, of which the second and the last have a window.
    fn small() -> ModelConfig {
        let json = json!({
            "model_type": "qwen2", "vocab_size": 11, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 5,
            "num_attention_heads": 2, "num_key_value_heads": 2, "use_sliding_window": true, "sliding_window": 3,
            "layer_types": ["full_attention", "sliding_attention", "full_attention", "full_attention", "sliding_attention"]
        });
        ModelConfig::from_json(&json).unwrap()
    }

    #[test]
    fn every_layer_has_the_type_of_each_layer_that_it_is_made_of() {
        let small = small();
        let types = small.layer_types().unwrap();
        let list = OperatorSpec::Layers {
            layers: vec![4, 0, 1, 1, 2, 3, 0, 4],
        };
        let specs = OperatorSpec::NAMES.map(|name| OperatorSpec::from_name(name).unwrap());
        // What is learned mixes all layers from the start.
        for spec in specs.into_iter().chain([list]).filter(|spec| !spec.is_learned()) {
            let resize = Resize {
                layers: Some(Size::Exactly(8)),
                ..Resize::default()
            };
            let large = spec.adjust(&small, &small.resized(&resize).unwrap());
            let found = large.layer_types().unwrap();
            assert_eq!(found.len(), 8, "{}", spec.name());
            let map = spec
                .build(&small.table(), &large.table(), &Device::flex(), 0.1, 1)
                .unwrap();
            let mut copied = 0;
            // Of AKI new rows alone come from the layer above.
            for ((_, module), matrix) in map.terms.iter().take(1).flat_map(|term| &term.depth) {
                let values: Vec<f32> = matrix.to_data().iter().collect();
                for (i, row) in values.chunks_exact(types.len()).enumerate() {
                    for (j, _) in row.iter().enumerate().filter(|(_, c)| **c != 0.0) {
                        assert_eq!(
                            found[i],
                            types[j],
                            "{}: {module} of layer {i} is that of {j}",
                            spec.name()
                        );
                        copied += 1;
                    }
                }
            }
            assert!(copied > 0 || spec == OperatorSpec::Scratch, "{}", spec.name());
        }
    }
}
