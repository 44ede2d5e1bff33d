//! Longer tables: a larger vocabulary and more positions, before anything else grows.
//!
//! Operators map one model to another with the same inputs; what a token or a place adds is a row of its own, made here of the rows there are.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use ligo_arch::{Axis, ModelConfig, Resample, resample_positions};
use ligo_checkpoint::{Extract, ModelDir};

use crate::{Error, init};

/// What the rows of new tokens are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NewTokens {
    /// The mean of all old rows, in embeddings and head alike: a new token is what is known of tokens in general, and takes next to nothing
    /// from the probability of the others (Hewitt, "Initializing new word embeddings for pretrained language models", 2021).
    #[default]
    Mean,
    /// Drawn as in a fresh model; zero in biases.
    Fresh,
}

/// What the rows of new positions are, where positions are learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NewPositions {
    /// The old rows once more, from the first one on: sequences that the small model could read are read as before.
    #[default]
    Repeat,
    /// All rows stretched over the longer table, by cubic interpolation: neighbors stay neighbors, and every place changes a little.
    Interpolate,
}

/// How tables get longer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Of another vocabulary, for each of its tokens the old ones whose mean its row is; new ones follow where there are none. Without it the old
    /// vocabulary stays, and new tokens follow behind it.
    pub pieces: Option<Arc<Vec<Vec<u32>>>>,
    /// New tokens.
    pub tokens: NewTokens,
    /// New positions.
    pub positions: NewPositions,
    /// Seed of fresh rows.
    pub seed: u64,
}

impl NewTokens {
    /// All of them by their names.
    pub const NAMES: [&str; 2] = ["mean", "fresh"];
}

impl NewPositions {
    /// All of them by their names.
    pub const NAMES: [&str; 2] = ["repeat", "interpolate"];
}

impl FromStr for NewTokens {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "mean" => Ok(Self::Mean),
            "fresh" => Ok(Self::Fresh),
            _ => Err(format!("expected {}", Self::NAMES.join(" or "))),
        }
    }
}

impl FromStr for NewPositions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "repeat" => Ok(Self::Repeat),
            "interpolate" => Ok(Self::Interpolate),
            _ => Err(format!("expected {}", Self::NAMES.join(" or "))),
        }
    }
}

impl fmt::Display for NewTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAMES[*self as usize])
    }
}

impl fmt::Display for NewPositions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAMES[*self as usize])
    }
}

/// The same model with the vocabulary and the positions of `wanted`: its tables are made longer when they are read.
///
/// # Errors
/// `wanted` has fewer of either, or fewer than [`Rules::pieces`]; those of [`ModelConfig::with_rows_of`].
pub fn extended(
    dir: ModelDir,
    config: ModelConfig,
    wanted: &ModelConfig,
    rules: Rules,
) -> Result<(ModelDir, ModelConfig), Error> {
    if config.image_shape().is_some() {
        return Ok((dir, config));
    }
    let longer = config.with_rows_of(wanted)?;
    let (from, to) = (config.table(), longer.table());
    let prefix = config.position_prefix();
    let std = config.initializer_range();
    let mut parts: Vec<(String, String, Extract)> = Vec::new();
    for param in from.params() {
        let Some(axis) = param
            .axes()
            .first()
            .copied()
            .filter(|axis| [Axis::VOCAB, Axis::POSITION].contains(axis))
        else {
            continue;
        };
        let (few, many) = (from.size(axis), to.size(axis));
        let pieces = rules.pieces.clone().filter(|_| axis == Axis::VOCAB);
        let least = pieces.as_ref().map_or(few, |pieces| pieces.len());
        if many < least {
            return Err(ligo_arch::Error::Shrinks {
                axis: axis.to_string(),
                small: least,
                large: many,
            }
            .into());
        }
        if many == few && pieces.is_none() {
            continue;
        }
        let name = param.name.clone();
        let is_vector = param.axes().len() == 1;
        let extract: Extract = match (axis, rules.tokens, rules.positions) {
            (Axis::POSITION, _, NewPositions::Repeat) => Box::new(move |values| repeated(values, prefix, few, many)),
            (Axis::POSITION, _, NewPositions::Interpolate) => {
                Box::new(move |values| stretched(values, prefix, few, many))
            }
            (_, NewTokens::Mean, _) => Box::new(move |values| {
                let rows = translated(values, few, pieces.as_deref());
                with_mean(values, few, rows, many)
            }),
            (_, NewTokens::Fresh, _) => {
                let key = format!("{name} beyond {few}");
                let std = if is_vector { 0.0 } else { std };
                let seed = rules.seed;
                Box::new(move |values| {
                    let rows = translated(values, few, pieces.as_deref());
                    with_fresh(values, few, rows, many, std, seed, &key)
                })
            }
        };
        // Of the tensor that holds it, which may be another one: the part is known by this name from here on.
        let (stored, _, part) = from.file_part(&param);
        let longer: Extract = match part.slice.is_whole() {
            true => extract,
            false => Box::new(move |values| extract(&part.slice.extract(values))),
        };
        parts.push((name, stored, longer));
    }
    Ok((dir.with_computed(parts), longer))
}

