use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::{Error, write_error};

const SCRIPT: &str = include_str!("../../../../../assets/python/verify_hf.py");
/// The script's exit code where Python lacks torch or transformers.
const LACKS: i32 = 3;
/// Names a Python for all commands of a shell.
const VARIABLE: &str = "LIGO_PYTHON";

/// How far our numbers are from someone else's.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Whose.
    pub other: String,
    /// The largest difference of a logit; `None` when it is no finite number.
    pub difference: Option<f64>,
    /// The largest difference of each hidden state.
    pub per_layer: Vec<(String, Option<f64>)>,
}

/// What became of the question.
#[derive(Debug)]
pub enum Answer {
    /// No Python here has `transformers`; says so in a few words.
    Nobody(String),
    /// A comparison, and the keys on which the two do not agree.
    Compared {
        /// The numbers.
        comparison: Comparison,
        /// [`Error::Keys`] when keys differ.
        keys: Option<Error>,
        /// Keys that the reference's class has no use for, and ligo none either but to carry them along.
        carried: Vec<String>,
    },
}

/// The line of JSON that the script prints.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    error: Option<String>,
    missing: Vec<String>,
    unexpected: Vec<String>,
    mismatched: Vec<String>,
    max_abs_diff: Option<f64>,
    per_layer: Vec<Layer>,
    transformers: String,
    torch: String,
}

#[derive(Debug, Deserialize)]
struct Layer {
    name: String,
    max_abs_diff: Option<f64>,
}

/// Lets `transformers` compute the dump's inputs with the model.
///
/// Tried are `named`, or else `LIGO_PYTHON`, `python3` and `python`, until one has `transformers`. `optional` are the tensors that
/// some classes of the family lack, such as a pooler's.
pub fn ask(
    model: &Path,
    optional: &[String],
    dump: &Path,
    scratch: &Path,
    named: Option<&Path>,
    tolerance: f64,
) -> Result<Answer, Error> {
    let script = scratch.join("verify_hf.py");
    std::fs::write(&script, SCRIPT).map_err(write_error(&script))?;
    // A relative path may look like the name of a model on the hub.
    let model = model.canonicalize()?;
    let line = ask_with(&script, &model, dump, named, tolerance)?;
    Ok(line.map_or_else(Answer::Nobody, |line| answer(line, optional)))
}

/// The script's line; in words why there is none, when no Python here can run it.
fn ask_with(
    script: &Path,
    model: &Path,
    dump: &Path,
    named: Option<&Path>,
    tolerance: f64,
) -> Result<Result<Line, String>, Error> {
    let mut reasons = Vec::new();
    for program in programs(named) {
        let reason = match run(&program, script, model, dump, tolerance) {
            Ok(line) => return line.map(Ok),
            Err(reason) => reason,
        };
        let program = program.display().to_string();
        if named.is_some() {
            return Err(Error::Python { program, reason });
        }
        reasons.push(format!("{program} {reason}"));
    }
    Ok(Err(reasons.join(", ")))
}

fn programs(named: Option<&Path>) -> Vec<PathBuf> {
    match (named, std::env::var_os(VARIABLE)) {
        (Some(named), _) => vec![named.to_path_buf()],
        (None, Some(variable)) if !variable.is_empty() => vec![variable.into()],
        _ => vec!["python3".into(), "python".into()],
    }
}

