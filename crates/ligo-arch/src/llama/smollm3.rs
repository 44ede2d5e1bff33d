//! What a SmolLM3 has otherwise than a Llama: layers that rotate nothing (Yang et al., arXiv:2501.18795).

use serde_json::{Map, Value, json};

use crate::{Error, limits};

/// The base of the rotation where a file says none.
pub(super) const THETA: f64 = 2_000_000.0;

/// One entry for each layer: 0 where it rotates nothing.
const LIST: &str = "no_rope_layers";

/// Where there is no list, each so many-th layer rotates nothing.
const INTERVAL: &str = "no_rope_layer_interval";
const USUAL_INTERVAL: u64 = 4;

/// Writes down what follows from other fields, so that it goes with its layers when they are copied.
pub(super) fn complete(fields: &mut Map<String, Value>) {
    fields.entry("tie_word_embeddings").or_insert_with(|| Value::Bool(true));
    let layers = fields.get("num_hidden_layers").and_then(Value::as_u64).unwrap_or(0);
    // So many layers are refused as such.
    if layers > limits::LAYERS as u64 {
        return;
    }
    match fields.get_mut(LIST) {
        // The reference looks at the first entries.
        Some(Value::Array(list)) => list.truncate(layers as usize),
        Some(Value::Null) | None => {
            let interval = match fields.get(INTERVAL) {
                None => Some(USUAL_INTERVAL),
                Some(given) => given.as_u64().filter(|interval| *interval > 0),
            };
            if let Some(interval) = interval {
                let list = (1..=layers).map(|layer| u8::from(layer % interval != 0));
                fields.insert(LIST.into(), json!(list.collect::<Vec<_>>()));
            }
        }
        Some(_) => {}
    }
}

/// Whether a layer turns its queries and keys.
pub(super) fn is_rotated(extra: &Map<String, Value>, layer: usize) -> bool {
    let entry = extra.get(LIST).and_then(|list| list.get(layer));
    entry.is_none_or(|entry| entry.as_u64() != Some(0))
}

/// Refuses a list that does not say it of every layer.
pub(super) fn check(extra: &Map<String, Value>, layers: usize) -> Result<(), Error> {
    let unsupported = |field, found: &Value, supported| {
        Err(Error::Unsupported {
            field,
            found: found.to_string(),
            supported,
        })
    };
    match extra.get(LIST) {
        Some(Value::Array(list)) if list.len() < layers => Err(Error::LayerList {
            field: LIST,
            found: list.len(),
            layers,
        }),
        Some(Value::Array(list)) => match list.iter().find(|entry| entry.as_u64().is_none()) {
            Some(entry) => unsupported(LIST, entry, "1 for a layer that rotates and 0 for one that does not"),
            None => Ok(()),
        },
        Some(Value::Null) | None => match extra.get(INTERVAL) {
            Some(interval) => unsupported(INTERVAL, interval, "a number above 0, such as 4"),
            None => Ok(()),
        },
        Some(other) => unsupported(LIST, other, "a list with an entry for each layer"),
    }
}