/// The rows of the tokens that are known; `None` where there is nothing to make one of.
fn translated(values: &[f32], few: usize, pieces: Option<&Vec<Vec<u32>>>) -> Vec<Option<Vec<f32>>> {
    let width = values.len() / few;
    let row = |at: usize| values.get(at * width..(at + 1) * width);
    let Some(pieces) = pieces else {
        return (0..few).map(|at| row(at).map(<[f32]>::to_vec)).collect();
    };
    let translate = |pieces: &Vec<u32>| {
        let rows: Vec<&[f32]> = pieces.iter().filter_map(|piece| row(*piece as usize)).collect();
        (!rows.is_empty()).then(|| mean(rows.into_iter(), width))
    };
    pieces.iter().map(translate).collect()
}

/// The mean of rows; a single one to the bit.
fn mean<'a>(rows: impl Iterator<Item = &'a [f32]>, width: usize) -> Vec<f32> {
    let (mut sums, mut count) = (vec![0.0_f64; width], 0.0);
    for row in rows {
        sums.iter_mut()
            .zip(row)
            .for_each(|(sum, value)| *sum += f64::from(*value));
        count += 1.0;
    }
    sums.iter().map(|sum| (sum / count) as f32).collect()
}

fn with_mean(values: &[f32], few: usize, rows: Vec<Option<Vec<f32>>>, many: usize) -> Vec<f32> {
    let width = values.len() / few;
    let general = mean(values.chunks_exact(width), width);
    let known = rows.into_iter().chain(std::iter::repeat(None)).take(many);
    known.flat_map(|row| row.unwrap_or_else(|| general.clone())).collect()
}

fn with_fresh(
    values: &[f32],
    few: usize,
    rows: Vec<Option<Vec<f32>>>,
    many: usize,
    std: f64,
    seed: u64,
    key: &str,
) -> Vec<f32> {
    let width = values.len() / few;
    let mut rng = init::rng(seed, key);
    let known = rows.into_iter().chain(std::iter::repeat(None)).take(many);
    known
        .flat_map(|row| row.unwrap_or_else(|| init::normal(&mut rng, std, width)))
        .collect()
}

fn repeated(values: &[f32], prefix: usize, few: usize, many: usize) -> Vec<f32> {
    let width = values.len() / few;
    let places = &values[prefix * width..];
    let mut longer = values.to_vec();
    longer.extend(places.iter().cycle().take((many - few) * width));
    longer
}

fn stretched(values: &[f32], prefix: usize, few: usize, many: usize) -> Vec<f32> {
    let width = values.len() / few;
    let line = |rows: usize| [rows - prefix, 1];
    resample_positions(values, prefix, line(few), line(many), width, Resample::Bicubic)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn as_they_are(values: &[f32], few: usize) -> Vec<Option<Vec<f32>>> {
        translated(values, few, None)
    }

    #[test]
    fn old_rows_stay_and_new_ones_follow_their_rule() {
        let table = [1.0, 2.0, 3.0, 6.0];
        let rows = || as_they_are(&table, 2);
        assert_eq!(
            with_mean(&table, 2, rows(), 4),
            [1.0, 2.0, 3.0, 6.0, 2.0, 4.0, 2.0, 4.0]
        );
        let fresh = with_fresh(&table, 2, rows(), 300, 0.5, 1, "a");
        assert_eq!(fresh[..4], table);
        assert_eq!(fresh.len(), 600);
        let spread = fresh[4..].iter().map(|v| f64::from(v * v)).sum::<f64>() / 596.0;
        assert!((spread.sqrt() - 0.5).abs() < 0.05, "{spread}");
        assert_ne!(fresh, with_fresh(&table, 2, rows(), 300, 0.5, 2, "a"));
        let bias = with_fresh(&[7.0], 1, as_they_are(&[7.0], 1), 3, 0.0, 1, "bias");
        assert_eq!(bias, [7.0, 0.0, 0.0]);
    }

    #[test]
    fn tokens_of_another_vocabulary_are_the_mean_of_their_pieces() {
        let table = [1.0, 2.0, 3.0, 6.0, 0.1, 0.2];
        // One that is the same, one of two pieces, one that no old token says, one of an id that is not there.
        let pieces = vec![vec![2], vec![0, 1], vec![], vec![77]];
        let rows = translated(&table, 3, Some(&pieces));
        let general = [4.1 / 3.0, 8.2 / 3.0];
        let found = with_mean(&table, 3, rows, 5);
        let expected = [
            0.1, 0.2, 2.0, 4.0, general[0], general[1], general[0], general[1], general[0], general[1],
        ];
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
        assert_eq!(found[..2], table[4..]);
    }

    #[test]
    fn padding_keeps_its_rows_and_places_begin_behind_it() {
        let table = [9.0, 1.0, 2.0, 3.0];
        assert_eq!(repeated(&table, 1, 4, 9), [9.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0]);
        let longer = stretched(&table, 1, 4, 7);
        assert_eq!((longer.len(), longer[0]), (7, 9.0));
        assert!(longer[1..].windows(2).all(|pair| pair[0] <= pair[1]), "{longer:?}");
        assert!(longer[1] >= 0.85 && longer[6] <= 3.15, "{longer:?}");
    }

    #[test]
    fn rules_are_known_by_their_names() {
        for name in NewTokens::NAMES {
            assert_eq!(name.parse::<NewTokens>().unwrap().to_string(), name);
        }
        for name in NewPositions::NAMES {
            assert_eq!(name.parse::<NewPositions>().unwrap().to_string(), name);
        }
        assert!("zero".parse::<NewTokens>().is_err() && "zero".parse::<NewPositions>().is_err());
    }
}
