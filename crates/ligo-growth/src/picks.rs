//! Width matrices that choose channels, kept as what they choose.

use std::sync::{Arc, OnceLock};

use burn::tensor::{Device, Tensor};

use crate::Error;
use crate::host::{host, matrix};

/// A matrix `[large, small]` with at most one entry in a row: which column, and what it is multiplied by. A factor of zero stands for an empty row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Picks {
    small: usize,
    from: Vec<usize>,
    factor: Vec<f64>,
}

impl Picks {
    /// One `(column, factor)` for each row.
    pub(crate) fn new(small: usize, rows: impl Iterator<Item = (usize, f64)>) -> Self {
        let (from, factor) = rows.unzip();
        Self { small, from, factor }
    }

    /// `[I; 0]`, times a factor.
    pub(crate) fn identity_top(small: usize, large: usize, factor: f64) -> Self {
        Self::new(
            small,
            (0..large).map(|i| if i < small { (i, factor) } else { (0, 0.0) }),
        )
    }

    /// Those of a row-major matrix; nothing where a row has two entries.
    fn of(values: &[f64], small: usize) -> Option<Self> {
        let pick = |row: &[f64]| {
            let mut entries = row.iter().enumerate().filter(|(_, v)| **v != 0.0);
            let first = entries.next().map_or((0, 0.0), |(j, v)| (j, *v));
            entries.next().is_none().then_some(first)
        };
        let rows: Option<Vec<(usize, f64)>> = values.chunks(small.max(1)).map(pick).collect();
        Some(Self::new(small, rows?.into_iter()))
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.from.len()
    }

    /// What a row picks; nothing where it is empty.
    pub(crate) fn get(&self, row: usize) -> Option<(usize, f64)> {
        (self.factor[row] != 0.0).then_some((self.from[row], self.factor[row]))
    }

    /// Whether the matrix is the identity.
    pub(crate) fn is_identity(&self) -> bool {
        self.len() == self.small && (0..self.len()).all(|i| self.get(i) == Some((i, 1.0)))
    }

    fn dense(&self) -> Vec<f64> {
        let mut values = vec![0.0; self.len() * self.small];
        for (i, row) in values.chunks_mut(self.small.max(1)).enumerate() {
            if let Some((j, factor)) = self.get(i) {
                row[j] = factor;
            }
        }
        values
    }

    /// Entry (group, copy, d) follows entry (group, d); see [`Factors::with_repeats`](crate::Factors).
    fn repeated(&self, [large, small]: [usize; 2], times: usize) -> Self {
        let row = |i: usize| {
            let (group, copy, d) = (i / (times * large), i / large % times, i % large);
            let (j, factor) = (self.from[group * large + d], self.factor[group * large + d]);
            ((j / small * times + copy) * small + j % small, factor)
        };
        Self::new(self.small * times, (0..self.len() * times).map(row))
    }
}

/// A width matrix `[large, small]`: picks, or any other. Each form is made of the other one when it is first asked for.
#[derive(Clone, Debug)]
pub(crate) struct WidthMatrix(Arc<Forms>);

#[derive(Debug)]
struct Forms {
    shape: [usize; 2],
    device: Device,
    dense: OnceLock<Tensor<2>>,
    /// Nothing where the matrix does more than pick.
    picks: OnceLock<Option<Picks>>,
}

impl WidthMatrix {
    /// A matrix that picks.
    pub(crate) fn picking(picks: Picks, device: &Device) -> Self {
        Self(Arc::new(Forms {
            shape: [picks.len(), picks.small],
            device: device.clone(),
            dense: OnceLock::new(),
            picks: OnceLock::from(Some(picks)),
        }))
    }

    /// A row-major matrix with so many columns.
    pub(crate) fn of_values(values: Vec<f64>, small: usize, device: &Device) -> Self {
        match Picks::of(&values, small) {
            Some(picks) => Self::picking(picks, device),
            None => {
                let rows = values.len() / small.max(1);
                Self::from(matrix(values, rows, small, device))
            }
        }
    }

    /// Its shape.
    pub(crate) fn dims(&self) -> [usize; 2] {
        self.0.shape
    }

