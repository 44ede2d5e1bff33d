//! Which channel of the small model each channel of a larger one copies.

use std::collections::BTreeMap;

use burn::tensor::Device;
use ligo_arch::{Axis, ParamTable};
use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::operator::Pair;
use super::refusal::Refusal;
use crate::picks::{Picks, WidthMatrix};
use crate::{Factors, Sharing, init};

/// How new units (channels, neurons, heads) choose what they copy. Old units always copy themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// Each draws one of the small model's, all equally likely (Net2Net, bert2BERT).
    #[default]
    Uniform,
    /// In random order, none a second time before all have been copied: as equal numbers of copies as the sizes allow.
    Balanced,
    /// In order, again and again: unit i copies unit i mod n.
    Cyclic,
    /// Those that stand around a small model in the middle of the large one: its last units before its first, and its first behind its last.
    Around,
}

impl Choice {
    /// For each of `large` units the one of `small` that it copies; random ones follow from the seed and the name.
    fn draw(self, small: usize, large: usize, seed: u64, name: &str) -> Vec<usize> {
        let new = self.of_new(small, large, &mut init::rng(seed, name));
        (0..small).chain(new).collect()
    }

    /// What the units beyond the small model's copy.
    pub(crate) fn of_new(self, small: usize, large: usize, rng: &mut impl Rng) -> Vec<usize> {
        let added = large - small;
        let mut order: Vec<usize> = (0..small).collect();
        let mut chosen = Vec::with_capacity(added);
        while chosen.len() < added {
            match self {
                Self::Uniform => chosen.push(rng.random_range(0..small)),
                Self::Balanced => {
                    order.shuffle(rng);
                    chosen.extend(order.iter().take(added - chosen.len()));
                }
                Self::Cyclic => chosen.push(chosen.len() % small),
                Self::Around => {
                    let before = added / 2;
                    chosen.extend((1..=before).rev().map(|back| (small - back % small) % small));
                    chosen.extend((0..added - before).map(|i| i % small));
                }
            }
        }
        chosen
    }
}

/// For every axis that grows, and every channel of it, the small model's channel that it copies.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    sources: BTreeMap<Axis, Sources>,
}

/// The copies of one axis.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    small: usize,
    /// One entry for each large channel.
    of: Vec<usize>,
    /// How many channels before each large one copy the same.
    earlier: Vec<usize>,
    /// How often each small channel occurs.
    counts: Vec<usize>,
}

impl Sources {
    /// Of `small` channels the one that each large channel copies.
    pub(super) fn new(small: usize, of: Vec<usize>) -> Self {
        let mut counts = vec![0; small];
        let earlier = of.iter().map(|j| {
            counts[*j] += 1;
            counts[*j] - 1
        });
        let earlier = earlier.collect();
        Self {
            small,
            of,
            earlier,
            counts,
        }
    }

    /// Blocks that grow from within: entry `i` of one copies entry `i` modulo the small size of a block.
    fn within([small, large]: [usize; 2], [from, to]: [usize; 2]) -> Self {
        let of = |i: usize| (i / to * from + i % to % from) % small;
        Self::new(small, (0..large).map(of).collect())
    }

    /// `[large, small]`, row-major, with one entry in each row.
    pub(crate) fn rows(&self, value: &dyn Fn(usize) -> f64) -> Vec<f64> {
        let mut values = vec![0.0; self.of.len() * self.small];
        for (i, j) in self.of.iter().enumerate() {
            values[i * self.small + j] = value(i);
        }
        values
    }

    /// Random shares of the copies of each channel, which sum to one: U(1 − spread, 1 + spread), divided by their sum.
    pub(super) fn shares(&self, spread: f64, rng: &mut impl Rng) -> Vec<f64> {
        let draws: Vec<f64> = self
            .of
            .iter()
            .map(|_| 1.0 + spread * (2.0 * rng.random::<f64>() - 1.0))
            .collect();
        let mut sums = vec![0.0; self.small];
        draws.iter().zip(&self.of).for_each(|(draw, j)| sums[*j] += draw);
        draws.iter().zip(&self.of).map(|(draw, j)| draw / sums[*j]).collect()
    }

    /// How many channels before channel `i` copy the same.
    pub(super) fn occurrence(&self, i: usize) -> usize {
        self.earlier[i]
    }

    /// How many copies there are of what channel `i` copies.
    pub(crate) fn copies(&self, i: usize) -> usize {
        self.counts[self.of[i]]
    }

    /// Whether channel `i` of the large axis lies outside the small one's range.
    pub(super) fn is_new(&self, i: usize) -> bool {
        i >= self.small
    }

    /// Channels of the small and of the large axis.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.small, self.of.len())
    }
}

