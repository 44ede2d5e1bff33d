//! Sums over ranks that compute a layer together: the two operators `f` and `g` of Megatron-LM (Shoeybi et al., arXiv:1909.08053).

use std::fmt;
use std::sync::{Arc, Weak};

use burn::backend::autodiff::{
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::backend::{DispatchDevice, tensor::FloatTensor};
use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;

#[cfg(feature = "cube")]
use crate::cube;
use crate::graph::{Back, Native, Part, record, untracked_on};
use crate::traffic;

/// Ranks each of which computes a part of every layer. All of them call [`sum_forward`] and [`sum_backward`] in the same order, and run the backward
/// pass of the same graph.
pub trait Group: fmt::Debug + Send + Sync {
    /// This rank, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn size(&self) -> usize;

    /// The sums of the ranks' numbers, with the same bits on all of them. Each gives equally many.
    ///
    /// A backward pass has no way to fail. So where a sum does not come about, this answers NaN at once, then and ever after, and
    /// [`Group::fault`] says why.
    fn sum(&self, values: Vec<f32>) -> Vec<f32>;

    /// Why sums are NaN since one of them did not come about.
    fn fault(&self) -> Option<String>;
}

/// The sum of `x` over the ranks, whose gradient goes to each rank's `x` as it is: `g`, behind the product that each rank has a part of.
///
/// Numbers go through the memory of the host, as `f32`.
///
/// # Shapes
/// `x` and the result have the same shape, which is that of all ranks.
///
/// # Panics
/// On a backend other than flex and cubecl's.
pub fn sum_forward<const D: usize>(x: Tensor<D>, group: &Arc<dyn Group>) -> Tensor<D> {
    through(x, group, Sums::Forward)
}

/// `x` as it is, whose gradient is summed over the ranks: `f`, in front of what only some ranks compute of `x`, which all have alike.
///
/// The graph does not keep the ranks: one that nobody goes back through may outlive the thread that recorded it, whose rank should be gone. Where nobody
/// else kept them, the gradient is NaN.
///
/// # Shapes
/// As [`sum_forward`].
///
/// # Panics
/// As [`sum_forward`].
pub fn sum_backward<const D: usize>(x: Tensor<D>, group: &Arc<dyn Group>) -> Tensor<D> {
    through(x, group, Sums::Backward)
}

/// Which way is summed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sums {
    Forward,
    Backward,
}

fn through<const D: usize>(x: Tensor<D>, group: &Arc<dyn Group>, sums: Sums) -> Tensor<D> {
    if group.size() < 2 {
        return x;
    }
    match x.device().without_autodiff().as_dispatch() {
        DispatchDevice::Flex(_) => on::<D, Flex>(x, group, sums),
        #[cfg(feature = "cube")]
        DispatchDevice::Cube(_) => on::<D, cube::Cube>(x, group, sums),
        other => panic!("ranks sum tensors on flex and cubecl's devices, found {other:?}"),
    }
}

fn on<const D: usize, B: Native>(x: Tensor<D>, group: &Arc<dyn Group>, sums: Sums) -> Tensor<D> {
    let part = Part::<B>::on(x);
    let values = part.values.clone();
    let (y, backward) = match sums {
        Sums::Forward => (summed::<D, B>(values, Some(&**group)), None),
        Sums::Backward => (values, Some(Arc::downgrade(group))),
    };
    record(Node::<D>, [part], y, |_| backward)
}

/// The sum over the ranks, where they are there.
fn summed<const D: usize, B: Native>(values: FloatTensor<B>, group: Option<&dyn Group>) -> FloatTensor<B> {
    let x = untracked_on::<D, B>(values);
    let (shape, device) = (x.dims(), x.device());
    let count = shape.iter().product();
    // A device that does not answer will not give the loss either, which is where that is told. The others wait for these numbers all the same.
    let mine = traffic::read(&x.reshape([count])).unwrap_or_else(|_| vec![f32::NAN; count]);
    let mut sum = group.map(|group| group.sum(mine)).unwrap_or_default();
    sum.resize(count, f32::NAN);
    let sum: Tensor<D> = traffic::upload(TensorData::new(sum, shape), &device);
    Part::<B>::on(sum).values
}

#[derive(Debug)]
struct Node<const D: usize>;

