//! Stages: work that is skipped when it is complete for the same inputs.

use std::path::Path;
use std::time::SystemTime;

use ligo_train::TrainConfig;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::outputs::{Fault, Outputs};
use crate::files::write_json;
use crate::identity::fingerprint;
use crate::{Failure, Listener, stop};

/// Marks a folder whose stage is complete.
pub const STAGE_JSON: &str = "stage.json";

/// The input that says what computes. It decides last bits, so that it belongs to a run's identity; but work of hours is not done again for them.
pub const KERNELS: &str = "kernels";

/// The input that holds the settings of a training run.
pub const TRAIN: &str = "train";

#[derive(Serialize, Deserialize)]
struct Complete {
    fingerprint: String,
    inputs: Value,
    /// What the stage wrote. Records of earlier versions do not say.
    #[serde(default)]
    outputs: Outputs,
}

impl Complete {
    /// Whether it was made from these inputs, by whatever kernels.
    fn is_of(&self, inputs: &Value) -> bool {
        let rest = |inputs: &Value| {
            let mut inputs = inputs.clone();
            inputs.as_object_mut().map(|inputs| inputs.remove(KERNELS));
            // Records of earlier versions hold settings that decide nothing.
            if let Some(train) = inputs.get_mut(TRAIN)
                && let Ok(settings) = serde_json::from_value::<TrainConfig>(train.clone())
            {
                *train = serde_json::json!(settings.deciding());
            }
            inputs
        };
        self.fingerprint == fingerprint(inputs) || rest(&self.inputs) == rest(inputs)
    }

    /// What is worth saying of the kernels that computed it.
    fn computed_by(&self, inputs: &Value) -> String {
        let (then, now) = (self.inputs.get(KERNELS), inputs.get(KERNELS));
        match (then.and_then(Value::as_str), now.and_then(Value::as_str)) {
            (Some(then), Some(now)) if then != now => {
                format!("; it was computed by {then}, and {now} would give other last bits")
            }
            _ => String::new(),
        }
    }
}

/// Runs `work` unless the folder says that it is complete for these inputs and what it wrote, `outputs` by their paths from the folder, is
/// still as it was; returns the fingerprint.
///
/// # Errors
/// Those of `work`, or the folder cannot be written.
pub fn stage(
    listener: &dyn Listener,
    name: &str,
    folder: &Path,
    inputs: &Value,
    outputs: &[&str],
    work: impl FnOnce() -> Result<(), Failure>,
) -> Result<String, Failure> {
    let fingerprint = fingerprint(inputs);
    if let Some(found) = read(folder) {
        match (found.is_of(inputs), found.outputs.check_whole(folder)) {
            (true, Ok(())) => {
                stop::note_saved();
                listener.say(&format!("{name}: complete, skipped{}", found.computed_by(inputs)));
                return Ok(found.fingerprint);
            }
            (true, Err(fault)) => listener.say(&format!("{name}: {fault}; it is made again")),
            (false, _) => listener.say(&format!("{name}: made again, {}", changes(&found.inputs, inputs))),
        }
        // From here on the folder holds neither the former outcome nor the new one.
        unmark(folder)?;
    }
    work()?;
    std::fs::create_dir_all(folder).map_err(Failure::io("create", folder))?;
    let complete = Complete {
        fingerprint: fingerprint.clone(),
        inputs: inputs.clone(),
        outputs: Outputs::written(folder, outputs)?,
    };
    write_json(&folder.join(STAGE_JSON), &complete)?;
    stop::note_saved();
    Ok(fingerprint)
}

