//! Markdown to plain paragraphs.

const MAX_PARAGRAPH_BYTES: usize = 32 << 10;

/// The prose of a Markdown text: one string a paragraph, list items as paragraphs of their own. Left out are code blocks, tables, images and
/// badges, HTML, link targets and link definitions; inline code stays, without its backticks.
pub(super) fn paragraphs(markdown: &str) -> Vec<String> {
    let mut reader = Reader::default();
    for line in markdown.lines() {
        reader.line(line);
    }
    reader.end_paragraph();
    reader.done
}

#[derive(Default)]
struct Reader {
    done: Vec<String>,
    current: String,
    /// The mark that opened a code block, while inside it.
    fence: Option<(char, usize)>,
    in_comment: bool,
}

impl Reader {
    fn line(&mut self, line: &str) {
        let text = line.trim();
        if let Some((mark, length)) = self.fence {
            let closing = text.chars().take_while(|&c| c == mark).count();
            if closing >= length && text.chars().all(|c| c == mark) {
                self.fence = None;
            }
            return;
        }
        if self.in_comment {
            self.in_comment = !text.contains("-->");
            return;
        }
        // Quotes may hold any block, a code block included.
        let text = text.trim_start_matches(['>', ' ']);
        if let Some(mark) = text.chars().next().filter(|c| matches!(c, '`' | '~')) {
            let length = text.chars().take_while(|&c| c == mark).count();
            if length >= 3 {
                self.end_paragraph();
                self.fence = Some((mark, length));
                return;
            }
        }
        let indented = line.starts_with("    ") || line.starts_with('\t');
        if text.is_empty() {
            self.end_paragraph();
        } else if text.starts_with("<!--") {
            self.in_comment = !text.contains("-->");
        } else if (indented && self.current.is_empty())
            || text.starts_with('<')
            || text.starts_with('|')
            || is_definition(text)
        {
            // Indented code, HTML, a table row or a link definition.
        } else if text.chars().all(|c| matches!(c, '=' | '-' | '*' | '_' | ' ')) {
            // A rule, or the underline of a heading above it.
            self.end_paragraph();
        } else if text.starts_with('#') {
            self.end_paragraph();
            self.current.push_str(text.trim_matches(['#', ' ']));
            self.end_paragraph();
        } else if let Some(item) = list_item(text) {
            self.end_paragraph();
            self.current.push_str(item);
        } else {
            if !self.current.is_empty() {
                self.current.push(' ');
            }
            self.current.push_str(text);
        }
    }

    fn end_paragraph(&mut self) {
        // Nobody writes paragraphs this long; generated files do.
        let text = if self.current.len() <= MAX_PARAGRAPH_BYTES {
            inline(&self.current, 0)
        } else {
            String::new()
        };
        self.current.clear();
        if !text.is_empty() {
            self.done.push(text);
        }
    }
}

/// `[name]: target` and `[^1]: …`.
fn is_definition(text: &str) -> bool {
    text.starts_with('[') && text.find("]:").is_some_and(|at| !text[1..at].contains(']'))
}

