//! From TOML to a recipe: bases, overrides and defaults, one on top of the other, with every fault of a key.

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::faults::{Fault, RecipeError, nearest};
use super::limits::MOST_FAULTS;
use super::shape::unknown_key;
use super::{BUILTIN, Recipe, builtin, everywhere, key, tau, words};

/// A recipe as its text, its base, overrides and the defaults have it, with the faults of its keys; nothing says yet whether they fit each other.
///
/// # Errors
/// It is not TOML, its base is unknown, or an override is none.
pub(super) fn read(
    text: &str,
    origin: &str,
    overrides: &[String],
    faults: &mut Vec<Fault>,
) -> Result<Option<Recipe>, RecipeError> {
    let mut table: Table = text.parse().map_err(|e: toml::de::Error| RecipeError::Syntax {
        origin: origin.into(),
        message: e.to_string(),
    })?;
    words::spell_out(&mut table);
    for given in overrides {
        set(&mut table, given)?;
    }
    let mut table = on_its_base(table, origin)?;
    everywhere::spread(&mut table, faults);
    tau::spread(&mut table, faults);
    // On top of the defaults of the whole recipe: a section's own defaults (the operator's rate) hold for keys left out.
    let mut whole = match Value::try_from(Recipe::default()) {
        Ok(Value::Table(defaults)) => defaults,
        _ => Table::new(),
    };
    overlay(&mut whole, &table);
    let mut recipe: Option<Recipe> = collect(whole, "", faults);
    if let Some(recipe) = &mut recipe {
        key::read_earlier(recipe);
    }
    Ok(recipe)
}

/// The built-in recipe that a recipe names as its `base`, with the recipe's own keys on top.
fn on_its_base(mut table: Table, origin: &str) -> Result<Table, RecipeError> {
    let Some(name) = table.remove("base") else {
        return Ok(table);
    };
    let syntax = |message: String| RecipeError::Syntax {
        origin: origin.into(),
        message,
    };
    let name = name
        .as_str()
        .ok_or_else(|| syntax(format!("base must be the name of a built-in recipe, found {name}")))?;
    let text = builtin(name).ok_or_else(|| unknown_recipe(name))?;
    let base = text.parse().map_err(|e: toml::de::Error| syntax(e.to_string()))?;
    let mut base = on_its_base(base, name)?;
    overlay(&mut base, &table);
    Ok(base)
}

/// The fault of a name that no recipe has.
pub(super) fn unknown_recipe(name: &str) -> RecipeError {
    RecipeError::Unknown {
        name: name.into(),
        nearest: nearest(name, BUILTIN.iter().map(|(n, _)| *n)).map(str::to_owned),
        known: BUILTIN.iter().map(|(n, _)| *n).collect::<Vec<_>>().join(", "),
    }
}

/// A table from `key=value` overrides alone.
///
/// # Errors
/// An override is not of that form.
pub fn overrides(given: &[String]) -> Result<Table, RecipeError> {
    let mut table = Table::new();
    for given in given {
        set(&mut table, given)?;
    }
    Ok(table)
}

/// Applies `key.with.dots=value`; the value is TOML, or a plain string when it is not.
fn set(table: &mut Table, given: &str) -> Result<(), RecipeError> {
    let fault = |reason: &str| RecipeError::Set {
        given: given.into(),
        reason: reason.into(),
    };
    let (key, value) = given
        .split_once('=')
        .ok_or_else(|| fault("expected KEY=VALUE, for example seed=2"))?;
    let value = format!("v = {}", value.trim())
        .parse::<Table>()
        .ok()
        .and_then(|mut t| t.remove("v"))
        .unwrap_or_else(|| Value::String(value.trim().into()));
    let mut parts: Vec<&str> = key.trim().split('.').collect();
    let last = parts
        .pop()
        .filter(|p| !p.is_empty())
        .ok_or_else(|| fault("the key is empty"))?;
    let last = match words::stands_for(last, &value) {
        Some(inner) => {
            parts.push(last);
            inner
        }
        None => last,
    };
    let mut current = table;
    for part in parts {
        let next = current.entry(part).or_insert_with(|| Value::Table(Table::new()));
        current = next
            .as_table_mut()
            .ok_or_else(|| fault(&format!("`{part}` is not a table")))?;
    }
    current.insert(last.into(), value);
    words::spell_out(current);
    Ok(())
}

