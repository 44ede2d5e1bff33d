use std::sync::Arc;

use burn::tensor::{Gradients, Tensor};

use crate::store::Layout;
use crate::{Error, ParamInfo, ParamStore};

/// The parameters as one step sees them: by name, flat, and tracked when gradients are wanted.
#[derive(Debug)]
pub struct Leaves {
    layout: Arc<Layout>,
    tensors: Vec<Tensor<1>>,
}

impl Leaves {
    /// Leaves that collect gradients. They share memory with the store until it is updated.
    pub fn tracked(store: &ParamStore) -> Self {
        Self::new(store, |value| value.autodiff().require_grad())
    }

    /// Plain tensors, for evaluation.
    pub fn plain(store: &ParamStore) -> Self {
        Self::new(store, |value| value)
    }

    fn new(store: &ParamStore, wrap: impl Fn(Tensor<1>) -> Tensor<1>) -> Self {
        Self {
            layout: Arc::clone(store.layout()),
            tensors: store.values().iter().cloned().map(wrap).collect(),
        }
    }

    /// The flat tensor of this name.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn tensor(&self, name: &str) -> Result<Tensor<1>, Error> {
        Ok(self.tensors[self.layout.position(name)?].clone())
    }

    /// Names, shapes and decay, in order.
    pub fn infos(&self) -> &[ParamInfo] {
        &self.layout.infos
    }

    /// Takes the gradient of every leaf, in order; `None` where the loss does not depend on it.
    pub(crate) fn collect(&self, gradients: &mut Gradients) -> Vec<Option<Tensor<1>>> {
        self.tensors
            .iter()
            .map(|leaf| leaf.grad_remove(gradients).map(|g| g.without_autodiff()))
            .collect()
    }
}
