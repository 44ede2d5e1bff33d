//! Lists of a configuration with one entry for each layer: an entry belongs to what its layer has learned, so it goes where the layer is copied.

use serde_json::{Map, Value};

use crate::ModelConfig;

/// What the lists are called: kinds of attention (`layer_types`), and whether a SmolLM3's layer rotates (`no_rope_layers`).
const LISTS: [&str; 2] = ["layer_types", "no_rope_layers"];

const LAYERS: &str = "num_hidden_layers";

impl ModelConfig {
    /// The same model, whose layers are each of the kind of the small model's layer that they copy, where layers are of several kinds. `sources` has one
    /// entry for each layer.
    #[must_use]
    pub fn with_layers_of(&self, small: &Self, sources: &[usize]) -> Self {
        let (known, mut json) = (small.to_json(), self.to_json());
        let Some(fields) = json.as_object_mut().filter(|_| sources.len() == self.sizes().layers) else {
            return self.clone();
        };
        let mut has_lists = false;
        for (field, kinds) in lists(&known) {
            let of_layers: Option<Vec<Value>> = sources.iter().map(|layer| kinds.get(*layer).cloned()).collect();
            if let Some(kinds) = of_layers {
                fields.insert(field.into(), kinds.into());
                has_lists = true;
            }
        }
        let changed = has_lists.then(|| Self::from_json(&json).ok()).flatten();
        changed.unwrap_or_else(|| self.clone())
    }
}

/// Gives a deeper model's fields the lists that it does not have: those of the small model, again and again. An operator that copies other layers
/// changes them, see [`ModelConfig::with_layers_of`].
pub fn repeat_layers(fields: &mut Map<String, Value>, small: &Value) {
    let layers = fields.get(LAYERS).or_else(|| small.get(LAYERS)).and_then(Value::as_u64);
    // So many layers are refused as such.
    let layers = layers
        .and_then(|n| usize::try_from(n).ok())
        .filter(|n| *n <= crate::limits::LAYERS);
    let Some(layers) = layers else { return };
    for (field, kinds) in lists(small) {
        let repeated: Vec<Value> = kinds.iter().cycle().take(layers).cloned().collect();
        fields.entry(field).or_insert_with(|| repeated.into());
    }
}

/// Takes the lists of another number of layers away.
pub(crate) fn forget(fields: &mut Map<String, Value>) {
    for field in LISTS {
        fields.remove(field);
    }
}

fn lists(json: &Value) -> impl Iterator<Item = (&'static str, &Vec<Value>)> {
    let list = |field: &'static str| Some((field, json.get(field)?.as_array()?));
    LISTS.into_iter().filter_map(list)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::{Resize, Size};

    fn mixed() -> ModelConfig {
        let mut json = ModelConfig::example("qwen2").unwrap().to_json();
        json[LAYERS] = 3.into();
        json["layer_types"] = json!(["full_attention", "full_attention", "sliding_attention"]);
        ModelConfig::from_json(&json).unwrap()
    }

    #[test]
    fn kinds_go_with_the_layers_that_are_copied() {
        let small = mixed();
        let resize = Resize {
            layers: Some(Size::Exactly(5)),
            ..Resize::default()
        };
        let large = small.resized(&resize).unwrap();
        let kinds = |config: &ModelConfig| {
            let json = config.to_json();
            let list = json["layer_types"].as_array().unwrap().clone();
            list.iter()
                .map(|kind| kind.as_str().unwrap().starts_with("sliding"))
                .collect::<Vec<_>>()
        };
        assert_eq!(kinds(&large), [false, false, true, false, false]);
        let interposed = large.with_layers_of(&small, &[0, 1, 1, 2, 2]);
        assert_eq!(kinds(&interposed), [false, false, false, true, true]);
        // A list of another length, or of layers that there are not, says nothing.
        for sources in [&[0, 1][..], &[0, 1, 2, 3, 4]] {
            assert_eq!(large.with_layers_of(&small, sources), large);
        }
    }

    #[test]
    fn models_without_such_lists_stay_as_they_are() {
        let model = ModelConfig::example("llama").unwrap();
        assert_eq!(model.with_layers_of(&model, &[0]), model);
    }
}
