use std::collections::HashMap;

use ligo_arch::ParamTable;
use serde::{Deserialize, Serialize};

use crate::Trained;
use crate::seed::StepKey;

/// Holds the lower part of a model fixed, as the stages of MSLT do (Yang et al., arXiv:2011.13635). What is frozen is not differentiated: the
/// backward pass ends above it.
///
/// A decoder that is tied to the token table is frozen with the embeddings; the rest of the head and the final normalization go on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Freeze {
    /// So many layers from below.
    pub layers: usize,
    /// The embeddings too.
    pub embeddings: bool,
    /// The share of the run for which they are frozen.
    pub share: f64,
}

impl Default for Freeze {
    fn default() -> Self {
        Self {
            layers: 0,
            embeddings: true,
            share: 1.0,
        }
    }
}

impl Freeze {
    /// What is trained in a step.
    pub(crate) fn trained(&self, at: &StepKey) -> Trained {
        if at.progress() >= self.share {
            return Trained::default();
        }
        Trained {
            embeddings: !self.embeddings,
            from_layer: self.layers,
        }
    }

    pub(crate) fn faults(&self, faults: &mut Vec<String>) {
        if !(0.0..=1.0).contains(&self.share) {
            faults.push(format!("freeze.share must be between 0 and 1, found {}", self.share));
        }
    }

    /// What does not fit a model of `depth` layers.
    pub(crate) fn depth_faults(&self, depth: usize, faults: &mut Vec<String>) {
        if self.layers > depth {
            faults.push(format!(
                "freeze.layers must be at most the {depth} layers of the model, found {}",
                self.layers
            ));
        }
    }
}

/// Where each parameter of a model is, as far as freezing needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// Layers of the first stack.
    pub(crate) depth: usize,
    lower: HashMap<String, Place>,
}

/// A place below the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Embeddings,
    Layer(usize),
}

impl Places {
    /// Of a family with two stacks the first is meant; the second is above it, like the head.
    pub(crate) fn new(table: &ParamTable) -> Self {
        let (stack, depth) = table.depths().next().unwrap_or(("", 0));
        let place = |param: ligo_arch::Param<'_>| {
            let place = match param.spec.stack {
                Some(name) if name == stack => param.layer.map(Place::Layer),
                None if param.spec.module == "embeddings" => Some(Place::Embeddings),
                _ => None,
            };
            place.map(|place| (param.name, place))
        };
        Self {
            depth,
            lower: table.params().filter_map(place).collect(),
        }
    }

    /// Whether a parameter is trained.
    pub(crate) fn is_trained(&self, name: &str, trained: &Trained) -> bool {
        match self.lower.get(name) {
            Some(Place::Embeddings) => trained.embeddings,
            Some(Place::Layer(layer)) => *layer >= trained.from_layer,
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ligo_arch::{CaitConfig, Gpt2Config, ModelConfig};

    use super::*;

    #[test]
    fn head_and_final_norm_are_above_every_layer() {
        let table = ModelConfig::Gpt2(Gpt2Config::new(50, 8, 3, 2)).table();
        let places = Places::new(&table);
        let trained = Trained {
            embeddings: false,
            from_layer: 2,
        };
        let names: Vec<String> = table.params().map(|p| p.name).collect();
        let trained: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| places.is_trained(name, &trained))
            .collect();
        assert!(trained.contains(&"transformer.ln_f.weight"));
        assert!(
            trained
                .iter()
                .all(|name| name.contains(".h.2.") || name.contains("ln_f")),
            "{trained:?}"
        );
    }

    #[test]
    fn class_attention_is_above_the_first_stack() {
        let table = ModelConfig::Cait(CaitConfig::new(8, 3, 2, 5)).table();
        let places = Places::new(&table);
        assert_eq!(places.depth, 3);
        let top = Trained {
            embeddings: false,
            from_layer: 3,
        };
        assert!(places.is_trained("blocks_token_only.0.mlp.fc1.weight", &top));
        assert!(!places.is_trained("blocks.2.mlp.fc1.weight", &top));
        assert!(!places.is_trained("pos_embed", &top));
        assert!(places.is_trained("blocks.0.mlp.fc1.weight", &Trained::default()));
    }
}
