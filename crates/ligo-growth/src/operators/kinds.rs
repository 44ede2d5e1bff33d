//! Layers of several kinds, such as those that see a window or rotate nothing: which kind each layer of the large model is of.

use ligo_arch::ModelConfig;

use super::operator::Operator;

/// The large model, in which each layer is of the kind of the one it comes from. A layer that comes from none is of the kind that the configuration
/// gives it.
pub(super) fn adjust(operator: &dyn Operator, small: &ModelConfig, large: &ModelConfig) -> ModelConfig {
    large.with_layers_of(small, &sources(operator, small.sizes().layers, large.sizes().layers))
}

/// For each layer of the large model the small model's that it comes from.
fn sources(operator: &dyn Operator, small: usize, large: usize) -> Vec<Option<usize>> {
    if small == 0 || large < small {
        return vec![None; large];
    }
    operator.sources(small, large)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use burn::tensor::Device;
    use ligo_arch::{Resize, Size};
    use serde_json::{Value, json};

    use super::super::{Growth, OperatorSpec, Scope};
    use super::*;

    /// Five layers, of which the second and the last have a window.
    fn windowed() -> ModelConfig {
        let json = json!({
            "model_type": "qwen2", "vocab_size": 11, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 5,
            "num_attention_heads": 2, "num_key_value_heads": 2, "use_sliding_window": true, "sliding_window": 3,
            "layer_types": ["full_attention", "sliding_attention", "full_attention", "full_attention", "sliding_attention"]
        });
        ModelConfig::from_json(&json).unwrap()
    }

    /// Five layers, of which the first and the fourth rotate nothing and have a window, which no list says.
    fn partly_rotated() -> ModelConfig {
        let json = json!({
            "model_type": "smollm3", "vocab_size": 11, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 5,
            "num_attention_heads": 2, "num_key_value_heads": 2, "use_sliding_window": true, "sliding_window": 3, "no_rope_layers": [0, 1, 1, 0, 1]
        });
        ModelConfig::from_json(&json).unwrap()
    }

    /// What is said of one layer.
    fn kind(model: &ModelConfig, layer: usize) -> Vec<(&'static str, Value)> {
        let lists = model.layer_lists().into_iter();
        lists.map(|(field, kinds)| (field, kinds[layer].clone())).collect()
    }

    #[test]
    fn every_layer_is_of_the_kind_of_each_layer_that_it_is_made_of() {
        for (small, lists) in [(windowed(), 1), (partly_rotated(), 2)] {
            assert_eq!(kind(&small, 0).len(), lists);
            follow(&small);
        }
    }

    fn follow(small: &ModelConfig) {
        let list = OperatorSpec::Layers {
            layers: vec![4, 0, 1, 1, 2, 3, 0, 4],
        };
        let specs = OperatorSpec::NAMES.map(|name| OperatorSpec::from_name(name).unwrap());
        // What is learned mixes all layers from the start.
        let adds_layers = |spec: &OperatorSpec| spec.facts().takes(Growth::Layers) != Scope::Nowhere;
        for spec in specs
            .into_iter()
            .chain([list])
            .filter(|spec| !spec.is_learned() && adds_layers(spec))
        {
            let resize = Resize {
                layers: Some(Size::Exactly(8)),
                ..Resize::default()
            };
            let large = spec.adjust(small, &small.resized(&resize).unwrap());
            let map = spec
                .build(&small.table(), &large.table(), &Device::flex(), 0.1, 1)
                .unwrap();
            let mut copied = 0;
            // Of AKI new rows alone come from the layer above.
            for ((_, module), matrix) in map.terms.iter().take(1).flat_map(|term| &term.depth) {
                let values: Vec<f32> = matrix.to_data().iter().collect();
                for (i, row) in values.chunks_exact(small.sizes().layers).enumerate() {
                    for (j, _) in row.iter().enumerate().filter(|(_, c)| **c != 0.0) {
                        assert_eq!(
                            kind(&large, i),
                            kind(small, j),
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
