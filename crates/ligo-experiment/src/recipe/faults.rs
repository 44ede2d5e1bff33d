use std::fmt;
use std::path::PathBuf;

use ligo_train::TrainConfig;
use thiserror::Error;

use super::limits::MOST_FAULTS;

/// Faults that are shown: those of one section, with the word that it has more, and a few of others.
const LISTED: usize = MOST_FAULTS + 10;

/// One thing that is wrong with a recipe.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The key, dotted.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// Why a recipe cannot be used.
#[derive(Debug, Error)]
pub enum RecipeError {
    /// There is no such file and no built-in recipe of that name.
    #[error("there is no recipe file `{name}` and no built-in recipe of that name{}; built-in ones are: {known}", suggestion(.nearest))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The built-in recipe whose name is closest.
        nearest: Option<String>,
        /// All built-in recipes.
        known: String,
    },
    /// The file cannot be read.
    #[error("the recipe {} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{origin} is not TOML: {message}")]
    Syntax {
        /// The file or option.
        origin: String,
        /// What the parser said.
        message: String,
    },
    /// A `--set` is not of the form KEY=VALUE, or leads through something that is not a table.
    #[error("--set {given}: {reason}")]
    Set {
        /// What was given.
        given: String,
        /// Why it cannot be used.
        reason: String,
    },
    /// The recipe contradicts itself or holds unknown keys.
    #[error("{origin} has {} fault{}:\n{}", faults.len(), if faults.len() == 1 { "" } else { "s" }, listed(faults))]
    Faults {
        /// The file.
        origin: String,
        /// All that was found.
        faults: Vec<Fault>,
    },
}

fn suggestion(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map(|n| format!(" (did you mean `{n}`?)"))
        .unwrap_or_default()
}

fn listed(faults: &[Fault]) -> String {
    let lines = faults.iter().take(LISTED).map(|fault| format!("  - {fault}"));
    let mut lines: Vec<String> = lines.collect();
    if let Some(more) = faults.len().checked_sub(LISTED).filter(|more| *more > 0) {
        lines.push(format!("  … and {more} more"));
    }
    lines.join("\n")
}

/// The closest of `known` to `found`, when it is close enough to be a slip of the pen.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let found = found.to_lowercase();
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(&found, k), k))
        .filter(|(distance, k)| *distance <= 2.max(k.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

/// Collects what is wrong with the settings of a training run.
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
