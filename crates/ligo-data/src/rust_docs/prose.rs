//! Which paragraphs are English prose worth reading.

use sha2::{Digest, Sha256};

const MIN_CHARS: usize = 40;
const MIN_WORDS: usize = 7;
/// Share of ASCII letters and spaces among the characters of a paragraph.
const MIN_LETTER_SHARE: f64 = 0.85;

/// Phrases of licences and of generated documentation, in lower case.
const BOILERPLATE: [&str; 16] = [
    "permission is hereby granted",
    "without warrant",
    "licensed under",
    "licensed as above",
    "dual licensed",
    "apache license",
    "mit license",
    "copyright (c)",
    "copyright ©",
    "all rights reserved",
    "the software is provided",
    "intentionally submitted for inclusion",
    "redistributions of source code",
    "this api requires the following crate features",
    "safety requirements of this function are the same",
    "spdx-license-identifier",
];

/// Whether a paragraph is long enough, mostly letters and no boilerplate.
pub(super) fn is_prose(paragraph: &str) -> bool {
    let characters = paragraph.chars().count();
    if characters < MIN_CHARS || paragraph.split(' ').count() < MIN_WORDS {
        return false;
    }
    let letters = paragraph
        .bytes()
        .filter(|byte| byte.is_ascii_alphabetic() || *byte == b' ')
        .count();
    if (letters as f64) < MIN_LETTER_SHARE * characters as f64 {
        return false;
    }
    let lower = paragraph.to_ascii_lowercase();
    !BOILERPLATE.iter().any(|phrase| lower.contains(phrase))
}

/// A fingerprint that two paragraphs share when they differ only in names and numbers. Generated documentation repeats one sentence for
/// hundreds of items; a word counts as a name when it holds anything but lower-case letters (a capital in front and punctuation at the
/// edges aside).
pub(super) fn fingerprint(paragraph: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    for word in paragraph.split(' ') {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        let tail = word.chars().skip(1);
        if word.is_empty()
            || tail.clone().any(|c| !c.is_lowercase() && !matches!(c, '\'' | '-'))
            || word.starts_with(|c: char| c.is_ascii_digit())
        {
            hash.update(b"#");
        } else {
            hash.update(word.to_ascii_lowercase());
        }
        hash.update(b" ");
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn prose_is_kept_and_the_rest_is_not() {
        assert!(is_prose(
            "Returns the number of elements that the map can hold without allocating."
        ));
        assert!(!is_prose("Returns the length."));
        assert!(!is_prose("0x00 0x01 0x02 0x03 0x04 0x05 0x06 0x07 0x08 0x09 0x0a 0x0b"));
        assert!(!is_prose(
            "This crate is licensed under either of two licences, at your option, as you like."
        ));
    }

    #[test]
    fn sentences_that_differ_in_a_name_share_a_fingerprint() {
        let of = |name: &str| fingerprint(&format!("Getter for the {name} field of this object."));
        assert_eq!(of("maxWidth"), of("min_height"));
        assert_ne!(of("maxWidth"), of("width"));
    }
}
