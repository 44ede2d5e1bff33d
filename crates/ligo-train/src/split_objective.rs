use std::collections::HashMap;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use ligo_arch::{LayerSplit, ModelConfig, Param, Part};
use ligo_models::{Inputs, Pass, SplitModel};

use crate::freeze::Places;
use crate::store::check_count;
use crate::{
    Collective, Error, LayerRanks, Learner, Leaves, Objective, ParamInfo, ParamStore, StepContext, TrainConfig,
    Trained, Work,
};

/// Ordinary training of a model whose layers are divided among ranks, each of which holds and updates its part: tensor parallelism. For
/// [`train_step`](crate::train_step); all ranks call it with the same batches, settings and steps.
///
/// The norm that gradients are clipped by is that of all ranks' parts together, with the same bits on all of them. AdamW and SGD treat every number by
/// itself, so that a part is updated as it would be within the whole; Muon does not, and updates nothing here but what AdamW would.
///
/// Files know no ranks: [`SplitObjective::part_of`] takes a rank's part of whole parameters, and [`SplitObjective::whole`] puts the parts together again. The
/// [`Trainer`](crate::Trainer) refuses this objective, since its checkpoints, evaluations and stops are those of ranks that hold whole models.
///
/// `examples/tensor_parallel.rs` is a whole program.
#[derive(Debug)]
pub struct SplitObjective<C> {
    skeleton: SplitModel,
    ranks: Arc<LayerRanks<C>>,
    places: Places,
    /// What each rank holds of the parameters that are divided.
    parts: HashMap<String, Vec<Part>>,
}

impl Learner for SplitModel {
    fn loss(&self, batch: &Inputs, pass: &Pass) -> Result<Tensor<1>, Error> {
        Ok(self.loss_with(batch, pass)?)
    }
}

impl<C: Collective + Send + Sync + 'static> SplitObjective<C> {
    /// Trains a model of this configuration with these optional tensors.
    ///
    /// # Errors
    /// As [`SplitModel::skeleton_with`]: the ranks cannot share the layers, or the configuration is not valid.
    pub fn new(config: &ModelConfig, optional: &[&str], ranks: C, device: &Device) -> Result<Self, Error> {
        let ranks = Arc::new(LayerRanks::new(ranks));
        let skeleton = SplitModel::skeleton_with(config, optional, ranks.clone(), device)?;
        let table = config.table();
        let split = LayerSplit::new(&table, ranks.ranks().size()).map_err(ligo_models::Error::from)?;
        let by_rank = |param: &Param<'_>| -> Option<Vec<Part>> {
            (0..split.ranks()).map(|rank| split.part(param, rank)).collect()
        };
        let parts = table
            .params()
            .filter_map(|param| by_rank(&param).map(|parts| (param.name, parts)))
            .collect();
        Ok(Self {
            skeleton,
            ranks,
            places: Places::new(&table),
            parts,
        })
    }

    /// The ranks, and what they have summed.
    pub fn ranks(&self) -> &LayerRanks<C> {
        &self.ranks
    }

    /// The model with these leaves.
    ///
    /// # Errors
    /// A leaf is missing or does not fit.
    pub fn network(&self, leaves: &Leaves) -> Result<SplitModel, Error> {
        self.skeleton
            .clone()
            .install(&mut |name: &str, _: &[usize]| leaves.tensor(name))
    }

    /// This rank's part of a model's parameters. They are looked at one after the other, so a caller that reads them as they are asked for never holds
    /// them all.
    ///
    /// # Errors
    /// As [`ParamStore::from_values`].
    pub fn part_of(
        &self,
        whole: impl IntoIterator<Item = (ParamInfo, Vec<f32>)>,
        device: &Device,
    ) -> Result<ParamStore, Error> {
        let rank = self.ranks.ranks().rank();
        let mut own = Vec::new();
        for (info, values) in whole {
            check_count(&info, values.len())?;
            own.push(match self.parts.get(&info.name).and_then(|parts| parts.get(rank)) {
                None => (info, values),
                Some(part) => {
                    let shape = part.shape();
                    (ParamInfo { shape, ..info }, part.take(&values))
                }
            });
        }
        ParamStore::from_values(own, device)
    }

    /// The parameters of the whole model, put together of all ranks' parts, on each rank. All ranks call it.
    ///
    /// # Errors
    /// [`Error::RankLost`], and those of the device.
    pub fn whole(&self, store: &ParamStore) -> Result<Vec<(ParamInfo, Vec<f32>)>, Error> {
        let ranks = self.ranks.ranks();
        let mut all = Vec::with_capacity(store.len());
        for (info, own) in store.to_values()? {
            let Some((parts, first)) = self
                .parts
                .get(&info.name)
                .and_then(|parts| Some((parts, parts.first()?)))
            else {
                all.push((info, own));
                continue;
            };
            let each = own.len();
            let gathered = ranks.gather_parts(own, &vec![each; parts.len()])?;
            let shape = first.whole().to_vec();
            let mut values = vec![0.0; shape.iter().product()];
            for (part, theirs) in parts.iter().zip(gathered.chunks_exact(each.max(1))) {
                part.put(theirs, &mut values);
            }
            all.push((ParamInfo { shape, ..info }, values));
        }
        Ok(all)
    }
}

impl<C: Collective + Send + Sync + 'static> Objective for SplitObjective<C> {
    fn name(&self) -> &str {
        "pretrain"
    }

    fn model(&self, leaves: &Leaves) -> Result<Box<dyn Learner>, Error> {
        Ok(Box::new(self.network(leaves)?))
    }

    fn work(&self, at: &StepContext<'_>) -> Work {
        Work::of(self.places.depth, at)
    }

    fn is_trained(&self, name: &str, trained: &Trained) -> bool {
        self.places.is_trained(name, trained)
    }

    fn squares(&self, store: &ParamStore, gradients: &[Option<Tensor<1>>]) -> Result<Option<f64>, Error> {
        // Whatever was lost in the backward pass shows here first.
        self.ranks.check()?;
        let named = store.infos().iter().zip(gradients);
        let squares: Vec<(bool, f64)> = named
            .filter_map(|(info, gradient)| {
                let squares = ligo_ops::sum_of_squares(gradient.as_ref()?);
                Some((self.parts.contains_key(&info.name), squares))
            })
            .collect();
        let divided = squares.iter().filter(|(is_divided, _)| *is_divided);
        let mine: Vec<u64> = divided.map(|(_, squares)| squares.to_bits()).collect();
        let all = self.ranks.ranks().all_gather(&mine)?;
        let of_ranks = |i: usize| all.iter().skip(i).step_by(mine.len()).map(|bits| f64::from_bits(*bits));
        let mut sums = (0..mine.len()).map(|i| of_ranks(i).sum::<f64>());
        let each = squares.iter().map(|(is_divided, squares)| match is_divided {
            true => sums.next().unwrap_or(f64::NAN),
            false => *squares,
        });
        Ok(Some(each.sum()))
    }

    fn faults(&self, _: &TrainConfig) -> Vec<String> {
        vec![
            "the layers of this model are divided among ranks; train_step trains it, and Trainer, whose checkpoints are whole models, does not".into(),
        ]
    }
}