/// The fingerprint of a stage that is complete for these inputs; nothing is done. What was removed to save space does no harm.
///
/// # Errors
/// It is not complete, or what it wrote is damaged and that `matters`.
pub fn found(name: &str, folder: &Path, inputs: &Value, matters: bool) -> Result<String, Failure> {
    let fault = match read(folder).filter(|found| found.is_of(inputs)) {
        Some(found) if !matters => return Ok(found.fingerprint),
        Some(found) => match found.outputs.check(folder) {
            Ok(()) | Err(Fault::Removed { .. }) => return Ok(found.fingerprint),
            Err(fault) => fault.to_string(),
        },
        None => format!("not complete for these settings in {}", folder.display()),
    };
    Err(Failure::other(format!("{name}: {fault}"), "it has to be run"))
}

/// Whether the folder's stage is complete for these inputs and lacks nothing but `output`, which somebody removed.
pub fn lacks_only(folder: &Path, inputs: &Value, output: &str) -> bool {
    let found = read(folder).filter(|found| found.is_of(inputs));
    found.is_some_and(|found| {
        matches!(found.outputs.check(folder), Err(Fault::Removed { ref name, .. }) if name == output)
            && found.outputs.without(output).check(folder).is_ok()
    })
}

/// Refuses a folder's stage whose outputs are not as they were written.
///
/// # Errors
/// One of them is missing or damaged.
pub fn check(folder: &Path) -> Result<(), Failure> {
    let Some(found) = read(folder) else { return Ok(()) };
    found.outputs.check(folder).map_err(|fault| remedy(folder, &fault))
}

/// Refuses a file of a folder that is not as the folder's stage wrote it.
///
/// # Errors
/// It is missing or damaged.
pub fn check_file(folder: &Path, file: &str) -> Result<(), Failure> {
    let Some(found) = read(folder) else { return Ok(()) };
    let checked = found.outputs.only(file).check(folder);
    checked.map_err(|fault| remedy(folder, &fault))
}

/// A failure to read a folder that a stage wrote, with what to do about it.
pub fn to_make_again(folder: &Path, failure: &Failure) -> Failure {
    Failure::other(
        failure.to_string(),
        format!("remove {}: the same command as before makes it again", folder.display()),
    )
}

fn remedy(folder: &Path, fault: &Fault) -> Failure {
    Failure::other(
        fault.to_string(),
        format!(
            "the same command as before makes it again, from the last checkpoint where there is one; to begin anew, remove {}",
            folder.display()
        ),
    )
}

fn read(folder: &Path) -> Option<Complete> {
    let text = std::fs::read(folder.join(STAGE_JSON)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Whether a folder's stage is complete for other inputs than these.
pub fn is_of_others(folder: &Path, inputs: &Value) -> bool {
    read(folder).is_some_and(|found| !found.is_of(inputs))
}

/// Calls a folder's stage complete no more.
///
/// # Errors
/// The folder cannot be written.
pub fn unmark(folder: &Path) -> Result<(), Failure> {
    let path = folder.join(STAGE_JSON);
    std::fs::remove_file(&path).map_err(Failure::io("remove", &path))?;
    Ok(ligo_metrics::files::sync_folder(folder)?)
}

/// A hash for each part of a stage's inputs, so that a run which cannot go on says which of them changed. What a run starts from is told
/// apart by its own parts, where they have names.
pub(super) fn identity(inputs: &Value) -> Value {
    let parts = inputs.as_object().into_iter().flatten();
    let named = parts.flat_map(|(name, part)| match part.as_object() {
        // The loop compares them itself, and says which setting is another.
        _ if name == TRAIN => Vec::new(),
        Some(inner) if name == "upstream" => inner.iter().collect(),
        _ => vec![(name, part)],
    });
    let told = |(name, part): (&String, &Value)| match part {
        // Short, and people know what it means.
        Value::String(kernels) if name == KERNELS => (name.clone(), kernels.as_str().into()),
        part => (name.clone(), Value::from(&fingerprint(part)[..12])),
    };
    named.map(told).collect()
}

/// Which inputs are others than before, for people.
fn changes(before: &Value, now: &Value) -> String {
    let names = match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            let all = before.keys().chain(now.keys().filter(|key| !before.contains_key(*key)));
            let changed = all.filter(|key| before.get(*key) != now.get(*key));
            changed.map(String::as_str).collect::<Vec<_>>().join(", ")
        }
        _ => String::new(),
    };
    match names.as_str() {
        "" => "since what it is made from has changed".into(),
        names => format!("since what it is made from has changed ({names})"),
    }
}

