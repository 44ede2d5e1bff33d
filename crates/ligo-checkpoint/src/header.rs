//! The header of a safetensors file: parsed without trust, and written.
//!
//! The format: 8 bytes with the header's length (little-endian), a JSON object that gives every tensor's dtype, shape and
//! offsets, and the data. The tensors, sorted by offset, must cover the data without holes or overlap.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};

use crate::Dtype;
use crate::Error;
use crate::names::printable;
use crate::strict::{MAX_ENTRIES, Pairs};

/// The longest header that is read; the limit of the `safetensors` crate.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// More dimensions than any published tensor has; the bound keeps memory proportional to the file.
pub(crate) const MAX_RANK: usize = 16;
const MAX_NAME_BYTES: usize = 1024;
const METADATA: &str = "__metadata__";

/// What a header says about one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// The name as stored in the file.
    pub name: String,
    /// The type of an element.
    pub dtype: Dtype,
    /// The dimensions, outermost first.
    pub shape: Vec<usize>,
    /// The payload's bytes, counted from the begin of the file.
    pub range: Range<usize>,
}

/// A tensor that will be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// The name.
    pub name: String,
    /// The dtype it is stored in.
    pub dtype: Dtype,
    /// The dimensions, outermost first.
    pub shape: Vec<usize>,
}

/// A parsed header: metadata as pairs, tensors in the order of their offsets.
#[derive(Debug)]
pub(crate) struct Header {
    pub metadata: Vec<(String, String)>,
    pub tensors: Vec<TensorInfo>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInfo {
    dtype: String,
    shape: Shape,
    data_offsets: (u64, u64),
}

struct Shape(Vec<usize>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShapeVisitor;
        impl<'de> Visitor<'de> for ShapeVisitor {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MAX_RANK} dimensions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
                let mut shape = Vec::new();
                while let Some(dim) = seq.next_element()? {
                    if shape.len() == MAX_RANK {
                        return Err(A::Error::invalid_length(MAX_RANK + 1, &self));
                    }
                    shape.push(dim);
                }
                Ok(Shape(shape))
            }
        }
        deserializer.deserialize_seq(ShapeVisitor)
    }
}

/// Reads the header's entries; `current` keeps the entry being read, so that an error can name it.
struct HeaderVisitor<'a> {
    current: &'a mut Option<String>,
}

type RawHeader = (Vec<(String, String)>, Vec<(String, RawInfo)>);

impl<'de> Visitor<'de> for HeaderVisitor<'_> {
    type Value = RawHeader;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with one entry per tensor")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
        let mut metadata = None;
        let mut tensors = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if tensors.len() == MAX_ENTRIES {
                return Err(A::Error::custom(format!("more than {MAX_ENTRIES} tensors")));
            }
            *self.current = Some(printable(&name));
            if name == METADATA {
                if metadata.is_some() {
                    return Err(A::Error::custom("occurs twice"));
                }
                metadata = Some(map.next_value::<Pairs<String>>()?.0);
            } else {
                let info = map.next_value()?;
                tensors.push((name, info));
            }
            *self.current = None;
        }
        Ok((metadata.unwrap_or_default(), tensors))
    }
}

/// Parses and validates the header of a file with this content.
///
/// `file` only names the file in errors.
pub(crate) fn parse(file: &Path, content: &[u8]) -> Result<Header, Error> {
    let path = || file.to_path_buf();
    let total = content.len() as u64;
    let Some((length, rest)) = content.split_first_chunk::<8>() else {
        return Err(Error::FileTooShort {
            file: path(),
            found: total,
        });
    };
    let declared = u64::from_le_bytes(*length);
    let limit = MAX_HEADER_BYTES.min(rest.len() as u64);
    if declared > limit {
        return Err(Error::HeaderLength {
            file: path(),
            declared,
            limit,
        });
    }
    let (json, data) = rest.split_at(declared as usize);
    let (metadata, raw) = parse_json(json).map_err(|(tensor, error)| Error::Header {
        file: path(),
        tensor,
        message: error.to_string(),
    })?;
    check_names(file, &raw)?;
    let tensors = place(file, raw, 8 + json.len(), data.len() as u64)?;
    Ok(Header { metadata, tensors })
}

fn parse_json(json: &[u8]) -> Result<RawHeader, (Option<String>, serde_json::Error)> {
    let mut current = None;
    let mut parser = serde_json::Deserializer::from_slice(json);
    let result = parser
        .deserialize_map(HeaderVisitor { current: &mut current })
        .and_then(|header| parser.end().map(|()| header));
    result.map_err(|error| (current, error))
}

