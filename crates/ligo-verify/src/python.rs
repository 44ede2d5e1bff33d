use std::path::{Path, PathBuf};
use std::process::Command;

use ligo_assets::VERIFY_SCRIPT;
use serde::Deserialize;

use crate::error::{Error, write_error};

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
    timm: String,
    torch: String,
}

impl Line {
    /// The library with its version.
    fn library(&self, name: &str) -> String {
        let version = if name == "timm" { &self.timm } else { &self.transformers };
        format!("{name} {version}").trim_end().to_owned()
    }
}

#[derive(Debug, Deserialize)]
struct Layer {
    name: String,
    max_abs_diff: Option<f64>,
}

/// What the reference is asked.
pub struct Question<'a> {
    /// The model's directory.
    pub model: &'a Path,
    /// The class that computes what ligo computes, whatever `architectures` says of the file: a body without a head, or the head of another task.
    pub class: Option<&'a str>,
    /// Whose answer it is: `transformers` or `timm`.
    pub library: &'static str,
    /// Whether a key is one that the class need not have a use for.
    pub is_carried: &'a dyn Fn(&str) -> bool,
    /// Whether a key is a buffer of older files, which means nothing.
    pub is_buffer: &'a dyn Fn(&str) -> bool,
    /// The largest difference of a logit.
    pub tolerance: f64,
}

/// Lets the reference compute the dump's inputs with the model.
///
/// Tried are `named`, or else `LIGO_PYTHON`, `python3` and `python`, until one has the library.
pub fn ask(question: &Question<'_>, dump: &Path, scratch: &Path, named: Option<&Path>) -> Result<Answer, Error> {
    let script = scratch.join("verify_hf.py");
    std::fs::write(&script, VERIFY_SCRIPT).map_err(write_error(&script))?;
    let line = ask_with(question, &script, dump, named)?;
    Ok(line.map_or_else(Answer::Nobody, |line| answer(line, question)))
}

/// The script's line; in words why there is none, when no Python here can run it.
fn ask_with(
    question: &Question<'_>,
    script: &Path,
    dump: &Path,
    named: Option<&Path>,
) -> Result<Result<Line, String>, Error> {
    let mut reasons = Vec::new();
    for program in programs(named) {
        let reason = match run(&program, question, script, dump) {
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
fn run(program: &Path, question: &Question<'_>, script: &Path, dump: &Path) -> Result<Result<Line, Error>, String> {
    // A relative path may look like the name of a model on the hub.
    let model = question.model.canonicalize();
    let model = model.map_err(|error| format!("cannot be given {} ({error})", question.model.display()))?;
    let mut command = Command::new(program);
    command
        .arg(script)
        .arg(model)
        .arg(dump)
        .args(["--tolerance", &format!("{:e}", question.tolerance)]);
    if let Some(class) = question.class {
        command.args(["--class", class]);
    }
    let output = command
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
    Ok(match line.error.clone() {
        Some(error) => Err(Error::Python {
            program: line.library(question.library),
            reason: error,
        }),
        None => Ok(line),
    })
}

fn answer(mut line: Line, question: &Question<'_>) -> Answer {
    line.unexpected.retain(|key| !(question.is_buffer)(key));
    let carried = line
        .unexpected
        .extract_if(.., |key| (question.is_carried)(key))
        .collect();
    let lists = [&line.missing, &line.unexpected, &line.mismatched];
    let [missing, unexpected, mismatched] = lists.map(|list| list.join(", "));
    let differ = lists.iter().any(|list| !list.is_empty());
    Answer::Compared {
        keys: differ.then_some(Error::Keys {
            library: question.library,
            missing,
            unexpected,
            mismatched,
        }),
        carried,
        comparison: Comparison {
            other: format!("{} (torch {})", line.library(question.library), line.torch),
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
    fn asked_of(library: &'static str, body: &str) -> Result<Answer, Error> {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        std::fs::write(&script, body).unwrap();
        let question = Question {
            model: folder.path(),
            class: Some("GPT2LMHeadModel"),
            library,
            is_carried: &|key| key == "pooler.bias",
            is_buffer: &|key| key.ends_with(".attn.masked_bias"),
            tolerance: 1e-4,
        };
        let line = ask_with(&question, &script, Path::new("dump"), Some(Path::new("sh")))?;
        Ok(answer(line.unwrap(), &question))
    }

    fn asked(body: &str) -> Result<Answer, Error> {
        asked_of("transformers", body)
    }

    #[test]
    fn the_class_that_computes_the_same_is_asked_for() {
        // The script's arguments are model, dump, and options.
        match asked(r#"shift 4; echo "{\"missing\": [\"$1 $2\"]}""#).unwrap() {
            Answer::Compared { keys: Some(error), .. } => {
                assert!(error.to_string().contains("[--class GPT2LMHeadModel]"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn masks_of_older_files_are_no_fault() {
        let line = r#"{"unexpected": ["h.0.attn.masked_bias"], "max_abs_diff": 0.0}"#;
        match asked(&format!("echo '{line}'")).unwrap() {
            Answer::Compared { keys, carried, .. } => assert!(keys.is_none() && carried.is_empty()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_reference_is_called_by_its_own_name() {
        let line = r#"{"missing": ["a"], "max_abs_diff": 0.0, "transformers": "5.0", "timm": "1.0.9", "torch": "2.9"}"#;
        match asked_of("timm", &format!("echo '{line}'")).unwrap() {
            Answer::Compared { comparison, keys, .. } => {
                assert_eq!(comparison.other, "timm 1.0.9 (torch 2.9)");
                let message = keys.unwrap().to_string();
                assert!(message.starts_with("timm finds missing keys [a]"), "{message}");
            }
            other => panic!("{other:?}"),
        }
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
