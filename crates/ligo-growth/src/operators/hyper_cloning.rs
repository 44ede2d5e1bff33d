//! HyperCloning (Samragh et al., arXiv 2409.12903): every channel occurs n times.

use ligo_arch::{Axis, ParamTable};
use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::facts::{Facts, Scope};
use super::operator::{Operator, Pair, all};
use super::refusal::Refusal;
use super::selection::{Choice, Selection, check_units, growing, regrouped};
use super::zero_blocks::{self, Placement};
use crate::picks::{Picks, WidthMatrix};
use crate::{Coverage, Error, Factors, Fill, LinearMap, Sharing, Term, init};

/// Settings of [`OperatorSpec::HyperCloning`](crate::OperatorSpec::HyperCloning).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "snake_case")]
pub struct CloningConfig {
    /// Which copies read which.
    pub form: CloningForm,
    /// Size of the noise of `noisy` and `noisy-diagonal`, as a share of the copied weights.
    pub noise: f64,
}

impl Default for CloningConfig {
    fn default() -> Self {
        Self {
            form: CloningForm::Symmetric,
            noise: 0.1,
        }
    }
}

/// How the copies of a layer's outputs read the copies of its inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CloningForm {
    /// `[[W, W], [W, W]] / 2`: each output reads all copies alike.
    #[default]
    Symmetric,
    /// `[[W + η₁, W − η₁], [W + η₂, W − η₂]] / 2`: as `symmetric`, with noise that cancels over the copies of an input, so that copies of
    /// an output learn different things. `η` is the small matrix itself with rows and columns shuffled and random signs: as
    /// large as the weights wherever they are large, and a linear map of them. With an odd number of copies the last has none, and
    /// neither have words and classes.
    Noisy,
    /// `[[W, 0], [0, W]]`: each copy of an output reads its own copy of the inputs.
    Diagonal,
    /// `[[W + η₁, −η₁], [η₂, W − η₂]]`: `diagonal` with the noise of `noisy`.
    NoisyDiagonal,
}

impl CloningForm {
    fn is_diagonal(self) -> bool {
        matches!(self, Self::Diagonal | Self::NoisyDiagonal)
    }

    fn is_noisy(self) -> bool {
        matches!(self, Self::Noisy | Self::NoisyDiagonal)
    }
}

/// Exact for every family whose heads keep their size. Query heads may become more where key heads do not; layers that are added do
/// nothing, see [`zero_blocks`].
fn map(pair: &Pair<'_>, config: CloningConfig) -> LinearMap {
    let Pair { small, large, seed, .. } = *pair;
    let copies = Selection::new(small, large, Choice::Cyclic, seed);
    // `Out = [I; …; I]`: a tied decoder sums the copies, and its columns cannot be divided. What it reads is.
    let outputs = |takes: &dyn Fn(usize) -> bool| {
        copies.factors(pair, &|axis, sources, i| match (takes(sources.occurrence(i)), axis) {
            (false, _) => 0.0,
            (true, Axis::HEAD_INPUT) => 1.0 / sources.copies(i) as f64,
            (true, _) => 1.0,
        })
    };
    let symmetric = Term {
        depth: zero_blocks::depth(pair, Placement::Interposed),
        out: outputs(&|_| true),
        input: Some(copies.factors(pair, &|_, sources, i| 1.0 / sources.copies(i) as f64)),
        ..Term::default()
    };
    let mut terms = Vec::new();
    if config.form.is_noisy() {
        terms.push(Term {
            depth: symmetric.depth.clone(),
            out: shuffled(pair, true, &|_, _| 1.0),
            input: Some(shuffled(pair, false, &|copy, copies| {
                let share = match config.form.is_diagonal() {
                    true => 1.0,
                    false => 1.0 / copies as f64,
                };
                config.noise * share * alternating(copy, copies)
            })),
            coverage: Coverage::Noise,
            ..Term::default()
        });
    }
    if config.form.is_diagonal() {
        let own = |copy: usize| Term {
            depth: symmetric.depth.clone(),
            out: outputs(&|c| c == copy),
            input: Some(copies.factors(pair, &|_, sources, i| {
                f64::from(u8::from(sources.occurrence(i) == copy))
            })),
            coverage: Coverage::Outputs,
            ..Term::default()
        };
        let factors = growing(small, large).map(|(axis, size)| size / small.size(axis));
        terms.splice(0..0, (0..factors.max().unwrap_or(1)).map(own));
        // Words, classes, and whatever else has no copies read all copies of their inputs.
        terms.push(Term {
            coverage: Coverage::Readers,
            ..symmetric
        });
    } else {
        terms.insert(0, symmetric);
    }
    LinearMap::new(terms, Fill::Identity)
}

