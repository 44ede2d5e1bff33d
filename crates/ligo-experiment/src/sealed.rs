//! Notes in a run's folder that no stage vouches for, and that carry a hash of themselves: a plan, where results come from, how a run was
//! started. Damage to one is told, and the note counts for nothing; it never shows in a table.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Failure;
use crate::files::write_json;
use crate::identity::fingerprint;

/// The key of the hash.
const SEAL: &str = "sha256";

/// What there is of a note.
#[derive(Debug, PartialEq)]
pub enum Note<T> {
    /// It is as it was written, or of a version that did not seal.
    Whole(T),
    /// It is not.
    Damaged,
    /// There is none.
    Missing,
}

impl<T> Note<T> {
    /// The note, if it is whole.
    pub fn whole(self) -> Option<T> {
        match self {
            Self::Whole(note) => Some(note),
            Self::Damaged | Self::Missing => None,
        }
    }
}

/// Writes a note by one rename.
///
/// # Errors
/// The folder cannot be written.
pub fn write(path: &Path, note: &impl Serialize) -> Result<(), Failure> {
    let mut value = serde_json::to_value(note).map_err(Failure::fault)?;
    let seal = fingerprint(&value);
    if let Value::Object(fields) = &mut value {
        fields.insert(SEAL.into(), seal.into());
    }
    write_json(path, &value)
}

/// Reads a note.
pub fn read<T: DeserializeOwned>(path: &Path) -> Note<T> {
    let Ok(text) = std::fs::read(path) else {
        return match path.exists() {
            true => Note::Damaged,
            false => Note::Missing,
        };
    };
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(&text) else {
        return Note::Damaged;
    };
    let seal = fields.remove(SEAL);
    let value = Value::Object(fields);
    match serde_json::from_value(value.clone()) {
        Ok(note) if seal.is_none_or(|seal| seal == fingerprint(&value)) => Note::Whole(note),
        _ => Note::Damaged,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use serde_json::json;

    use super::*;

    #[test]
    fn no_bit_of_a_note_changes_unnoticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        assert_eq!(read::<Value>(&path), Note::Missing);
        let note = json!({"methods": [{"id": "scratch", "seconds": 12.34, "joules": null}], "rates": {"peak": 1e12}});
        write(&path, &note).unwrap();
        assert_eq!(read(&path), Note::Whole(note.clone()));
        let whole = fs::read(&path).unwrap();
        for place in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[place] ^= 1 << bit;
                fs::write(&path, bytes).unwrap();
                match read::<Value>(&path) {
                    Note::Damaged => {}
                    // Spaces between, and the name of the hash.
                    Note::Whole(found) => {
                        let mut found = found;
                        found.as_object_mut().unwrap().retain(|key, _| note.get(key).is_some());
                        assert_eq!(found, note, "bit {bit} of byte {place}");
                    }
                    Note::Missing => panic!("bit {bit} of byte {place}"),
                }
            }
        }
        fs::write(&path, &whole[..whole.len() - 2]).unwrap();
        assert_eq!(read::<Value>(&path), Note::Damaged);
        fs::write(&path, note.to_string()).unwrap();
        assert_eq!(read(&path), Note::Whole(note), "a note of an earlier version");
    }
}
