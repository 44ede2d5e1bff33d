//! Where a comparison came from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What someone needs to repeat a comparison, and to judge its times. Name and hash of the data are in
/// [`Corpus`](super::Corpus).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// The command line, ready to paste.
    pub command: String,
    /// The resolved recipe, as TOML.
    pub recipe: String,
    /// Hash of the recipe, in hex.
    pub recipe_hash: String,
    /// Versions of what computed: `ligo`, `burn`, `rustc`, and the source's commit where it is known.
    pub versions: BTreeMap<String, String>,
    /// What trained: `CPU (flex)`, `NVIDIA H100`.
    pub device: String,
    /// The numbers that matrix products were computed with: `f32`, `bf16`, or `f32 and bf16`.
    pub precision: String,
    /// The processor's name.
    pub cpu: String,
    /// Threads that computed.
    pub threads: Option<u32>,
    /// The machine's memory.
    pub memory_bytes: Option<u64>,
    /// Operating system and architecture.
    pub os: String,
    /// When the first run began, as RFC 3339.
    pub started: String,
    /// When the last run ended, as RFC 3339.
    pub ended: String,
}

impl Provenance {
    /// What computed, in a few words: the device and the processor, as far as they are known.
    pub fn computer(&self) -> String {
        let known = [&self.device, &self.cpu].into_iter().filter(|name| !name.is_empty());
        known.map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}