/// The text of a list item behind its mark.
fn list_item(text: &str) -> Option<&str> {
    if let Some(item) = ["- ", "* ", "+ "].iter().find_map(|mark| text.strip_prefix(mark)) {
        let item = item.trim_start();
        return Some(
            ["[ ] ", "[x] ", "[X] "]
                .iter()
                .find_map(|mark| item.strip_prefix(mark))
                .unwrap_or(item),
        );
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &text[digits..];
    if (1..=3).contains(&digits) {
        rest.strip_prefix(". ").or_else(|| rest.strip_prefix(") "))
    } else {
        None
    }
}

/// Takes the marks out of running text and squeezes white space. Links in link labels are followed to a small depth.
fn inline(text: &str, depth: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let after = &rest[character.len_utf8()..];
        rest = match character {
            '`' => {
                let ticks = rest.bytes().take_while(|&b| b == b'`').count();
                let body = &rest[ticks..];
                match body.find(&rest[..ticks]) {
                    Some(end) => {
                        out.push_str(body[..end].trim());
                        &body[end + ticks..]
                    }
                    None => body,
                }
            }
            '!' if after.starts_with('[') => match link(after) {
                Some((_, behind)) => behind,
                None => keep(&mut out, character, after),
            },
            '[' if depth < 4 => match link(rest) {
                Some((label, behind)) if !label.starts_with('^') => {
                    out.push_str(&inline(label, depth + 1));
                    behind
                }
                Some((_, behind)) => behind,
                None => keep(&mut out, character, after),
            },
            '<' => match after.find('>') {
                Some(end) if is_tag(&after[..end]) => &after[end + 1..],
                _ => keep(&mut out, character, after),
            },
            '*' => after,
            // Emphasis stands at the edge of a word; `snake_case` keeps its marks.
            '_' if !(out.ends_with(char::is_alphanumeric) && after.starts_with(char::is_alphanumeric)) => after,
            '\\' if after.starts_with(|c: char| c.is_ascii_punctuation()) => {
                let escaped = after.chars().next().unwrap_or(' ');
                keep(&mut out, escaped, &after[escaped.len_utf8()..])
            }
            'h' if rest.starts_with("http://") || rest.starts_with("https://") => {
                &rest[rest
                    .find(|c: char| c.is_whitespace() || matches!(c, ')' | '>' | ',' | ']'))
                    .unwrap_or(rest.len())..]
            }
            _ => keep(&mut out, character, after),
        };
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn keep<'a>(out: &mut String, character: char, after: &'a str) -> &'a str {
    out.push(character);
    after
}

/// For text that begins with `[`: the label, and what stands behind `[label](target)`, `[label][reference]` or `[label]`.
fn link(text: &str) -> Option<(&str, &str)> {
    let end = closing(text, b'[', b']')?;
    let (label, behind) = (&text[1..end], &text[end + 1..]);
    let behind = match behind.as_bytes().first() {
        Some(b'(') => closing(behind, b'(', b')').map_or(behind, |end| &behind[end + 1..]),
        Some(b'[') => closing(behind, b'[', b']').map_or(behind, |end| &behind[end + 1..]),
        _ => behind,
    };
    Some((label, behind))
}

/// Position of the bracket that closes the one `text` begins with.
fn closing(text: &str, open: u8, close: u8) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        if byte == open {
            depth += 1;
        } else if byte == close {
            depth -= 1;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

/// `br/`, `/p`, `img src=…`, `https://…` between angle brackets; not the `T` of `Vec<T>`.
fn is_tag(body: &str) -> bool {
    let body = body.trim_start_matches('/');
    if body.starts_with("http") || body.contains('@') {
        return true;
    }
    let name = body.split([' ', '/']).next().unwrap_or_default();
    const TAGS: [&str; 24] = [
        "a", "b", "br", "code", "details", "div", "em", "h1", "h2", "h3", "hr", "i", "img", "kbd", "li", "ol", "p",
        "pre", "span", "strong", "sub", "summary", "sup", "ul",
    ];
    TAGS.contains(&name.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn marks_links_and_badges_go_and_words_stay() {
        let cases = [
            (
                "A **bold** and _slanted_ `snake_case` word.",
                "A bold and slanted snake_case word.",
            ),
            (
                "See [the book](https://example.com/a_(b)) or [`Vec<T>`][vec] now.",
                "See the book or Vec<T> now.",
            ),
            ("[![build](https://x/y.svg)](https://x) Text", "Text"),
            (
                "Go to <https://example.com> or https://example.com/x, please.",
                "Go to or , please.",
            ),
            ("a\\*b <br/> Vec<T> snake_case", "a*b Vec<T> snake_case"),
            (
                "An [intra] link and an [open bracket",
                "An intra link and an [open bracket",
            ),
        ];
        for (markdown, plain) in cases {
            assert_eq!(inline(markdown, 0), plain, "{markdown}");
        }
    }

    #[test]
    fn blocks_that_are_not_prose_are_left_out() {
        let markdown = "# Title #\n\nFirst line\nsecond line.\n\n```rust\nlet code = 1;\n\n```\n- item one\n  goes on\n- [x] item two\n1. third\n\n    \
                        indented code\n\n| a | b |\n|---|---|\n[ref]: https://x\n<!-- hidden\nmore -->\n<p>html</p>\n> quoted words\n~~~\nx\n~~~\nend";
        let expected = [
            "Title",
            "First line second line.",
            "item one goes on",
            "item two",
            "third",
            "quoted words",
            "end",
        ];
        assert_eq!(paragraphs(markdown), expected);
    }
}
