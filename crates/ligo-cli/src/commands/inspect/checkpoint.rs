use std::io::Write;
use std::path::Path;

use ligo_checkpoint::plain;
use ligo_checkpoint::{JsonFile, TensorFile, read_json};
use serde_json::Value;

use super::{Error, field, leaves, list, manifest, summary};

const COUNTERS: &str = "state.json";
const TENSORS: &str = "state.safetensors";

/// Whether this is a directory that the trainer wrote.
pub fn is_checkpoint(path: &Path) -> bool {
    path.join(TENSORS).exists()
}

/// Prints a training checkpoint: how far the run was, with which settings, and the groups of tensors that it keeps.
pub fn inspect(path: &Path, tensors: bool, out: &mut dyn Write) -> Result<(), Error> {
    let file = TensorFile::open(path.join(TENSORS))?;
    field(out, "checkpoint", path.display())?;
    field(out, "tensors", summary(file.tensors().iter()))?;
    for (group, meaning) in [("weight", "weights"), ("m", "first moments"), ("v", "second moments")] {
        let prefix = format!("{group}/");
        let mut of_group = file
            .tensors()
            .iter()
            .filter(|tensor| tensor.name.starts_with(&prefix))
            .peekable();
        if of_group.peek().is_some() {
            field(out, "", format!("{meaning}: {}", summary(of_group)))?;
        }
    }
    let damage = manifest(path, |dir| ligo_checkpoint::verify(dir), out)?;
    let counters = path.join(COUNTERS);
    if counters.exists() {
        print_counters(&read_json(&counters, JsonFile::Record)?, out)?;
    }
    if tensors {
        list(file.tensors().iter().map(|tensor| (tensor.name.as_str(), tensor)), out)?;
    }
    damage.map_or(Ok(()), |damage| Err(damage.into()))
}

fn print_counters(counters: &Value, out: &mut dyn Write) -> Result<(), Error> {
    for (title, pointer) in [
        ("progress", "/progress"),
        ("objective", "/run/objective"),
        ("settings", "/run/config"),
    ] {
        match counters.pointer(pointer) {
            None => {}
            Some(Value::String(text)) => field(out, title, plain(text))?,
            Some(value) => {
                writeln!(out, "{title}")?;
                leaves(value, "", out)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ligo_checkpoint::{AtomicDir, state};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_checkpoint_shows_its_step_and_what_it_keeps() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("step-3");
        let dir = AtomicDir::begin(&path).unwrap();
        let tensor = |name: &str| (name.to_string(), vec![2, 3], vec![0.5_f32; 6].into());
        let tensors = [tensor("weight/a"), tensor("m/a"), tensor("v/a"), tensor("weight/b")];
        state::write(&dir, TENSORS, &json!({"format": 1}), tensors).unwrap();
        let counters = json!({"run": {"objective": "masked language model", "config": {"steps": 10}}, "progress": {"step": 3, "tokens": 6144}});
        dir.write(COUNTERS, counters.to_string().as_bytes()).unwrap();
        dir.commit().unwrap();

        let mut out = Vec::new();
        inspect(&path, true, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for part in [
            "step = 3",
            "tokens = 6144",
            "masked language model",
            "first moments: 1, 6 elements",
            "all hashes hold",
            "weight/b",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }

        let file = path.join(TENSORS);
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let mut out = Vec::new();
        let error = inspect(&path, false, &mut out).unwrap_err();
        assert!(
            matches!(error, Error::Checkpoint(ligo_checkpoint::Error::FileHash { .. })),
            "{error}"
        );
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("DAMAGED") && text.contains("step = 3"), "{text}");
    }
}
