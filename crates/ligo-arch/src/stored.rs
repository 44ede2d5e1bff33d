use std::ops::Range;

use crate::{Axis, Param, ParamTable};

/// How files hold a parameter, where that is not a tensor of the parameter's own name and shape.
///
/// Parameters are `[out, in]` matrices with one axis per dimension, each with its own depth coefficients. Files may fuse
/// several of them (GPT-2's `c_attn` is query, key and value), transpose them (its `Conv1D` weights are `[in, out]`) or
/// give them more dimensions (the patch convolution of a vision transformer).
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Name of the tensor in files; holds the layer's placeholder when the parameter belongs to a stack.
    pub template: String,
    /// Its shape.
    pub shape: Vec<Extent>,
    /// Whether files hold `[in, out]`.
    pub transposed: bool,
    /// The row axes of all parameters in this tensor, in order.
    pub parts: Vec<Axis>,
    /// Which of them this one is.
    pub part: usize,
    /// Where the parts, all of the same size, alternate (GPT-NeoX's `query_key_value` goes from head to head): the rows of each that lie together.
    pub interleaved: Option<usize>,
    /// Where it is a share of the columns of what is stored: the number of the share, and how many there are, all of the same size.
    pub columns: Option<(usize, usize)>,
    /// Whether files hold it less one, as Gemma's gains.
    pub from_one: bool,
}

/// One dimension of a stored tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Always this size.
    Exactly(usize),
    /// As large as an axis.
    Axis(Axis),
    /// As large as the row axes of all parts together.
    Parts,
}

/// A tensor as files hold it, and the parameters inside it.
#[derive(Clone, Debug, PartialEq)]
pub struct FileTensor {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// What it holds, in order. One part for most tensors.
    pub parts: Vec<FilePart>,
}

/// One parameter inside a stored tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct FilePart {
    /// The parameter's name.
    pub param: String,
    /// Where its values are.
    pub slice: Slice,
}

/// Some rows of a matrix that may be stored transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The first row.
    pub offset: usize,
    /// The number of rows.
    pub rows: usize,
    /// Rows of the whole.
    pub total: usize,
    /// The number of columns; 1 for a vector.
    pub columns: usize,
    /// Whether the whole is stored column by column.
    pub transposed: bool,
    /// Rows that lie together; all of them but where parts alternate.
    pub block: usize,
    /// Rows from the begin of a block to that of the next.
    pub stride: usize,
    /// Whether one is to be added to what is stored.
    pub from_one: bool,
}

impl Slice {
    /// Whether the parameter is the stored tensor, value by value.
    pub fn is_whole(&self) -> bool {
        !self.from_one
            && self.rows == self.total
            && self.block >= self.rows
            && (!self.transposed || self.columns == 1 || self.rows == 1)
    }

    /// The row of the stored matrix that is a row of the parameter.
    pub fn stored_row(&self, row: usize) -> usize {
        let block = self.block.max(1);
        self.offset + row / block * self.stride + row % block
    }

    /// The row of the parameter that a row of the stored matrix is, and how many follow it there; the inverse of [`Slice::stored_row`].
    pub fn param_row(&self, stored: usize) -> Option<(usize, usize)> {
        let block = self.block.max(1);
        let behind = stored.checked_sub(self.offset)?;
        let (number, within) = (behind / self.stride.max(1), behind % self.stride.max(1));
        let row = number * block + within;
        (within < block && row < self.rows).then(|| (row, (block - within).min(self.rows - row)))
    }