impl Selection {
    /// Chooses for every set of axes that belong together, whole units at a time: heads where attention grows. Units must be of
    /// one size, see [`check_units`].
    pub(crate) fn new(small: &ParamTable, large: &ParamTable, choice: Choice, seed: u64) -> Self {
        let mut sources = BTreeMap::new();
        for (axis, size) in growing(small, large) {
            if let Some(blocks) = regrouped_blocks(small, large, axis) {
                sources.insert(axis, Sources::within([small.size(axis), size], blocks));
                continue;
            }
            // What repeats another axis one for one copies what that one copies.
            let unit = large.unit(large.repeat(axis).map_or(axis, |r| r.of));
            let count = small.size(axis);
            let units = choice.draw(count / unit.block, size / unit.block, seed, unit.set);
            let of: Vec<usize> = units
                .iter()
                .flat_map(|u| (0..unit.block).map(move |d| u * unit.block + d))
                .collect();
            sources.insert(axis, Sources::new(count, of));
        }
        for (axis, _) in large.repeats() {
            if let Some(blocks) = regrouped_blocks(small, large, axis) {
                let sizes = [small, large].map(|table| table.size(axis));
                sources.insert(axis, Sources::within(sizes, blocks));
            }
        }
        Self { sources }
    }

    /// The same without some axes.
    pub(super) fn without(mut self, axes: &[Axis]) -> Self {
        self.sources.retain(|axis, _| !axes.contains(axis));
        self
    }

    /// The same with other copies of the axes that are meant.
    pub(super) fn set(&mut self, meant: &dyn Fn(Axis) -> bool, copies: &Sources) {
        let meant = self.sources.iter_mut().filter(|(axis, _)| meant(**axis));
        meant.for_each(|(_, sources)| *sources = copies.clone());
    }

    /// The copies of an axis; `None` when it does not grow.
    pub(crate) fn get(&self, axis: Axis) -> Option<&Sources> {
        self.sources.get(&axis)
    }

    /// Axes with their copies.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Axis, &Sources)> {
        self.sources.iter().map(|(axis, sources)| (*axis, sources))
    }

    /// Matrices with one entry in each row, `value(axis, sources, channel)` where the channel meets what it copies.
    pub(super) fn matrices(
        &self,
        device: &Device,
        value: &dyn Fn(Axis, &Sources, usize) -> f64,
    ) -> BTreeMap<Axis, Vec<WidthMatrix>> {
        let matrices = self.iter().map(|(axis, sources)| {
            let rows = sources.of.iter().enumerate();
            let picks = Picks::new(sources.small, rows.map(|(i, j)| (*j, value(axis, sources, i))));
            (axis, vec![WidthMatrix::picking(picks, device)])
        });
        matrices.collect()
    }

    /// As [`Selection::matrices`], with those of axes that repeat others.
    pub(super) fn factors(&self, pair: &Pair<'_>, value: &dyn Fn(Axis, &Sources, usize) -> f64) -> Factors {
        Factors::of(Sharing::Shared, self.matrices(pair.device, value)).with_repeats(pair.small, pair.large)
    }
}

/// Refuses pairs whose heads differ in size: no head is then a copy of another.
pub(super) fn check_units(small: &ParamTable, large: &ParamTable) -> Result<(), Refusal> {
    let block = |table: &ParamTable, axis| table.unit(axis).block;
    match large
        .sizes()
        .find(|(axis, _)| block(small, *axis) != block(large, *axis))
    {
        None => Ok(()),
        Some((axis, _)) => Err(Refusal::Pair(format!(
            "{axis} comes in units of {} and grows to units of {}; heads must keep their size",
            block(small, axis),
            block(large, axis)
        ))),
    }
}

/// Query heads for each key head, where there are more of them in the large model.
pub(super) fn regrouped(small: &ParamTable, large: &ParamTable) -> Option<[usize; 2]> {
    let times = |table: &ParamTable, axis| table.repeat(axis).map_or(1, |r| r.times);
    let pairs = large
        .repeats()
        .map(|(axis, _)| [times(small, axis), times(large, axis)]);
    pairs.into_iter().find(|[few, many]| few != many)
}

/// The entries of a group of heads in both models, where its query heads become more.
fn regrouped_blocks(small: &ParamTable, large: &ParamTable, axis: Axis) -> Option<[usize; 2]> {
    regrouped(small, large)?;
    let block = |table: &ParamTable| match table.repeat(axis) {
        Some(repeat) => repeat.times * repeat.block,
        None => table.unit(axis).block,
    };
    let blocks = [block(small), block(large)];
    (blocks[0] != blocks[1] && large.repeat(axis).is_none_or(|r| r.of != Axis::HIDDEN)).then_some(blocks)
}

/// Axes that grow, with their new sizes. Of those that repeat others only the one that a tied head reads is among them: an
/// operator scales it apart from the residual stream that it repeats.
pub(crate) fn growing<'a>(small: &'a ParamTable, large: &'a ParamTable) -> impl Iterator<Item = (Axis, usize)> + 'a {
    large.sizes().filter(|(axis, size)| {
        let repeats_blocks = large.repeat(*axis).is_some_and(|r| r.of != Axis::HIDDEN);
        !axis.is_fixed() && !repeats_blocks && small.size(*axis) != *size
    })
}
