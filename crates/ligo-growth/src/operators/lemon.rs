//! LEMON (Wang et al., arXiv 2310.07999): lossless growth to any width, for families that normalize what a layer reads.

use std::collections::{BTreeMap, BTreeSet};

use ligo_arch::{Axis, ModelConfig, NormKind, NormPlace, ParamTable, Role};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::facts::{Facts, Scope};
use super::operator::{Operator, Pair, all};
use super::refusal::Refusal;
use super::selection::{Choice, Selection, Sources, check_units};
use super::zero_blocks::{self, Placement};
use crate::picks::WidthMatrix;
use crate::{Error, Factors, Fill, LinearMap, Sharing, Term, init};

/// Settings of [`OperatorSpec::Lemon`](crate::OperatorSpec::Lemon).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "snake_case")]
pub struct LemonConfig {
    /// With `split = "channel"`: how unevenly copies of an input share its weights. Shares are U(1 − spread, 1 + spread), divided by their sum. With 0
    /// copies of a neuron are alike and stay so.
    pub spread: f64,
    /// What copies of an input share.
    pub split: Split,
    /// With `split = "weight"`: the large model's `initializer_range` times this is the standard deviation of what is drawn. The
    /// authors have 1 for ViT and 0.1 for BERT.
    pub scale: f64,
    /// Where layers without effect stand.
    pub placement: Placement,
}

const SPREAD: f64 = 0.5;
const SCALE: f64 = 1.0;

impl Default for LemonConfig {
    fn default() -> Self {
        Self {
            spread: SPREAD,
            split: Split::Weight,
            scale: SCALE,
            placement: Placement::Top,
        }
    }
}

/// How the copies of an input share what reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// By a factor of each channel, the same for all that reads it; see [`LemonConfig::spread`].
    Channel,
    /// Every weight by itself: evenly, plus random values of every copy less their mean over the copies (the authors' projection of a
    /// fresh large model to those which compute the same). What reads channels left over is fresh, too. It trains better: docs/RESULTS.md.
    #[default]
    Weight,
}

/// A residual stream of `D1` channels becomes `r = ⌊D2/D1⌋` copies of itself, and each channel that is left over holds the mean
/// of the small ones (LayerNorm) or zero (RMSNorm). Over all channels the mean is then what it was, and the variance
/// `η² = r·D1/D2` of it, which gains times `η` and ε times `η²` make up for. The channels left over are normalized to zero, so
/// that what reads them is free: it copies what reads random others.
///
/// Neurons and heads are copied any number of times. The weights of their readers are split unevenly, so that copies learn
/// different things. Layers that are added do nothing, see [`zero_blocks`].
///
/// Families that normalize what a layer passes on must have a residual stream of a whole multiple.
fn map(pair: &Pair<'_>, config: LemonConfig) -> LinearMap {
    let Pair {
        small,
        large,
        device,
        initializer_range,
        seed,
    } = *pair;
    let (choice, spread, fill) = match config.split {
        Split::Channel => (Choice::Balanced, config.spread, Fill::Identity),
        // Its copies stand as `Fill::FanOut` takes them to.
        Split::Weight => {
            let initializer_range = config.scale * initializer_range;
            let added = Fill::FanOut {
                initializer_range,
                seed,
            };
            (Choice::Cyclic, 0.0, added)
        }
    };
    let stream = Stream::new(small, large);
    let mut copies = Selection::new(small, large, choice, seed).without(&RESIDUAL);
    // What a head's normalization scales channel by channel is copied as the stream is.
    let follows = |axis: Axis| large.unit(axis).set == Axis::HIDDEN.name();
    copies.set(&follows, &stream.sources());
    let share = |axis: Axis, sources: &Sources| sources.shares(spread, &mut rng(seed, axis));
    let shares: BTreeMap<Axis, Vec<f64>> = copies.iter().map(|(axis, s)| (axis, share(axis, s))).collect();
    let mut out = copies.matrices(device, &|_, _, _| 1.0);
    let mut input = copies.matrices(device, &|axis, _, i| shares[&axis][i]);
    let normalized: BTreeSet<Axis> = (large.specs().iter().filter(|s| s.role == Role::NormWeight))
        .filter_map(|s| s.axes.first().copied())
        .collect();
    let mut gains = out.clone();
    gains.retain(|axis, _| normalized.contains(axis));
    let mut shifts = gains.clone();
    if stream.small < stream.large {
        let matrix = |values: Vec<f64>| vec![WidthMatrix::of_values(values, stream.small, device)];
        let ones = vec![1.0; stream.copied()];
        let tied = Axis::HEAD_INPUT;
        let shares = |axis| share(axis, &stream.sources());
        out.insert(Axis::HIDDEN, matrix(stream.written(large)));
        input.insert(
            Axis::HIDDEN,
            matrix(match config.split {
                Split::Channel => stream.read(&shares(Axis::HIDDEN), &mut rng(seed, Axis::HIDDEN)),
                Split::Weight => stream.with_rest(&shares(Axis::HIDDEN), &mut |_| {}),
            }),
        );
        // A tied decoder's columns are those of the look-up table, so that its inputs are split, not its weights.
        for (axis, parts) in [(Axis::HIDDEN, ones), (tied, shares(tied))] {
            gains.insert(axis, matrix(stream.gains(&parts)));
            shifts.insert(axis, matrix(stream.with_rest(&parts, &mut |_| {})));
        }
    }
    let factors = |matrices| Factors::of(Sharing::Shared, matrices).with_repeats(small, large);
    let term = Term {
        depth: zero_blocks::depth(pair, config.placement),
        out: factors(out),
        roles: BTreeMap::from([(Role::NormWeight, factors(gains)), (Role::NormBias, factors(shifts))]),
        input: Some(factors(input)),
        ..Term::default()
    };
    LinearMap::new(vec![term], fill)
}

