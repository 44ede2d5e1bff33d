//! The files that `ligo` is built with, so that its crates can be packaged without what lies outside of them: recipes, the page of the
//! report, the script that asks `transformers`. Nothing is computed here.
//!
//! `models/` holds configurations to copy from; no crate needs them.

pub mod report;

/// The script that computes a model's outputs with `transformers`, for `ligo verify`.
pub const VERIFY_SCRIPT: &str = include_str!("../python/verify_hf.py");

macro_rules! recipes {
    ($($name:literal),+ $(,)?) => {
        /// The recipes of the project: `(name, TOML)`.
        pub const RECIPES: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../recipes/", $name, ".toml")))),+
        ];
    };
}

recipes!(
    "demo",
    "bert-micro",
    "bert-mini",
    "roberta-mini",
    "gpt2-mini",
    "llama-mini",
    "vit-mini",
    "deit-mini",
    "cait-mini",
    "bert-small-to-base",
    "bert-base-to-large",
    "bert-small-to-large",
    "bert-depth-only",
    "bert-width-only",
    "roberta-small-to-base",
    "gpt2-base-to-medium",
    "smollm-135m-to-double",
    "deit-small-to-base",
    "cait-xs-to-s",
    "ablation-depth",
    "ablation-width",
    "ablation-factor",
    "ablation-operator-steps",
    "ablation-short-small",
    "ablation-training",
    "sweep-ligo",
    "compare-bert",
    "compare-gpt2",
);

/// The recipe of that name.
#[must_use]
pub fn recipe(name: &str) -> Option<&'static str> {
    RECIPES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;

    #[test]
    fn every_recipe_file_is_built_in() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        let files = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        let mut files: Vec<String> = files.map(|file| file.to_string_lossy().into_owned()).collect();
        let mut names: Vec<String> = RECIPES.iter().map(|(name, _)| format!("{name}.toml")).collect();
        files.sort();
        names.sort();
        assert_eq!(files, names);
    }
}
