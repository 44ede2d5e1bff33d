//! Which documents of a corpus are meant.

use super::file::CorpusFile;
use crate::hash::unit_hash;

/// Which documents of a corpus are meant, or which part of each. The choice depends on the text alone (or the file's name), never on the machine,
/// the order of reading or the rest of the corpus.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Part {
    /// Every document.
    All,
    /// The documents whose hash falls at or above the fraction.
    TrainDocuments(f64),
    /// The documents whose hash falls below the fraction.
    ValidDocuments(f64),
    /// Every document of the files whose name's hash falls at or above the fraction.
    TrainFiles(f64),
    /// Every document of the files whose name's hash falls below the fraction.
    ValidFiles(f64),
    /// Every document without its end, of which the fraction is a share.
    TrainText(f64),
    /// The end of every document.
    ValidText(f64),
}

impl Part {
    pub(super) fn keeps_file(self, file: &CorpusFile) -> bool {
        match self {
            Self::TrainFiles(fraction) => unit_hash(file.name.as_bytes()) >= fraction,
            Self::ValidFiles(fraction) => unit_hash(file.name.as_bytes()) < fraction,
            _ => true,
        }
    }

    /// What belongs to it of a document, if anything.
    pub(super) fn of_document(self, mut text: String) -> Option<String> {
        match self {
            Self::TrainDocuments(fraction) => (!is_held_out(&text, fraction)).then_some(text),
            Self::ValidDocuments(fraction) => is_held_out(&text, fraction).then_some(text),
            Self::TrainText(fraction) => {
                text.truncate(text[..cut(&text, fraction)].trim_end().len());
                Some(text)
            }
            Self::ValidText(fraction) => {
                let end = text[cut(&text, fraction)..].trim();
                (!end.is_empty()).then(|| end.to_owned())
            }
            Self::All | Self::TrainFiles(_) | Self::ValidFiles(_) => Some(text),
        }
    }
}

/// Whether a document is for validation.
pub(super) fn is_held_out(text: &str, fraction: f64) -> bool {
    unit_hash(text.as_bytes()) < fraction
}

/// Where the end of a text begins that is held out: at the line end nearest to its share, where there is one close to it, else at white
/// space; the whole length when the text is one word.
pub(super) fn cut(text: &str, fraction: f64) -> usize {
    let text = text.trim_end();
    let start = text.len() - text.trim_start().len();
    let wanted = (text.len() as f64 * (1.0 - fraction)) as usize;
    let reach = (text.len() as f64 * fraction / 2.0) as usize;
    let distance = |at: usize| at.abs_diff(wanted);
    let spaces = || {
        let spaces = text.char_indices().filter(|&(at, c)| at > start && c.is_whitespace());
        spaces.map(|(at, c)| (at, c == '\n'))
    };
    let line_end = spaces()
        .filter(|&(at, is_line_end)| is_line_end && distance(at) <= reach)
        .min_by_key(|&(at, _)| distance(at));
    let found = line_end.or_else(|| spaces().min_by_key(|&(at, _)| distance(at)));
    found.map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn both(text: &str, fraction: f64) -> (String, Option<String>) {
        let part = |part: Part| part.of_document(text.to_owned());
        (
            part(Part::TrainText(fraction)).unwrap(),
            part(Part::ValidText(fraction)),
        )
    }

    #[test]
    fn a_text_is_cut_near_its_share_at_a_line_end_or_between_words() {
        let lines = (0..100).map(|i| format!("line number {i}\n")).collect::<String>();
        let (train, valid) = both(&lines, 0.1);
        let valid = valid.unwrap();
        assert_eq!(format!("{train}\n{valid}\n"), lines);
        assert!((9..=11).contains(&valid.lines().count()), "{valid}");
        let words = (0..100).map(|i| format!("w{i} ")).collect::<String>();
        let (train, valid) = both(&words, 0.1);
        assert_eq!(format!("{train} {} ", valid.unwrap()), words);
        // One line end, far from the place.
        let (train, valid) = both(&format!("a\n{words}"), 0.05);
        assert!(train.len() > 300 && valid.unwrap().starts_with('w'));
        assert_eq!(both("word", 0.5), ("word".to_owned(), None));
        assert_eq!(both("ä ö", 0.01), ("ä".to_owned(), Some("ö".to_owned())));
        assert_eq!(both("ä ö", 0.99), ("ä".to_owned(), Some("ö".to_owned())));
    }
}