impl<const D: usize, B: Native> Backward<B, 1> for Node<D> {
    /// The ranks over which the gradient is summed, where it is.
    type State = Option<Weak<dyn Group>>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (grad, group, mut back) = Back::<1, B>::on(ops, grads);
        back.give(
            0,
            match group {
                Some(group) => summed::<D, B>(grad, group.upgrade().as_deref()),
                None => grad,
            },
        );
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Mutex;

    use burn::tensor::Device;

    use super::*;

    /// A rank whose partner has the same numbers twice over.
    #[derive(Debug, Default)]
    struct WithTwice {
        summed: Mutex<Vec<Vec<f32>>>,
    }

    impl Group for WithTwice {
        fn rank(&self) -> usize {
            0
        }

        fn size(&self) -> usize {
            2
        }

        fn sum(&self, values: Vec<f32>) -> Vec<f32> {
            self.summed.lock().unwrap().push(values.clone());
            values.iter().map(|x| 3.0 * x).collect()
        }

        fn fault(&self) -> Option<String> {
            None
        }
    }

    fn numbers<const D: usize>(x: Tensor<D>) -> Vec<f32> {
        x.into_data().iter().collect()
    }

    /// Value and gradient of `Σ c·op(x)²`, and what was summed.
    fn passed(op: fn(Tensor<2>, &Arc<dyn Group>) -> Tensor<2>) -> (Vec<f32>, Vec<f32>, Vec<Vec<f32>>) {
        let group = Arc::new(WithTwice::default());
        let ranks: Arc<dyn Group> = group.clone();
        let device = Device::flex().autodiff();
        let x = Tensor::<2>::from_data([[1.0, -2.0], [0.5, 4.0]], &device).require_grad();
        let y = op(x.clone(), &ranks);
        let values = numbers(y.clone().without_autodiff());
        // Read twice, so that two gradients meet in front of the operator.
        let gradients = (y.clone() * y).sum().backward();
        let gradient = numbers(x.grad(&gradients).unwrap());
        let summed = group.summed.lock().unwrap().clone();
        (values, gradient, summed)
    }

    #[test]
    fn one_sums_on_the_way_there_and_the_other_on_the_way_back() {
        let x = vec![1.0, -2.0, 0.5, 4.0];
        let times = |factor: f32| x.iter().map(|x| factor * x).collect::<Vec<f32>>();
        // The gradient of y² is 2y, and y is 3x.
        assert_eq!(passed(sum_forward), (times(3.0), times(6.0), vec![x.clone()]));
        // The gradient of x² is 2x, summed once, when all of it is there.
        assert_eq!(passed(sum_backward), (x.clone(), times(6.0), vec![times(2.0)]));
    }

    #[test]
    fn nothing_is_summed_where_one_is_alone_or_nobody_asks_for_a_gradient() {
        let group = Arc::new(WithTwice::default());
        let ranks: Arc<dyn Group> = group.clone();
        let x = Tensor::<1>::from_data([1.0, 2.0], &Device::flex());
        assert_eq!(numbers(sum_backward(x.clone(), &ranks)), [1.0, 2.0]);
        assert!(group.summed.lock().unwrap().is_empty());
        assert_eq!(numbers(sum_forward(x, &ranks)), [3.0, 6.0]);
        assert_eq!(group.summed.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_graph_does_not_keep_the_ranks() {
        let ranks: Arc<dyn Group> = Arc::new(WithTwice::default());
        let x = Tensor::<1>::from_data([1.0, 2.0], &Device::flex().autodiff()).require_grad();
        let loss = sum_backward(x.clone(), &ranks).sum();
        assert_eq!(Arc::strong_count(&ranks), 1);
        drop(ranks);
        let gradient = numbers(x.grad(&loss.backward()).unwrap());
        assert!(gradient.iter().all(|x| x.is_nan()));
    }

    /// As [`Group::sum`] may not.
    #[derive(Debug)]
    struct Short;

    impl Group for Short {
        fn rank(&self) -> usize {
            1
        }

        fn size(&self) -> usize {
            2
        }

        fn sum(&self, _: Vec<f32>) -> Vec<f32> {
            vec![1.0]
        }

        fn fault(&self) -> Option<String> {
            None
        }
    }

    #[test]
    fn numbers_that_did_not_come_are_not_made_up() {
        let group: Arc<dyn Group> = Arc::new(Short);
        let x = Tensor::<1>::from_data([1.0, 2.0], &Device::flex());
        let found = numbers(sum_forward(x, &group));
        assert!(found[0] == 1.0 && found[1].is_nan());
    }
}
