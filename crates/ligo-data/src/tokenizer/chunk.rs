//! Encoding running text piece by piece, each piece once.
//!
//! BERT's normaliser works character by character (its only reordering, of combining marks, stops at a space) and its pre-tokenizer splits
//! at white space first. So the pieces between spaces can be encoded one at a time with the same ids as the whole text, and since word
//! frequencies follow Zipf's law a memory of pieces answers most of them. `tests/tokenizer.rs` compares with the plain way.

use std::collections::HashMap;

/// Longer pieces are rare and not worth remembering.
const MAX_PIECE_BYTES: usize = 48;
/// A full memory takes no new pieces: frequent ones come early.
const MAX_PIECES: usize = 400_000;

/// The pieces of a text between ASCII white space.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\n', '\t', '\r']).filter(|piece| !piece.is_empty())
}

/// Ids of pieces seen before.
#[derive(Default)]
pub(super) struct Memory {
    places: HashMap<Box<str>, (u32, u32)>,
    ids: Vec<u32>,
}

impl Memory {
    /// Appends the ids of `text` to `out`; `encode` is asked about pieces that are new.
    pub(super) fn encode<E>(
        &mut self,
        text: &str,
        out: &mut Vec<u32>,
        mut encode: impl FnMut(&str, &mut Vec<u32>) -> Result<(), E>,
    ) -> Result<(), E> {
        for piece in pieces(text) {
            if let Some(&(start, end)) = self.places.get(piece) {
                out.extend_from_slice(&self.ids[start as usize..end as usize]);
                continue;
            }
            let before = out.len();
            encode(piece, out)?;
            if piece.len() <= MAX_PIECE_BYTES && self.places.len() < MAX_PIECES {
                let start = self.ids.len() as u32;
                self.ids.extend_from_slice(&out[before..]);
                self.places.insert(piece.into(), (start, self.ids.len() as u32));
            }
        }
        Ok(())
    }
}