    /// Takes the parameter, row by row, out of the stored values.
    ///
    /// # Panics
    /// When `stored` does not hold `total · columns` values.
    pub fn extract(&self, stored: &[f32]) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.rows * self.columns);
        for rows in self.blocks() {
            if self.transposed {
                for row in rows {
                    values.extend((0..self.columns).map(|column| stored[column * self.total + row]));
                }
            } else {
                values.extend(&stored[rows.start * self.columns..rows.end * self.columns]);
            }
        }
        if self.from_one {
            values.iter_mut().for_each(|value| *value += 1.0);
        }
        values
    }

    /// Puts the parameter's values into the stored ones; the inverse of [`Slice::extract`].
    ///
    /// # Panics
    /// As [`Slice::extract`], or when `values` does not hold `rows · columns` values.
    pub fn insert(&self, values: &[f32], stored: &mut [f32]) {
        let less: Vec<f32>;
        let mut values = values;
        if self.from_one {
            less = values.iter().map(|value| value - 1.0).collect();
            values = &less;
        }
        for rows in self.blocks() {
            let (block, rest) = values.split_at(rows.len() * self.columns);
            values = rest;
            if !self.transposed {
                stored[rows.start * self.columns..rows.end * self.columns].copy_from_slice(block);
                continue;
            }
            for (row, line) in rows.zip(block.chunks_exact(self.columns)) {
                for (column, value) in line.iter().enumerate() {
                    stored[column * self.total + row] = *value;
                }
            }
        }
    }

    /// The parameter's values as they come back from a file of `f32` that they were written to: the difference from one may not have all their digits.
    pub fn written(&self, values: &[f32]) -> Vec<f32> {
        let comes_back = |value: &f32| if self.from_one { (value - 1.0) + 1.0 } else { *value };
        values.iter().map(comes_back).collect()
    }

    /// The same without the one that is added.
    #[must_use]
    pub fn as_stored(self) -> Self {
        Self {
            from_one: false,
            ..self
        }
    }

    /// The rows of the stored matrix that are the parameter's, in order.
    fn blocks(&self) -> impl Iterator<Item = Range<usize>> {
        let (block, stride, offset, rows) = (self.block.max(1), self.stride, self.offset, self.rows);
        (0..rows.div_ceil(block)).map(move |i| {
            let begin = offset + i * stride;
            begin..begin + block.min(rows - i * block)
        })
    }
}

impl ParamTable {
    /// Where files hold a parameter.
    pub fn file_part(&self, param: &Param<'_>) -> (String, Vec<usize>, FilePart) {
        let rows = param.shape.first().copied().unwrap_or(1);
        let mut slice = Slice {
            offset: 0,
            rows,
            total: rows,
            columns: param.shape.iter().skip(1).product(),
            transposed: false,
            block: rows,
            stride: rows,
            from_one: false,
        };
        let part = |slice| FilePart {
            param: param.name.clone(),
            slice,
        };
        let Some(stored) = &param.spec.stored else {
            return (param.name.clone(), param.shape.clone(), part(slice));
        };
        let sizes = || stored.parts.iter().map(|axis| self.size(*axis));
        slice.offset = sizes().take(stored.part).sum();
        slice.total = sizes().sum();
        slice.transposed = stored.transposed;
        slice.from_one = stored.from_one;
        if let Some(block) = stored.interleaved {
            slice.offset = stored.part * block;
            slice.block = block;
            slice.stride = stored.parts.len() * block;
        }
        let shape = stored.shape.iter().map(|extent| match extent {
            Extent::Exactly(n) => *n,
            Extent::Axis(axis) => self.size(*axis),
            Extent::Parts => slice.total,
        });
        let mut shape: Vec<usize> = shape.collect();
        if let Some((share, shares)) = stored.columns {
            // Value by value: a share of each row of the whole.
            let columns = slice.columns;
            if let Some(last) = shape.last_mut() {
                *last *= shares;
            }
            slice = Slice {
                offset: share * columns,
                rows: slice.rows * columns,
                total: slice.total * columns * shares,
                columns: 1,
                block: columns,
                stride: columns * shares,
                ..slice
            };
        }
        let name = crate::table::at_layer(&stored.template, param.layer);
        (name, shape, part(slice))
    }

