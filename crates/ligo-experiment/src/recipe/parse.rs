use std::path::Path;

use ligo_train::{OptimizerKind, TrainConfig};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::faults::{Fault, RecipeError, nearest};
use super::limits::{MOST_FAULTS, MOST_TOKENS, operator_fault};
use super::shape::unknown_key;
use super::{BUILTIN, CorpusSource, DataFacts, Pair, Recipe, annealed, builtin, everywhere, methods, tau};
use crate::hub::is_address;

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
    let mut table: Table = text.parse().map_err(|e: toml::de::Error| RecipeError::Syntax {
        origin: origin.into(),
        message: e.to_string(),
    })?;
    for given in overrides {
        set(&mut table, given)?;
    }
    let mut table = on_its_base(table, origin)?;
    let mut faults = Vec::new();
    everywhere::spread(&mut table, &mut faults);
    tau::spread(&mut table, &mut faults);
    // On top of the defaults of the whole recipe: a section's own defaults (the operator's rate) hold for keys left out.
    let mut whole = match Value::try_from(Recipe::default()) {
        Ok(Value::Table(defaults)) => defaults,
        _ => Table::new(),
    };
    overlay(&mut whole, &table);
    let mut recipe: Option<Recipe> = collect(whole, "", &mut faults);
    if let Some(recipe) = recipe.as_mut().filter(|_| faults.is_empty()) {
        prepare(recipe)?;
    }
    if let Some(recipe) = recipe.as_mut().filter(|_| faults.is_empty()) {
        recipe.settle_auto(&mut faults);
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

fn unknown_recipe(name: &str) -> RecipeError {
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
    let mut current = table;
    for part in parts {
        let next = current.entry(part).or_insert_with(|| Value::Table(Table::new()));
        current = next
            .as_table_mut()
            .ok_or_else(|| fault(&format!("`{part}` is not a table")))?;
    }
    current.insert(last.into(), value);
    Ok(())
}

/// Deserialises a table and collects its faults: each one found is noted, its key taken out, and the rest tried again.
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

/// `base` with the keys of `changes` on top.
///
/// # Errors
/// All faults of the merged table, named below `key`.
pub fn merged<T: Serialize + DeserializeOwned + Clone>(base: &T, changes: &Table, key: &str) -> Result<T, Vec<Fault>> {
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

pub(super) fn check(recipe: &Recipe, faults: &mut Vec<Fault>) {
    let mut fault = |key: &str, message: String| {
        faults.push(Fault {
            key: key.into(),
            message,
        });
    };
    if !is_folder_name(&recipe.name) || recipe.name.contains('/') {
        fault(
            "name",
            format!(
                "must be a folder name, on one line and without any of \\ / : * ? \" < > |, found {:?}",
                recipe.name
            ),
        );
    }
    if recipe.corpus.source != CorpusSource::RustDocs && recipe.corpus.paths.is_empty() {
        fault(
            "corpus.paths",
            "no data: name files or folders here or give --data PATH".into(),
        );
    }
    let fraction = recipe.corpus.valid_fraction;
    if !(fraction > 0.0 && fraction < 1.0) {
        fault(
            "corpus.valid_fraction",
            format!("must lie between 0 and 1, found {fraction}"),
        );
    }
    if recipe.tokenizer.path.is_none() && !(64..=1_000_000).contains(&recipe.tokenizer.vocab_size) {
        let found = recipe.tokenizer.vocab_size;
        fault(
            "tokenizer.vocab_size",
            format!("must be 64 to 1,000,000, found {found}"),
        );
    }
    if recipe.methods.is_empty() {
        fault(
            "methods",
            "at least one method is needed, for example [[methods]] name = \"ligo\"".into(),
        );
    }
    faults.extend(recipe.data.check().err().into_iter().flatten());
    if recipe.corpus.source == CorpusSource::Images {
        faults.extend(recipe.data.augmentation().err().into_iter().flatten());
    }
    // Samples that no model could read would be told once more for each of them.
    let can_be_read = recipe.data.seq_len <= MOST_TOKENS;
    let pair = can_be_read.then(|| check_models(recipe, faults)).flatten();
    methods::check(recipe, pair.as_ref(), faults);
    recipe.search.check(recipe, faults);
    recipe.check_lengths(faults);
    faults.extend(recipe.variants().err().into_iter().flatten());
}

/// Checks the sections on models and their training; the pair when it can be grown.
fn check_models(recipe: &Recipe, faults: &mut Vec<Fault>) -> Option<Pair> {
    let pair = recipe.pair(&DataFacts::expected(recipe));
    let pair = pair.map_err(|found| faults.extend(found)).ok();
    for (key, train, allowed) in [
        ("small.train", &recipe.small.train, true),
        ("operator.train", &recipe.operator.train, false),
    ] {
        let mut settings = train.special_passes();
        settings.retain(|setting| !allowed || *setting == "distillation");
        if train.tells_new_entries_apart() {
            settings.push("a rate for new parameters");
        }
        if !allowed && train.optimizer.kind == OptimizerKind::Muon {
            faults.push(Fault {
                key: format!("{key}.optimizer.kind"),
                message: "muon is for the matrices of a model's layers, and an operator has none; take adamw".into(),
            });
        }
        faults.extend(settings.into_iter().map(|setting| Fault {
            key: key.into(),
            message: format!("{setting} is for training the large model"),
        }));
    }
    annealed::check(recipe, faults);
    if let Some(pair) = &pair {
        let depth = pair.small.sizes().layers;
        let found = recipe.small.train.depth_faults(depth).into_iter();
        faults.extend(found.map(|message| Fault {
            key: "small.train".into(),
            message,
        }));
    }
    let sections = [
        ("small.train", &recipe.small.train),
        ("large.train", &recipe.large.train),
        ("operator.train", &recipe.operator.train),
    ];
    for (key, train) in sections {
        check_train(key, train, faults);
    }
    let operator = operator_fault(&recipe.operator.ligo);
    faults.extend(operator.map(|message| Fault {
        key: "operator.ligo".into(),
        message,
    }));
    pair
}

pub(super) fn check_train(key: &str, train: &TrainConfig, faults: &mut Vec<Fault>) {
    match train.validate() {
        Ok(()) => {}
        Err(ligo_train::Error::Config { faults: found }) => faults.extend(found.into_iter().map(|message| Fault {
            key: key.into(),
            message,
        })),
        Err(other) => faults.push(Fault {
            key: key.into(),
            message: other.to_string(),
        }),
    }
}

/// Whether an id is a path inside a folder on every system; `a/b` is a variant of `a`.
pub(super) fn is_folder_name(id: &str) -> bool {
    let is_plain = |part: &str| {
        let odd = |c: char| c.is_control() || "\\:*?\"<>|".contains(c);
        !part.is_empty() && !part.starts_with(['.', ' ']) && !part.ends_with(['.', ' ']) && !part.contains(odd)
    };
    id.split('/').all(is_plain)
}
