use std::sync::Arc;

use burn::tensor::{Gradients, Tensor};

use crate::store::Layout;
use crate::{Error, ParamInfo, ParamStore};

/// The tensors of a model as one step sees them: by name, flat, and tracked when gradients are wanted. They are the parameters themselves, or
/// what an [`Objective`](crate::Objective) makes of them.
#[derive(Debug)]
pub struct Leaves {
    layout: Arc<Layout>,
    tensors: Vec<Tensor<1>>,
}

impl Leaves {
    /// The parameters as plain tensors. They share memory with the store until it is updated.
    pub fn plain(store: &ParamStore) -> Self {
        Self::new(Arc::clone(store.layout()), store.values().to_vec())
    }

    /// The parameters as leaves that collect gradients.
    pub fn tracked(store: &ParamStore) -> Self {
        Self::plain(store).track(|_| true)
    }

    /// Tensors in the order of `layout`.
    pub(crate) fn new(layout: Arc<Layout>, tensors: Vec<Tensor<1>>) -> Self {
        debug_assert_eq!(layout.infos.len(), tensors.len());
        Self { layout, tensors }
    }

    /// Makes those with these names collect gradients; the backward pass leaves the others out.
    pub fn track(self, is_trained: impl Fn(&str) -> bool) -> Self {
        let named = self.layout.infos.iter().zip(self.tensors);
        let tensors = named.map(|(info, value)| match is_trained(&info.name) {
            true => value.autodiff().require_grad(),
            false => value.autodiff(),
        });
        Self {
            tensors: tensors.collect(),
            layout: self.layout,
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
