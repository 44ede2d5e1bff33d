use std::path::Path;

use ligo_hub::is_address;

use super::check::check;
use super::faults::RecipeError;
use super::merge::{read, unknown_recipe};
use super::{Recipe, builtin, key};

/// Reads a recipe file or a built-in recipe, applies `--set key=value` overrides and checks everything.
///
/// # Errors
/// No such recipe, not TOML, a bad override, or faults; all faults are reported at once.
pub fn load(name: &str, overrides: &[String]) -> Result<Recipe, RecipeError> {
    load_with(name, overrides, |_| Ok(()))
}

/// As [`load`]; `prepare` puts what a recipe names where it can be read, such as a model of the hub, before anything is looked at. It is not asked
/// when the text has faults already.
///
/// # Errors
/// As [`load`]; whatever `prepare` ends with.
pub fn load_with<E: From<RecipeError>>(
    name: &str,
    overrides: &[String],
    prepare: impl FnOnce(&mut Recipe) -> Result<(), E>,
) -> Result<Recipe, E> {
    let path = Path::new(name);
    if path.is_file() {
        let text = std::fs::read_to_string(path).map_err(|source| RecipeError::Read {
            path: path.to_path_buf(),
            source,
        })?;
        return parse_with(&text, name, overrides, prepare);
    }
    match builtin(name) {
        Some(text) => parse_with(text, &format!("recipe `{name}`"), overrides, prepare),
        None => Err(unknown_recipe(name).into()),
    }
}

/// Reads a recipe from TOML text; `origin` names it in messages.
///
/// # Errors
/// As for [`load`].
pub fn parse(text: &str, origin: &str, overrides: &[String]) -> Result<Recipe, RecipeError> {
    parse_with(text, origin, overrides, |_| Ok(()))
}

fn parse_with<E: From<RecipeError>>(
    text: &str,
    origin: &str,
    overrides: &[String],
    prepare: impl FnOnce(&mut Recipe) -> Result<(), E>,
) -> Result<Recipe, E> {
    let mut faults = Vec::new();
    let mut recipe = read(text, origin, overrides, &mut faults)?;
    if let Some(recipe) = recipe.as_mut().filter(|_| faults.is_empty()) {
        prepare(recipe)?;
    }
    if let Some(recipe) = recipe.as_mut().filter(|_| faults.is_empty()) {
        recipe.auto.settle(&mut recipe.methods, &mut faults);
    }
    // A model that was not fetched, since the text has faults already, cannot be looked at.
    let is_there =
        |recipe: &&Recipe| faults.is_empty() || recipe.small.path.as_deref().is_none_or(|path| !is_address(path));
    if let Some(recipe) = recipe.as_ref().filter(is_there) {
        check(recipe, &mut faults);
    }
    match recipe {
        Some(recipe) if faults.is_empty() => Ok(recipe),
        _ => Err(E::from(RecipeError::Faults {
            origin: origin.into(),
            faults,
        })),
    }
}
/// The recipe of a run's folder, unchecked; nothing where it is none.
pub(crate) fn recorded(text: &str) -> Option<Recipe> {
    let mut recipe = toml::from_str(text).ok()?;
    key::read_earlier(&mut recipe);
    Some(recipe)
}
