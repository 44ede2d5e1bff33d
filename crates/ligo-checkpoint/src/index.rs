//! The index of a sharded model: `model.safetensors.index.json`, and `pytorch_model.bin.index.json` of older ones.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde_json::{Value, json};

use crate::names::{is_plain_file_name, printable, unfinished};
use crate::strict::{JsonFile, Pairs, read_json_bytes};
use crate::{Error, TensorFile};

#[derive(serde::Deserialize)]
struct RawIndex {
    weight_map: Pairs<String>,
}

/// Opens all shards that an index names.
///
/// What counts is what the shards hold, as for `transformers`: published indexes name buffers that nobody stored, and lack tensors that are there.
pub(crate) fn open_shards(index: &Path) -> Result<Vec<TensorFile>, Error> {
    let raw: RawIndex =
        serde_json::from_slice(&read_json_bytes(index, JsonFile::Index)?).map_err(|error| Error::json(index, error))?;
    let folder = index.parent().unwrap_or(Path::new(""));
    let at = || index.to_path_buf();
    let mut seen = HashSet::new();
    let mut placed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (tensor, shard) in &raw.weight_map.0 {
        if !seen.insert(tensor) {
            return Err(Error::DuplicateTensor {
                file: at(),
                tensor: printable(tensor),
            });
        }
        if !is_plain_file_name(shard) {
            return Err(Error::ShardOutside {
                index: at(),
                tensor: printable(tensor),
                shard: printable(shard),
            });
        }
        placed.entry(shard).or_default().push(tensor);
    }
    let mut shards = Vec::with_capacity(placed.len());
    for (shard, tensors) in placed {
        let path = folder.join(shard);
        if !path.exists() {
            let tensor = tensors.first().map_or_else(String::new, |name| printable(name));
            return Err(Error::ShardMissing {
                index: at(),
                tensor,
                shard: shard.to_string(),
                unfinished: unfinished(folder),
            });
        }
        shards.push(TensorFile::open(&path)?);
    }
    Ok(shards)
}

/// The text of an index.
pub(crate) fn index_json<'a>(total_bytes: u64, placed: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let weight_map: Value = placed
        .map(|(tensor, shard)| (tensor.to_string(), json!(shard)))
        .collect();
    format!(
        "{:#}\n",
        json!({"metadata": {"total_size": total_bytes}, "weight_map": weight_map})
    )
}