/// The script's answer; a reason when this Python cannot run it at all.
fn run(
    program: &Path,
    script: &Path,
    model: &Path,
    dump: &Path,
    tolerance: f64,
) -> Result<Result<Line, Error>, String> {
    let output = Command::new(program)
        .arg(script)
        .arg(model)
        .arg(dump)
        .args(["--tolerance", &format!("{tolerance:e}")])
        .output()
        .map_err(|error| format!("cannot be started ({error})"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().rev().find(|line| line.starts_with('{'));
    let line = line.and_then(|line| serde_json::from_str::<Line>(line).ok());
    if output.status.code() == Some(LACKS) {
        let error = line.and_then(|line| line.error);
        return Err(error.unwrap_or_else(|| "lacks transformers".into()));
    }
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = errors.lines().rev().find(|line| !line.trim().is_empty());
    let Some(line) = line else {
        // A Python too old for the script, or none at all behind the name.
        return Err(format!(
            "failed ({}): {}",
            output.status,
            last.unwrap_or("it said nothing")
        ));
    };
    Ok(match line.error {
        Some(error) => Err(Error::Python {
            program: format!("transformers {}", line.transformers),
            reason: error,
        }),
        None => Ok(line),
    })
}

fn answer(mut line: Line, optional: &[String]) -> Answer {
    let carried = line.unexpected.extract_if(.., |key| optional.contains(key)).collect();
    let lists = [&line.missing, &line.unexpected, &line.mismatched];
    let [missing, unexpected, mismatched] = lists.map(|list| list.join(", "));
    let differ = lists.iter().any(|list| !list.is_empty());
    Answer::Compared {
        keys: differ.then_some(Error::Keys {
            missing,
            unexpected,
            mismatched,
        }),
        carried,
        comparison: Comparison {
            other: format!("transformers {} (torch {})", line.transformers, line.torch),
            difference: line.max_abs_diff,
            per_layer: line.per_layer.into_iter().map(|l| (l.name, l.max_abs_diff)).collect(),
        },
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    /// Asks a shell with a script that stands for ours.
    fn asked(body: &str) -> Result<Answer, Error> {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        std::fs::write(&script, body).unwrap();
        let line = ask_with(&script, folder.path(), Path::new("dump"), Some(Path::new("sh")), 1e-4)?;
        Ok(answer(line.unwrap(), &["pooler.bias".to_owned()]))
    }

    #[test]
    fn a_line_of_json_among_others_is_the_answer() {
        let line = r#"{"missing": [], "unexpected": [], "mismatched": [], "max_abs_diff": 2e-6, "per_layer": [{"name": "hidden.0", "max_abs_diff": null}], "transformers": "5.0", "torch": "2.9"}"#;
        match asked(&format!("echo loading; echo '{line}'")).unwrap() {
            Answer::Compared {
                comparison,
                keys,
                carried,
            } => {
                assert!(keys.is_none() && carried.is_empty());
                assert_eq!(comparison.difference, Some(2e-6));
                assert_eq!(comparison.per_layer, [("hidden.0".to_string(), None)]);
                assert_eq!(comparison.other, "transformers 5.0 (torch 2.9)");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn keys_that_differ_are_an_error_by_name() {
        let line = r#"{"missing": ["a.weight"], "unexpected": ["b"], "max_abs_diff": 0.0}"#;
        match asked(&format!("echo '{line}'; exit 1")).unwrap() {
            Answer::Compared { keys: Some(error), .. } => {
                assert!(
                    error
                        .to_string()
                        .contains("missing keys [a.weight], unexpected keys [b]"),
                    "{error}"
                );
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_pooler_that_the_class_has_no_use_for_is_no_error() {
        let line = r#"{"unexpected": ["pooler.bias"], "max_abs_diff": 0.0}"#;
        match asked(&format!("echo '{line}'; exit 1")).unwrap() {
            Answer::Compared { keys, carried, .. } => {
                assert!(keys.is_none());
                assert_eq!(carried, ["pooler.bias"]);
            }
            other => panic!("{other:?}"),
        }
        let line = r#"{"unexpected": ["pooler.bias", "b"]}"#;
        match asked(&format!("echo '{line}'; exit 1")).unwrap() {
            Answer::Compared { keys: Some(error), .. } => {
                assert!(error.to_string().contains("unexpected keys [b]"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_named_python_without_transformers_is_an_error() {
        let error = asked(r#"echo '{"error": "cannot import torch"}'; exit 3"#).unwrap_err();
        assert!(
            matches!(&error, Error::Python { reason, .. } if reason == "cannot import torch"),
            "{error}"
        );
    }

    #[test]
    fn a_python_that_fails_is_quoted() {
        let error = asked("echo 'SyntaxError: invalid syntax' >&2; exit 1").unwrap_err();
        assert!(error.to_string().contains("SyntaxError"), "{error}");
    }
}
