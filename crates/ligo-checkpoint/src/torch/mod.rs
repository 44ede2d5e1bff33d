//! What `torch.save` writes of a dictionary of tensors: a zip archive with a pickle that says which tensors there are, and their bytes beside it.
//!
//! No code of the pickle runs: see [`pickle`]. Tensors stay in the mapped file, where they are in the order of a matrix, as all published ones are.

mod pickle;
mod zip;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::Path;

use crate::Error;
use crate::header::{MAX_RANK, TensorInfo, check_name};
use crate::names::printable;
use crate::strict::MAX_ENTRIES;
use pickle::{Fault, Id, Pickle, TensorValue, Value};

/// The longest pickle that is read; those of the largest published models have some hundred kilobytes.
const MAX_PICKLE_BYTES: usize = 64 << 20;
const PICKLE: &str = "data.pkl";
/// Under which whole checkpoints keep their weights.
const NESTED: [&str; 3] = ["state_dict", "model", "module"];

/// How the elements of a tensor lie where they are not in the order of a matrix: bytes of the first element, and from element to element of each dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Strides {
    first: usize,
    steps: Vec<usize>,
}

impl Strides {
    /// The elements in the order of a matrix.
    pub(crate) fn gather(&self, file: &[u8], info: &TensorInfo) -> Vec<u8> {
        let width = info.dtype.bits() / 8;
        let count: usize = info.shape.iter().product();
        let mut bytes = Vec::with_capacity(count * width);
        let mut index = vec![0; info.shape.len()];
        for _ in 0..count {
            let at: usize = self.first + index.iter().zip(&self.steps).map(|(i, step)| i * step).sum::<usize>();
            bytes.extend_from_slice(&file[at..at + width]);
            for (i, size) in index.iter_mut().zip(&info.shape).rev() {
                *i += 1;
                if *i < *size {
                    break;
                }
                *i = 0;
            }
        }
        bytes
    }
}

/// A tensor, and how it lies where that is not in order.
pub(crate) type Found = (TensorInfo, Option<Strides>);

/// Whether a file begins as such an archive.
pub(crate) fn is_archive(content: &[u8]) -> bool {
    content.starts_with(b"PK\x03\x04")
}

/// The tensors of a file with this content.
pub(crate) fn parse(file: &Path, content: &[u8]) -> Result<Vec<Found>, Error> {
    let damaged = |reason: String| Error::Pickle {
        file: file.to_path_buf(),
        reason,
    };
    if !is_archive(content) {
        return Err(Error::PytorchBin {
            path: file.to_path_buf(),
        });
    }
    let entries = zip::entries(content).map_err(damaged)?;
    let is_pickle = |name: &&String| name.ends_with(&format!("/{PICKLE}")) && name.matches('/').count() == 1;
    let Some(name) = entries.keys().find(is_pickle) else {
        return Err(damaged(format!("the archive has no `{PICKLE}`")));
    };
    let prefix = name.trim_end_matches(PICKLE);
    let order = entries
        .get(&format!("{prefix}byteorder"))
        .map(|range| &content[range.clone()]);
    if order.is_some_and(|order| order != b"little") {
        return Err(damaged("its numbers are not little-endian".into()));
    }
    let range = entries[name].clone();
    if range.len() > MAX_PICKLE_BYTES {
        return Err(damaged(format!(
            "a pickle of {} bytes, at most {MAX_PICKLE_BYTES} are read",
            range.len()
        )));
    }
    let pickle = Pickle::read(&content[range]).map_err(|fault| match fault {
        Fault::Other(reason) => damaged(reason),
        Fault::Global(global) => Error::PickleGlobal {
            file: file.to_path_buf(),
            global,
        },
    })?;
    let archive = Archive {
        pickle: &pickle,
        entries: &entries,
        prefix,
    };
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for (name, tensor) in archive.named().map_err(damaged)? {
        check_name(file, name)?;
        if !seen.insert(name) {
            return Err(Error::DuplicateTensor {
                file: file.to_path_buf(),
                tensor: name.to_owned(),
            });
        }
        let placed = archive.place(name, tensor);
        found.push(placed.map_err(|reason| damaged(format!("tensor `{}`: {reason}", printable(name))))?);
    }
    found.sort_by_key(|(info, _)| (info.range.start, info.range.end));
    Ok(found)
}

struct Archive<'a> {
    pickle: &'a Pickle,
    entries: &'a HashMap<String, Range<usize>>,
    prefix: &'a str,
}

impl<'a> Archive<'a> {
    /// The tensors by name; those of a whole checkpoint are a dictionary in it.
    fn named(&self) -> Result<Vec<(&'a str, TensorValue)>, String> {
        let Value::Dict(top) = self.pickle.top() else {
            return Err("it holds no dictionary of tensors".into());
        };
        let tensors = self.tensors(top);
        if !tensors.is_empty() || top.is_empty() {
            return Ok(tensors);
        }
        let nested = NESTED.iter().find_map(|key| {
            let (_, value) = top.iter().find(|(name, _)| self.text(*name) == Some(key))?;
            match self.pickle.get(*value) {
                Value::Dict(inner) => Some(self.tensors(inner)),
                _ => None,
            }
        });
        nested.ok_or_else(|| "its dictionary holds no tensors".into())
    }

