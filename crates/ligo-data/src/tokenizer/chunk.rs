//! Encoding running text piece by piece, each piece once.
//!
//! Word frequencies follow Zipf's law, so a memory of pieces answers most of them. It is only right to cut where the tokenizer cuts in any case:
//!
//! * BERT's normalizer works character by character (its only reordering, of combining marks, stops at a space) and its pre-tokenizer splits
//!   at white space first. So the pieces between spaces can be encoded one at a time with the same ids as the whole text.
//! * GPT-2's expression takes a single space between two other characters together with what follows it. None of its alternatives reaches
//!   over such a space from the left, and none looks back. So a text can be cut before these spaces.
//!
//! `tests/all/tokenizer.rs` compares with the plain way.

use std::collections::HashMap;

use serde_json::Value;

use super::TokenizerKind;

/// Longer pieces are rare and not worth remembering.
const MAX_PIECE_BYTES: usize = 48;
/// A full memory takes no new pieces: frequent ones come early.
const MAX_PIECES: usize = 400_000;

/// Where a text may be cut without changing its ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// At ASCII white space, which belongs to no piece.
    AtSpaces,
    /// Before a single space between two characters that are not white space; the space belongs to the piece behind it.
    BeforeSpaces,
}

impl Cut {
    /// Where a tokenizer with this description may be cut, if anywhere.
    pub(super) fn of(description: &Value) -> Option<Self> {
        let kind = |part: &str| description[part]["type"].as_str().unwrap_or_default();
        let added = description["added_tokens"].as_array();
        let all_added = |fits: &dyn Fn(&Value) -> bool| added.is_none_or(|tokens| tokens.iter().all(fits));
        match TokenizerKind::of(description) {
            TokenizerKind::WordPiece => {
                let simple = |token: &Value| {
                    let content = token["content"].as_str().unwrap_or_default();
                    !content.contains(char::is_whitespace)
                        && ["lstrip", "rstrip", "single_word"]
                            .iter()
                            .all(|flag| token[flag] != true)
                };
                let usual = kind("normalizer") == "BertNormalizer" && kind("pre_tokenizer") == "BertPreTokenizer";
                (usual && all_added(&simple)).then_some(Self::AtSpaces)
            }
            TokenizerKind::Gpt2 | TokenizerKind::Roberta => {
                // Special tokens are not looked for in running text, others may hold spaces. Dropout draws anew every time.
                let special = |token: &Value| token["special"] == true;
                let usual = description["normalizer"].is_null()
                    && description["pre_tokenizer"]["use_regex"] != false
                    && description["model"]["dropout"].is_null();
                (usual && all_added(&special)).then_some(Self::BeforeSpaces)
            }
            TokenizerKind::Other => None,
        }
    }

    /// The pieces of a text.
    pub(super) fn pieces(self, text: &str) -> impl Iterator<Item = &str> {
        let mut rest = text;
        std::iter::from_fn(move || {
            match self {
                Self::AtSpaces => {
                    rest = rest.trim_start_matches(is_ascii_space);
                    let end = rest.find(is_ascii_space).unwrap_or(rest.len());
                    let (piece, behind) = rest.split_at(end);
                    rest = behind;
                    Some(piece)
                }
                Self::BeforeSpaces => {
                    let (piece, behind) = rest.split_at(next_lone_space(rest));
                    rest = behind;
                    Some(piece)
                }
            }
            .filter(|piece| !piece.is_empty())
        })
    }
}

fn is_ascii_space(character: char) -> bool {
    [' ', '\n', '\t', '\r'].contains(&character)
}

/// Offset, above 0, of the first single space between two characters that are not white space; else the length.
fn next_lone_space(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut from = 1;
    while let Some(found) = bytes
        .get(from..)
        .and_then(|rest| rest.iter().position(|&byte| byte == b' '))
    {
        let at = from + found;
        let before = text[..at].chars().next_back();
        let behind = text[at + 1..].chars().next();
        if [before, behind].iter().all(|c| c.is_some_and(|c| !c.is_whitespace())) {
            return at;
        }
        from = at + 1;
    }
    text.len()
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
        cut: Cut,
        out: &mut Vec<u32>,
        mut encode: impl FnMut(&str, &mut Vec<u32>) -> Result<(), E>,
    ) -> Result<(), E> {
        for piece in cut.pieces(text) {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    fn pieces(cut: Cut, text: &str) -> Vec<&str> {
        cut.pieces(text).collect()
    }

    #[test]
    fn pieces_between_spaces_hold_none_and_pieces_before_spaces_lose_none() {
        assert_eq!(pieces(Cut::AtSpaces, "  a\tbc \n d"), ["a", "bc", "d"]);
        assert_eq!(pieces(Cut::BeforeSpaces, "a bc d"), ["a", " bc", " d"]);
        assert_eq!(pieces(Cut::BeforeSpaces, " a  b c "), [" a  b", " c "]);
        assert_eq!(pieces(Cut::BeforeSpaces, "é \u{2003} ü x"), ["é \u{2003} ü", " x"]);
        for cut in [Cut::AtSpaces, Cut::BeforeSpaces] {
            assert!(pieces(cut, "").is_empty());
        }
    }

    proptest! {
        #[test]
        fn cutting_before_spaces_keeps_every_byte(text in "[ab é中\u{2003}\t\n]{0,40}") {
            prop_assert_eq!(pieces(Cut::BeforeSpaces, &text).concat(), text);
        }
    }
}
