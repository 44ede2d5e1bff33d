//! JSON objects whose duplicate keys are kept, so that they can be refused, and whose size is limited.

use std::fmt;
use std::io::Read;
use std::marker::PhantomData;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use crate::Error;
use crate::disguise::recognize;

/// The most entries of one object.
///
/// It bounds memory: an entry costs more in memory than in JSON. The largest published indexes have about 100,000.
pub(crate) const MAX_ENTRIES: usize = 400_000;

/// Kinds of JSON files, each with a largest size: a value takes many times its bytes in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonFile {
    /// A `config.json`. The longest published ones name some ten thousand classes.
    Config,
    /// The index of a sharded model.
    Index,
    /// A manifest of hashes.
    Manifest,
    /// What `ligo` writes down about an operator or a checkpoint.
    Record,
}

impl JsonFile {
    /// The most bytes that are read.
    pub fn most(self) -> u64 {
        match self {
            Self::Config => 4 << 20,
            Self::Index => 64 << 20,
            Self::Manifest | Self::Record => 16 << 20,
        }
    }
}

/// Reads a JSON file: a regular file of plausible size.
///
/// # Errors
///
/// [`Error::NotAFile`] for folders, devices and pipes; [`Error::FileTooLong`]; [`Error::Disguised`]; [`Error::Json`].
pub fn read_json(path: impl AsRef<Path>, kind: JsonFile) -> Result<serde_json::Value, Error> {
    let path = path.as_ref();
    serde_json::from_slice(&read_json_bytes(path, kind)?).map_err(|error| Error::json(path, error))
}

/// A JSON object as pairs in file order.
pub(crate) struct Pairs<V>(pub Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for PairsVisitor<V> {
            type Value = Pairs<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    if pairs.len() == MAX_ENTRIES {
                        return Err(A::Error::custom(format!("more than {MAX_ENTRIES} entries")));
                    }
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(PairsVisitor(PhantomData))
    }
}

/// The content of a JSON file of plausible size.
pub(crate) fn read_json_bytes(path: &Path, kind: JsonFile) -> Result<Vec<u8>, Error> {
    let most = kind.most();
    let too_long = |found| Error::FileTooLong {
        path: path.to_path_buf(),
        found,
        most,
    };
    let metadata = require_file(path)?;
    if metadata.len() > most {
        return Err(too_long(metadata.len()));
    }
    let file = std::fs::File::open(path).map_err(Error::io("open", path))?;
    // Some files tell no length, and some grow.
    let mut content = Vec::with_capacity(metadata.len() as usize);
    let read = file.take(most + 1).read_to_end(&mut content);
    read.map_err(Error::io("read", path))?;
    if content.len() as u64 > most {
        return Err(too_long(content.len() as u64));
    }
    recognize(path, &content).map_or(Ok(content), Err)
}

/// Refuses what is no regular file, before it is opened: a named pipe would wait for a writer.
pub(crate) fn require_file(path: &Path) -> Result<std::fs::Metadata, Error> {
    let metadata = std::fs::metadata(path).map_err(Error::io("open", path))?;
    if metadata.is_file() {
        return Ok(metadata);
    }
    Err(Error::NotAFile {
        path: path.to_path_buf(),
    })
}