    /// As a tensor.
    pub(crate) fn tensor(&self) -> &Tensor<2> {
        self.0.dense.get_or_init(|| {
            let [rows, columns] = self.0.shape;
            // Whoever made neither form made nothing.
            let values = self.0.picks.get().and_then(Option::as_ref).map(Picks::dense);
            matrix(values.unwrap_or_default(), rows, columns, &self.0.device)
        })
    }

    /// What it picks; nothing where it does more.
    pub(crate) fn picks(&self) -> Result<Option<&Picks>, Error> {
        if self.0.picks.get().is_none() {
            let found = self.recognized()?;
            let _ = self.0.picks.set(found);
        }
        Ok(self.0.picks.get().and_then(Option::as_ref))
    }

    fn recognized(&self) -> Result<Option<Picks>, Error> {
        let [rows, columns] = self.0.shape;
        let read = |first: usize, count: usize| -> Result<Option<Picks>, Error> {
            let part = self.tensor().clone().slice([first..first + count, 0..columns]);
            Ok(Picks::of(&host::<f64>(part.reshape([count * columns]))?, columns))
        };
        // The last row first: learned matrices differ from a selection there, and are large.
        match rows {
            0 => Ok(None),
            _ if read(rows - 1, 1)?.is_none() => Ok(None),
            _ => read(0, rows),
        }
    }

    /// The matrix of an axis that repeats blocks of this one's.
    pub(crate) fn repeated(&self, [large, small]: [usize; 2], times: usize) -> Self {
        if times == 1 {
            return self.clone();
        }
        if let Some(Some(picks)) = self.0.picks.get() {
            return Self::picking(picks.repeated([large, small], times), &self.0.device);
        }
        let matrix = self.tensor();
        let [rows, columns] = matrix.dims();
        let (groups, sources) = (rows / large, columns / small);
        let same_copy = Tensor::<2>::eye(times, &matrix.device()).reshape([1, times, 1, 1, times, 1]);
        let blocks = matrix.clone().reshape([groups, 1, large, sources, 1, small]);
        Self::from((blocks * same_copy).reshape([rows * times, columns * times]))
    }
}

impl From<Tensor<2>> for WidthMatrix {
    fn from(dense: Tensor<2>) -> Self {
        Self(Arc::new(Forms {
            shape: dense.dims(),
            device: dense.device(),
            dense: OnceLock::from(dense),
            picks: OnceLock::new(),
        }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn sample() -> Picks {
        Picks::new(4, [(2, 1.0), (0, 0.5), (0, 0.0), (3, -1.0)].into_iter())
    }

    #[test]
    fn both_forms_are_the_same_matrix() {
        let device = Device::flex();
        let picked = WidthMatrix::picking(sample(), &device);
        let dense = WidthMatrix::from(picked.tensor().clone());
        assert_eq!(dense.picks().unwrap(), Some(&sample()));
        assert_eq!(dense.dims(), [4, 4]);
        let sum = Tensor::<2>::from_data([[0.5, 0.5], [1.0, 0.0]], &device);
        assert_eq!(WidthMatrix::from(sum).picks().unwrap(), None);
        let head = Tensor::<2>::from_data([[0.5, 0.5], [0.0, 1.0]], &device);
        assert_eq!(WidthMatrix::from(head).picks().unwrap(), None);
    }

    #[test]
    fn repeated_blocks_are_the_same_in_both_forms() {
        let device = Device::flex();
        for (blocks, times) in [([2, 2], 1), ([2, 2], 3), ([4, 4], 2), ([1, 1], 2)] {
            let picked = WidthMatrix::picking(sample(), &device);
            let dense = WidthMatrix::from(picked.tensor().clone()).repeated(blocks, times);
            let picked = picked.repeated(blocks, times);
            // Where an empty row points does not matter.
            let rows = |matrix: &WidthMatrix| {
                let picks = matrix.picks().unwrap().unwrap();
                (0..picks.len()).map(|row| picks.get(row)).collect::<Vec<_>>()
            };
            assert_eq!(rows(&dense), rows(&picked), "{blocks:?} {times}");
        }
    }

    #[test]
    fn the_identity_is_known() {
        assert!(Picks::identity_top(3, 3, 1.0).is_identity());
        assert!(!Picks::identity_top(3, 4, 1.0).is_identity());
        assert!(!Picks::identity_top(3, 3, 0.5).is_identity());
    }
}
