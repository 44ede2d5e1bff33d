use burn::tensor::Tensor;

use crate::unfolded::WayBack;
use crate::{Error, Leaves};

/// Gradients of a step in the order of the leaves, or after [`StepGradients::pull_back`] of the store, summed over micro-batches.
#[derive(Debug, Default)]
pub(crate) struct StepGradients {
    sums: Vec<Option<Tensor<1>>>,
}

impl StepGradients {
    /// Back-propagates a loss and adds the gradients of the leaves.
    pub(crate) fn add(&mut self, loss: &Tensor<1>, leaves: &Leaves) {
        // A loss that depends on no leaf has no graph; its gradients are all absent.
        if !loss.is_tracked() {
            self.sums.resize(leaves.infos().len(), None);
            return;
        }
        let mut gradients = loss.backward();
        let found = leaves.collect(&mut gradients);
        if self.sums.is_empty() {
            self.sums = found;
            return;
        }
        for (sum, gradient) in self.sums.iter_mut().zip(found) {
            *sum = match (sum.take(), gradient) {
                (Some(a), Some(b)) => Some(a + b),
                (a, b) => a.or(b),
            };
        }
    }

    /// Goes back from the model's tensors to the parameters, once for all micro-batches.
    pub(crate) fn pull_back(self, way: WayBack<'_>) -> Result<Self, Error> {
        let sums = way.take(self.sums)?;
        Ok(Self { sums })
    }

    /// The Euclidean norm of all gradients taken together; not finite when any of them holds NaN or an infinity.
    pub(crate) fn global_norm(&self) -> f64 {
        let squares = self.sums.iter().flatten().map(ligo_ops::sum_of_squares);
        squares.sum::<f64>().sqrt()
    }

    pub(crate) fn into_inner(self) -> Vec<Option<Tensor<1>>> {
        self.sums
    }
}

/// The factor that brings a gradient of this norm down to `clip_norm`; 1 when it is shorter or clipping is off.
///
/// `min(1, clip_norm / (norm + 1e-6))`, the rule of `torch.nn.utils.clip_grad_norm_`.
pub(crate) fn clip_scale(norm: f64, clip_norm: f64) -> f64 {
    if clip_norm == 0.0 {
        return 1.0;
    }
    (clip_norm / (norm + 1e-6)).min(1.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use burn::tensor::Device;

    use super::*;
    use crate::{ParamInfo, ParamStore};

    #[test]
    fn clipping_keeps_the_direction_of_the_whole_gradient() {
        assert_eq!(clip_scale(0.5, 1.0), 1.0);
        assert_eq!(clip_scale(50.0, 0.0), 1.0);
        assert!((clip_scale(4.0, 1.0) - 0.25).abs() < 1e-6);
    }

    #[test]
    fn the_norm_is_that_of_all_tensors_together_and_micro_batches_add_up() {
        let info = |name: &str| ParamInfo {
            name: name.into(),
            shape: vec![1],
            decay: false,
        };
        let params = ["a", "b", "unused"].map(|name| (info(name), vec![1.0]));
        let store = ParamStore::from_values(params, &Device::flex()).unwrap();
        let leaves = Leaves::tracked(&store);
        let mut sum = StepGradients::default();
        for (a, b) in [(1.0, 1.5), (2.0, 2.5)] {
            let loss = leaves.tensor("a").unwrap().mul_scalar(a) + leaves.tensor("b").unwrap().mul_scalar(b);
            sum.add(&loss, &leaves);
        }
        assert!((sum.global_norm() - 5.0).abs() < 1e-12);
        let gradients = sum.into_inner();
        assert!(gradients[2].is_none());
        assert_eq!(
            gradients[0].as_ref().unwrap().to_data().try_to_vec::<f32>().unwrap(),
            [3.0]
        );
    }

    #[test]
    fn a_gradient_with_a_nan_has_a_norm_that_is_not_finite() {
        let bad = Tensor::<1>::from_floats([1.0, f32::NAN, 2.0], &Device::flex());
        let sum = StepGradients {
            sums: vec![None, Some(bad)],
        };
        assert!(!sum.global_norm().is_finite());
    }
}
