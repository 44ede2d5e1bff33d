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
        Self::tracked_where(store, |_| true)
    }

    /// Leaves of which only those with these names collect gradients; the backward pass leaves the others out.
    pub fn tracked_where(store: &ParamStore, is_trained: impl Fn(&str) -> bool) -> Self {
        Self::new(store, |name, value| match is_trained(name) {
            true => value.autodiff().require_grad(),
            false => value.autodiff(),
        })
    }

    /// Plain tensors, for evaluation.
    pub fn plain(store: &ParamStore) -> Self {
        Self::new(store, |_, value| value)
    }

    fn new(store: &ParamStore, wrap: impl Fn(&str, Tensor<1>) -> Tensor<1>) -> Self {
        let named = store.infos().iter().zip(store.values().iter().cloned());
        Self {
            layout: Arc::clone(store.layout()),
            tensors: named.map(|(info, value)| wrap(&info.name, value)).collect(),
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