/// Deserializes a table and collects its faults: each one found is noted, its key taken out, and the rest tried again.
fn collect<T: DeserializeOwned>(mut table: Table, prefix: &str, faults: &mut Vec<Fault>) -> Option<T> {
    let before = faults.len();
    loop {
        if faults.len() - before >= MOST_FAULTS {
            faults.push(Fault {
                key: if prefix.is_empty() { "recipe" } else { prefix }.to_owned(),
                message: "and more, which are told when these are mended".into(),
            });
            return None;
        }
        let deserializer = Value::Table(table.clone());
        let error = match serde_path_to_error::deserialize::<_, T>(deserializer) {
            Ok(value) => {
                return (faults.len() == before)
                    .then_some(value)
                    .or_else(|| value_if_only_unknown(&table));
            }
            Err(error) => error,
        };
        let mut path: Vec<String> = error
            .path()
            .iter()
            .map(|s| s.to_string())
            .filter(|s| s != "." && s != "?")
            .collect();
        let message = ligo_arch::in_words(error.inner().to_string().trim());
        if let Some((key, known)) = unknown_field(&message) {
            // The path may or may not end in the key itself.
            if path.last() != Some(&key) {
                path.push(key.clone());
            }
            faults.push(Fault {
                key: dotted(prefix, &path),
                message: unknown_key(&key, known.iter().map(String::as_str)),
            });
        } else {
            faults.push(Fault {
                key: dotted(prefix, &path),
                message,
            });
        }
        if !remove(&mut table, &path) {
            return None;
        }
        if faults.len() - before == MOST_FAULTS {
            faults.push(Fault {
                key: dotted(prefix, &path[..path.len().saturating_sub(1)]),
                message: format!("more than {MOST_FAULTS} faults; the others are not listed"),
            });
            return None;
        }
    }
}

/// After faults, the remaining table is still worth checking for contradictions.
fn value_if_only_unknown<T: DeserializeOwned>(table: &Table) -> Option<T> {
    Value::Table(table.clone()).try_into().ok()
}

fn dotted(prefix: &str, path: &[String]) -> String {
    let mut all: Vec<&str> = Vec::new();
    if !prefix.is_empty() {
        all.push(prefix);
    }
    all.extend(path.iter().map(String::as_str));
    all.join(".").replace(".[", "[")
}

fn unknown_field(message: &str) -> Option<(String, Vec<String>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (key, rest) = rest.split_once('`')?;
    let known = rest.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    Some((key.to_owned(), known))
}

/// Takes the value at `path` out, or the nearest ancestor that exists; false when nothing is left to take.
fn remove(table: &mut Table, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else {
        return false;
    };
    let index = rest
        .first()
        .and_then(|s| s.strip_prefix('[')?.strip_suffix(']')?.parse::<usize>().ok());
    let removed = match table.get_mut(first) {
        Some(Value::Table(inner)) if !rest.is_empty() => remove(inner, rest),
        Some(Value::Array(items)) => match index {
            Some(i) if i < items.len() => {
                let deeper = items[i]
                    .as_table_mut()
                    .is_some_and(|t| rest.len() > 1 && remove(t, &rest[1..]));
                if !deeper {
                    items.remove(i);
                }
                true
            }
            _ => false,
        },
        _ => false,
    };
    removed || table.remove(first).is_some()
}

#[cfg(test)]
thread_local! {
    /// How often this thread has merged settings, which is most of the work of reading a recipe.
    pub(crate) static MERGES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// `base` with the keys of `changes` on top.
///
/// # Errors
/// All faults of the merged table, named below `key`.
pub fn merged<T: Serialize + DeserializeOwned + Clone>(base: &T, changes: &Table, key: &str) -> Result<T, Vec<Fault>> {
    #[cfg(test)]
    MERGES.set(MERGES.get() + 1);
    if changes.is_empty() {
        return Ok(base.clone());
    }
    let mut table = match Value::try_from(base) {
        Ok(Value::Table(table)) => table,
        _ => Table::new(),
    };
    overlay(&mut table, changes);
    let mut faults = Vec::new();
    let value = collect(table, key, &mut faults);
    match value {
        Some(value) if faults.is_empty() => Ok(value),
        _ => Err(faults),
    }
}

pub(super) fn overlay(base: &mut Table, changes: &Table) {
    for (key, value) in changes {
        match (base.get_mut(key), value) {
            (Some(Value::Table(inner)), Value::Table(changes)) => overlay(inner, changes),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// What differs between two tables, `large.train.steps was 20 and is now 30` each.
pub fn differences(before: &Table, now: &Table) -> Vec<String> {
    let mut keys: Vec<&String> = before.keys().collect();
    keys.extend(now.keys().filter(|key| !before.contains_key(*key)));
    let said = |value: Option<&Value>| value.map_or("not set".to_owned(), Value::to_string);
    let each = keys.into_iter().map(|key| match (before.get(key), now.get(key)) {
        (Some(Value::Table(before)), Some(Value::Table(now))) => differences(before, now)
            .into_iter()
            .map(|inner| format!("{key}.{inner}"))
            .collect(),
        (before, now) if before == now => Vec::new(),
        (before, now) => vec![format!("{key} was {} and is now {}", said(before), said(now))],
    });
    each.flatten().collect()
}
