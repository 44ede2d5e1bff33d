use std::collections::BTreeSet;

use ligo_train::Precision;
use toml::Value;

use super::Recipe;

pub(super) const KEY: &str = "precision";

/// What a value of the key must be; the fault otherwise.
pub(super) fn check(value: &Value) -> Result<(), String> {
    let read = match value {
        Value::String(name) => name.parse::<Precision>().map(drop),
        _ => Err(format!("expected {}", Precision::ALL.map(Precision::name).join(", "))),
    };
    read.map_err(|expected| format!("{expected}, found {value}"))
}

/// The overrides that set a precision for everything that is trained, whatever the recipe says.
pub fn precision_overrides(precision: Precision) -> [String; 3] {
    ["small", "large", "operator"].map(|section| format!("{section}.train.{KEY}={precision}"))
}

impl Recipe {
    /// Every precision that something is trained in.
    pub fn precisions(&self) -> BTreeSet<Precision> {
        let sections = [&self.small.train, &self.large.train, &self.operator.train];
        let own = self.methods.iter().flat_map(|method| [&method.train, &method.learn]);
        let own = own.filter_map(|changes| changes.get(KEY)?.as_str()?.parse().ok());
        sections.into_iter().map(|train| train.precision).chain(own).collect()
    }

    /// The same in words: `bf16`, or `f32 and bf16`.
    pub fn precision_in_words(&self) -> String {
        let names: Vec<&str> = self.precisions().into_iter().map(Precision::name).collect();
        names.join(" and ")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::recipe::load;

    fn with(overrides: &[&str]) -> Recipe {
        let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
        load("demo", &overrides).unwrap()
    }

    #[test]
    fn one_key_sets_the_precision_of_everything_that_is_trained() {
        let recipe = with(&["precision=bf16"]);
        for train in [&recipe.small.train, &recipe.large.train, &recipe.operator.train] {
            assert_eq!(train.precision, Precision::Bf16);
        }
        assert_eq!(recipe.precision_in_words(), "bf16");
        assert_eq!(with(&[]).precision_in_words(), "f32");
    }

    #[test]
    fn the_key_of_a_section_wins_over_that_of_the_recipe_and_an_option_over_both() {
        let recipe = with(&["precision=bf16", "operator.train.precision=f32"]);
        assert_eq!(recipe.operator.train.precision, Precision::F32);
        assert_eq!(recipe.large.train.precision, Precision::Bf16);
        assert_eq!(recipe.precision_in_words(), "f32 and bf16");
        let mut all = vec!["precision=bf16".to_owned(), "operator.train.precision=f32".to_owned()];
        all.extend(precision_overrides(Precision::Tf32));
        assert_eq!(load("demo", &all).unwrap().precision_in_words(), "tf32");
    }

    #[test]
    fn a_recipe_in_f32_is_the_same_whether_it_says_so_or_not() {
        let plain = with(&[]);
        assert_eq!(with(&["precision=f32"]), plain);
        assert_eq!(with(&["precision=f32"]).to_toml().unwrap(), plain.to_toml().unwrap());
        assert!(!plain.to_toml().unwrap().contains("precision"));
        let folder = |recipe| crate::Experiment::new(recipe).unwrap().default_folder();
        assert_ne!(folder(with(&["precision=bf16"])), folder(plain));
    }

    #[test]
    fn a_resolved_recipe_reads_back_with_its_precision() {
        let recipe = with(&["precision=bf16"]);
        let again = crate::recipe::parse(&recipe.to_toml().unwrap(), "again", &[]).unwrap();
        assert_eq!(again, recipe);
    }

    #[test]
    fn an_unknown_precision_is_reported_once_with_those_that_there_are() {
        for value in ["fp8", "16"] {
            let error = load("demo", &[format!("precision={value}")]).unwrap_err().to_string();
            assert!(error.contains("precision: expected f32, tf32, bf16, found"), "{error}");
            assert_eq!(error.matches("f32, tf32, bf16").count(), 1, "{error}");
        }
        let error = load("demo", &["large.train.precision=fp8".into()])
            .unwrap_err()
            .to_string();
        assert!(error.contains("large.train.precision"), "{error}");
    }
}