    /// The tensors that are written for these parameters: [`ParamTable::file_tensors`], and once more those that the
    /// reference library stores under a second name. By name, as the `safetensors` library orders a file.
    pub fn written_tensors<'a, 'b: 'a>(&self, params: impl IntoIterator<Item = &'a Param<'b>>) -> Vec<FileTensor> {
        let mut tensors = self.file_tensors(params);
        for (alias, source) in self.stored_aliases() {
            let twin = tensors.iter().find(|t| t.name == *source).cloned();
            tensors.extend(twin.map(|t| FileTensor {
                name: alias.clone(),
                ..t
            }));
        }
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        tensors
    }

    /// The tensors of a file that hold these parameters, in the order of their first parameter.
    pub fn file_tensors<'a, 'b: 'a>(&self, params: impl IntoIterator<Item = &'a Param<'b>>) -> Vec<FileTensor> {
        let mut tensors: Vec<FileTensor> = Vec::new();
        let mut index = std::collections::HashMap::new();
        for param in params {
            let (name, shape, part) = self.file_part(param);
            let at = *index.entry(name.clone()).or_insert(tensors.len());
            if at == tensors.len() {
                let parts = Vec::new();
                tensors.push(FileTensor { name, shape, parts });
            }
            tensors[at].parts.push(part);
        }
        tensors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fused_transposed_tensor_falls_into_its_parts_and_back() {
        // Two columns (inputs); rows (outputs) of 1, 2 and 1.
        let stored: Vec<f32> = (0..8u8).map(f32::from).collect();
        let slice = |offset, rows| Slice {
            offset,
            rows,
            total: 4,
            columns: 2,
            transposed: true,
            block: rows,
            stride: rows,
            from_one: false,
        };
        let parts = [slice(0, 1), slice(1, 2), slice(3, 1)];
        let values: Vec<Vec<f32>> = parts.iter().map(|p| p.extract(&stored)).collect();
        assert_eq!(values, [vec![0.0, 4.0], vec![1.0, 5.0, 2.0, 6.0], vec![3.0, 7.0]]);
        let mut back = vec![0.0; 8];
        for (part, values) in parts.iter().zip(&values) {
            part.insert(values, &mut back);
            for row in 0..part.rows {
                let (found, follow) = part.param_row(part.stored_row(row)).unwrap();
                assert_eq!((found, follow > 0), (row, true));
            }
            assert!((0..part.total).filter(|row| part.param_row(*row).is_some()).count() == part.rows);
        }
        assert_eq!(back, stored);
        assert!(parts.iter().all(|p| !p.is_whole()));
    }

    #[test]
    fn parts_that_alternate_are_put_together_and_taken_apart_again() {
        // Two heads of two dimensions of three parts.
        for transposed in [false, true] {
            let stored: Vec<f32> = (0..24u8).map(f32::from).collect();
            let parts = [0, 1, 2].map(|part| Slice {
                offset: 2 * part,
                rows: 4,
                total: 12,
                columns: 2,
                transposed,
                block: 2,
                stride: 6,
                from_one: false,
            });
            let number = |row: u8, column: u8| {
                if transposed {
                    column * 12 + row
                } else {
                    2 * row + column
                }
            };
            let mut back = vec![0.0; 24];
            for (i, part) in (0..3u8).zip(&parts) {
                let rows = [2 * i, 2 * i + 1, 2 * i + 6, 2 * i + 7];
                let expected: Vec<f32> = rows
                    .iter()
                    .flat_map(|row| [number(*row, 0), number(*row, 1)])
                    .map(f32::from)
                    .collect();
                assert_eq!(part.extract(&stored), expected);
                part.insert(&expected, &mut back);
                assert!(!part.is_whole());
            }
            assert_eq!(back, stored);
        }
    }

    #[test]
    fn rows_of_an_ordinary_matrix_are_a_block() {
        let stored: Vec<f32> = (0..6u8).map(f32::from).collect();
        let slice = Slice {
            offset: 1,
            rows: 2,
            total: 3,
            columns: 2,
            transposed: false,
            block: 2,
            stride: 2,
            from_one: false,
        };
        assert_eq!(slice.extract(&stored), [2.0, 3.0, 4.0, 5.0]);
        let mut back = vec![9.0; 6];
        slice.insert(&[2.0, 3.0, 4.0, 5.0], &mut back);
        assert_eq!(back, [9.0, 9.0, 2.0, 3.0, 4.0, 5.0]);
    }

    #[test]
    fn what_files_hold_less_one_is_never_taken_as_it_is() {
        let slice = Slice {
            offset: 0,
            rows: 3,
            total: 3,
            columns: 1,
            transposed: false,
            block: 3,
            stride: 3,
            from_one: true,
        };
        assert!(!slice.is_whole());
        assert_eq!(slice.extract(&[0.0, -1.0, 0.5]), [1.0, 0.0, 1.5]);
        let mut back = vec![9.0; 3];
        slice.insert(&[1.0, 0.0, 1.5], &mut back);
        assert_eq!(back, [0.0, -1.0, 0.5]);
        // Below a half a number has more digits than what it lacks to one.
        let values = [1.0, 0.7, 0.1, 1e-9];
        slice.insert(&values[1..], &mut back);
        assert_eq!(slice.written(&values[1..]), slice.extract(&back));
        assert_ne!(slice.written(&values), values);
        assert_eq!(slice.as_stored().extract(&back), back);
        assert_eq!(slice.as_stored().written(&values), values);
    }
}
