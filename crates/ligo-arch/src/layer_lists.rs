//! Lists with one entry for each layer: an entry belongs to what its layer has learned, so it goes where the layer is copied.

use serde_json::{Map, Value};

use crate::layer_types::LAYER_TYPES;
use crate::llama::{DENSE_LAYERS, STEP};
use crate::{LayerType, ModelConfig, limits};

/// What lists with an entry for each layer are called in files: whether a SmolLM3's layer rotates, and how far its attention sees, which may follow from the former.
const LISTS: [&str; 2] = ["no_rope_layers", LAYER_TYPES];

const LAYERS: &str = "num_hidden_layers";

impl ModelConfig {
    /// The same model, whose layers are each of the kind of the small model's layer that they come from, where layers are of several kinds. `sources` has
    /// one entry for each layer; one that comes from none keeps its own kind.
    #[must_use]
    pub fn with_layers_of(&self, small: &Self, sources: &[Option<usize>]) -> Self {
        let mut large = self.clone();
        if sources.len() != self.sizes().layers {
            return large;
        }
        for (field, kinds) in small.layer_lists() {
            let Some(own) = large.layer_list(field) else { continue };
            let kind = |(layer, source): (usize, &Option<usize>)| {
                let copied = source.and_then(|source| kinds.get(source));
                copied.or_else(|| own.get(layer)).cloned()
            };
            let wanted: Option<Vec<Value>> = sources.iter().enumerate().map(kind).collect();
            let Some(wanted) = wanted.filter(|wanted| *wanted != own) else {
                continue;
            };
            let mut json = large.to_json();
            write(&mut json, field, wanted);
            // Where it has no window for them, it is no larger model of the small one, and that is said elsewhere.
            large = Self::from_json(&json).unwrap_or(large);
        }
        large
    }

    /// What is said of each layer, where layers may be of several kinds: the name in files, and an entry for each layer, also where files have a rule in
    /// place of the list.
    pub fn layer_lists(&self) -> Vec<(&'static str, Vec<Value>)> {
        let lists = LISTS.into_iter().chain([DENSE_LAYERS]);
        lists
            .filter_map(|field| Some((field, self.layer_list(field)?)))
            .collect()
    }

    fn layer_list(&self, field: &str) -> Option<Vec<Value>> {
        let name = |kind: LayerType| kind.name().into();
        match (field, self) {
            (LAYER_TYPES, _) => Some(self.layer_types()?.into_iter().map(name).collect()),
            // Files name the layers without experts; here is an entry for each layer.
            (DENSE_LAYERS, Self::Llama(c)) if c.model_type == "qwen3_moe" => Some(
                (0..c.num_hidden_layers)
                    .map(|layer| (!c.is_sparse(layer)).into())
                    .collect(),
            ),
            (DENSE_LAYERS, _) => None,
            _ => self.to_json().get(field)?.as_array().cloned(),
        }
    }
}

/// Writes a list as files have it.
fn write(json: &mut Value, field: &str, kinds: Vec<Value>) {
    if field != DENSE_LAYERS {
        json[field] = kinds.into();
        return;
    }
    let numbered = kinds.iter().enumerate();
    let dense = numbered.filter(|(_, is_dense)| **is_dense == Value::Bool(true));
    json[DENSE_LAYERS] = dense.map(|(layer, _)| Value::from(layer)).collect();
    json[STEP] = 1.into();
}

/// Gives a deeper model's fields the lists that it does not have: those of the small model, again and again. An operator that copies other layers
/// changes them, see [`ModelConfig::with_layers_of`].
pub fn repeat_layers(fields: &mut Map<String, Value>, small: &Value) {
    let layers = fields.get(LAYERS).or_else(|| small.get(LAYERS)).and_then(Value::as_u64);
    let Some(layers) = layers.and_then(|n| usize::try_from(n).ok()) else {
        return;
    };
    for field in LISTS {
        if let Some(kinds) = small.get(field).and_then(|kinds| repeated(kinds, layers)) {
            fields.entry(field).or_insert(kinds);
        }
    }
}

