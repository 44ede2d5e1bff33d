//! What is looked at in a `tokenizer.json` before `tokenizers` gets it.

use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::{Error, Result};

/// Every id below the largest one takes memory, here and in a model's embedding, whether a token has it or not. The largest published vocabularies
/// have a million tokens.
const MAX_VOCAB: u64 = 1 << 22;

#[derive(Deserialize)]
struct Description {
    model: Option<Model>,
    added_tokens: Option<Vec<Added>>,
}

#[derive(Deserialize)]
struct Model {
    vocab: Option<Highest>,
}

#[derive(Deserialize)]
struct Added {
    id: Option<u64>,
}

/// The largest id of a vocabulary: an object of tokens with ids, or a list in the order of the ids.
struct Highest(Option<u64>);

impl<'de> Deserialize<'de> for Highest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Ids;
        impl<'de> Visitor<'de> for Ids {
            type Value = Highest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tokens with their ids, or a list of tokens")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Highest, A::Error> {
                let mut highest = None;
                while let Some((_, id)) = map.next_entry::<IgnoredAny, u64>()? {
                    highest = highest.max(Some(id));
                }
                Ok(Highest(highest))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Highest, A::Error> {
                let mut count = 0_u64;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Highest(count.checked_sub(1)))
            }
        }
        deserializer.deserialize_any(Ids)
    }
}

/// Refuses ids that no vocabulary has.
///
/// # Errors
/// [`Error::BadTokenizer`].
pub(super) fn check(path: &Path, json: &[u8]) -> Result<()> {
    let bad = |reason: String| Error::BadTokenizer {
        path: path.to_path_buf(),
        reason,
    };
    let description: Description = serde_json::from_slice(json).map_err(|error| bad(error.to_string()))?;
    let vocab = description.model.and_then(|model| model.vocab);
    let added = description
        .added_tokens
        .unwrap_or_default()
        .into_iter()
        .filter_map(|token| token.id);
    let highest = vocab.and_then(|vocab| vocab.0).into_iter().chain(added).max();
    match highest {
        Some(id) if id >= MAX_VOCAB => Err(bad(format!("expected ids below {MAX_VOCAB}, found {id}"))),
        _ => Ok(()),
    }
}
