//! Training state: named `f32` tensors and a JSON value in one safetensors file, with their exact bits.
//!
//! The tensors are whatever the trainer keeps (weights, first and second moments); the JSON holds its counters. Numbers in the
//! JSON come back bit for bit too: integers as they are, floats by their bits.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::{AtomicDir, Declared, Dtype, Error, ModelWriter, TensorFile};

const KEY: &str = "ligo_state";
/// Stands for a float inside the stored JSON; parsing decimal floats may be off by one unit in the last place.
const FLOAT_BITS: &str = "$f64";

/// What [`read`] returns.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The JSON value.
    pub json: Value,
    /// The tensors by name.
    pub tensors: BTreeMap<String, StateTensor>,
}

/// One tensor of a [`State`].
#[derive(Debug, Clone, PartialEq)]
pub struct StateTensor {
    /// The dimensions, outermost first.
    pub shape: Vec<usize>,
    /// The elements, row by row.
    pub values: Vec<f32>,
}

/// Writes a state into one file of `dir`.
///
/// # Errors
///
/// As [`begin`]; [`Error::PayloadLength`] when a shape and its values do not match.
///
/// # Example
///
/// ```
/// use ligo_checkpoint::{AtomicDir, state};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let run = tempfile::tempdir()?;
/// let dir = AtomicDir::begin(run.path().join("step-3"))?;
/// let json = serde_json::json!({"step": 3, "loss": 0.1});
/// state::write(&dir, "state.safetensors", &json, [("weight".to_string(), vec![2], vec![1.0, 2.0].into())])?;
/// dir.commit()?;
/// let state = state::read(run.path().join("step-3/state.safetensors"))?;
/// assert_eq!(state.json, json);
/// assert_eq!(state.tensors["weight"].values, [1.0, 2.0]);
/// # Ok(())
/// # }
/// ```
pub fn write<'a>(
    dir: &AtomicDir,
    file: &str,
    json: &Value,
    tensors: impl IntoIterator<Item = (String, Vec<usize>, Cow<'a, [f32]>)>,
) -> Result<(), Error> {
    let (names, values): (Vec<_>, Vec<_>) = tensors
        .into_iter()
        .map(|(name, shape, values)| ((name, shape), values))
        .unzip();
    let mut writer = begin(dir, file, json, names.iter().cloned())?;
    for ((name, _), values) in names.iter().zip(values) {
        writer.write_f32(name, &values)?;
    }
    writer.finish()
}

/// Begins a state whose tensors follow one after another, so that they need not be in memory together.
///
/// # Errors
///
/// [`Error::Json`] when the JSON uses the reserved key `$f64`; otherwise as [`ModelWriter::new`].
pub fn begin<'a>(
    dir: &'a AtomicDir,
    file: &str,
    json: &Value,
    tensors: impl IntoIterator<Item = (String, Vec<usize>)>,
) -> Result<ModelWriter<'a>, Error> {
    let Some(packed) = pack(json) else {
        return Err(Error::json(
            &dir.path().join(file),
            format!("the key `{FLOAT_BITS}` is reserved"),
        ));
    };
    let tensors = tensors
        .into_iter()
        .map(|(name, shape)| Declared {
            name,
            dtype: Dtype::F32,
            shape,
        })
        .collect();
    ModelWriter::single(dir, file, tensors, vec![(KEY.to_string(), packed.to_string())])
}

/// Reads a whole state.
///
/// # Errors
///
/// As [`open`].
pub fn read(path: impl AsRef<Path>) -> Result<State, Error> {
    let (json, file) = open(path)?;
    let mut tensors = BTreeMap::new();
    for info in file.tensors() {
        let values = file.read_f32(&info.name)?;
        tensors.insert(
            info.name.clone(),
            StateTensor {
                shape: info.shape.clone(),
                values,
            },
        );
    }
    Ok(State { json, tensors })
}

/// Opens a state whose tensors are then read one at a time.
///
/// # Errors
///
/// The errors of [`TensorFile::open`]; [`Error::Json`] when the file is not a state.
pub fn open(path: impl AsRef<Path>) -> Result<(Value, TensorFile), Error> {
    let path = path.as_ref();
    let file = TensorFile::open(path)?;
    let text = file
        .metadata(KEY)
        .ok_or_else(|| Error::json(path, format!("expected metadata `{KEY}`, found none")))?;
    let packed = serde_json::from_str(text).map_err(|error| Error::json(path, error))?;
    let json = unpack(packed).ok_or_else(|| Error::json(path, format!("`{FLOAT_BITS}` holds no number")))?;
    Ok((json, file))
}

/// Replaces floats by their bits; `None` when the reserved key is in use.
fn pack(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Number(number) if number.is_f64() => json!({FLOAT_BITS: number.as_f64()?.to_bits()}),
        Value::Array(items) => Value::Array(items.iter().map(pack).collect::<Option<_>>()?),
        Value::Object(map) if map.contains_key(FLOAT_BITS) => return None,
        Value::Object(map) => {
            let packed = map.iter().map(|(key, value)| Some((key.clone(), pack(value)?)));
            Value::Object(packed.collect::<Option<Map<_, _>>>()?)
        }
        other => other.clone(),
    })
}

fn unpack(value: Value) -> Option<Value> {
    Some(match value {
        Value::Array(items) => Value::Array(items.into_iter().map(unpack).collect::<Option<_>>()?),
        Value::Object(map) => match map.get(FLOAT_BITS) {
            Some(bits) => json!(f64::from_bits(bits.as_u64()?)),
            None => {
                let unpacked = map.into_iter().map(|(key, value)| Some((key, unpack(value)?)));
                Value::Object(unpacked.collect::<Option<Map<_, _>>>()?)
            }
        },
        other => other,
    })
}