/// Makes the lists of a model that is given another number of layers as long as that, as if the model were stacked.
pub(crate) fn stack(fields: &mut Map<String, Value>, layers: usize) {
    for field in LISTS {
        if let Some(kinds) = fields.get(field).and_then(|kinds| repeated(kinds, layers)) {
            fields.insert(field.into(), kinds);
        }
    }
}

fn repeated(kinds: &Value, layers: usize) -> Option<Value> {
    // More layers are refused as such.
    let kinds = kinds.as_array().filter(|_| layers <= limits::LAYERS)?;
    Some(kinds.iter().cycle().take(layers).cloned().collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::{Resize, Size};

    /// Three layers, of which the last one has a window.
    fn mixed() -> ModelConfig {
        let mut json = ModelConfig::example("qwen2").unwrap().to_json();
        json[LAYERS] = 3.into();
        json["use_sliding_window"] = true.into();
        json["sliding_window"] = 4.into();
        json[LAYER_TYPES] = json!(["full_attention", "full_attention", "sliding_attention"]);
        ModelConfig::from_json(&json).unwrap()
    }

    fn deeper(model: &ModelConfig, layers: usize) -> ModelConfig {
        let resize = Resize {
            layers: Some(Size::Exactly(layers)),
            ..Resize::default()
        };
        model.resized(&resize).unwrap()
    }

    fn slide(config: &ModelConfig) -> Vec<bool> {
        let types = config.layer_types().unwrap();
        types.into_iter().map(|kind| kind == LayerType::Sliding).collect()
    }

    #[test]
    fn kinds_go_with_the_layers_that_are_copied() {
        let small = mixed();
        let large = deeper(&small, 5);
        assert_eq!(slide(&large), [false, false, true, false, false]);
        let interposed = large.with_layers_of(&small, &[0, 1, 1, 2, 2].map(Some));
        assert_eq!(slide(&interposed), [false, false, false, true, true]);
        assert_eq!(ModelConfig::from_json(&interposed.to_json()).unwrap(), interposed);
        // Of layers that come from none their own configuration says it.
        let partly = large.with_layers_of(&small, &[Some(2), None, None, Some(7), Some(2)]);
        assert_eq!(slide(&partly), [true, false, true, false, true]);
        // A list of another length says nothing.
        assert_eq!(large.with_layers_of(&small, &[0, 1].map(Some)), large);
    }

    #[test]
    fn windows_that_follow_from_rotations_go_along_and_so_do_those_that_do_not() {
        let mut json = ModelConfig::example("smollm3").unwrap().to_json();
        json[LAYERS] = 2.into();
        json["no_rope_layers"] = json!([0, 1]);
        json["use_sliding_window"] = true.into();
        json["sliding_window"] = 4.into();
        let kinds = |config: &ModelConfig| (config.to_json()["no_rope_layers"].clone(), slide(config));
        let sources = [1, 1, 0, 0].map(Some);
        let by_rule = ModelConfig::from_json(&json).unwrap();
        let copied = deeper(&by_rule, 4).with_layers_of(&by_rule, &sources);
        assert_eq!(kinds(&copied), (json!([1, 1, 0, 0]), vec![false, false, true, true]));
        json[LAYER_TYPES] = json!(["full_attention", "sliding_attention"]);
        let listed = ModelConfig::from_json(&json).unwrap();
        let copied = deeper(&listed, 4).with_layers_of(&listed, &sources);
        assert_eq!(kinds(&copied), (json!([1, 1, 0, 0]), vec![true, true, false, false]));
    }

    #[test]
    fn models_without_such_lists_stay_as_they_are() {
        let model = ModelConfig::example("llama").unwrap();
        assert_eq!(model.layer_lists(), []);
        assert_eq!(model.with_layers_of(&model, &[Some(0)]), model);
    }
}
