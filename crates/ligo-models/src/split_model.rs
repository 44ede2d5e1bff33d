use std::collections::HashMap;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use ligo_arch::{LayerSplit, ModelConfig};
use ligo_ops::Group;

use crate::split::within;
use crate::{Error, Features, Inputs, Model, Pass, Scores};

/// One rank's part of a model whose layers are divided among ranks: tensor parallelism as in Megatron-LM (Shoeybi et al., arXiv:1909.08053).
///
/// Each rank has its share of the heads and neurons of every layer ([`LayerSplit`]), and everything else whole. All of them go through the same batch with
/// the same [`Pass`], and come to the same scores and loss, with the same bits. A layer sums its hidden states over the ranks twice on the way there and
/// twice on the way back: behind the attention and the feed-forward network, and in front of them. Where heads have norms (Qwen3, Gemma 3),
/// the gradients of their gains are summed once more, and where all queries of a token are normalized together (OLMo 2), the sums of their squares both ways.
/// A pass that computes layers again sums on that way, too.
///
/// Keep the model, or the ranks, until the backward pass is over: what is recorded does not keep them, and without them gradients are NaN.
///
/// After the backward pass each rank has the gradients of its own parameters: of heads and neurons those that it holds, of all else the whole ones, which
/// all ranks have alike. Nothing remains to be summed. Ask [`SplitModel::check`] before you use them: a sum that fails on the way back cannot say it
/// otherwise.
///
/// Dropout of what all ranks hold alike drops what it drops on one rank; that of attention weights, and of ModernBERT's neurons, draws from a seed for each rank.
#[derive(Clone, Debug)]
pub struct SplitModel {
    model: Model,
    ranks: Arc<dyn Group>,
}

impl SplitModel {
    /// This rank's part of a model with these optional tensors, without values; as [`Model::skeleton_with`].
    ///
    /// # Errors
    /// Those of [`Model::skeleton_with`], and of [`LayerSplit::new`] where the ranks cannot share the layers.
    pub fn skeleton_with(
        config: &ModelConfig,
        optional: &[&str],
        ranks: Arc<dyn Group>,
        device: &Device,
    ) -> Result<Self, Error> {
        let model = Model::skeleton_with(config, optional, device)?;
        let table = config.table();
        let split = LayerSplit::new(&table, ranks.size())?;
        let parts: HashMap<String, Vec<usize>> = table
            .params()
            .filter_map(|param| {
                let part = split.part(&param, ranks.rank())?;
                Some((param.name, part.shape()))
            })
            .collect();
        Ok(Self {
            model: model.with_shapes(&|name| parts.get(name).cloned(), device),
            ranks,
        })
    }

    /// Gives every parameter a value; as [`Model::install`], but that the source is asked for this rank's part of each.
    ///
    /// # Errors
    /// As [`Model::install`].
    pub fn install<E: From<Error>>(
        self,
        source: &mut dyn FnMut(&str, &[usize]) -> Result<Tensor<1>, E>,
    ) -> Result<Self, E> {
        Ok(Self {
            model: self.model.install(source)?,
            ranks: self.ranks,
        })
    }

    /// The name of every parameter and the shape of this rank's part.
    pub fn param_shapes(&self) -> Vec<(String, Vec<usize>)> {
        self.model.param_shapes()
    }

    /// The ranks.
    pub fn ranks(&self) -> &Arc<dyn Group> {
        &self.ranks
    }

    /// The loss of a pass, which all ranks have alike; as [`Model::loss_with`].
    ///
    /// # Errors
    /// As [`Model::loss_with`], and [`Error::RankLost`].
    ///
    /// # Panics
    /// As [`Model::loss`].
    pub fn loss_with(&self, inputs: &Inputs, pass: &Pass) -> Result<Tensor<1>, Error> {
        self.together(|model| model.loss_with(inputs, pass))
    }

    /// What the model says where a label is; as [`Model::scores`].
    ///
    /// # Errors
    /// As [`SplitModel::loss_with`].
    ///
    /// # Panics
    /// As [`Model::scores`].
    pub fn scores(&self, inputs: &Inputs, pass: &Pass) -> Result<Scores, Error> {
        self.together(|model| model.scores(inputs, pass))
    }

    /// Logits without dropout; as [`Model::logits`].
    ///
    /// # Errors
    /// As [`Model::logits`], and [`Error::RankLost`].
    ///
    /// # Panics
    /// As [`Model::logits`].
    pub fn logits(&self, features: &Features) -> Result<Tensor<3>, Error> {
        self.together(|model| model.logits(features))
    }

    /// Hidden states without dropout; as [`Model::hidden_states`].
    ///
    /// # Errors
    /// As [`SplitModel::logits`].
    ///
    /// # Panics
    /// As [`Model::hidden_states`].
    pub fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        self.together(|model| model.hidden_states(features))
    }

    /// Whether all sums up to now came about, those of backward passes included.
    ///
    /// # Errors
    /// [`Error::RankLost`]: what was computed since is NaN.
    pub fn check(&self) -> Result<(), Error> {
        match self.ranks.fault() {
            None => Ok(()),
            Some(reason) => Err(Error::RankLost { reason }),
        }
    }

    fn together<T>(&self, work: impl FnOnce(&Model) -> Result<T, Error>) -> Result<T, Error> {
        let found = within(Some(Arc::clone(&self.ranks)), || work(&self.model))?;
        self.check()?;
        Ok(found)
    }
}