/// The fingerprint of what a folder holds, if that is complete.
pub fn complete(folder: &Path) -> Option<String> {
    Some(read(folder)?.fingerprint)
}

/// When a folder's stage became complete.
pub fn written(folder: &Path) -> Option<SystemTime> {
    std::fs::metadata(folder.join(STAGE_JSON)).ok()?.modified().ok()
}

/// Reads a file that a stage left.
///
/// # Errors
/// It is missing or damaged.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let remedy = "remove stage.json beside it: the same command as before then does that part again, from its last checkpoint where there is one";
    let text = std::fs::read(path)
        .map_err(|error| Failure::other(format!("cannot read {}: {error}", path.display()), remedy))?;
    serde_json::from_slice(&text).map_err(|e| Failure::other(format!("{} is damaged: {e}", path.display()), remedy))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::Cell;
    use std::fs;
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;

    struct Place {
        _root: tempfile::TempDir,
        folder: PathBuf,
        runs: Cell<usize>,
    }

    impl Place {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            Self {
                folder: root.path().join("method"),
                _root: root,
                runs: Cell::new(0),
            }
        }

        /// A stage with a result, and a folder beside its own.
        fn run(&self, input: u64) -> String {
            let work = || {
                self.runs.set(self.runs.get() + 1);
                for (name, text) in [("result.json", "{\"loss\": 2.5}"), ("../start/config.json", "{}")] {
                    let path = self.folder.join(name);
                    fs::create_dir_all(&self.folder).unwrap();
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(path, text).unwrap();
                }
                Ok(())
            };
            let outputs = ["result.json", "../start"];
            stage(
                &crate::Silent,
                "a stage",
                &self.folder,
                &json!({"input": input}),
                &outputs,
                work,
            )
            .unwrap()
        }
    }

    #[test]
    fn what_is_complete_is_not_run_again_and_what_is_damaged_or_removed_is() {
        let place = Place::new();
        let print = place.run(1);
        assert_eq!(place.run(1), print);
        assert_eq!(place.runs.get(), 1);
        for name in ["result.json", "../start/config.json"] {
            let file = place.folder.join(name);
            let mut text = fs::read(&file).unwrap();
            text[1] ^= 1;
            fs::write(&file, text).unwrap();
            let before = place.runs.get();
            assert!(check(&place.folder).is_err(), "{name}");
            assert_eq!(place.run(1), print);
            fs::remove_file(&file).unwrap();
            assert_eq!(place.run(1), print);
            assert_eq!(place.runs.get(), before + 2, "{name}");
            check(&place.folder).unwrap();
        }
    }

    #[test]
    fn a_stage_that_is_made_again_is_not_complete_meanwhile() {
        let place = Place::new();
        place.run(1);
        let killed = || Err(Failure::Interrupted);
        let outcome = stage(
            &crate::Silent,
            "a stage",
            &place.folder,
            &json!({"input": 2}),
            &[],
            killed,
        );
        assert!(outcome.unwrap_err().is_interruption());
        assert_eq!(complete(&place.folder), None);
        place.run(1);
        assert_eq!(
            place.runs.get(),
            2,
            "half of other inputs' outcome was taken for complete"
        );
    }

    #[test]
    fn a_damaged_result_names_the_file_and_the_remedy() {
        let place = Place::new();
        place.run(1);
        fs::write(place.folder.join("result.json"), "{\"loss\": 2.6}").unwrap();
        check_file(&place.folder, "../start").unwrap();
        let failure = check_file(&place.folder, "result.json").unwrap_err();
        let help = miette::Diagnostic::help(&failure).unwrap().to_string();
        assert!(failure.to_string().contains("result.json"), "{failure}");
        assert!(help.contains("remove") && help.contains("last checkpoint"), "{help}");
    }

    #[test]
    fn what_was_removed_to_save_space_is_told_apart_from_what_is_damaged() {
        let place = Place::new();
        place.run(1);
        let inputs = json!({"input": 1});
        assert!(!lacks_only(&place.folder, &inputs, "../start"));
        fs::remove_dir_all(place.folder.join("../start")).unwrap();
        assert!(lacks_only(&place.folder, &inputs, "../start"));
        found("a stage", &place.folder, &inputs, true).unwrap();
        fs::write(place.folder.join("result.json"), "{\"loss\": 2.6}").unwrap();
        assert!(!lacks_only(&place.folder, &inputs, "../start"));
        assert!(found("a stage", &place.folder, &inputs, true).is_err());
        found("a stage", &place.folder, &inputs, false).unwrap();
        assert!(found("a stage", &place.folder, &json!({"input": 2}), false).is_err());
    }

    #[test]
    fn a_record_of_an_earlier_version_still_counts() {
        let place = Place::new();
        let inputs = json!({"input": 1});
        fs::create_dir_all(&place.folder).unwrap();
        let record = json!({"fingerprint": fingerprint(&inputs), "inputs": inputs});
        fs::write(place.folder.join(STAGE_JSON), record.to_string()).unwrap();
        place.run(1);
        assert_eq!(place.runs.get(), 0);
        fs::write(place.folder.join(STAGE_JSON), &record.to_string()[1..]).unwrap();
        place.run(1);
        assert_eq!(place.runs.get(), 1, "a damaged record was taken as it is");
    }

    #[test]
    fn other_kernels_are_another_identity_and_no_reason_to_compute_again() {
        let place = Place::new();
        let runs = Cell::new(0);
        let made = |kernels: &str, steps: u64| {
            let inputs = json!({"steps": steps, KERNELS: kernels});
            let work = || {
                runs.set(runs.get() + 1);
                Ok(())
            };
            stage(&crate::Silent, "a stage", &place.folder, &inputs, &[], work).unwrap()
        };
        let first = made("AVX2", 1);
        assert_eq!(made("AVX-512", 1), first, "what depends on it would be made again");
        assert_eq!(runs.get(), 1);
        let found = read(&place.folder).unwrap();
        let now = json!({"steps": 1, KERNELS: "AVX-512"});
        assert_ne!(fingerprint(&now), first);
        assert!(
            found.computed_by(&now).contains("computed by AVX2"),
            "{}",
            found.computed_by(&now)
        );
        assert_eq!(found.computed_by(&json!({"steps": 1, KERNELS: "AVX2"})), "");
        made("AVX-512", 2);
        assert_eq!(runs.get(), 2);
    }

    #[test]
    fn the_inputs_that_changed_are_named() {
        let said = changes(
            &json!({"data": 1, "train": 2}),
            &json!({"data": 1, "train": 3, "teacher": 4}),
        );
        assert!(said.ends_with("(train, teacher)"), "{said}");
        assert!(changes(&json!([1]), &json!([2])).ends_with("has changed"));
    }

    #[test]
    fn records_with_settings_that_decide_nothing_count_as_complete() {
        let settings = |log_every, seed| TrainConfig {
            log_every,
            seed,
            ..TrainConfig::default()
        };
        let of_earlier_version = Complete {
            fingerprint: "another".into(),
            inputs: json!({"train": settings(7, 1), "data": 1}),
            outputs: Outputs::default(),
        };
        assert!(of_earlier_version.is_of(&json!({"train": settings(1, 1).deciding(), "data": 1})));
        assert!(!of_earlier_version.is_of(&json!({"train": settings(1, 2).deciding(), "data": 1})));
    }
}