/// Axes with a rule of their own.
const RESIDUAL: [Axis; 2] = [Axis::HIDDEN, Axis::HEAD_INPUT];

fn rng(seed: u64, axis: Axis) -> impl Rng {
    init::rng(seed, &format!("lemon.{axis}"))
}

/// Where layers normalize what they pass on, and with LayerScale, the residual stream must be a whole multiple.
fn check(small: &ParamTable, large: &ParamTable, config: LemonConfig) -> Result<(), Refusal> {
    if !(0.0..1.0).contains(&config.spread) {
        let message = format!("spread must be from 0 to below 1, found {}", config.spread);
        return Err(Refusal::settings(message));
    }
    if !(config.scale >= 0.0 && config.scale.is_finite()) {
        return Err(Refusal::settings(format!(
            "scale must be 0 or more, found {}",
            config.scale
        )));
    }
    let without_effect = match config.split {
        Split::Weight if config.spread != SPREAD => {
            Some("spread needs split = \"channel\": what tells copies apart here is scale")
        }
        Split::Channel if config.scale != SCALE => {
            Some("scale needs split = \"weight\": what tells copies apart here is spread")
        }
        _ => None,
    };
    if let Some(message) = without_effect {
        return Err(Refusal::settings(message));
    }
    let refuse = |reason: &str| Err(Refusal::Pair(reason.into()));
    let Some(norm) = large.norm() else {
        return refuse("it must know how layers normalize, which the table of this family does not say");
    };
    let stream = Stream::new(small, large);
    let has_rest = stream.copied() < stream.large;
    if norm.place == NormPlace::After && has_rest {
        return refuse(
            "layers of this family normalize the sum of their input and output, and channels left over would not stay zero; the \
             residual stream must be a whole multiple",
        );
    }
    if large.normalizes_ends() && has_rest {
        return refuse(
            "this family normalizes embeddings or what its head gives, and channels left over would not stay what they are there; the residual stream must \
             be a whole multiple",
        );
    }
    if large.normalizes_heads_together() && has_rest {
        return refuse(
            "this family normalizes all heads together, and heads that are copied unevenly change them all; the residual stream must be a whole multiple",
        );
    }
    if large.has_fixed_epsilon() && has_rest {
        return refuse(
            "channels left over ask for another ε of normalizations, and no file of this family says it; the residual stream must be a whole multiple",
        );
    }
    let scales = large.specs().iter().any(|s| s.role == Role::Scale);
    if scales && norm.kind == NormKind::Layer && has_rest {
        return refuse(
            "channels left over must hold the mean of all, and LayerScale multiplies each channel by a factor of its own; the \
             residual stream must be a whole multiple",
        );
    }
    check_units(small, large)
}