    fn tensors(&self, dict: &[(Id, Id)]) -> Vec<(&'a str, TensorValue)> {
        let named = dict
            .iter()
            .take(MAX_ENTRIES)
            .filter_map(|(key, value)| match self.pickle.get(*value) {
                Value::Tensor(tensor) => Some((self.text(*key)?, *tensor)),
                _ => None,
            });
        named.collect()
    }

    fn text(&self, id: Id) -> Option<&'a str> {
        match self.pickle.get(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Where a tensor lies, and how.
    fn place(&self, name: &str, tensor: TensorValue) -> Result<Found, String> {
        let Value::Storage { dtype, key, elements } = self.pickle.get(tensor.storage) else {
            return Err("it has no storage".into());
        };
        let key = printable(self.text(*key).unwrap_or_default());
        let entry = self.entries.get(&format!("{}data/{key}", self.prefix));
        let entry = entry.ok_or_else(|| format!("the archive lacks its storage `data/{key}`"))?;
        let sizes = |id: Id| self.pickle.sizes(id).filter(|sizes| sizes.len() <= MAX_RANK);
        let (Some(shape), Some(strides)) = (sizes(tensor.shape), sizes(tensor.strides)) else {
            return Err(format!("expected at most {MAX_RANK} sizes and strides"));
        };
        if shape.len() != strides.len() {
            return Err(format!("{} sizes and {} strides", shape.len(), strides.len()));
        }
        let width = dtype.bits() as u64 / 8;
        let held = elements.checked_mul(width).filter(|bytes| *bytes <= entry.len() as u64);
        let held = held.ok_or_else(|| format!("its storage of {elements} elements has {} bytes", entry.len()))?;
        let layout = layout(&shape, &strides, tensor.offset, *elements).ok_or_else(|| {
            format!("shape {shape:?} with strides {strides:?} does not fit a storage of {elements} elements")
        })?;
        // All of it is in the file, so that it fits.
        let byte = |elements: u64| entry.start + (elements * width).min(held) as usize;
        let info = TensorInfo {
            name: name.to_owned(),
            dtype: *dtype,
            shape: shape.iter().map(|size| *size as usize).collect(),
            range: match layout {
                Layout::InOrder { elements } => byte(tensor.offset)..byte(tensor.offset + elements),
                Layout::Strided => byte(0)..byte(*elements),
            },
        };
        let strided = (layout == Layout::Strided).then(|| Strides {
            first: byte(tensor.offset),
            steps: strides.iter().map(|step| (step * width) as usize).collect(),
        });
        Ok((info, strided))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    InOrder { elements: u64 },
    Strided,
}

/// How a view lies in its storage; nothing where it reaches beyond, or repeats elements so that it is larger than the storage.
fn layout(shape: &[u64], strides: &[u64], offset: u64, stored: u64) -> Option<Layout> {
    let count = shape.iter().try_fold(1u64, |count, size| count.checked_mul(*size))?;
    if count == 0 {
        return (offset <= stored).then_some(Layout::InOrder { elements: 0 });
    }
    let mut last = offset;
    let (mut expected, mut in_order) = (1u64, true);
    for (size, stride) in shape.iter().zip(strides).rev() {
        last = last.checked_add((size - 1).checked_mul(*stride)?)?;
        in_order &= *size == 1 || *stride == expected;
        expected = expected.checked_mul(*size)?;
    }
    if last >= stored || count > stored {
        return None;
    }
    Some(match in_order {
        true => Layout::InOrder { elements: count },
        false => Layout::Strided,
    })
}

#[cfg(test)]
mod tests {
    use super::{Layout, layout};

    #[test]
    fn views_are_told_from_matrices_and_from_what_does_not_fit() {
        let in_order = |elements| Some(Layout::InOrder { elements });
        assert_eq!(layout(&[2, 3], &[3, 1], 0, 6), in_order(6));
        assert_eq!(layout(&[2, 3], &[3, 1], 1, 6), None);
        assert_eq!(layout(&[3, 2], &[1, 3], 0, 6), Some(Layout::Strided));
        assert_eq!(layout(&[1, 3], &[77, 1], 3, 6), in_order(3));
        assert_eq!(layout(&[], &[], 5, 6), in_order(1));
        assert_eq!(layout(&[0], &[1], 6, 6), in_order(0));
        assert_eq!(layout(&[1 << 40], &[0], 0, 1), None);
        assert_eq!(layout(&[u64::MAX, 2], &[0, 0], 0, 1), None);
        assert_eq!(layout(&[3], &[u64::MAX], 0, 9), None);
    }
}
