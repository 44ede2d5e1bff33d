//! Descriptions of stores that hold a hash of themselves, which makes a changed digit anywhere show.

use serde::Serialize;

use crate::hash::{BlockHashes, sha256_hex};

/// What a description says of itself and of what it describes.
pub(crate) struct Promised<'a> {
    pub(crate) format_version: u32,
    /// The format without hashes of blocks and of the description itself, and the one with them.
    pub(crate) formats: [u32; 2],
    /// Bytes of what it describes.
    pub(crate) bytes: u64,
    pub(crate) blocks: Option<&'a BlockHashes>,
    pub(crate) seal: Option<&'a str>,
}

/// A description, which is written as JSON.
pub(crate) trait Sealed: Serialize + Clone {
    fn promised(&self) -> Promised<'_>;

    /// Where the hash of itself stands.
    fn seal_mut(&mut self) -> &mut Option<String>;

    /// With the hash of itself.
    fn sealed(mut self) -> Self {
        *self.seal_mut() = Some(self.own_hash());
        self
    }

    /// The hash of it without one.
    fn own_hash(&self) -> String {
        let mut bare = self.clone();
        *bare.seal_mut() = None;
        // Numbers and strings always become JSON.
        sha256_hex(&serde_json::to_vec(&bare).unwrap_or_default())
    }

    /// Why its hashes cannot be those that were written.
    fn damage_of_hashes(&self) -> Option<String> {
        let Promised {
            format_version,
            formats: [before, now],
            bytes,
            blocks,
            seal,
        } = self.promised();
        if ![before, now].contains(&format_version) {
            return Some(format!("expected format version {now}, found {format_version}"));
        }
        match (blocks, seal) {
            (None, None) if format_version == before => None,
            (Some(_), Some(seal)) if format_version == now && seal != self.own_hash() => {
                Some("it is damaged: it does not have the SHA-256 that stands in it".to_owned())
            }
            (Some(blocks), Some(_)) if format_version == now => {
                (!blocks.cover(bytes)).then(|| format!("its hashes of blocks are not those of {bytes} bytes"))
            }
            _ => Some("its hashes are not those of its format version".to_owned()),
        }
    }
}
