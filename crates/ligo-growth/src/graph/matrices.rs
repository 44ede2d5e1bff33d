use std::collections::HashMap;

use burn::tensor::Tensor;
use ligo_arch::{Axis, StackName};

use crate::picks::WidthMatrix;
use crate::term::Place;
use crate::{Error, LinearMap};

/// Which matrix of a map: of which term, and what it widens or mixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum MatrixKey {
    /// What widens an axis, for all layers.
    Width(usize, Place, Axis),
    /// What mixes the layers of a module, or of its biases.
    Depth {
        term: usize,
        stack: StackName,
        module: &'static str,
        biases: bool,
    },
}

/// The matrices of a map, those of all layers in one tensor, made once for all tensors of the model.
#[derive(Clone, Debug)]
pub(crate) struct Matrices(HashMap<MatrixKey, Tensor<3>>);

impl Matrices {
    /// Those with these keys.
    pub(crate) fn new(map: &LinearMap, keys: impl IntoIterator<Item = MatrixKey>) -> Result<Self, Error> {
        let mut stacks = HashMap::new();
        for key in keys {
            if stacks.contains_key(&key) {
                continue;
            }
            let stack = match key {
                MatrixKey::Depth {
                    term,
                    stack,
                    module,
                    biases,
                } => map.terms[term].depth_of(stack, module, biases)?.clone().unsqueeze(),
                MatrixKey::Width(term, place, axis) => {
                    let matrices = map.terms[term].factors(place).matrices.get(&axis);
                    stacked(matrices.map(Vec::as_slice).unwrap_or_default())
                }
            };
            stacks.insert(key, stack);
        }
        Ok(Self(stacks))
    }

    /// `[layers, large, small]`, with one layer where all share it. There is one for every key that the matrices were made for.
    pub(crate) fn get(&self, key: MatrixKey) -> Tensor<3> {
        self.0[&key].clone()
    }
}

fn stacked(matrices: &[WidthMatrix]) -> Tensor<3> {
    if let [shared] = matrices {
        return shared.tensor().clone().unsqueeze();
    }
    let [rows, columns] = matrices[0].dims();
    let flat = matrices.iter().map(|m| m.tensor().clone().reshape([rows * columns]));
    ligo_ops::stack(&flat.collect::<Vec<_>>()).reshape([matrices.len(), rows, columns])
}

/// Gradients by the matrices of a map, summed over the tensors that they grow.
#[derive(Debug, Default)]
pub(crate) struct MatrixGradients(HashMap<MatrixKey, Vec<Tensor<3>>>);

impl MatrixGradients {
    pub(crate) fn add(&mut self, key: MatrixKey, gradient: Tensor<3>) {
        let sums = self.0.entry(key).or_default();
        // Stacks of several depths take different numbers of layers from the same matrices.
        match sums.iter_mut().find(|sum| sum.dims() == gradient.dims()) {
            Some(sum) => *sum = sum.clone() + gradient,
            None => sums.push(gradient),
        }
    }

    /// The gradients by one matrix, `[layers, large, small]` each: what belongs to a layer is the sum over those that have so many.
    pub(crate) fn take(&mut self, key: MatrixKey) -> Vec<Tensor<3>> {
        self.0.remove(&key).unwrap_or_default()
    }
}
