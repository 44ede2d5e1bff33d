//! From the gradients by the map's matrices to those by the tensors that they are made of.

use std::collections::HashMap;

use burn::tensor::Tensor;
use ligo_arch::Axis;

use super::{LigoOperator, Width};
use crate::factors::sum_over_copies;
use crate::graph::{MatrixGradients, MatrixKey};
use crate::term::Place;

impl LigoOperator {
    /// Whether a matrix of the map is made of a learned one.
    pub(crate) fn is_learned(&self, key: MatrixKey) -> bool {
        let is_learned = |name: &String| self.tensors.iter().any(|t| t.trainable && t.name == *name);
        match key {
            MatrixKey::Depth {
                term,
                stack,
                module,
                biases,
            } => {
                let mut depths = self.terms[term].depth.iter();
                depths.any(|d| (d.stack, d.module, d.biases) == (stack, module, biases) && is_learned(&d.name))
            }
            MatrixKey::Width(term, place, axis) => {
                let widths = self.widths(term, place);
                let own = widths.iter().find(|w| w.axis == axis);
                let repeated = || {
                    self.large
                        .repeat(axis)
                        .and_then(|r| widths.iter().find(|w| w.axis == r.of))
                };
                let width = own.or_else(repeated);
                width.is_some_and(|width| width.names.iter().any(is_learned))
            }
        }
    }

    /// The gradients by the learned matrices, flat. A matrix that got none is left out.
    pub(crate) fn gradients(&self, mut found: MatrixGradients) -> HashMap<String, Tensor<1>> {
        let mut gradients = HashMap::new();
        for (term, names) in self.terms.iter().enumerate() {
            for place in [Place::Out, Place::In] {
                for width in self.widths(term, place) {
                    let stacks = self.width_gradients(&mut found, term, place, width);
                    let fixed = if self.fixes_identity(term) { width.small } else { 0 };
                    for (layer, name) in width.names.iter().enumerate() {
                        let reaching = stacks.iter().filter(|stack| stack.dims()[0] > layer);
                        let sum = reaching.map(|stack| of_layer(stack, layer, fixed)).reduce(|a, b| a + b);
                        gradients.extend(sum.map(|sum| (name.clone(), sum)));
                    }
                }
            }
            for depth in &names.depth {
                let stacks = found.take(MatrixKey::Depth {
                    term,
                    stack: depth.stack,
                    module: depth.module,
                    biases: depth.biases,
                });
                let sum = stacks.iter().map(|stack| of_layer(stack, 0, 0)).reduce(|a, b| a + b);
                gradients.extend(sum.map(|sum| (depth.name.clone(), sum)));
            }
        }
        let learned = self.tensors.iter().filter(|t| t.trainable);
        learned.filter_map(|t| gradients.remove_entry(&t.name)).collect()
    }

    fn widths(&self, term: usize, place: Place) -> &[Width] {
        match place {
            Place::Out => &self.terms[term].out,
            Place::In => &self.terms[term].input,
            Place::Role(_) => &[],
        }
    }

    /// The gradients by the matrices of an axis, with those by the matrices that repeat them.
    fn width_gradients(&self, found: &mut MatrixGradients, term: usize, place: Place, width: &Width) -> Vec<Tensor<3>> {
        let mut take = |axis: Axis| found.take(MatrixKey::Width(term, place, axis));
        let mut stacks = take(width.axis);
        let has_own = |axis: Axis| self.widths(term, place).iter().any(|w| w.axis == axis);
        for (axis, wide) in self.large.repeats() {
            if wide.of == width.axis && !has_own(axis) {
                let block = self.small.repeat(axis).map_or(wide.block, |r| r.block);
                let repeated = take(axis).into_iter();
                stacks.extend(repeated.map(|g| sum_over_copies(g, [wide.block, block], wide.times)));
            }
        }
        stacks
    }
}

/// The gradient by the matrix of a layer without its first rows, flat.
fn of_layer(stack: &Tensor<3>, layer: usize, fixed: usize) -> Tensor<1> {
    let [_, rows, columns] = stack.dims();
    let own = stack.clone().narrow(0, layer, 1).narrow(1, fixed, rows - fixed);
    own.reshape([(rows - fixed) * columns])
}
