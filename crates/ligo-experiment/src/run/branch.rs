//! Lengths of one method whose steps are the same as long as the rate is constant: those steps are made once.

use std::fs;
use std::path::{Path, PathBuf};

use ligo_cost::Cost;
use ligo_report::summary::Shared;
use ligo_train::{Branch, TrainConfig, find_branch};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::stage::identity;
use crate::sealed::{self, Note};
use crate::{Failure, Listener};

/// Beside a result part of which another run made.
const SHARED_JSON: &str = "shared.json";
const METRICS: &str = "metrics.jsonl";
/// Folders inside a run's own that hold the folders of methods.
const OF_METHODS: [&str; 2] = ["methods", "search"];

#[derive(Serialize, Deserialize)]
struct Noted {
    from: PathBuf,
    step: u64,
    #[serde(flatten)]
    cost: Cost,
}

/// Takes over the state of another length of the same run, whose steps up to there are this one's to the last bit, with its metrics. Their costs and their curve
/// are this run's then. Without another length there is nothing to do.
///
/// # Errors
/// The folder cannot be written.
pub fn go_on_from_another(
    listener: &dyn Listener,
    label: &str,
    folder: &Path,
    train: &TrainConfig,
    inputs: &Value,
) -> Result<(), Failure> {
    let identity = identity(inputs);
    let mut found: Option<Branch> = None;
    for other in candidates(folder) {
        let branch = find_branch(&other, train, &identity)?;
        if branch.as_ref().map(|branch| branch.step) > found.as_ref().map(|branch| branch.step) {
            found = branch;
        }
    }
    let Some(branch) = found else {
        // Of a run that was here before.
        let _ = fs::remove_file(folder.join(SHARED_JSON));
        return Ok(());
    };
    take_metrics(folder, &branch.run_dir, branch.step, branch.cost)?;
    branch.take(folder, train, &identity)?;
    listener.say(&format!(
        "{label}: goes on after the {} steps at a constant rate of {}",
        branch.step,
        branch.run_dir.display()
    ));
    Ok(())
}

/// Copies the metrics of another folder's run, whose first steps are this one's, and notes what those cost.
///
/// # Errors
/// A file cannot be read, or the folder written.
pub fn take_metrics(folder: &Path, from: &Path, step: u64, cost: Cost) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(Failure::io("create", folder))?;
    let metrics = folder.join(METRICS);
    fs::copy(from.join(METRICS), &metrics).map_err(Failure::io("copy", &metrics))?;
    let noted = Noted {
        from: from.to_path_buf(),
        step,
        cost,
    };
    sealed::write(&folder.join(SHARED_JSON), &noted)
}

/// The steps of a run that another one made, if there are any.
pub fn shared(folder: &Path) -> Option<Shared> {
    let Note::Whole(Noted { step, cost, .. }) = sealed::read(&folder.join(SHARED_JSON)) else {
        return None;
    };
    Some(Shared { steps: step, cost })
}

/// Folders whose run may be another length of this one: its parent, and those of all methods. A method may lie inside another's folder.
fn candidates(folder: &Path) -> Vec<PathBuf> {
    let is_of_methods = |path: &&Path| {
        path.file_name()
            .is_some_and(|name| OF_METHODS.iter().any(|of| name == *of))
    };
    let run = folder.ancestors().skip(1).find(is_of_methods).and_then(Path::parent);
    let folders = |of: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(of).into_iter().flatten().flatten();
        let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        folders.sort();
        folders
    };
    let mut found: Vec<PathBuf> = folder.parent().map(Path::to_path_buf).into_iter().collect();
    for of in run.into_iter().flat_map(|run| OF_METHODS.map(|name| run.join(name))) {
        for method in folders(&of) {
            found.extend(folders(&method));
            found.push(method);
        }
    }
    found.retain(|other| other != folder);
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_note_of_an_earlier_version_is_read_and_written_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(SHARED_JSON);
        let stored = serde_json::json!({"from": "methods/short", "step": 13, "flops_exact": 0.1 + 0.2, "flops_electra": 2e9, "seconds": 0.5});
        // With its seal, which holds for these fields in this order.
        sealed::write(&file, &stored).unwrap();
        let shared = shared(folder.path()).unwrap();
        assert_eq!(
            (shared.steps, shared.cost),
            (13, Cost::of_measures([0.1 + 0.2, 2e9, 0.5]))
        );
        let before = fs::read_to_string(&file).unwrap();
        let Note::Whole(noted) = sealed::read::<Noted>(&file) else {
            panic!("the note is not whole")
        };
        sealed::write(&file, &noted).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), before);
    }
}
