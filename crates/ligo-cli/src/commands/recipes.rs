//! `ligo recipes`: the built-in recipes, and one of them to copy from.

use std::fmt::Write as _;

use ligo_experiment::json::pretty;
use ligo_experiment::recipe::{self, BUILTIN, Recipe, builtin, nearest};
use ligo_experiment::{Failure, Listener};
use serde_json::{Value, json};

use crate::Ui;

/// Arguments of `ligo recipes`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ligo recipes                            all of them, a line each\n  ligo recipes bert-mini > mine.toml      one, to change and to run with --recipe mine.toml\n  ligo recipes --json | jq -r '.[].name'"
)]
pub struct RecipesArgs {
    /// Print this recipe.
    pub name: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// There is no recipe of that name.
pub fn run(args: &RecipesArgs, ui: &Ui) -> Result<(), Failure> {
    let text = match (&args.name, args.json) {
        (Some(name), false) => found(name)?.to_owned(),
        (Some(name), true) => pretty(&resolved(found(name)?, name)?)?,
        (None, true) => pretty(&listed()?.iter().map(described).collect::<Vec<_>>())?,
        (None, false) => lines(&listed()?),
    };
    ui.result(text.trim_end());
    Ok(())
}

fn found(name: &str) -> Result<&'static str, Failure> {
    builtin(name).ok_or_else(|| {
        let near = nearest(name, BUILTIN.iter().map(|(name, _)| *name));
        let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        Failure::other(
            format!("there is no built-in recipe `{name}`{near}"),
            "`ligo recipes` lists them",
        )
    })
}

fn resolved(text: &str, name: &str) -> Result<Recipe, Failure> {
    // Some are for data that only their user has.
    Ok(recipe::parse(text, name, &["corpus.paths=[\"data\"]".to_owned()])?)
}

fn listed() -> Result<Vec<Recipe>, Failure> {
    BUILTIN.iter().map(|(name, text)| resolved(text, name)).collect()
}

fn described(recipe: &Recipe) -> Value {
    let methods: Vec<String> = recipe.methods.iter().map(|method| method.id()).collect();
    json!({
        "name": recipe.name,
        "description": recipe.description,
        "methods": methods,
        "steps": recipe.large.train.steps,
    })
}

fn lines(recipes: &[Recipe]) -> String {
    let width = recipes.iter().map(|recipe| recipe.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for recipe in recipes {
        let _ = writeln!(text, "{:<width$}  {}", recipe.name, recipe.description);
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_recipe_has_its_line_and_is_called_as_its_file() {
        let recipes = listed().unwrap();
        for ((name, _), recipe) in BUILTIN.iter().zip(&recipes) {
            assert_eq!(*name, recipe.name);
            assert!(!recipe.description.is_empty(), "{name} is not described");
        }
        assert_eq!(lines(&recipes).lines().count(), BUILTIN.len());
        let fault = found("bert-mimi").unwrap_err().to_string();
        assert!(fault.contains("did you mean `bert-mini`?"), "{fault}");
    }
}
