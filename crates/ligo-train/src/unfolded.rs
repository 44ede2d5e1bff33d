use burn::tensor::Tensor;

use crate::{Error, Leaves, ParamStore};

/// Gradients in the order of a list of tensors; `None` where a loss does not depend on one.
pub type GradientList = Vec<Option<Tensor<1>>>;

type PullBack<'a> = Box<dyn FnOnce(GradientList) -> Result<GradientList, Error> + 'a>;

/// What an [`Objective`](crate::Objective) makes of the parameters: the tensors of its model, and the way back for their gradients.
pub struct Unfolded<'a> {
    leaves: Leaves,
    pull_back: Option<PullBack<'a>>,
}

impl<'a> Unfolded<'a> {
    /// The model's tensors are the parameters.
    pub fn same(store: &ParamStore) -> Self {
        Self {
            leaves: Leaves::plain(store),
            pull_back: None,
        }
    }

    /// The model's tensors are functions of the parameters: `pull_back` turns gradients in the order of `leaves`, which are plain tensors,
    /// into gradients in the order of the store.
    pub fn new(leaves: Leaves, pull_back: impl FnOnce(GradientList) -> Result<GradientList, Error> + 'a) -> Self {
        Self {
            leaves,
            pull_back: Some(Box::new(pull_back)),
        }
    }

    /// The model's tensors, plain. What the way back needs is let go.
    pub fn into_leaves(self) -> Leaves {
        self.leaves
    }

    /// The model's tensors, of which those with these names collect gradients, and the way back.
    pub(crate) fn track(self, is_trained: impl Fn(&str) -> bool) -> (Leaves, WayBack<'a>) {
        (self.leaves.track(is_trained), WayBack(self.pull_back))
    }
}

/// The way from the gradients of a model's tensors to those of the parameters.
pub(crate) struct WayBack<'a>(Option<PullBack<'a>>);

impl WayBack<'_> {
    pub(crate) fn take(self, gradients: GradientList) -> Result<GradientList, Error> {
        match self.0 {
            None => Ok(gradients),
            Some(pull_back) => pull_back(gradients),
        }
    }
}
