use std::collections::HashSet;

use serde_json::json;

use crate::{ModelConfig, Param};

/// A file belongs to a family when at least this share of its tensors does.
const LEAST_SHARE: f64 = 0.5;

impl ModelConfig {
    /// The `model_type` to whose tensors these names belong, whatever the number of layers; of several that share their
    /// names (Llama and Mistral) the first. Vision transformers under `timm`'s names are `timm's ViT` and `timm's DeiT`. `None` when no family has
    /// even half of them.
    pub fn recognize<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<&'static str> {
        let names: Vec<String> = names.into_iter().map(without_numbers).collect();
        let mut best = (LEAST_SHARE, None);
        // A CaiT has all tensors of timm's ViT and more, so it comes behind.
        let of_timm = [
            ("timm's ViT", timm_example("vit_tiny_patch16_224")),
            ("timm's DeiT", timm_example("deit_tiny_distilled_patch16_224")),
        ];
        let others = Self::MODEL_TYPES
            .iter()
            .map(|model_type| (*model_type, Self::example(model_type)));
        for (name, example) in of_timm.into_iter().chain(others) {
            let Some(example) = example else { continue };
            let known = names_of(&example);
            let count = names.iter().filter(|name| known.contains(*name)).count();
            let share = count as f64 / names.len().max(1) as f64;
            if share > best.0 {
                best = (share, Some(name));
            }
        }
        best.1
    }
}

fn timm_example(architecture: &str) -> Option<ModelConfig> {
    ModelConfig::from_json(&json!({ "architecture": architecture })).ok()
}

/// What files call the tensors of such a model, with and without its head.
fn names_of(config: &ModelConfig) -> HashSet<String> {
    let table = config.table();
    let params: Vec<Param<'_>> = table.params().collect();
    let mut names: HashSet<String> = HashSet::new();
    for tensor in table.file_tensors(&params) {
        let bare = table.base_prefix().and_then(|prefix| tensor.name.strip_prefix(prefix));
        names.extend(bare.map(without_numbers));
        names.insert(without_numbers(&tensor.name));
    }
    names
}

fn without_numbers(name: &str) -> String {
    let parts = name
        .split('.')
        .map(|part| if part.parse::<u32>().is_ok() { "#" } else { part });
    parts.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_family_is_recognized_by_its_own_names() {
        for model_type in ModelConfig::MODEL_TYPES {
            let table = ModelConfig::example(model_type).unwrap().table();
            let params: Vec<Param<'_>> = table.params().collect();
            let names: Vec<String> = table.file_tensors(&params).into_iter().map(|t| t.name).collect();
            let deeper: Vec<String> = names.iter().map(|n| n.replace(".0.", ".17.")).collect();
            let found = ModelConfig::recognize(names.iter().chain(&deeper).map(String::as_str)).unwrap();
            let expected = match *model_type {
                // Biases or not is all that files show.
                "mistral" | "gemma" | "smollm3" => "llama",
                "xlm-roberta" | "camembert" => "roberta",
                other => other,
            };
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_names_of_timm_are_told_from_those_of_transformers() {
        for (architecture, expected) in [
            ("vit_base_patch16_224", "timm's ViT"),
            ("deit_base_patch16_224", "timm's ViT"),
            ("deit_base_distilled_patch16_224", "timm's DeiT"),
            ("cait_s24_224", "cait"),
        ] {
            let names = names_of(&timm_example(architecture).unwrap());
            assert_eq!(ModelConfig::recognize(names.iter().map(String::as_str)), Some(expected));
        }
    }

    #[test]
    fn a_file_of_something_else_is_not_recognized() {
        assert_eq!(
            ModelConfig::recognize(["encoder.block.0.layer.0.SelfAttention.q.weight"]),
            None
        );
        assert_eq!(ModelConfig::recognize([]), None);
    }
}