/// The residual stream of both models.
#[derive(Clone, Copy, Debug)]
struct Stream {
    small: usize,
    large: usize,
}

impl Stream {
    fn new(small: &ParamTable, large: &ParamTable) -> Self {
        Self {
            small: small.size(Axis::HIDDEN),
            large: large.size(Axis::HIDDEN),
        }
    }

    /// Channels of the large stream that are copies.
    fn copied(self) -> usize {
        self.large - self.large % self.small
    }

    fn eta(self) -> f64 {
        (self.copied() as f64 / self.large as f64).sqrt()
    }

    fn sources(self) -> Sources {
        Sources::new(self.small, (0..self.copied()).map(|i| i % self.small).collect())
    }

    /// Copies with a factor each, and the channels that are left over.
    fn with_rest(self, copies: &[f64], rest: &mut dyn FnMut(&mut [f64])) -> Vec<f64> {
        let mut values = self.sources().rows(&|i| copies[i]);
        values.resize(self.large * self.small, 0.0);
        values[self.copied() * self.small..]
            .chunks_mut(self.small)
            .for_each(rest);
        values
    }

    /// Rows of what writes the stream.
    fn written(self, table: &ParamTable) -> Vec<f64> {
        let rest = match table.norm().map(|norm| norm.kind) {
            Some(NormKind::Layer) => 1.0 / self.small as f64,
            _ => 0.0,
        };
        self.with_rest(&vec![1.0; self.copied()], &mut |row| row.fill(rest))
    }

    /// Columns of what reads it.
    fn read(self, shares: &[f64], rng: &mut impl Rng) -> Vec<f64> {
        let share = self.small as f64 / self.copied() as f64;
        self.with_rest(shares, &mut |row| {
            let chosen = rng.random_range(0..row.len());
            row[chosen] = share;
        })
    }

    /// Gains. What is left over scales zeros and may be anything but zero, with which it would stay zero: it is the mean.
    fn gains(self, parts: &[f64]) -> Vec<f64> {
        let parts: Vec<f64> = parts.iter().map(|part| part * self.eta()).collect();
        let mean = self.eta() / self.copied() as f64;
        self.with_rest(&parts, &mut |row| row.fill(mean))
    }
}

impl Operator for LemonConfig {
    fn name(&self) -> &'static str {
        "lemon"
    }

    fn label(&self) -> &'static str {
        "LEMON"
    }

    fn facts(&self) -> Facts {
        Facts {
            about: "LEMON: copies and means of channels, readers split unevenly; added layers without effect",
            needs: "heads of the same size, post-norm also whole multiples",
            source: "[2310.07999](https://arxiv.org/abs/2310.07999)",
            takes: [
                Scope::Everywhere,
                Scope::Everywhere,
                Scope::Everywhere,
                Scope::PreNormUnscaled,
            ],
            keeps: [
                Scope::Everywhere,
                Scope::HeadsApart,
                Scope::Everywhere,
                Scope::PreNormUnscaled,
            ],
            ..Facts::OF_COPIES
        }
    }

    fn sources(&self, small: usize, large: usize) -> Vec<Option<usize>> {
        all(self.placement.list(small, large))
    }

    fn check(&self, small: &ParamTable, large: &ParamTable) -> Result<(), Refusal> {
        check(small, large, *self)
    }

    /// The large model with the small one's ε times `η²`.
    fn adjust(&self, small: &ModelConfig, large: &ModelConfig) -> ModelConfig {
        let eta = Stream::new(&small.table(), &large.table()).eta();
        large.with_norm_epsilon(small.norm_epsilon() * eta * eta)
    }

    fn build(&self, pair: &Pair<'_>) -> Result<LinearMap, Error> {
        Ok(map(pair, *self))
    }
}
