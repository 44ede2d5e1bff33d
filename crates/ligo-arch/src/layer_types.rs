//! `layer_types`: what files of newer `transformers` say about the attention of each layer, one entry for each.

use serde_json::{Map, Value};

use crate::{Error, limits};

pub(crate) const LAYER_TYPES: &str = "layer_types";
const LAYERS: &str = "num_hidden_layers";

/// How far the attention of a layer sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerType {
    /// Over the whole sequence.
    Full,
    /// Over a window.
    Sliding,
}

impl LayerType {
    pub(crate) fn sliding(is_sliding: bool) -> Self {
        if is_sliding { Self::Sliding } else { Self::Full }
    }

    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full_attention",
            Self::Sliding => "sliding_attention",
        }
    }
}

/// What a file says of each layer, where it says anything.
///
/// # Errors
/// An entry is none of the known ones, or there is no list.
pub(crate) fn said(fields: &Map<String, Value>) -> Result<Option<Vec<LayerType>>, Error> {
    let wrong = |found: &Value| Error::Unsupported {
        field: LAYER_TYPES,
        found: found.as_str().map_or_else(|| found.to_string(), str::to_owned),
        supported: "a list of full_attention and sliding_attention",
    };
    let entries = match fields.get(LAYER_TYPES) {
        None | Some(Value::Null) => return Ok(None),
        Some(list) => list.as_array().ok_or_else(|| wrong(list))?,
    };
    let known = [LayerType::Full, LayerType::Sliding];
    let types = entries.iter().map(|entry| {
        let found = known.into_iter().find(|known| entry == known.name());
        found.ok_or_else(|| wrong(entry))
    });
    types.collect::<Result<_, _>>().map(Some)
}

/// Makes the list as long as there are layers, which it no longer is where somebody changed `num_hidden_layers` alone: `transformers` refuses
/// such a file. A list whose entries are all alike says what further layers are; of any other nobody can tell.
///
/// # Errors
/// [`Error::LayerTypes`] for a list of different entries.
pub(crate) fn follow_depth(json: &mut Value) -> Result<(), Error> {
    let layers = json.get(LAYERS).and_then(Value::as_u64);
    let (Some(layers), Some(types)) = (layers, json.get_mut(LAYER_TYPES).and_then(Value::as_array_mut)) else {
        return Ok(());
    };
    let found = types.len();
    // So many layers are refused as such; until then no list is made for them.
    if found as u64 == layers || layers > limits::LAYERS as u64 {
        return Ok(());
    }
    match (types.first().cloned(), usize::try_from(layers)) {
        (Some(first), Ok(layers)) if types.iter().all(|other| *other == first) => {
            types.resize(layers, first);
            Ok(())
        }
        _ => Err(Error::LayerTypes { found, layers }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn followed(layers: usize, types: Value) -> Result<Value, Error> {
        let mut json = json!({LAYERS: layers, LAYER_TYPES: types});
        follow_depth(&mut json).map(|()| json[LAYER_TYPES].clone())
    }

    #[test]
    fn a_list_of_equal_entries_becomes_as_long_as_there_are_layers() {
        let full = "full_attention";
        assert_eq!(followed(3, json!([full, full])).unwrap(), json!([full, full, full]));
        assert_eq!(followed(1, json!([full, full])).unwrap(), json!([full]));
        assert_eq!(followed(2, Value::Null).unwrap(), Value::Null);
    }

    #[test]
    fn a_list_of_different_entries_must_have_the_right_length() {
        let mixed = json!(["full_attention", "sliding_attention"]);
        assert_eq!(followed(2, mixed.clone()).unwrap(), mixed);
        for (layers, types) in [(3, mixed), (3, json!([]))] {
            let found = types.as_array().unwrap().len();
            let expected = Error::LayerTypes {
                found,
                layers: layers as u64,
            };
            assert_eq!(followed(layers, types).unwrap_err(), expected);
        }
    }
}
