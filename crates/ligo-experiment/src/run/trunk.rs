//! Runs that are left at several steps for others to go on from: what one of them has done already the next one takes over.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::branch;
use super::copying::{check_models, copy_folder};
use super::leftovers::STAGING;
use super::outcome::read_result;
use super::stage;
use crate::identity::fingerprint;
use crate::{Failure, Listener};

const UNTIL: &str = "until";
const CHECKPOINTS: &str = "checkpoints";

/// What decides such a run, wherever it is left.
pub fn whole(inputs: &Value) -> Value {
    let mut inputs = inputs.clone();
    if let Value::Object(inputs) = &mut inputs {
        inputs.remove(UNTIL);
    }
    inputs
}

/// Copies the last checkpoint of the same run that was left sooner than `until` in a folder beside this one's, with its metrics. Its steps, their costs and
/// its curve are this run's then; without such a run there is nothing to do.
///
/// # Errors
/// The folder cannot be written.
pub fn go_on_from_another(
    listener: &dyn Listener,
    label: &str,
    folder: &Path,
    inputs: &Value,
    until: u64,
) -> Result<(), Failure> {
    let Some((steps, from)) = longest(folder, inputs, until) else {
        return Ok(());
    };
    let name = format!("step-{steps}");
    let checkpoint = from.join(CHECKPOINTS).join(&name);
    if !checkpoint.is_dir() {
        return Ok(());
    }
    let target = folder.join(CHECKPOINTS);
    fs::create_dir_all(&target).map_err(Failure::io("create", &target))?;
    let staging = tempfile::Builder::new().prefix(STAGING).tempdir_in(folder);
    let staging = staging.map_err(Failure::io("create a folder in", folder))?;
    let copy = staging.path().join(&name);
    copy_folder(&checkpoint, &copy, &|_| true)?;
    if let Err(damage) = check_models(&copy) {
        // It is made here then.
        listener.say(&format!("{label}: not going on from {}: {damage}", from.display()));
        return Ok(());
    }
    branch::take_metrics(folder, &from, steps, read_result(&from)?.cost)?;
    let target = target.join(&name);
    fs::rename(&copy, &target).map_err(Failure::io("move", &copy))?;
    listener.say(&format!(
        "{label}: goes on after the {steps} steps of {}",
        from.display()
    ));
    Ok(())
}

/// The folder beside this one whose run is the same and was left as late as possible before `until`, and where that was.
fn longest(folder: &Path, inputs: &Value, until: u64) -> Option<(u64, PathBuf)> {
    let method = folder.parent()?;
    let entries = fs::read_dir(method.parent()?).into_iter().flatten().flatten();
    let others = entries.map(|entry| entry.path()).filter(|path| path != method);
    let same = others.filter_map(|other| {
        let other = other.join(folder.file_name()?);
        let print = stage::complete(&other)?;
        let steps = read_result(&other).ok()?.steps;
        let mut of_other = inputs.clone();
        of_other[UNTIL] = steps.into();
        (steps < until && fingerprint(&of_other) == print).then_some((steps, other))
    });
    same.max()
}