/// Every width must be a whole multiple, for `diagonal` the same one where it grows at all.
fn check(small: &ParamTable, large: &ParamTable, config: CloningConfig) -> Result<(), Refusal> {
    if !(config.noise >= 0.0 && config.noise.is_finite()) {
        return Err(Refusal::settings(format!(
            "noise must be 0 or more, found {}",
            config.noise
        )));
    }
    let mut factor = None;
    for (axis, size) in growing(small, large) {
        let old = small.size(axis);
        if !size.is_multiple_of(old) {
            return Err(Refusal::Pair(format!(
                "{axis} grows from {old} to {size}; every width must be a whole multiple"
            )));
        }
        let (own, first) = (size / old, *factor.get_or_insert(size / old));
        if config.form.is_diagonal() && own != first {
            return Err(Refusal::Pair(format!(
                "{axis} grows {own}-fold and another width {first}-fold; all must grow alike with form = \"diagonal\" and \
                 \"noisy-diagonal\" (and need not with \"symmetric\" and \"noisy\")"
            )));
        }
    }
    if regrouped(small, large).is_none() {
        return check_units(small, large);
    }
    // Query heads are copied within their groups (multi-query attention in the authors' code).
    let of_keys = |table: &ParamTable| (table.size(Axis::KEY), table.unit(Axis::KEY).block);
    match of_keys(small) == of_keys(large) {
        true => Ok(()),
        false => Err(Refusal::Pair(
            "query heads for each key head become more, and key heads must then stay as they are, in number and in size".into(),
        )),
    }
}

/// Values that cancel over the copies of an input.
fn alternating(copy: usize, copies: usize) -> f64 {
    if copy + 1 == copies && copies % 2 == 1 {
        0.0
    } else {
        1.0 - 2.0 * (copy % 2) as f64
    }
}

/// Permutations `[P₁; …; P_n]`, each times `value(copy, copies)`. Of outputs each copy has its own, with random signs; of inputs
/// all copies have the same, so that values which sum to zero over the copies cancel.
fn shuffled(pair: &Pair<'_>, outputs: bool, value: &dyn Fn(usize, usize) -> f64) -> Factors {
    let Pair {
        small,
        large,
        device,
        seed,
        ..
    } = *pair;
    let matrices = growing(small, large).map(|(axis, size)| {
        let old = small.size(axis);
        let mut picks = Vec::with_capacity(size);
        for copy in 0..size / old {
            let name = if outputs {
                format!("hyper-cloning.out.{axis}.{copy}")
            } else {
                format!("hyper-cloning.in.{axis}")
            };
            let mut rng = init::rng(seed, &name);
            let mut order: Vec<usize> = (0..old).collect();
            order.shuffle(&mut rng);
            for j in order {
                let sign = if outputs && rng.random::<bool>() { -1.0 } else { 1.0 };
                picks.push((j, sign * value(copy, size / old)));
            }
        }
        let picks = Picks::new(old, picks.into_iter());
        (axis, vec![WidthMatrix::picking(picks, device)])
    });
    Factors::of(Sharing::Shared, matrices.collect()).with_repeats(small, large)
}

impl Operator for CloningConfig {
    fn name(&self) -> &'static str {
        "hyper-cloning"
    }

    fn label(&self) -> &'static str {
        "HyperCloning"
    }

    fn facts(&self) -> Facts {
        Facts {
            about: "HyperCloning: every channel *n* times; added layers without effect",
            terms: "1, `noisy` 2, `diagonal` *n* + 1, `noisy-diagonal` *n* + 2",
            needs: "whole multiples, heads of the same size",
            source: "[2409.12903](https://arxiv.org/abs/2409.12903)",
            takes: [Scope::Everywhere, Scope::Nowhere, Scope::Everywhere, Scope::Nowhere],
            keeps: [Scope::Everywhere, Scope::Nowhere, Scope::Everywhere, Scope::Nowhere],
            ..Facts::OF_COPIES
        }
    }

    fn sources(&self, small: usize, large: usize) -> Vec<Option<usize>> {
        all(Placement::Interposed.list(small, large))
    }

    fn check(&self, small: &ParamTable, large: &ParamTable) -> Result<(), Refusal> {
        check(small, large, *self)
    }

    fn grows_groups(&self) -> bool {
        true
    }

    fn build(&self, pair: &Pair<'_>) -> Result<LinearMap, Error> {
        Ok(map(pair, *self))
    }
}
