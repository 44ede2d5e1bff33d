//! The tokens of one vocabulary in terms of another one.

use super::{Tokenizer, TokenizerKind};
use crate::Result;

/// What a piece of a word that is not its first one begins with in WordPiece.
const CONTINUATION: &str = "##";
/// Stands for bytes that are no text by themselves.
const NO_TEXT: char = '\u{fffd}';

impl Tokenizer {
    /// For every id of this vocabulary the ids of `old` that together say the same: the token itself where both have it, else the pieces of its text; a special
    /// token is the one that played the same part. Nothing where `old` has no word for it.
    ///
    /// The mean of their embeddings is where a model that learned the old vocabulary may begin with this one (Gee et al., "Fast vocabulary transfer", 2022).
    ///
    /// # Errors
    /// [`crate::Error::Encode`].
    pub fn in_terms_of(&self, old: &Self) -> Result<Vec<Vec<u32>>> {
        let unknown = old.special.unk;
        let parts = self.special.roles().into_iter().zip(old.special.roles());
        let parts: Vec<(u32, u32)> = parts.filter_map(|((_, new), (_, old))| Some((new?, old?))).collect();
        let spelt_alike = self.marks_words_as(old);
        let of = |id: u32| -> Result<Vec<u32>> {
            if let Some((_, same)) = parts.iter().find(|(new, _)| *new == id) {
                return Ok(vec![*same]);
            }
            let Some(token) = self.token(id) else {
                return Ok(Vec::new());
            };
            if let Some(same) = old.id(&token).filter(|_| spelt_alike) {
                return Ok(vec![same]);
            }
            let text = match token.strip_prefix(CONTINUATION) {
                Some(rest) if self.kind == TokenizerKind::WordPiece => rest.to_owned(),
                _ => self.inner_text(id)?,
            };
            if text.is_empty() || text.contains(NO_TEXT) {
                return Ok(Vec::new());
            }
            let mut pieces = old.encode_text(&text)?;
            pieces.retain(|piece| Some(*piece) != unknown);
            Ok(pieces)
        };
        (0..self.vocab_size as u32).map(of).collect()
    }

    /// Whether tokens that are spelt alike in both mean the same: those of byte-level BPE mark spaces, those of WordPiece what goes on.
    fn marks_words_as(&self, other: &Self) -> bool {
        let is_byte_level = |kind| matches!(kind, TokenizerKind::Gpt2 | TokenizerKind::Roberta);
        self.kind == other.kind || (is_byte_level(self.kind) && is_byte_level(other.kind))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;
    use crate::{BpeFlavour, BpeTraining, Corpus, Watch, WordPieceTraining};

    /// Text without the words `winter` and `table`, and text that is made of them.
    const OLD: &str = "the win was interesting, the tall tale able to win\n";
    const NEW: &str = "the winter table, the winter tale\n";

    fn corpus(folder: &std::path::Path, text: &str) -> Corpus {
        let file = folder.join("text.txt");
        fs::write(&file, text.repeat(200)).unwrap();
        Corpus::open(&[file]).unwrap()
    }

    fn byte_level(text: &str, vocab_size: usize, flavour: BpeFlavour) -> Tokenizer {
        let folder = tempfile::tempdir().unwrap();
        let training = BpeTraining {
            vocab_size,
            flavour,
            ..BpeTraining::default()
        };
        Tokenizer::train_bpe(&corpus(folder.path(), text), &training, Watch::none()).unwrap()
    }

    fn word_piece(text: &str) -> Tokenizer {
        let folder = tempfile::tempdir().unwrap();
        let training = WordPieceTraining {
            vocab_size: 120,
            merges: true,
            ..WordPieceTraining::default()
        };
        Tokenizer::train(&corpus(folder.path(), text), &training, Watch::none()).unwrap()
    }

    /// The old tokens that a new token is made of.
    fn pieces(new: &Tokenizer, old: &Tokenizer, token: &str) -> Vec<String> {
        let all = new.in_terms_of(old).unwrap();
        assert_eq!(all.len(), new.vocab_size());
        let ids = &all[new.id(token).unwrap() as usize];
        ids.iter().map(|id| old.token(*id).unwrap()).collect()
    }

    #[test]
    fn a_token_is_itself_where_both_have_it_and_else_its_pieces() {
        let old = byte_level(OLD, 300, BpeFlavour::Gpt2);
        let new = byte_level(NEW, 300, BpeFlavour::Roberta);
        assert_eq!(pieces(&new, &old, "Ġthe"), ["Ġthe"]);
        let winter = pieces(&new, &old, "Ġwinter");
        assert!(winter.len() > 1 && winter.concat() == "Ġwinter", "{winter:?}");
        // What ends a text in both, spelt otherwise.
        assert_eq!(pieces(&new, &old, "</s>"), ["<|endoftext|>"]);
        // Half a character is no text, and both vocabularies have all bytes.
        assert_eq!(pieces(&new, &old, "Ã").len(), 1);
        // The same vocabulary is the same.
        let same = old.in_terms_of(&old).unwrap();
        assert!(same.iter().enumerate().all(|(id, pieces)| pieces == &[id as u32]));
    }

    #[test]
    fn between_kinds_the_text_counts_and_not_the_marks() {
        let (old, new) = (word_piece(OLD), byte_level(NEW, 300, BpeFlavour::Gpt2));
        assert_eq!(pieces(&new, &old, "Ġthe"), ["the"]);
        let winter = pieces(&new, &old, "Ġwinter");
        assert!(winter.len() > 1, "{winter:?}");
        let back = word_piece(NEW)
            .in_terms_of(&byte_level(OLD, 300, BpeFlavour::Gpt2))
            .unwrap();
        assert!(back.iter().filter(|pieces| pieces.is_empty()).count() < back.len() / 4);
    }
}
