//! What layers do otherwise while several ranks compute them together.
//!
//! The ranks hold for a stretch of work on one thread, as a precision does, rather than being handed through every layer.
//! [`SplitModel`](crate::SplitModel) alone begins such a stretch, so a model that is whole never runs in one, and one that is divided never outside. What is
//! recorded for the backward pass knows the ranks itself.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use burn::tensor::Tensor;
use ligo_ops::{Dropout, Group};

use crate::dropout::mix;

thread_local! {
    static CURRENT: RefCell<Option<Arc<dyn Group>>> = const { RefCell::new(None) };
}

/// The ranks that compute this thread's layers together, where there are some.
pub(crate) fn ranks() -> Option<Arc<dyn Group>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Does some work on layers that these ranks compute together, and goes back to what was before, also when the work panics.
pub(crate) fn within<R>(ranks: Option<Arc<dyn Group>>, work: impl FnOnce() -> R) -> R {
    struct Restore(Option<Arc<dyn Group>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _former = Restore(CURRENT.replace(ranks));
    work()
}

/// The ranks of a layer that is computed again later. It does not keep them, as no graph does.
#[derive(Clone, Debug)]
pub(crate) struct Recorded(Option<(Weak<dyn Group>, Gone)>);

impl Recorded {
    /// Those of this thread now.
    pub(crate) fn now() -> Self {
        Self(ranks().map(|ranks| {
            let gone = Gone {
                rank: ranks.rank(),
                size: ranks.size(),
            };
            (Arc::downgrade(&ranks), gone)
        }))
    }

    /// Does some work on layers that they compute together, as [`within`].
    pub(crate) fn within<R>(&self, work: impl FnOnce() -> R) -> R {
        let ranks = self.0.as_ref().map(|(ranks, gone)| match ranks.upgrade() {
            Some(ranks) => ranks,
            None => Arc::new(*gone),
        });
        within(ranks, work)
    }
}

/// Ranks that nobody kept.
#[derive(Clone, Copy, Debug)]
struct Gone {
    rank: usize,
    size: usize,
}

impl Group for Gone {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn sum(&self, values: Vec<f32>) -> Vec<f32> {
        vec![f32::NAN; values.len()]
    }

    fn fault(&self) -> Option<String> {
        Some("nobody kept them for the backward pass".into())
    }
}

/// What a branch of a layer reads: all ranks have it alike, and each computes its heads or neurons of it. Its gradient is the sum of theirs.
pub(crate) fn enter<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    match ranks() {
        Some(ranks) => ligo_ops::sum_backward(x, &ranks),
        None => x,
    }
}

/// What the heads or neurons of all ranks come to, of what those of this rank do.
pub(crate) fn leave<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    match ranks() {
        Some(ranks) => ligo_ops::sum_forward(x, &ranks),
        None => x,
    }
}

/// Dropout of what belongs to this rank's heads or neurons. The elements of a mask are counted from the rank's first head or neuron, so each rank takes
/// a seed of its own, or the ranks would drop the same.
pub(crate) fn own(dropout: Option<Dropout>) -> Option<Dropout> {
    let Some(ranks) = ranks().filter(|ranks| ranks.size() > 1) else {
        return dropout;
    };
    dropout.map(|dropout| Dropout {
        seed: mix(dropout.seed ^ (1 + ranks.rank() as u64)),
        ..dropout
    })
}

/// This rank's share of so many heads.
pub(crate) fn share(heads: usize) -> usize {
    ranks().map_or(heads, |ranks| heads / ranks.size().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of four.
    #[derive(Debug)]
    struct Rank(usize);

    impl Group for Rank {
        fn rank(&self) -> usize {
            self.0
        }

        fn size(&self) -> usize {
            4
        }

        fn sum(&self, values: Vec<f32>) -> Vec<f32> {
            values
        }

        fn fault(&self) -> Option<String> {
            None
        }
    }

    fn on<R>(rank: usize, work: impl FnOnce() -> R) -> R {
        within(Some(Arc::new(Rank(rank))), work)
    }

    #[test]
    fn ranks_hold_for_the_work_and_no_longer_also_when_it_panics() {
        let current = || ranks().map(|ranks| ranks.rank());
        assert_eq!((current(), share(8)), (None, 8));
        let inside = on(1, || {
            (current(), share(8), on(2, current), within(None, current), current())
        });
        assert_eq!(inside, (Some(1), 2, Some(2), None, Some(1)));
        assert!(std::panic::catch_unwind(|| on(3, || panic!("a fault of the test"))).is_err());
        assert_eq!(current(), None);
    }

    #[test]
    fn a_layer_that_is_computed_again_has_its_ranks_and_never_runs_as_if_it_were_whole() {
        let kept: Arc<dyn Group> = Arc::new(Rank(2));
        let recorded = within(Some(Arc::clone(&kept)), Recorded::now);
        assert_eq!(Arc::strong_count(&kept), 1);
        let found = || (share(8), ranks().map(|ranks| ranks.sum(vec![1.0])));
        assert_eq!(recorded.within(found), (2, Some(vec![1.0])));
        drop(kept);
        let (heads, sum) = recorded.within(found);
        assert!(heads == 2 && sum.is_some_and(|sum| sum[0].is_nan()));
        assert_eq!(Recorded::now().within(found), (8, None));
    }

    #[test]
    fn each_rank_drops_other_elements_of_its_own_and_a_whole_model_what_it_always_did() {
        let dropout = Some(Dropout {
            probability: 0.1,
            seed: 7,
        });
        assert_eq!(own(dropout), dropout);
        let of = |rank| on(rank, || own(dropout));
        let all: Vec<_> = (0..4).map(of).collect();
        for (i, one) in all.iter().enumerate() {
            assert!(!all[..i].contains(one) && *one != dropout);
            assert_eq!(one.map(|one| one.probability), Some(0.1));
            assert_eq!(*one, of(i));
        }
        assert_eq!(on(1, || own(None)), None);
    }
}
