//! Text and tokenizers from the Hugging Face hub.
//!
//! Anything here takes `hf://` addresses and ordinary paths alike. Downloads go through the cache that Python's `huggingface_hub` uses
//! too (`HF_HUB_CACHE`, `HF_HOME`); `HF_TOKEN` opens private and gated repositories, `HF_ENDPOINT` names another server, and with `HF_HUB_OFFLINE=1` only
//! the cache is read. Without the feature `hub` an address is an [`crate::Error::NoHub`].

mod address;
#[cfg(feature = "hub")]
mod cache;
#[cfg(feature = "hub")]
mod client;

use std::path::{Path, PathBuf};

pub use address::{HubAddress, HubRepo};
#[cfg(feature = "hub")]
pub use client::{Hub, HubSettings};

#[cfg(not(feature = "hub"))]
use crate::Error;
use crate::{CorpusFile, Result, Watch};

/// Puts local files in the place of addresses: every file below an address that a [`crate::Corpus`] can read is downloaded unless it is in the
/// cache. Other paths stay as they are.
///
/// # Errors
/// [`crate::Error::BadHubAddress`], [`crate::Error::HubNotFound`], [`crate::Error::HubDenied`], [`crate::Error::HubNotCached`], [`crate::Error::HubFailed`], [`crate::Error::NoHub`],
/// [`crate::Error::Interrupted`].
pub fn local_texts<P: AsRef<Path>>(paths: &[P], watch: Watch<'_>) -> Result<Vec<PathBuf>> {
    let mut local = Vec::new();
    for path in paths {
        match HubAddress::parse_path(path.as_ref())? {
            Some(address) => {
                let named = |file: &str| file == address.path && CorpusFile::kind(Path::new(file)).is_some();
                local.extend(fetch(&address, &|file| is_text(file) || named(file), watch)?);
            }
            None => local.push(path.as_ref().to_path_buf()),
        }
    }
    Ok(local)
}

/// The local folder with the tokenizer's files at an address (downloaded unless cached), to be given to [`crate::Tokenizer::open`];
/// another path stays as it is.
///
/// # Errors
/// As [`local_texts`].
pub fn local_tokenizer(path: &Path, watch: Watch<'_>) -> Result<PathBuf> {
    let Some(address) = HubAddress::parse_path(path)? else {
        return Ok(path.to_path_buf());
    };
    fetch_tokenizer(&address, watch)
}

fn is_text(file: &str) -> bool {
    let path = Path::new(file);
    // A plain `.json` is a description more often than data, as in folders on the disk.
    CorpusFile::kind(path).is_some() && !file.ends_with(".json") && !file.split('/').any(|part| part.starts_with('.'))
}

#[cfg(feature = "hub")]
fn fetch(address: &HubAddress, keep: &dyn Fn(&str) -> bool, watch: Watch<'_>) -> Result<Vec<PathBuf>> {
    Hub::from_environment()?.fetch(address, keep, watch)
}

#[cfg(feature = "hub")]
fn fetch_tokenizer(address: &HubAddress, watch: Watch<'_>) -> Result<PathBuf> {
    Hub::from_environment()?.fetch_tokenizer(address, watch)
}

#[cfg(not(feature = "hub"))]
fn fetch(address: &HubAddress, _: &dyn Fn(&str) -> bool, _: Watch<'_>) -> Result<Vec<PathBuf>> {
    Err(Error::NoHub {
        address: address.to_string(),
    })
}

#[cfg(not(feature = "hub"))]
fn fetch_tokenizer(address: &HubAddress, _: Watch<'_>) -> Result<PathBuf> {
    Err(Error::NoHub {
        address: address.to_string(),
    })
}
