//! The table for a terminal.

use std::fmt::Write as _;

use super::content::{Column, Table};

const GAP: usize = 2;

pub(super) fn text(table: &Table, unicode: bool, width: usize) -> String {
    let mut text = match blocks(table, width) {
        Some(blocks) => {
            let blocks: Vec<String> = blocks.iter().map(|columns| block(table, columns)).collect();
            blocks.join("\n")
        }
        None => records(table),
    };
    if !table.notes.is_empty() {
        text.push('\n');
    }
    for note in &table.notes {
        for (index, line) in wrapped(note, width.saturating_sub(GAP)).iter().enumerate() {
            let _ = writeln!(text, "{}{line}", if index == 0 { "• " } else { "  " });
        }
    }
    if unicode { text } else { ascii(&text) }
}

/// A column and what stands above it.
type Headed<'a> = (String, &'a Column);

/// Columns that fit beside each other, bands kept whole where they fit at all; nothing when a single column is too wide.
fn blocks(table: &Table, width: usize) -> Option<Vec<Vec<Headed<'_>>>> {
    let mut blocks = Blocks {
        name: name_width(table),
        width,
        blocks: Vec::new(),
    };
    for band in &table.bands {
        let whole = band.columns.iter().map(|column| (column.heading.to_owned(), column));
        if blocks.add(whole.collect()) {
            continue;
        }
        for (index, column) in band.columns.iter().enumerate() {
            // Apart from its band, a column must say what it is a part of.
            let heading = match index {
                0 => column.heading.to_owned(),
                _ => format!("{} {}", band.title, column.short),
            };
            if !blocks.add(vec![(heading, column)]) {
                return None;
            }
        }
    }
    Some(blocks.blocks.into_iter().map(|(_, columns)| columns).collect())
}

struct Blocks<'a> {
    name: usize,
    width: usize,
    /// How wide each is so far, the names included.
    blocks: Vec<(usize, Vec<Headed<'a>>)>,
}

impl<'a> Blocks<'a> {
    /// Puts columns beside the last ones, or else beneath them; false when they are too wide for that too.
    fn add(&mut self, columns: Vec<Headed<'a>>) -> bool {
        let own: usize = columns.iter().map(|headed| GAP + column_width(headed)).sum();
        match self.blocks.last_mut() {
            Some((used, block)) if *used + own <= self.width => {
                *used += own;
                block.extend(columns);
            }
            _ if self.name + own <= self.width => self.blocks.push((self.name + own, columns)),
            _ => return false,
        }
        true
    }
}

fn block(table: &Table, columns: &[Headed<'_>]) -> String {
    let name = name_width(table);
    let widths: Vec<usize> = columns.iter().map(column_width).collect();
    // Names to the left, numbers to the right.
    let line = |first: &str, cells: &mut dyn Iterator<Item = &str>| {
        let mut line = format!("{first:<name$}");
        for (cell, &width) in cells.zip(&widths) {
            let _ = write!(line, "{:GAP$}{cell:>width$}", "");
        }
        line.trim_end().to_string() + "\n"
    };
    let mut text = line("method", &mut columns.iter().map(|(heading, _)| heading.as_str()));
    text += &"─".repeat(name + widths.iter().map(|width| GAP + width).sum::<usize>());
    text.push('\n');
    for (row, method) in table.methods.iter().enumerate() {
        text += &line(
            method,
            &mut columns.iter().map(|(_, column)| column.cells[row].as_str()),
        );
    }
    text
}

/// A paragraph for each method, where not even one column fits beside the names.
fn records(table: &Table) -> String {
    let widest = table.bands.iter().flat_map(|band| {
        let columns = band.columns.iter();
        columns.map(|column| column.short.chars().count())
    });
    let widest = widest.max().unwrap_or(0);
    let mut text = String::new();
    for (row, method) in table.methods.iter().enumerate() {
        if row > 0 {
            text.push('\n');
        }
        let _ = writeln!(text, "{method}");
        for band in &table.bands {
            let _ = writeln!(text, " {}", band.title);
            for column in &band.columns {
                let _ = writeln!(text, "  {:<widest$}  {}", column.short, column.cells[row]);
            }
        }
    }
    text
}

fn name_width(table: &Table) -> usize {
    let names = table.methods.iter().map(|method| method.chars().count());
    names.chain(["method".len()]).max().unwrap_or(0)
}

fn column_width((heading, column): &Headed<'_>) -> usize {
    let cells = column.cells.iter().map(|cell| cell.chars().count());
    cells.chain([heading.chars().count()]).max().unwrap_or(0)
}

/// Lines of at most `width` signs, broken at spaces; a longer word has a line of its own. Numbers stay with their units.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in words(text) {
        let Some(line) = lines.last_mut() else { continue };
        if line.is_empty() {
            *line = word;
        } else if line.chars().count().saturating_add(1 + word.chars().count()) <= width {
            line.push(' ');
            *line += &word;
        } else {
            lines.push(word);
        }
    }
    lines
}

/// Words, with what follows a number taken as its unit: `397 GFLOP` and `44.7 %` are not parted.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let number = |word: &String| word.ends_with(|sign: char| sign.is_ascii_digit());
        let unit = word.starts_with('%') || word.contains("FLOP") || ["s", "s.", "s,", "min", "h"].contains(&word);
        match words.last_mut().filter(|last| unit && number(last)) {
            Some(last) => {
                last.push(' ');
                *last += word;
            }
            None => words.push(word.to_string()),
        }
    }
    words
}

pub(super) fn ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '−' | '–' | '─' => plain.push('-'),
            '×' => plain.push('x'),
            '•' => plain.push('*'),
            '“' | '”' => plain.push('"'),
            '’' => plain.push('\''),
            '→' => plain.push('>'),
            '≈' => plain.push('~'),
            '±' => plain += "+-",
            '…' => plain += "...",
            other if other.is_ascii() => plain.push(other),
            _ => plain.push('?'),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_are_broken_at_spaces_but_not_before_a_unit() {
        let lines = wrapped("LiGO includes its operator: 170 GFLOP and 2.9 s of time.", 33);
        assert_eq!(lines, ["LiGO includes its operator:", "170 GFLOP and 2.9 s of time."]);
        assert_eq!(wrapped("a-very-long-word", 5), ["a-very-long-word"]);
        assert_eq!(wrapped("any width", usize::MAX), ["any width"]);
    }
}
