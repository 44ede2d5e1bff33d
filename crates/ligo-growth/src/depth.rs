use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::{Error, init};

/// How the depth coefficients `w ∈ R^{L2×L1}` of one module start.
///
/// `noise` adds U(0, noise) to every entry before each row is divided by its sum, as the official code's `*_noisy`
/// schemes do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DepthInit {
    /// Row i chooses layer i mod L1: the small model stacked on itself (StackBERT).
    #[default]
    Stack,
    /// Row i chooses layer ⌊i·L1/L2⌋: every layer repeated in place.
    Interpose,
    /// Row i chooses layer i, without noise; a layer that the small model does not have begins without a source.
    Own,
    /// U(0, 1), rows divided by their sum.
    Rand,
    /// Softmax of U(0, 1) over each row (official `rand_softmax`).
    RandSoftmax,
}

/// Layer lists: for each layer of the large model, the small model's layer that it copies.
pub(crate) fn stack(small: usize, large: usize) -> Vec<usize> {
    (0..large).map(|i| i % small).collect()
}

pub(crate) fn interpose(small: usize, large: usize) -> Vec<usize> {
    (0..large).map(|i| i * small / large).collect()
}

/// Each layer followed by its copies, of which there are as many as the script of LLaMA Pro (arXiv 2401.02415) makes: one behind every
/// `⌊L1/(L2−L1)⌋`-th layer. Where that gives another number than is wanted, and the script stops, they are spread as evenly
/// as can be, each behind the end of its share of the layers.
pub(crate) fn grouped(small: usize, large: usize) -> Vec<usize> {
    let added = large - small;
    let group = small.checked_div(added).unwrap_or(small + 1);
    let is_whole = group > 0 && small / group == added;
    let copies_up_to = |layers: usize| {
        if is_whole {
            layers / group
        } else {
            layers * added / small
        }
    };
    (0..small)
        .flat_map(|j| std::iter::repeat_n(j, 1 + copies_up_to(j + 1) - copies_up_to(j)))
        .collect()
}

/// Each layer followed by its copies, ⌊L2/L1⌋ of it in all, of the uppermost ones one more (LEMON, arXiv 2310.07999).
pub(crate) fn repeat_top(small: usize, large: usize) -> Vec<usize> {
    let (times, more) = (large / small, large % small);
    (0..small)
        .flat_map(|j| std::iter::repeat_n(j, times + usize::from(j + more >= small)))
        .collect()
}

/// The small model ⌊L2/L1⌋ times, and what is left from its top (bert2BERT, arXiv 2110.07143).
pub(crate) fn stack_from_top(small: usize, large: usize) -> Vec<usize> {
    let whole = large - large % small;
    (0..large)
        .map(|i| if i < whole { i % small } else { small + i - large })
        .collect()
}

/// The small model with copies of its middle behind it (MIDAS, arXiv 2409.19044). Of `n` blocks the `⌈n/2⌉`-th is repeated;
/// a block has as many layers as are added, where the small model has so many.
pub(crate) fn middle(small: usize, large: usize) -> Vec<usize> {
    let mut list: Vec<usize> = (0..small).collect();
    while list.len() < large {
        let block = (large - list.len()).min(list.len());
        let centered = (list.len() - block) / 2;
        let start = if list.len().is_multiple_of(block) {
            centered / block * block
        } else {
            centered
        };
        let copied = list[start..start + block].to_vec();
        list.splice(start + block..start + block, copied);
    }
    list
}

/// The matrix with a single 1 in each row; `None` leaves a row of zeros (a layer without a source).
pub(crate) fn one_hot(list: &[Option<usize>], small: usize) -> Vec<f32> {
    let mut matrix = vec![0.0; list.len() * small];
    for (i, source) in list.iter().enumerate() {
        if let Some(j) = source {
            matrix[i * small + j] = 1.0;
        }
    }
    matrix
}

pub(crate) fn check_list(stack: &str, list: &[usize], small: usize, large: usize) -> Result<(), Error> {
    let reason = if list.len() != large {
        format!("it has {} entries, the large model has {large} layers", list.len())
    } else if let Some(bad) = list.iter().find(|j| **j >= small) {
        format!(
            "layer {bad} is asked for, the small model has layers 0 to {}",
            small - 1
        )
    } else {
        return Ok(());
    };
    Err(Error::LayerList {
        stack: stack.into(),
        reason,
    })
}

impl DepthInit {
    /// The starting matrix, row-major `[large, small]`.
    /// `source` says which layer stands for the one that is chosen.
    pub(crate) fn matrix(
        self,
        [small, large]: [usize; 2],
        source: &dyn Fn(usize) -> usize,
        noise: f64,
        seed: u64,
        name: &str,
    ) -> Vec<f32> {
        let mut rng = init::rng(seed, name);
        let chosen = |list: Vec<usize>| one_hot(&list.into_iter().map(|j| Some(source(j))).collect::<Vec<_>>(), small);
        let (mut matrix, random) = match self {
            Self::Own => {
                let own = (0..large).map(|i| (i < small).then(|| source(i)));
                return one_hot(&own.collect::<Vec<_>>(), small);
            }
            Self::Stack => (chosen(stack(small, large)), false),
            Self::Interpose => (chosen(interpose(small, large)), false),
            Self::Rand => ((0..large * small).map(|_| rng.random::<f32>()).collect(), true),
            Self::RandSoftmax => ((0..large * small).map(|_| rng.random::<f32>().exp()).collect(), true),
        };
        if noise > 0.0 && !random {
            // The chosen layer keeps weight 1 before the division, as in the official code.
            for value in matrix.iter_mut().filter(|v| **v == 0.0) {
                *value = (rng.random::<f64>() * noise) as f32;
            }
        }
        if noise > 0.0 || random {
            normalize_rows(&mut matrix, small);
        }
        matrix
    }
}

pub(crate) fn normalize_rows(matrix: &mut [f32], columns: usize) {
    for row in matrix.chunks_mut(columns) {
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|v| *v /= sum);
    }
}

#[cfg(test)]
mod tests {
    use super::{grouped, interpose, repeat_top};

    /// Layers that repeat the one before them.
    fn repeated(list: &[usize]) -> Vec<usize> {
        (1..list.len()).filter(|i| list[*i] == list[i - 1]).collect()
    }

    #[test]
    fn copies_stand_where_the_authors_put_them() {
        // LLaMA Pro's script for 4 to 6, its model (32 to 40), and a number of layers that its groups do not divide.
        assert_eq!(repeated(&grouped(4, 6)), [2, 5]);
        assert_eq!(repeated(&grouped(32, 40)), [4, 9, 14, 19, 24, 29, 34, 39]);
        assert_eq!(repeated(&grouped(5, 7)), [2, 5]);
        // LEMON's code for 4 to 6 and 6 to 12.
        assert_eq!(repeated(&repeat_top(4, 6)), [3, 5]);
        assert_eq!(repeated(&repeat_top(6, 12)), [1, 3, 5, 7, 9, 11]);
        assert_eq!(repeated(&interpose(4, 6)), [1, 4]);
    }

    #[test]
    fn every_layer_keeps_its_place_however_many_are_added() {
        for (small, large) in (1..9).flat_map(|s| (s..30).map(move |l| (s, l))) {
            for list in [grouped(small, large), repeat_top(small, large)] {
                assert_eq!(list.len(), large, "{small} to {large}");
                assert!(list.is_sorted());
                let mut kept = list.clone();
                kept.dedup();
                assert_eq!(kept, (0..small).collect::<Vec<_>>(), "{small} to {large}");
            }
        }
    }
}
