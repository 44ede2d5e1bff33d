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
        self.sums = ligo_ops::accumulate(std::mem::take(&mut self.sums), found);
    }

    /// Goes back from the model's tensors to the parameters, once for all micro-batches.
    pub(crate) fn pull_back(self, way: WayBack<'_>) -> Result<Self, Error> {
        let sums = way.take(self.sums)?;
        Ok(Self { sums })
    }

    pub(crate) fn into_inner(self) -> Vec<Option<Tensor<1>>> {
        self.sums
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use burn::tensor::Device;
    use ligo_ops::StepStatistics;

    use super::*;
    use crate::{ParamInfo, ParamStore};

    fn norm(gradients: &[Option<Tensor<1>>]) -> f64 {
        StepStatistics::of(&[], gradients, 0.0)
            .and_then(|statistics| statistics.read())
            .unwrap()
            .grad_norm
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
        let gradients = sum.into_inner();
        assert!((norm(&gradients) - 5.0).abs() < 1e-12);
        assert!(gradients[2].is_none());
        assert_eq!(
            gradients[0].as_ref().unwrap().to_data().try_to_vec::<f32>().unwrap(),
            [3.0]
        );
    }

    #[test]
    fn a_gradient_with_a_nan_has_a_norm_that_is_not_finite() {
        let bad = Tensor::<1>::from_floats([1.0, f32::NAN, 2.0], &Device::flex());
        assert!(!norm(&[None, Some(bad)]).is_finite());
    }
}
