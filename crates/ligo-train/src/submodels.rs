use ligo_models::Layers;
use serde::{Deserialize, Serialize};

use crate::Trained;
use crate::seed::{Purpose, StepKey, uniform};

/// The first stage of bert2BERT's training (Chen et al., arXiv:2110.07143): each step draws one sub-model, the lowest layers with the head
/// on top of them, and updates only its uppermost block and the head. Afterwards the whole model is trained.
///
/// Depths are multiples of the block. The lowest sub-model updates the embeddings too, since its backward pass ends there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Submodels {
    /// Layers of a block; a quarter of the model by default (the paper's 3 of 12).
    pub block: Option<usize>,
    /// The share of the run that trains sub-models; 5 of 40 epochs in the paper.
    pub share: f64,
}

impl Default for Submodels {
    fn default() -> Self {
        Self {
            block: None,
            share: 0.125,
        }
    }
}

impl Submodels {
    /// The sub-model of a step and what of it is trained; nothing when the whole model's turn has come.
    pub(crate) fn draw(&self, depth: usize, at: &StepKey) -> Option<(Layers, Trained)> {
        if at.progress() >= self.share {
            return None;
        }
        let block = self.block(depth);
        let count = depth.div_ceil(block);
        let drawn = (uniform(at.step_seed(Purpose::Submodel), 0) * count as f64) as usize;
        let trained = Trained {
            embeddings: drawn == 0,
            from_layer: drawn * block,
        };
        // The uppermost block is shorter where the block does not divide the depth.
        Some((Layers::First(((drawn + 1) * block).min(depth)), trained))
    }

    fn block(&self, depth: usize) -> usize {
        self.block.unwrap_or(depth.div_ceil(4)).max(1)
    }

    pub(crate) fn faults(&self, faults: &mut Vec<String>) {
        if !(0.0..=1.0).contains(&self.share) {
            faults.push(format!("submodels.share must be between 0 and 1, found {}", self.share));
        }
        if self.block == Some(0) {
            faults.push("submodels.block must be at least 1 layer, found 0".into());
        }
    }

    /// What does not fit a model of `depth` layers.
    pub(crate) fn depth_faults(&self, depth: usize, faults: &mut Vec<String>) {
        if self.block.is_some_and(|block| block > depth) {
            faults.push(format!(
                "submodels.block must be at most the {depth} layers of the model, found {}",
                self.block(depth)
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn sub_models_are_drawn_evenly_in_the_first_stage_and_never_after_it() {
        let at = |step| StepKey {
            seed: 0,
            steps: 80_000,
            step,
            micro_step: 0,
        };
        let mut seen = BTreeMap::new();
        for step in 0..10_000 {
            let drawn = Submodels::default().draw(12, &at(step));
            assert_eq!(drawn, Submodels::default().draw(12, &at(step)));
            let Some((Layers::First(depth), trained)) = drawn else {
                panic!("step {step} trains {drawn:?}");
            };
            assert_eq!(trained.from_layer, depth - 3);
            assert_eq!(trained.embeddings, depth == 3);
            *seen.entry(depth).or_insert(0) += 1;
        }
        assert_eq!(seen.keys().copied().collect::<Vec<_>>(), [3, 6, 9, 12]);
        assert!(seen.values().all(|n| (2_300..2_700).contains(n)), "{seen:?}");
        assert_eq!(Submodels::default().draw(12, &at(10_000)), None);
    }

    #[test]
    fn the_last_block_is_what_the_others_leave() {
        let submodels = Submodels {
            block: Some(2),
            share: 1.0,
        };
        let depths: Vec<(usize, usize)> = (0..200)
            .filter_map(|step| {
                let at = StepKey {
                    seed: 0,
                    steps: 1000,
                    step,
                    micro_step: 0,
                };
                match submodels.draw(5, &at) {
                    Some((Layers::First(depth), trained)) => Some((trained.from_layer, depth)),
                    _ => None,
                }
            })
            .collect();
        assert_eq!(depths.len(), 200);
        for expected in [(0, 2), (2, 4), (4, 5)] {
            assert!(depths.contains(&expected), "{expected:?}");
        }
    }
}
