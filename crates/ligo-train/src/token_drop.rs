use ligo_models::TokenDrop;
use serde::{Deserialize, Serialize};

use crate::seed::{Purpose, StepKey};

/// Token dropping (Hou et al., arXiv:2203.13240) with tokens chosen at random, as in the LiGO paper: layers in the middle process a part of
/// each sequence only, and all tokens are together again above them. Evaluation drops nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenDropping {
    /// The share of tokens that is left out.
    pub rate: f64,
    /// The first layer without them, from 0; the one in the middle by default.
    pub from_layer: Option<usize>,
    /// The first layer that has all of them again; the last one by default.
    pub to_layer: Option<usize>,
}

impl Default for TokenDropping {
    fn default() -> Self {
        Self {
            rate: 0.15,
            from_layer: None,
            to_layer: None,
        }
    }
}

impl TokenDropping {
    /// The drop of a micro-batch; nothing where the rate is 0.
    pub(crate) fn tokens(&self, depth: usize, at: &StepKey) -> Option<TokenDrop> {
        let (from_layer, to_layer) = self.span(depth);
        (self.rate > 0.0).then(|| TokenDrop {
            from_layer,
            to_layer,
            keep: 1.0 - self.rate,
            seed: at.micro_seed(Purpose::Tokens),
        })
    }

    fn span(&self, depth: usize) -> (usize, usize) {
        let from = self.from_layer.unwrap_or(depth / 2);
        (from, self.to_layer.unwrap_or(depth.saturating_sub(1)))
    }

    pub(crate) fn faults(&self, faults: &mut Vec<String>) {
        if !(0.0..1.0).contains(&self.rate) {
            faults.push(format!(
                "token_drop.rate must be at least 0 and below 1, found {}",
                self.rate
            ));
        }
    }

    /// What does not fit a model of `depth` layers.
    pub(crate) fn depth_faults(&self, depth: usize, faults: &mut Vec<String>) {
        let (from, to) = self.span(depth);
        if from >= to || to > depth {
            faults.push(format!(
                "token_drop needs layers in the middle, found {from} to {to} of {depth}; from_layer must be below to_layer, and to_layer at most {depth}"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_half_but_the_last_layer_runs_on_fewer_tokens() {
        let at = |step| StepKey {
            seed: 0,
            steps: 1000,
            step,
            micro_step: 0,
        };
        let drop = TokenDropping::default();
        let (one, other) = (drop.tokens(12, &at(3)), drop.tokens(12, &at(4)));
        assert_eq!(one, drop.tokens(12, &at(3)));
        assert_ne!(one, other);
        assert!(one.is_some_and(|d| (d.from_layer, d.to_layer) == (6, 11) && (d.keep - 0.85).abs() < 1e-12));
        let none = TokenDropping { rate: 0.0, ..drop };
        assert_eq!(none.tokens(12, &at(3)), None);
    }

    #[test]
    fn a_model_without_a_middle_is_refused() {
        let mut faults = Vec::new();
        TokenDropping::default().depth_faults(3, &mut faults);
        assert!(faults.is_empty());
        TokenDropping::default().depth_faults(2, &mut faults);
        assert!(faults[0].contains("found 1 to 1 of 2"), "{faults:?}");
    }
}