fn check_names(file: &Path, raw: &[(String, RawInfo)]) -> Result<(), Error> {
    let mut seen = HashSet::with_capacity(raw.len());
    for (name, _) in raw {
        check_name(file, name)?;
        if !seen.insert(name) {
            return Err(Error::DuplicateTensor {
                file: file.to_path_buf(),
                tensor: name.clone(),
            });
        }
    }
    Ok(())
}

/// Refuses names that cannot be printed, stored or told apart.
pub(crate) fn check_name(file: &Path, name: &str) -> Result<(), Error> {
    let fault = match name {
        "" => "is empty",
        METADATA => "is reserved",
        _ if name.len() > MAX_NAME_BYTES => "is too long",
        _ if name.chars().any(char::is_control) => "contains control characters",
        _ => return Ok(()),
    };
    Err(Error::TensorName {
        file: file.to_path_buf(),
        tensor: printable(name),
        fault,
    })
}

/// Checks that the tensors fit their dtypes and shapes and cover the data exactly.
fn place(
    file: &Path,
    raw: Vec<(String, RawInfo)>,
    data_start: usize,
    available: u64,
) -> Result<Vec<TensorInfo>, Error> {
    let path = || file.to_path_buf();
    let mut sorted = raw;
    sorted.sort_by_key(|(_, info)| info.data_offsets);
    let mut expected_begin = 0;
    let mut tensors = Vec::with_capacity(sorted.len());
    for (tensor, info) in sorted {
        let (begin, end) = info.data_offsets;
        let shape = info.shape.0;
        let Some(dtype) = Dtype::from_name(&info.dtype) else {
            return Err(Error::UnknownDtype {
                file: path(),
                tensor,
                found: printable(&info.dtype),
            });
        };
        let Some(bytes) = dtype.bytes_of(&shape) else {
            return Err(Error::ShapeTooLarge {
                file: path(),
                tensor,
                shape,
            });
        };
        if begin != expected_begin || end < begin {
            return Err(Error::Offsets {
                file: path(),
                tensor,
                expected: expected_begin,
                begin,
                end,
            });
        }
        if end - begin != bytes as u64 {
            let (expected, found) = (bytes as u64, end - begin);
            return Err(Error::TensorBytes {
                file: path(),
                tensor,
                dtype,
                shape,
                expected,
                found,
            });
        }
        if end > available {
            return Err(Error::OutOfRange {
                file: path(),
                tensor,
                end,
                available,
            });
        }
        let range = data_start + begin as usize..data_start + end as usize;
        tensors.push(TensorInfo {
            name: tensor,
            dtype,
            shape,
            range,
        });
        expected_begin = end;
    }
    match available - expected_begin {
        0 => Ok(tensors),
        found => Err(Error::TrailingBytes { file: path(), found }),
    }
}

/// The first bytes of a file that holds `tensors`, and each tensor's range in the file, in the order given.
///
/// Wider dtypes come first in the data, so that every tensor is aligned to its element.
pub(crate) fn build(tensors: &[Declared], metadata: &[(String, String)]) -> Option<(Vec<u8>, Vec<Range<usize>>)> {
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(tensors[i].dtype.bits()));
    let mut ranges = vec![0..0; tensors.len()];
    let mut object = Map::new();
    if !metadata.is_empty() {
        object.insert(
            METADATA.to_string(),
            metadata
                .iter()
                .map(|(key, value)| (key.clone(), json!(value)))
                .collect(),
        );
    }
    let mut begin = 0usize;
    for i in order {
        let Declared { name, dtype, shape } = &tensors[i];
        let end = begin.checked_add(dtype.bytes_of(shape)?)?;
        object.insert(
            name.clone(),
            json!({"dtype": dtype.name(), "shape": shape, "data_offsets": [begin, end]}),
        );
        ranges[i] = begin..end;
        begin = end;
    }
    let mut json = Value::Object(object).to_string().into_bytes();
    // Spaces up to a multiple of 8 keep the data aligned; the reference implementation does the same.
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut head = (json.len() as u64).to_le_bytes().to_vec();
    head.append(&mut json);
    for range in &mut ranges {
        *range = range.start + head.len()..range.end.checked_add(head.len())?;
    }
    Some((head, ranges))
}
