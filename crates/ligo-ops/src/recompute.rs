//! Gradient checkpointing (Chen et al., arXiv:1604.06174): a piece of a network that keeps nothing but its input, and computes itself once
//! more when its gradient is wanted.

use std::fmt;
use std::iter;
use std::sync::Arc;

use burn::backend::autodiff::{checkpoint::base::Checkpointer, grads::Gradients, ops::Backward, ops::Ops};
use burn::backend::{TensorMetadata, tensor::FloatTensor};
use burn::tensor::{FloatDType, Shape, Tensor};
use burn_flex::Flex;

#[cfg(feature = "cube")]
use crate::cube;
use crate::graph::{Back, Native, Part, is_fast, record, untracked_on};
use crate::precision::{self, Precision, with_precision};

/// The parameters that a [`recomputed`] piece can have.
pub const MOST_PARAMETERS: usize = INPUTS - 1;

// burn's graph wants the number of an operation's inputs at compile time; places that are not needed hold constants.
const INPUTS: usize = 32;

type Piece<const D: usize> = Arc<dyn Fn(Tensor<D>, Vec<Tensor<1>>) -> Tensor<D> + Send + Sync>;

/// `piece(x, parameters)`, of which only the arguments are kept for the backward pass: it runs a second time there, and what it records
/// goes again as soon as its own gradients are known. So a stack of layers needs the memory of one layer and of the states between them, for
/// the time of one more forward pass.
///
/// The piece computes the same whenever it is called: what is drawn in it comes from seeds. The second run has the [`Precision`] of
/// the first. Tensors that it reads beside its arguments get no gradient.
///
/// Tensors on a backend for which this crate has no bodies of its own are recorded as usual: nothing is saved there.
///
/// # Shapes
/// The result has as many dimensions as `x`; parameters are flat.
///
/// # Panics
/// With more than [`MOST_PARAMETERS`] parameters.
pub fn recomputed<const D: usize>(
    x: Tensor<D>,
    parameters: Vec<Tensor<1>>,
    piece: impl Fn(Tensor<D>, Vec<Tensor<1>>) -> Tensor<D> + Send + Sync + 'static,
) -> Tensor<D> {
    assert!(
        parameters.len() <= MOST_PARAMETERS,
        "a recomputed piece has at most {MOST_PARAMETERS} parameters, found {}",
        parameters.len()
    );
    if is_fast(&x) {
        return on::<D, Flex>(x, parameters, Arc::new(piece));
    }
    #[cfg(feature = "cube")]
    if cube::is_native(&x) {
        return on::<D, cube::Cube>(x, parameters, Arc::new(piece));
    }
    piece(x, parameters)
}

fn on<const D: usize, B: Native>(x: Tensor<D>, parameters: Vec<Tensor<1>>, piece: Piece<D>) -> Tensor<D> {
    let count = 1 + parameters.len();
    let x = Part::<B>::on(x);
    let parameters: Vec<Part<B>> = parameters.into_iter().map(Part::on).collect();
    let output = piece(
        untracked_on::<D, B>(x.values.clone()),
        parameters
            .iter()
            .map(|part| untracked_on::<1, B>(part.values.clone()))
            .collect(),
    );
    let values = x.values.clone();
    let constants = iter::repeat_with(|| Part::on(untracked_on::<D, B>(values.clone())));
    let mut inputs = iter::once(x).chain(parameters).chain(constants);
    let inputs: [Part<B>; INPUTS] = std::array::from_fn(|_| inputs.next().unwrap_or_else(|| unreachable!("endless")));
    record(Recompute::<D>, inputs, Part::<B>::on(output).values, |values| State {
        piece,
        values: values.into_iter().take(count).collect(),
        precision: precision::current(),
    })
}

#[derive(Debug)]
struct Recompute<const D: usize>;

/// What is kept: the input, then the parameters.
#[derive(Clone)]
struct State<const D: usize, B: Native> {
    piece: Piece<D>,
    values: Vec<FloatTensor<B>>,
    precision: Precision,
}

impl<const D: usize, B: Native> fmt::Debug for State<D, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("values", &self.values)
            .finish_non_exhaustive()
    }
}

impl<const D: usize, B: Native> Backward<B, INPUTS> for Recompute<D> {
    type State = State<D, B>;

    fn backward(self, ops: Ops<Self::State, INPUTS>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (grad, state, mut back) = Back::<INPUTS, B>::on(ops, grads);
        let mut values = state.values.into_iter().enumerate();
        let Some((_, x)) = values.next() else {
            unreachable!("the input was kept")
        };
        let x = leaf::<D, B>(x, back.wants(0));
        let parameters: Vec<Tensor<1>> = values.map(|(i, value)| leaf::<1, B>(value, back.wants(i))).collect();
        // A graph of its own, which ends with this call.
        let mut found = with_precision(state.precision, || {
            let y = (state.piece)(x.clone(), parameters.clone());
            seeded::<D, B>(y, grad).backward()
        });
        pass_on::<D, B>(0, &x, &mut found, &mut back);
        for (i, parameter) in parameters.iter().enumerate() {
            pass_on::<1, B>(1 + i, parameter, &mut found, &mut back);
        }
    }
}

fn leaf<const D: usize, B: Native>(values: FloatTensor<B>, is_wanted: bool) -> Tensor<D> {
    let tensor = untracked_on::<D, B>(values).autodiff();
    if is_wanted { tensor.require_grad() } else { tensor }
}

