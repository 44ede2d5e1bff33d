//! What is in the cache already, without asking anyone.
//!
//! The layout is that of Python's `huggingface_hub`: `KIND--OWNER--NAME/refs/REVISION` holds a commit, and
//! `KIND--OWNER--NAME/snapshots/COMMIT/PATH` is the file.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::{Error, HubAddress, HubRepo};

const MODELS: &str = "models--";
const SNAPSHOTS: &str = "snapshots";

/// The cache's folder as the environment says it: `HF_HUB_CACHE`, else `hub` in `HF_HOME`, else in `~/.cache/huggingface`.
pub(crate) fn folder(variable: impl Fn(&str) -> Option<String>) -> PathBuf {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME").or_else(|| set("USERPROFILE"))?.join(".cache")));
    let shared = || set("HF_HOME").or_else(|| Some(home()?.join("huggingface")));
    set("HF_HUB_CACHE")
        .or_else(|| set("HUGGINGFACE_HUB_CACHE"))
        .or_else(|| Some(shared()?.join("hub")))
        .unwrap_or_else(|| PathBuf::from(".cache/huggingface/hub"))
}

/// The cached files below an address, each with its path in the repository, sorted; empty when there are none. Links that lead nowhere are among
/// them, see [`check_there`].
pub(crate) fn files(cache: &Path, address: &HubAddress) -> Vec<(String, PathBuf)> {
    let kind = match address.repo {
        HubRepo::Model => "models",
        HubRepo::Dataset => "datasets",
    };
    let folder = cache.join(format!("{kind}--{}--{}", address.owner, address.name));
    // A revision that is no known branch or tag is a commit itself.
    let commit = fs::read_to_string(folder.join("refs").join(&address.revision));
    let commit = commit.map_or_else(|_| address.revision.clone(), |text| text.trim().to_owned());
    let mut found = Vec::new();
    walk(&folder.join(SNAPSHOTS).join(commit), "", &mut found);
    found.retain(|(name, _)| address.matches(name));
    found.sort();
    found
}

/// Refuses a cached file that is a link without a target.
pub(crate) fn check_there(address: &HubAddress, file: &Path) -> Result<(), Error> {
    match fs::read_link(file) {
        Ok(target) if !file.exists() => Err(Error::BrokenLink {
            address: address.to_string(),
            link: file.to_path_buf(),
            target,
        }),
        _ => Ok(()),
    }
}

/// Every file below a folder with its path from there. What cannot be listed is not there.
fn walk(folder: &Path, prefix: &str, found: &mut Vec<(String, PathBuf)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let Some(name) = name.to_str() else { continue };
        let relative = if prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{prefix}/{name}")
        };
        if path.is_dir() {
            walk(&path, &relative, found);
        } else if path.is_file() || path.is_symlink() {
            found.push((relative, path));
        }
    }
}

/// The name `OWNER/NAME` and the commit of the model whose snapshot a folder is, as far as its path tells it.
///
/// ```
/// let path = "cache/models--Qwen--Qwen3-0.6B/snapshots/c1899de289a04d12100db370d81485cdf75e47ca";
/// let (name, commit) = ligo_hub::model_of(path.as_ref()).unwrap();
/// assert_eq!((name.as_str(), &commit[..7]), ("Qwen/Qwen3-0.6B", "c1899de"));
/// assert_eq!(ligo_hub::model_of("models/qwen".as_ref()), None);
/// ```
pub fn model_of(folder: &Path) -> Option<(String, String)> {
    let parts: Vec<&str> = folder
        .components()
        .filter_map(|part| match part {
            Component::Normal(part) => part.to_str(),
            _ => None,
        })
        .collect();
    let named = parts.windows(3).find_map(|three| match three {
        [name, SNAPSHOTS, commit] => Some((name.strip_prefix(MODELS)?, *commit)),
        _ => None,
    });
    let (name, commit) = named?;
    let (owner, name) = name.split_once("--")?;
    Some((format!("{owner}/{name}"), commit.to_owned()))
}

/// The snapshot in a model's folder of the cache (`models--OWNER--NAME`): that of `main`, else the only one. `None` for any other folder.
pub fn snapshot_in(folder: &Path) -> Option<PathBuf> {
    let is_model = folder
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(MODELS));
    let snapshots = folder.join(SNAPSHOTS);
    if !is_model || folder.join("config.json").exists() || !snapshots.is_dir() {
        return None;
    }
    let main = fs::read_to_string(folder.join("refs/main"))
        .ok()
        .map(|commit| snapshots.join(commit.trim()))
        .filter(|snapshot| snapshot.is_dir());
    main.or_else(|| {
        let mut all = fs::read_dir(&snapshots).ok()?.flatten().map(|entry| entry.path());
        let only = all.next()?;
        all.next().is_none().then_some(only)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_cache_is_where_pythons_library_has_it() {
        let with = |set: &'static [(&str, &str)]| {
            folder(|name| {
                set.iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| (*value).into())
            })
        };
        assert_eq!(with(&[]), Path::new(".cache/huggingface/hub"));
        assert_eq!(
            with(&[("HOME", "/somewhere/me")]),
            Path::new("/somewhere/me/.cache/huggingface/hub")
        );
        assert_eq!(
            with(&[("HF_HOME", "/data/hf"), ("HOME", "/somewhere/me")]),
            Path::new("/data/hf/hub")
        );
        assert_eq!(
            with(&[("HF_HUB_CACHE", "/data/hub"), ("HF_HOME", "/data/hf")]),
            Path::new("/data/hub")
        );
    }

    #[test]
    fn the_root_of_a_cached_model_stands_for_its_snapshot() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("models--o--m");
        let [one, two] = ["aaa", "bbb"].map(|commit| root.join(SNAPSHOTS).join(commit));
        fs::create_dir_all(&one).unwrap();
        assert_eq!(snapshot_in(&root), Some(one.clone()));
        fs::create_dir_all(&two).unwrap();
        // Which of the two is not known.
        assert_eq!(snapshot_in(&root), None);
        fs::create_dir_all(root.join("refs")).unwrap();
        fs::write(root.join("refs/main"), "bbb\n").unwrap();
        assert_eq!(snapshot_in(&root), Some(two.clone()));
        assert_eq!(snapshot_in(&two), None);
        assert_eq!(model_of(&two), Some(("o/m".into(), "bbb".into())));
        assert_eq!(model_of(&root), None);
        assert_eq!(snapshot_in(temporary.path()), None);
    }
}
