//! Addresses on the Hugging Face hub, wherever a path may stand: what is meant is on this machine afterwards.

use std::path::{Path, PathBuf};

use ligo_checkpoint::plain;
use ligo_data::{CorpusFile, TOKENIZER_FILES};
use ligo_hub::{Hub, HubAddress};

pub use ligo_hub::is_address;

use crate::recipe::Recipe;
use crate::{Counted, Failure, Listener, stop};

/// The folder of a model: of `hf://OWNER/NAME` the downloaded one, of a model's folder in the hub's cache its snapshot. Any other path stays as it is.
///
/// # Errors
/// The address is none, or the model cannot be fetched.
pub fn model(path: &Path, listener: &dyn Listener) -> Result<PathBuf, Failure> {
    let Some(address) = HubAddress::parse_path(path)? else {
        if let Some(address) = meant(path).filter(|_| !path.exists()) {
            return Err(Failure::other(
                format!("there is no folder {}", path.display()),
                format!("a model of the hub is named {address}"),
            ));
        }
        return Ok(ligo_hub::snapshot_in(path).unwrap_or_else(|| path.to_path_buf()));
    };
    let found = followed("fetching the model", listener, |progress| {
        Hub::from_environment().model(&address, progress)
    })?;
    Ok(told(found, &address, listener))
}

/// Puts the finished small model of a recipe, where it names one of the hub, onto this machine.
///
/// # Errors
/// As [`model`].
pub fn small_of(recipe: &mut Recipe, listener: &dyn Listener) -> Result<(), Failure> {
    if let Some(path) = &mut recipe.small.path {
        *path = model(path, listener)?;
    }
    Ok(())
}

/// The address that a bare name or a page of the hub most likely stands for.
fn meant(path: &Path) -> Option<HubAddress> {
    let text = path.to_str()?.trim_end_matches('/');
    let of_page = text.strip_prefix("https://huggingface.co/");
    let address = HubAddress::parse(&format!("hf://{}", of_page.unwrap_or(text))).ok()??;
    // Folders in folders are somebody's own.
    (of_page.is_some() || address.path.is_empty()).then_some(address)
}

/// A `config.json`: of `hf://OWNER/NAME` the model's. Any other path stays as it is.
///
/// # Errors
/// As [`model`].
pub fn config(path: &Path, listener: &dyn Listener) -> Result<PathBuf, Failure> {
    const CONFIG: &str = "config.json";
    let Some(mut address) = HubAddress::parse_path(path)? else {
        return Ok(path.to_path_buf());
    };
    if let Some(folder) = address.path.strip_suffix(CONFIG) {
        address.path = folder.trim_end_matches('/').to_owned();
    }
    let found = followed("fetching config.json", listener, |progress| {
        Hub::from_environment().named(&address, CONFIG, &[CONFIG], progress)
    })?;
    Ok(told(found, &address, listener).join(CONFIG))
}

/// The folder with the files of a tokenizer; a path that is no address stays as it is.
///
/// # Errors
/// As [`model`].
pub fn tokenizer(path: &Path, listener: &dyn Listener) -> Result<PathBuf, Failure> {
    let Some(address) = HubAddress::parse_path(path)? else {
        return Ok(ligo_hub::snapshot_in(path).unwrap_or_else(|| path.to_path_buf()));
    };
    // Which model's it is tells whose tokenizer it is.
    let names = [&TOKENIZER_FILES[..], &["config.json"]].concat();
    let found = followed("fetching the tokenizer", listener, |progress| {
        Hub::from_environment().named(&address, "tokenizer", &names, progress)
    })?;
    Ok(told(found, &address, listener))
}

/// Local files in the place of addresses: every one below an address that a corpus can read. Other paths stay as they are.
///
/// # Errors
/// As [`model`].
pub fn texts<P: AsRef<Path>>(paths: &[P], listener: &dyn Listener) -> Result<Vec<PathBuf>, Failure> {
    let mut local = Vec::new();
    for path in paths {
        let path = path.as_ref();
        let Some(address) = HubAddress::parse_path(path)? else {
            local.push(path.to_path_buf());
            continue;
        };
        let choose = |names: &[String]| {
            let wanted = |name: &&String| is_text(name) || (**name == address.path && is_readable(name));
            names.iter().filter(wanted).cloned().collect()
        };
        let fetched = followed("fetching text", listener, |progress| {
            Hub::from_environment().fetch(&address, "text that can be read", &choose, progress)
        })?;
        local.extend(told((fetched.files, fetched.not_asked), &address, listener));
    }
    Ok(local)
}

/// `OWNER/NAME` of the model in this folder, where it is known on the hub by one.
pub fn name_of(folder: &Path) -> Option<String> {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    ligo_hub::model_of(&folder).map(|(name, _)| name)
}

fn is_readable(name: &str) -> bool {
    CorpusFile::kind(Path::new(name)).is_some()
}

fn is_text(name: &str) -> bool {
    // A plain `.json` is a description more often than data, as in folders on the disk.
    is_readable(name) && !name.ends_with(".json") && !name.split('/').any(|part| part.starts_with('.'))
}

/// Runs what reports bytes with a bar.
pub fn followed<T>(
    label: &str,
    listener: &dyn Listener,
    work: impl FnOnce(ligo_hub::Progress<'_>) -> Result<T, ligo_hub::Error>,
) -> Result<T, Failure> {
    let bar = listener.progress(label, Counted::Bytes);
    Ok(work(&mut |done, total| {
        bar.at(done, total);
        !stop::requested()
    })?)
}

/// Says where something comes from that may not be the newest.
fn told<T>((found, not_asked): (T, Option<String>), address: &HubAddress, listener: &dyn Listener) -> T {
    if let Some(reason) = not_asked {
        listener.say(&format!("{address}: taken from the cache: {}", plain(&reason)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_and_hidden_files_are_no_text_unless_they_are_asked_for() {
        assert!(is_text("en/a.txt") && is_text("a.jsonl.zst") && is_text("x.parquet"));
        assert!(!is_text("dataset_infos.json") && !is_text(".cache/a.txt") && !is_text("README.md"));
        assert!(is_readable("en/c4.json"));
    }

    #[test]
    fn other_paths_stay_as_they_are() {
        let listener: &dyn Listener = &crate::Silent;
        let path = Path::new("/some/model");
        for found in [model(path, listener), config(path, listener), tokenizer(path, listener)] {
            assert_eq!(found.ok().as_deref(), Some(path));
        }
        assert_eq!(texts(&[path], listener).ok(), Some(vec![path.to_path_buf()]));
        for (wrong, meant) in [
            ("o/m", Some("hf://o/m")),
            ("https://huggingface.co/o/m", Some("hf://o/m")),
            ("./o/m", None),
            ("models/of/mine", None),
        ] {
            let found = super::meant(Path::new(wrong)).map(|address| address.to_string());
            assert_eq!(found.as_deref(), meant, "{wrong}");
        }
        for wrong in ["hf://o", "hf://spaces/o/m"] {
            let fault = model(Path::new(wrong), listener);
            assert!(matches!(&fault, Err(Failure::Hub(_))), "{fault:?}");
        }
        assert_eq!(
            name_of(Path::new("/c/models--o--m/snapshots/abc")).as_deref(),
            Some("o/m")
        );
        assert_eq!(name_of(path), None);
    }
}
