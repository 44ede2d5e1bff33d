//! The table for a README.

use std::fmt::Write as _;

use super::content::Table;

pub(super) fn markdown(table: &Table) -> String {
    let headings: Vec<&str> = table.columns().map(|column| column.heading).collect();
    let mut text = format!("| method | {} |\n| --- |", headings.join(" | "));
    headings.iter().for_each(|_| text += " ---: |");
    text.push('\n');
    for (row, method) in table.methods.iter().enumerate() {
        let _ = write!(text, "| {} |", escaped(method));
        for column in table.columns() {
            let _ = write!(text, " {} |", escaped(&column.cells[row]));
        }
        text.push('\n');
    }
    if !table.notes.is_empty() {
        text.push('\n');
    }
    table
        .notes
        .iter()
        .for_each(|note| _ = writeln!(text, "* {}", plain(note)));
    text
}

/// A cell's text; a bar would end the cell.
pub(super) fn escaped(cell: &str) -> String {
    plain(cell).replace('|', "\\|")
}

/// Text of a line: labels and file names are no markup of the page that shows it, and a line's end would end the table.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '<' => plain += "&lt;",
            '>' => plain += "&gt;",
            '&' => plain += "&amp;",
            sign if sign.is_control() => plain.push(' '),
            sign => plain.push(sign),
        }
    }
    plain
}
