//! Doc comments of Rust source.

/// The doc comments of a source file, each block as the Markdown it holds: runs of `///` or `//!` lines, and `/** … */` or `/*! … */`.
///
/// It reads lines, not the language: a line of a string literal that begins with `///` counts as documentation. That is rare and harmless.
pub(super) fn blocks(source: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut current = String::new();
    let mut in_block = false;
    for line in source.lines() {
        let text = line.trim_start();
        if in_block {
            let (body, ended) = match text.find("*/") {
                Some(end) => (&text[..end], true),
                None => (text, false),
            };
            // The star that many people put in front of each line.
            let body = body.strip_prefix('*').unwrap_or(body);
            push_line(&mut current, body);
            in_block = !ended;
        } else if let Some(body) = line_comment(text) {
            push_line(&mut current, body);
            continue;
        } else if let Some(body) = block_comment(text) {
            let (body, ended) = match body.find("*/") {
                Some(end) => (&body[..end], true),
                None => (body, false),
            };
            push_line(&mut current, body);
            in_block = !ended;
        }
        if !in_block && !current.is_empty() {
            blocks.push(std::mem::take(&mut current));
        }
    }
    if !current.is_empty() {
        blocks.push(current);
    }
    blocks
}

fn push_line(block: &mut String, body: &str) {
    // One space after the mark belongs to the mark; more would make it look like indented code.
    block.push_str(body.strip_prefix(' ').unwrap_or(body));
    block.push('\n');
}

fn line_comment(text: &str) -> Option<&str> {
    let body = text.strip_prefix("///").or_else(|| text.strip_prefix("//!"))?;
    // Four slashes are an ordinary comment.
    (!body.starts_with('/')).then_some(body)
}

fn block_comment(text: &str) -> Option<&str> {
    let body = text.strip_prefix("/**").or_else(|| text.strip_prefix("/*!"))?;
    (!body.starts_with(['*', '/'])).then_some(body)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn all_four_kinds_are_found_and_ordinary_comments_are_not() {
        let source = "//! Crate.\n//!\n//! More.\n\n// plain\n//// four\n/// Item.\npub fn f() {}\n/** Block\n * second\n */\n/*! inner */\n/*** not */\n/**/\nlet x = 1; /// trailing\n";
        assert_eq!(
            blocks(source),
            ["Crate.\n\nMore.\n", "Item.\n", "Block\nsecond\n\n", "inner \n"]
        );
    }
}
