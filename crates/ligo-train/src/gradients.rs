use burn::tensor::Tensor;

use crate::collective::{AT_A_TIME, Collective, Shares, Tree, absent};
use crate::store::{download, upload};
use crate::unfolded::WayBack;
use crate::{Error, GradientList, Leaves, ParamStore};

/// The gradients of a step's micro-batches, in the order of the leaves, added in a fixed tree.
#[derive(Debug, Default)]
pub(crate) struct MicroGradients {
    tree: Tree<GradientList>,
}

impl MicroGradients {
    /// Back-propagates the loss of the next micro-batch and adds the gradients of the leaves.
    pub(crate) fn add(&mut self, loss: &Tensor<1>, leaves: &Leaves) {
        // A loss that depends on no leaf has no graph; its gradients are all absent.
        if !loss.is_tracked() {
            return self.add_none(leaves);
        }
        let mut gradients = loss.backward();
        self.tree.push(leaves.collect(&mut gradients), ligo_ops::accumulate);
    }

    /// The next micro-batch has nothing to learn from. It keeps its place in the tree.
    pub(crate) fn add_none(&mut self, leaves: &Leaves) {
        self.tree.push(vec![None; leaves.infos().len()], ligo_ops::accumulate);
    }

    /// Goes back from the sums of the leaves' gradients to those of the parameters, once for all micro-batches.
    pub(crate) fn pull_back(self, way: WayBack<'_>) -> Result<StepGradients, Error> {
        let sums = self.tree.finish(ligo_ops::accumulate).unwrap_or_default();
        Ok(StepGradients { sums: way.take(sums)? })
    }
}

/// The gradients of a step in the order of the store.
#[derive(Debug)]
pub(crate) struct StepGradients {
    sums: GradientList,
}

impl StepGradients {
    /// Adds what the other ranks found.
    ///
    /// A tensor that got a gradient from no rank has none. To one that some ranks have a gradient for, the others add nothing.
    ///
    /// # Errors
    /// [`Error::RankLost`], and failures of the device.
    pub(crate) fn sum_over(mut self, ranks: &dyn Collective, store: &ParamStore) -> Result<Self, Error> {
        if ranks.size() == 1 {
            return Ok(self);
        }
        let found = self.found_anywhere(ranks)?;
        let counts: Vec<usize> = store.infos().iter().map(crate::ParamInfo::num_elements).collect();
        let mut rest = found.as_slice();
        while !rest.is_empty() {
            let mut total = 0;
            let fits = |i: &&usize| {
                total += counts[**i];
                total <= AT_A_TIME
            };
            let (now, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            rest = later;
            let mut values = Vec::with_capacity(now.iter().map(|i| counts[*i]).sum());
            for i in now {
                match self.sums[*i].take() {
                    Some(mine) => values.extend(download(&store.infos()[*i].name, &mine)?),
                    None => values.extend(absent(counts[*i])),
                }
            }
            ranks.sum(&mut values)?;
            let mut values = values.as_slice();
            for i in now {
                let (first, behind) = values.split_at_checked(counts[*i]).ok_or_else(|| Error::RankLost {
                    rank: None,
                    reason: "it gave fewer numbers than were asked for".into(),
                })?;
                self.sums[*i] = Some(upload(first.to_vec(), store.device()));
                values = behind;
            }
        }
        Ok(self)
    }

    /// Adds what the other ranks found, each tensor on the rank that keeps its moments; the others let go of it. Also the places of the tensors
    /// that some rank has a gradient for.
    ///
    /// # Errors
    /// [`Error::RankLost`], and failures of the device.
    pub(crate) fn sum_to_owners(
        mut self,
        ranks: &dyn Collective,
        store: &ParamStore,
        shares: &Shares,
    ) -> Result<(Self, Vec<usize>), Error> {
        let found = self.found_anywhere(ranks)?;
        let (mut given, mut taken) = (shares.lanes(&found), shares.lane(ranks.rank(), &found));
        let mut sums = vec![None; self.sums.len()];
        for parts in shares.rounds(&found) {
            let mut values = Vec::with_capacity(parts.iter().sum());
            for (lane, part) in given.iter_mut().zip(&parts) {
                lane.read(*part, &mut values, |i| match self.sums[i].take() {
                    Some(mine) => download(&store.infos()[i].name, &mine),
                    None => Ok(absent(shares.count(i)).collect()),
                })?;
            }
            let mine = ranks.sum_parts(values, &parts)?;
            taken.write(&mine, shares, |i, sum| {
                sums[i] = Some(upload(sum, store.device()));
                Ok(())
            })?;
        }
        Ok((Self { sums }, found))
    }

    /// The places of gradients that some rank has.
    fn found_anywhere(&self, ranks: &dyn Collective) -> Result<Vec<usize>, Error> {
        let mut mine = vec![0_u64; self.sums.len().div_ceil(64)];
        for (i, _) in self.sums.iter().enumerate().filter(|(_, sum)| sum.is_some()) {
            mine[i / 64] |= 1 << (i % 64);
        }
        let all = ranks.all_gather(&mine)?;
        let has = |i: &usize| {
            all.iter()
                .skip(i / 64)
                .step_by(mine.len())
                .any(|word| word >> (i % 64) & 1 == 1)
        };
        Ok((0..self.sums.len()).filter(has).collect())
    }

    pub(crate) fn into_inner(self) -> GradientList {
        self.sums
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use burn::tensor::Device;
    use ligo_ops::StepStatistics;

    use super::*;
    use crate::{ParamInfo, Unfolded};

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
        let mut sum = MicroGradients::default();
        for (a, b) in [(1.0, 1.5), (2.0, 2.5)] {
            let loss = leaves.tensor("a").unwrap().mul_scalar(a) + leaves.tensor("b").unwrap().mul_scalar(b);
            sum.add(&loss, &leaves);
        }
        let (_, way_back) = Unfolded::same(&store).track(|_| true);
        let gradients = sum.pull_back(way_back).unwrap().into_inner();
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
