//! Text of files that strangers made, fit for a terminal.

use std::borrow::Cow;
use std::io::{self, Write};

/// One line without anything that a terminal would obey: control characters, line breaks included, and what turns the direction of writing are escaped.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| {
            if is_obeyed(c) {
                c.escape_unicode().to_string()
            } else {
                c.into()
            }
        })
        .collect()
}

fn is_obeyed(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

/// As [`plain`], but line breaks and tabs stay.
pub fn plain_lines(text: &str) -> Cow<'_, str> {
    let stays = |c: char| c == '\n' || c == '\t';
    if !text.chars().any(|c| is_obeyed(c) && !stays(c)) {
        return Cow::Borrowed(text);
    }
    let line = |line: &str| match line.strip_suffix(stays) {
        Some(rest) => plain(rest) + &line[rest.len()..],
        None => plain(line),
    };
    Cow::Owned(text.split_inclusive(stays).map(line).collect())
}

/// Output of several lines: as [`plain`], but line breaks and tabs stay.
#[derive(Debug)]
pub struct Plain<W>(pub W);

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        match plain_lines(&text) {
            // As it is, whatever its bytes are.
            Cow::Borrowed(_) => self.0.write_all(bytes)?,
            Cow::Owned(plain) => self.0.write_all(plain.as_bytes())?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown_instead() {
        assert_eq!(
            plain("a\u{1b}[31m\nb\u{9b}c\u{202e}d"),
            "a\\u{1b}[31m\\u{a}b\\u{9b}c\\u{202e}d"
        );
        assert_eq!(plain("Größe 3 × 4 → 5"), "Größe 3 × 4 → 5");
    }

    #[test]
    fn output_keeps_its_lines() {
        let mut out = Vec::new();
        write!(Plain(&mut out), "one\ttab\ntwo \u{1b}]0;title\u{7}\nthree").unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "one\ttab\ntwo \\u{1b}]0;title\\u{7}\nthree"
        );
        assert_eq!(plain_lines("LiGO → 2,5 %\n\tnext"), "LiGO → 2,5 %\n\tnext");
        assert_eq!(plain_lines("a\u{9b}2J\r\n\n\tb"), "a\\u{9b}2J\\u{d}\n\n\tb");
    }
}
