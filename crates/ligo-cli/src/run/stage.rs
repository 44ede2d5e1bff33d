//! Stages: work that is skipped when it is complete for the same inputs.

use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{Failure, Ui};

/// Marks a folder whose stage is complete.
pub const STAGE_JSON: &str = "stage.json";

#[derive(Serialize, Deserialize)]
struct Complete {
    fingerprint: String,
    inputs: Value,
}

/// A hash of everything that decides a stage's output.
pub fn fingerprint(inputs: &Value) -> String {
    let hash = Sha256::digest(inputs.to_string().as_bytes());
    hash.iter().map(|b| format!("{b:02x}")).collect()
}

/// Runs `work` unless the folder says that it is complete for these inputs; returns the fingerprint.
///
/// # Errors
/// Those of `work`, or the folder cannot be written.
pub fn stage(
    ui: Ui,
    name: &str,
    folder: &Path,
    inputs: &Value,
    work: impl FnOnce() -> Result<(), Failure>,
) -> Result<String, Failure> {
    let fingerprint = fingerprint(inputs);
    if is_complete(folder, &fingerprint) {
        ui.say(format!("{name}: complete, skipped"));
        return Ok(fingerprint);
    }
    work()?;
    std::fs::create_dir_all(folder).map_err(Failure::io("create", folder))?;
    let complete = Complete {
        fingerprint: fingerprint.clone(),
        inputs: inputs.clone(),
    };
    write_json(&folder.join(STAGE_JSON), &complete)?;
    Ok(fingerprint)
}

/// The fingerprint of a stage that is complete for these inputs; nothing is done.
///
/// # Errors
/// It is not.
pub fn found(name: &str, folder: &Path, inputs: &Value) -> Result<String, Failure> {
    let fingerprint = fingerprint(inputs);
    if is_complete(folder, &fingerprint) {
        return Ok(fingerprint);
    }
    Err(Failure::other(
        format!("{name}: not complete for these settings in {}", folder.display()),
        "it has to be run",
    ))
}

fn is_complete(folder: &Path, fingerprint: &str) -> bool {
    complete(folder).is_some_and(|found| found == fingerprint)
}

/// The fingerprint of what a folder holds, if that is complete.
pub fn complete(folder: &Path) -> Option<String> {
    let text = std::fs::read(folder.join(STAGE_JSON)).ok()?;
    let complete: Complete = serde_json::from_slice(&text).ok()?;
    Some(complete.fingerprint)
}

/// When a folder's stage became complete.
pub fn written(folder: &Path) -> Option<SystemTime> {
    std::fs::metadata(folder.join(STAGE_JSON)).ok()?.modified().ok()
}

/// Writes a small file of JSON by one rename.
///
/// # Errors
/// The folder cannot be written.
pub fn write_json(path: &Path, content: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(content)
        .map_err(|e| Failure::other(e.to_string(), "this is a fault of ligo; please report it"))?;
    write_whole(path, text.as_bytes())
}

/// Writes a small file by one rename.
///
/// # Errors
/// The folder cannot be written.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), Failure> {
    use std::io::Write;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(Failure::io("create a file in", folder))?;
    file.write_all(content).map_err(Failure::io("write", path))?;
    file.as_file().sync_all().map_err(Failure::io("write", path))?;
    file.persist(path).map_err(|e| Failure::io("write", path)(e.error))?;
    Ok(())
}
