//! Names of files: those of a model directory, and those that come from outside.

use std::path::Path;

/// The file of a model directory that says what the model is.
pub const CONFIG_FILE: &str = "config.json";
/// The file of weights that are not in shards.
pub(crate) const WEIGHTS_FILE: &str = "model.safetensors";
/// The index of shards.
pub(crate) const INDEX_FILE: &str = "model.safetensors.index.json";
/// The weights of PyTorch.
pub(crate) const TORCH_FILE: &str = "pytorch_model.bin";
/// The index of shards of PyTorch.
pub(crate) const TORCH_INDEX_FILE: &str = "pytorch_model.bin.index.json";
/// The model card.
pub const CARD_FILE: &str = "README.md";
/// The manifest.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The file in which a grown model says what it was grown from.
pub const GROWTH_FILE: &str = "growth.json";

/// A name made safe to print: control characters escaped, at most 80 characters.
pub(crate) fn printable(name: &str) -> String {
    let mut text: String = name.chars().take(80).flat_map(char::escape_debug).collect();
    if name.chars().nth(80).is_some() {
        text.push('…');
    }
    text
}

/// Whether `name` is one plain file name that stays inside its folder on every system.
pub(crate) fn is_plain_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && name != "."
        && name != ".."
        && !name.chars().any(|c| c.is_control() || matches!(c, '/' | '\\' | ':'))
}

/// A file that a download has left half in this folder.
pub(crate) fn unfinished(folder: &Path) -> Option<String> {
    let names = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut found: Vec<String> = names
        .filter(|name| HALF.iter().any(|half| name.ends_with(half)))
        .collect();
    found.sort();
    found.into_iter().next().map(|name| printable(&name))
}

/// Endings of files that are being downloaded.
const HALF: [&str; 4] = [".incomplete", ".part", ".crdownload", ".aria2"];
