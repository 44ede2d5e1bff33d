//! What can be wrong with the methods of a recipe.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use ligo_growth::OperatorSpec;

use super::faults::check_train;
use super::key::{self, BEST, is_folder_name};
use super::limits::operator_fault;
use super::stages::unknown_method;
use super::{DataFacts, Fault, MethodSection, Pair, Recipe, Variant, merged};

/// Collects the faults of all methods. With a pair that can be grown, every stage is looked at too.
pub(super) fn check(recipe: &Recipe, pair: Option<&Pair>, faults: &mut Vec<Fault>) {
    let mut names = Names::default();
    let facts = DataFacts::expected(recipe);
    // Faults of what all methods share have been found already, and would show in each of them.
    let shared = recipe.large.train.validate().is_ok() && operator_fault(&recipe.operator.ligo).is_none();
    let pair = pair.filter(|_| shared);
    let mut good: HashSet<String> = HashSet::new();
    for (i, method) in recipe.methods.iter().enumerate() {
        let key = format!("methods[{i}]");
        let before = faults.len();
        names.check(recipe, method, &key, faults);
        // Seeds of one method have its settings, which are looked at once.
        let settings = settings_of(method);
        if good.contains(&settings) {
            continue;
        }
        check_settings(recipe, method, &key, faults);
        // One mistake is reported once: what was found already would show in the stages again.
        if let Some(pair) = pair
            && faults.len() == before
        {
            match recipe.stages_of(method, pair, &facts) {
                Ok(stages) => stages
                    .iter()
                    .for_each(|stage| check_train(&method.id(), &stage.train, faults)),
                Err(found) => faults.extend(found),
            }
        }
        if faults.len() == before {
            good.insert(settings);
        }
    }
}

/// All that a method is but for what it is called and its seed.
pub(super) fn settings_of(method: &MethodSection) -> String {
    let settings = MethodSection {
        id: None,
        run: None,
        label: None,
        seed: None,
        ..method.clone()
    };
    serde_json::to_string(&settings).unwrap_or_default()
}

/// What the methods so far are called.
#[derive(Default)]
struct Names<'a> {
    ids: HashSet<String>,
    first_of: HashMap<String, &'a MethodSection>,
}

impl<'a> Names<'a> {
    fn check(&mut self, recipe: &Recipe, method: &'a MethodSection, key: &str, faults: &mut Vec<Fault>) {
        let mut fault = |key: String, message: String| faults.push(Fault { key, message });
        let run = method.key();
        let id = run.to_string();
        let named = match method.id {
            Some(_) => format!("{key}.id"),
            None => format!("{key}.name"),
        };
        let is_path = |name: &str| name.split('/').all(is_folder_name);
        if !is_path(&run.entry) || !is_variant_name(run.variant.as_ref()) {
            fault(named, format!("`{id}` is not a valid folder name"));
        } else if let Some(message) = key::taken(&run.entry) {
            fault(named, message);
        } else if recipe
            .sweep
            .best()
            .is_some_and(|best| best == run.entry && best != method.name)
        {
            let message = format!("`{id}` is what the best variant of the sweep is called; take another id");
            fault(named, message);
        }
        let label = method.label.as_deref().unwrap_or_default();
        if label.contains(char::is_control) {
            let message = "must be one line without control characters";
            fault(format!("{key}.label"), message.into());
        }
        if !self.ids.insert(id.clone()) {
            let message = format!("`{id}` is used twice; give one of them another `id`");
            fault(format!("{key}.id"), message);
        }
        // Runs that differ in their seed only are shown as one method; others would be mixed up with them.
        match self.first_of.entry(run.group().to_string()) {
            Entry::Vacant(place) => {
                place.insert(method);
            }
            Entry::Occupied(other) if recipe.differ_in_seeds_only(other.get(), method) => {}
            Entry::Occupied(other) => {
                let other = other.get().id();
                let message =
                    format!("`{other}` and `{id}` differ in more than their seeds; give one of them another `id`");
                fault(key.to_owned(), message);
            }
        }
    }
}

fn is_variant_name(variant: Option<&Variant>) -> bool {
    match variant {
        Some(Variant::Settings(name)) => is_folder_name(name),
        Some(Variant::Tau(_)) | None => true,
    }
}

fn check_settings(recipe: &Recipe, method: &MethodSection, key: &str, faults: &mut Vec<Fault>) {
    match recipe.operator_of(method) {
        None => faults.push(Fault {
            key: format!("{key}.name"),
            message: match method.name.ends_with(BEST) {
                true => format!(
                    "`{}` is known only in a recipe with a [sweep] of that method",
                    method.name
                ),
                false => unknown_method(&method.name),
            },
        }),
        // The recipe's own operator is looked at by itself.
        Some(OperatorSpec::Ligo(config)) if config != recipe.operator.ligo => {
            faults.extend(operator_fault(&config).map(|message| Fault {
                key: format!("{key}.operator"),
                message,
            }));
        }
        Some(_) => {}
    }
    for (base, changes, part) in [
        (&recipe.large.train, &method.train, "train"),
        (&recipe.operator.train, &method.learn, "learn"),
    ] {
        let key = format!("{key}.{part}");
        match merged(base, changes, &key) {
            // What is wrong with all of them is told once.
            Ok(_) if changes.is_empty() || base.validate().is_err() => {}
            Ok(train) => check_train(&key, &train, faults),
            Err(found) => faults.extend(found),
        }
    }
}