fn pass_on<const D: usize, B: Native>(
    index: usize,
    leaf: &Tensor<D>,
    found: &mut burn::tensor::Gradients,
    back: &mut Back<'_, INPUTS, B>,
) {
    if !back.wants(index) {
        return;
    }
    let grad = match leaf.grad_remove(found) {
        Some(grad) => grad.without_autodiff(),
        // The piece did not use it, and its place in the graph waits for a gradient all the same.
        None => leaf.clone().without_autodiff().zeros_like(),
    };
    back.give(index, Part::<B>::on(grad).values);
}

/// A number whose gradient with respect to `y` is `grad`.
fn seeded<const D: usize, B: Native>(y: Tensor<D>, grad: FloatTensor<B>) -> Tensor<1> {
    let one = B::float_zeros(Shape::new([1]), &grad.device(), FloatDType::F32);
    record(Seed, [Part::<B>::on(y)], one, |_| grad)
}

#[derive(Debug)]
struct Seed;

impl<B: Native> Backward<B, 1> for Seed {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (_, seed, mut back) = Back::<1, B>::on(ops, grads);
        back.give(0, seed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::{GeluKind, gelu, linear};

    const D: usize = 5;

    fn tensor<const N: usize>(shape: [usize; N], seed: usize) -> Tensor<N> {
        let numbers = 0..shape.iter().product::<usize>();
        let values: Vec<f32> = numbers
            .map(|i| ((i * 37 + seed * 11) % 101) as f32 / 50.0 - 1.0)
            .collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex()).autodiff()
    }

    /// `x + gelu(x · Wᵀ + b)`.
    fn layer(x: Tensor<2>, parameters: Vec<Tensor<1>>) -> Tensor<2> {
        let [weight, bias] = parameters.try_into().unwrap_or_else(|_| unreachable!("two parameters"));
        let y = linear(x.clone(), weight.reshape([D, D]), Some(bias));
        x + gelu(y, GeluKind::Erf)
    }

    /// The loss of two layers with one weight and two biases, and the gradients of all that is tracked.
    fn two_layers(tracked: [bool; 4], is_recomputed: bool) -> (f32, Vec<Option<Vec<f32>>>) {
        let track = |x: Tensor<1>, i: usize| if tracked[i] { x.require_grad() } else { x };
        let x = track(tensor([3 * D], 1), 0);
        let weight = track(tensor([D * D], 2), 1);
        let biases = [track(tensor([D], 3), 2), track(tensor([D], 4), 3)];
        let y = biases.iter().fold(x.clone().reshape([3, D]), |x, bias| {
            let parameters = vec![weight.clone(), bias.clone()];
            if is_recomputed {
                recomputed(x, parameters, layer)
            } else {
                layer(x, parameters)
            }
        });
        let loss = (y.clone() * y).sum();
        let value = loss.clone().into_scalar::<f32>();
        let [first, second] = biases;
        let leaves = [x, weight, first, second];
        if !tracked.contains(&true) {
            return (value, Vec::new());
        }
        let gradients = loss.backward();
        let numbers = |leaf: &Tensor<1>| Some(leaf.grad(&gradients)?.into_data().iter::<f32>().collect());
        (value, leaves.iter().map(numbers).collect())
    }

    #[test]
    fn values_and_gradients_are_those_of_the_recorded_piece_bit_for_bit() {
        for tracked in 0..16 {
            let tracked = [1, 2, 4, 8].map(|bit| tracked & bit != 0);
            let (plain, recomputed) = (two_layers(tracked, false), two_layers(tracked, true));
            assert_eq!(recomputed, plain, "{tracked:?}");
            let found: Vec<bool> = recomputed.1.iter().map(Option::is_some).collect();
            assert!(found.is_empty() || found == tracked);
        }
    }

    #[test]
    fn the_piece_runs_again_only_for_a_gradient() {
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let counted = |x: Tensor<1>, _: Vec<Tensor<1>>| {
            RUNS.fetch_add(1, Ordering::SeqCst);
            x.mul_scalar(2.0)
        };
        let plain = recomputed(tensor([4], 1), Vec::new(), counted);
        assert_eq!(RUNS.load(Ordering::SeqCst), 1);
        drop(plain);
        let loss = recomputed(tensor([4], 1).require_grad(), Vec::new(), counted).sum();
        assert_eq!(RUNS.load(Ordering::SeqCst), 2);
        loss.backward();
        assert_eq!(RUNS.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn nothing_is_recorded_in_the_first_run_and_the_second_has_its_precision() {
        let piece = |x: Tensor<1>, _: Vec<Tensor<1>>| {
            let factor = if precision::current() == Precision::Bf16 {
                3.0
            } else {
                5.0
            };
            x.mul_scalar(factor)
        };
        let x = tensor([4], 1).require_grad();
        let loss = with_precision(Precision::Bf16, || recomputed(x.clone(), Vec::new(), piece).sum());
        let gradient = x.grad(&loss.backward()).map(Tensor::into_data);
        assert_eq!(gradient, Some(TensorData::from([3.0_f32; 4])));

        let is_tracked = |x: Tensor<1>, _: Vec<Tensor<1>>| {
            assert!(!x.is_autodiff());
            x
        };
        recomputed(x, Vec::new(), is_tracked);
    }

    #[test]
    fn a_parameter_that_the_piece_does_not_use_has_a_gradient_of_zero() {
        let (x, unused) = (tensor([4], 1).require_grad(), tensor([2], 1).require_grad());
        // Behind an operation, which waits for the gradient.
        let parameters = vec![unused.clone().mul_scalar(2.0)];
        let gradients = recomputed(x, parameters, |x, _| x.mul_scalar(2.0)).sum().backward();
        assert_eq!(
            unused.grad(&gradients).map(Tensor::into_data),
            Some(TensorData::from([0.0_f32; 2]))
        );
    }
}
