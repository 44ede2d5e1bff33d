//! Longer tables: a larger vocabulary and more positions, before anything else grows.
//!
//! Operators map one model to another with the same inputs; what a token or a place adds is a row of its own, made here of the rows there are.

use std::fmt;
use std::str::FromStr;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
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
/// `wanted` has fewer of either; those of [`ModelConfig::with_rows_of`].
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
        if many < few {
            return Err(ligo_arch::Error::Shrinks {
                axis: axis.to_string(),
                small: few,
                large: many,
            }
            .into());
        }
        if many == few {
            continue;
        }
        let name = param.name.clone();
        let is_vector = param.axes().len() == 1;
        let extract: Extract = match (axis, rules.tokens, rules.positions) {
            (Axis::POSITION, _, NewPositions::Repeat) => Box::new(move |values| repeated(values, prefix, few, many)),
            (Axis::POSITION, _, NewPositions::Interpolate) => {
                Box::new(move |values| stretched(values, prefix, few, many))
            }
            (_, NewTokens::Mean, _) => Box::new(move |values| with_mean(values, few, many)),
            (_, NewTokens::Fresh, _) => {
                let key = format!("{name} beyond {few}");
                let std = if is_vector { 0.0 } else { std };
                Box::new(move |values| with_fresh(values, few, many, std, rules.seed, &key))
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

fn with_mean(values: &[f32], few: usize, many: usize) -> Vec<f32> {
    let width = values.len() / few;
    let mut mean = vec![0.0_f64; width];
    for row in values.chunks_exact(width) {
        mean.iter_mut()
            .zip(row)
            .for_each(|(sum, value)| *sum += f64::from(*value));
    }
    let mean: Vec<f32> = mean.iter().map(|sum| (sum / few as f64) as f32).collect();
    let mut longer = values.to_vec();
    (few..many).for_each(|_| longer.extend(&mean));
    longer
}

fn with_fresh(values: &[f32], few: usize, many: usize, std: f64, seed: u64, key: &str) -> Vec<f32> {
    let count = values.len() / few * (many - few);
    let mut longer = values.to_vec();
    longer.extend(init::normal(&mut init::rng(seed, key), std, count));
    longer
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

    #[test]
    fn old_rows_stay_and_new_ones_follow_their_rule() {
        let table = [1.0, 2.0, 3.0, 6.0];
        assert_eq!(with_mean(&table, 2, 4), [1.0, 2.0, 3.0, 6.0, 2.0, 4.0, 2.0, 4.0]);
        let fresh = with_fresh(&table, 2, 300, 0.5, 1, "a");
        assert_eq!(fresh[..4], table);
        assert_eq!(fresh.len(), 600);
        let spread = fresh[4..].iter().map(|v| f64::from(v * v)).sum::<f64>() / 596.0;
        assert!((spread.sqrt() - 0.5).abs() < 0.05, "{spread}");
        assert_ne!(fresh, with_fresh(&table, 2, 300, 0.5, 2, "a"));
        assert_eq!(with_fresh(&[7.0], 1, 3, 0.0, 1, "bias"), [7.0, 0.0, 0.0]);
    }

    #[test]
    fn padding_keeps_its_rows_and_places_begin_behind_it() {
        let table = [9.0, 1.0, 2.0, 3.0];
        assert_eq!(repeated(&table, 1, 4, 9), [9.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0]);
        let longer = stretched(&table, 1, 4, 7);
        assert_eq!((longer.len(), longer[0]), (7, 9.0));
        assert!(longer[1..].windows(2).all(|pair| pair[0] <= pair[1]), "{longer:?}");
        assert!(longer[1] >= 0.9 && longer[6] <= 3.1, "{longer:?}");
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
