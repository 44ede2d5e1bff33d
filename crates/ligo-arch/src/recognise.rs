use std::collections::HashSet;

use crate::{ModelConfig, Param};

/// A file belongs to a family when at least this share of its tensors does.
const LEAST_SHARE: f64 = 0.5;

impl ModelConfig {
    /// The `model_type` to whose tensors these names belong, whatever the number of layers; of several that share their
    /// names (Llama and Mistral) the first. `None` when no family has even half of them.
    pub fn recognise<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<&'static str> {
        let names: Vec<String> = names.into_iter().map(without_numbers).collect();
        let mut best = (LEAST_SHARE, None);
        for model_type in Self::MODEL_TYPES {
            let Some(example) = Self::example(model_type) else {
                continue;
            };
            let known = names_of(&example);
            let count = names.iter().filter(|name| known.contains(*name)).count();
            let share = count as f64 / names.len().max(1) as f64;
            if share > best.0 {
                best = (share, Some(*model_type));
            }
        }
        best.1
    }
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
    fn every_family_is_recognised_by_its_own_names() {
        for model_type in ModelConfig::MODEL_TYPES {
            let table = ModelConfig::example(model_type).unwrap().table();
            let params: Vec<Param<'_>> = table.params().collect();
            let names: Vec<String> = table.file_tensors(&params).into_iter().map(|t| t.name).collect();
            let deeper: Vec<String> = names.iter().map(|n| n.replace(".0.", ".17.")).collect();
            let found = ModelConfig::recognise(names.iter().chain(&deeper).map(String::as_str)).unwrap();
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
    fn a_file_of_something_else_is_not_recognised() {
        assert_eq!(
            ModelConfig::recognise(["encoder.block.0.layer.0.SelfAttention.q.weight"]),
            None
        );
        assert_eq!(ModelConfig::recognise([]), None);
    }
}
