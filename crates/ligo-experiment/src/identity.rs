//! What an input is, whatever it is called and whenever it was written: the hash of its content.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use ligo_checkpoint::{Manifest, TOKENIZER_FILES};
use ligo_pretrained::Source;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::Failure;

const BLOCK: usize = 1 << 18;

/// The SHA-256 of a file's content, in hexadecimal.
///
/// # Errors
/// The file cannot be read.
pub fn of_file(path: &Path) -> Result<String, Failure> {
    digest(path).map_err(Failure::io("read", path))
}

fn digest(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; BLOCK];
    loop {
        match file.read(&mut block)? {
            0 => break,
            count => hasher.update(&block[..count]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The hashes of several files, in their order. Large sets are read by several threads.
///
/// # Errors
/// As [`of_file`].
pub fn of_files(paths: &[PathBuf]) -> Result<Vec<String>, Failure> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = paths.get(i) else { return done };
            done.push((i, digest(path)));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut all = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(paths.len())).map(|_| scope.spawn(work)).collect();
        let mut all = work();
        for other in others {
            match other.join() {
                Ok(done) => all.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_unstable_by_key(|(i, _)| *i);
    let hashes = all.into_iter().zip(paths);
    hashes
        .map(|((_, hash), path)| hash.map_err(Failure::io("read", path)))
        .collect()
}

/// A hash of all that decides something: of the inputs of a stage, of settings.
pub fn fingerprint(inputs: &Value) -> String {
    let hash = Sha256::digest(inputs.to_string().as_bytes());
    hash.iter().map(|b| format!("{b:02x}")).collect()
}

/// What decides what an opened model computes: its configuration and its weights. Where a manifest vouches for the weights, which opening
/// has checked, they are not read once more.
///
/// # Errors
/// A file cannot be read.
pub fn of_model(source: &Source) -> Result<Value, Failure> {
    let manifest = Manifest::read(source.dir.path()).ok();
    let known = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        let inside = path.parent() == Some(source.dir.path());
        let entry = manifest.as_ref().filter(|_| inside)?.files().get(name)?;
        Some(entry.sha256.clone())
    };
    let mut weights = Vec::new();
    for file in source.dir.files() {
        weights.push(match known(file.path()) {
            Some(hash) => hash,
            None => of_file(file.path())?,
        });
    }
    Ok(json!({"config": source.config.to_json(), "weights": weights}))
}

/// The files of a tokenizer: a folder, or one of its files, beside which the others lie.
///
/// # Errors
/// A file cannot be read.
pub fn of_tokenizer(path: &Path) -> Result<Value, Failure> {
    let (folder, named) = match path.is_dir() {
        true => (path, None),
        false => (path.parent().unwrap_or(Path::new("")), Some(path.to_path_buf())),
    };
    let beside = TOKENIZER_FILES.iter().map(|name| folder.join(name));
    let files: Vec<PathBuf> = named.into_iter().chain(beside).filter(|file| file.is_file()).collect();
    let hashes = of_files(&files)?;
    let names = files
        .iter()
        .map(|file| file.file_name().unwrap_or_default().to_string_lossy());
    Ok(names.zip(hashes).map(|(name, hash)| json!([name, hash])).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use ligo_arch::{BertConfig, ModelConfig};
    use ligo_checkpoint::{WriteOptions, write_model};

    use super::*;
    use ligo_pretrained::open_model;

    fn model(folder: &Path, seed: u64) -> Value {
        let config = ModelConfig::Bert(BertConfig::new(11, 8, 1, 2));
        let table = config.table();
        let tensors = ligo_growth::init::initial_values(&table, 0.02, seed);
        let tensors = tensors.map(|(name, shape, values)| (name, shape, values.into()));
        write_model(folder, &config.to_json(), tensors, &WriteOptions::default()).unwrap();
        of_model(&open_model(folder).unwrap()).unwrap()
    }

    #[test]
    fn a_model_is_its_content_wherever_it_lies_and_with_or_without_a_manifest() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (folder.path().join("here"), folder.path().join("there"));
        let first = model(&here, 1);
        assert_eq!(model(&there, 1), first);
        fs::write(there.join("README.md"), "mine").unwrap();
        fs::remove_file(there.join("manifest.json")).unwrap();
        assert_eq!(of_model(&open_model(&there).unwrap()).unwrap(), first);
        assert_ne!(model(&here, 2), first, "the same path with other weights");
    }

    #[cfg(unix)]
    #[test]
    fn links_and_times_decide_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (first, second) = (model(&path("a"), 1), model(&path("b"), 2));
        fs::create_dir(path("linked")).unwrap();
        let link = |from: &str| {
            for name in ["config.json", "model.safetensors"] {
                let target = path("linked").join(name);
                let _ = fs::remove_file(&target);
                std::os::unix::fs::symlink(path(from).join(name), target).unwrap();
            }
            of_model(&open_model(&path("linked")).unwrap()).unwrap()
        };
        assert_eq!(link("a"), first);
        assert_eq!(link("b"), second);
    }

    #[test]
    fn files_are_hashed_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<PathBuf> = (0..40).map(|i| folder.path().join(format!("{i}.txt"))).collect();
        for (i, file) in files.iter().enumerate() {
            fs::write(file, vec![b'x'; i]).unwrap();
        }
        let alone: Vec<String> = files.iter().map(|file| of_file(file).unwrap()).collect();
        assert_eq!(of_files(&files).unwrap(), alone);
        let missing = folder.path().join("missing");
        assert!(of_files(&[missing]).unwrap_err().to_string().contains("missing"));
    }
}
