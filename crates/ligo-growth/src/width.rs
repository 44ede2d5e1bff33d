use ligo_arch::Axis;
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::depth::normalize_rows;
use crate::init;
use crate::operators::Choice;

/// How a width matrix `B ∈ R^{D2×D1}` starts.
///
/// All but `isometric` keep the small model's channels in the first D1 rows, `B = [I; C]`, and differ in `C`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WidthInit {
    /// New rows U(0, 1) divided by their sum: each new channel starts near the mean of all (official `rand`).
    #[default]
    Rand,
    /// New rows are softmaxes of U(0, 1) (official `rand_softmax`).
    RandSoftmax,
    /// New rows copy one channel each, any as likely as any other; all other entries are U(0, noise) (official `sel_noisy`, with
    /// `width_noise = 0` official `sel`).
    Select,
    /// As `select`, but no channel is chosen a second time before all have been.
    SelectBalanced,
    /// New rows N(0, 1/D2), as the authors of G_stack start their LiGO.
    Gaussian,
    /// New rows N(0, noise²): almost zero.
    NearZero,
    /// New rows copy random channels, by whole heads in attention; columns, which must not be tied to rows then, are divided by
    /// the number of copies (Net2Net, bert2BERT's FPI).
    Fpi,
    /// Channel j is copied c_j times in cyclic order. On the residual stream, the values and an untied decoder's
    /// input the copies are scaled by 1/√c_j, so BᵀB = I and the tie `A = B` preserves inner products; queries, keys
    /// and the head's activations are copied unscaled, and feed-forward neurons are padded with zeros. For an exact
    /// doubling of a post-norm model this preserves the function (up to LayerNorm's ε).
    Isometric,
}

impl WidthInit {
    /// Whether the first D1 rows are the identity, so that they can be held fixed.
    pub fn has_identity_block(self) -> bool {
        self != Self::Isometric
    }

    /// The starting matrix, row-major `[large, small]`.
    pub(crate) fn matrix(self, axis: Axis, small: usize, large: usize, noise: f64, seed: u64, name: &str) -> Vec<f32> {
        if self == Self::Isometric {
            return isometric(axis, small, large);
        }
        let mut matrix = identity_top(small, large);
        let mut rng = init::rng(seed, name);
        let new = &mut matrix[small * small..];
        match self {
            Self::Rand => {
                new.iter_mut().for_each(|v| *v = rng.random());
                normalize_rows(new, small);
            }
            Self::RandSoftmax => {
                new.iter_mut().for_each(|v| *v = rng.random::<f32>().exp());
                normalize_rows(new, small);
            }
            Self::Select | Self::SelectBalanced => {
                let choice = match self {
                    Self::Select => Choice::Uniform,
                    _ => Choice::Balanced,
                };
                let chosen = choice.of_new(small, large, &mut rng);
                for (row, chosen) in new.chunks_mut(small).zip(chosen) {
                    row.iter_mut().for_each(|v| *v = (rng.random::<f64>() * noise) as f32);
                    row[chosen] = 1.0;
                }
            }
            Self::Gaussian => {
                let std = (1.0 / large as f64).sqrt();
                new.copy_from_slice(&init::normal(&mut rng, std, new.len()));
            }
            Self::NearZero => new.copy_from_slice(&init::normal(&mut rng, noise, new.len())),
            // Made elsewhere: these depend on more than one axis.
            Self::Isometric | Self::Fpi => {}
        }
        matrix
    }
}

/// `[I; 0]`.
pub(crate) fn identity_top(small: usize, large: usize) -> Vec<f32> {
    let mut matrix = vec![0.0; large * small];
    for j in 0..small {
        matrix[j * small + j] = 1.0;
    }
    matrix
}

fn isometric(axis: Axis, small: usize, large: usize) -> Vec<f32> {
    if [Axis::FFN, Axis::EXPERT_FFN].contains(&axis) {
        return identity_top(small, large);
    }
    let scaled = ![Axis::QUERY, Axis::KEY, Axis::HEAD, Axis::POOLER].contains(&axis);
    let mut matrix = vec![0.0; large * small];
    for i in 0..large {
        let j = i % small;
        let copies = large / small + usize::from(j < large % small);
        matrix[i * small + j] = if scaled {
            (1.0 / (copies as f64).sqrt()) as f32
        } else {
            1.0
        };
    }
    matrix
}
