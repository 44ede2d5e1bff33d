//! The table for a paper.

use std::fmt::Write as _;

use super::content::Table;

/// Columns that fit on a page of two text columns.
const WIDE: usize = 8;

pub(super) fn latex(table: &Table) -> String {
    let columns = table.columns().count();
    let mut text =
        String::from("% Needs \\usepackage{booktabs,graphicx}.\n\\begin{table*}\n  \\centering\n  \\small\n");
    let _ = writeln!(text, "  \\caption{{{}}}", escaped(&table.title));
    // More columns than a page holds are made smaller together.
    let wide = columns > WIDE;
    if wide {
        text += "  \\resizebox{\\textwidth}{!}{%\n";
    }
    let _ = writeln!(text, "  \\begin{{tabular}}{{l{}}}\n    \\toprule", "r".repeat(columns));

    // Bands above, their columns beneath.
    let (mut titles, mut rules, mut first) = (String::new(), String::new(), 2);
    for band in &table.bands {
        let last = first + band.columns.len() - 1;
        let _ = write!(
            titles,
            " & \\multicolumn{{{}}}{{c}}{{{}}}",
            band.columns.len(),
            band.title
        );
        let _ = write!(rules, "\\cmidrule(lr){{{first}-{last}}} ");
        first = last + 1;
    }
    let _ = writeln!(text, "   {titles} \\\\\n    {}", rules.trim_end());
    let headings: String = table.columns().map(|column| format!(" & {}", column.short)).collect();
    let _ = writeln!(text, "    method{headings} \\\\\n    \\midrule");

    for (row, method) in table.methods.iter().enumerate() {
        let cells = table
            .columns()
            .map(|column| format!(" & {}", escaped(&column.cells[row])));
        let _ = writeln!(text, "    {}{} \\\\", escaped(method), cells.collect::<String>());
    }
    text += "    \\bottomrule\n  \\end{tabular}";
    text += if wide { "}\n" } else { "\n" };
    if !table.notes.is_empty() {
        text += "\n  \\vspace{0.5ex}\\raggedright\\footnotesize\n";
        table
            .notes
            .iter()
            .for_each(|note| _ = writeln!(text, "  {}\\par", escaped(note)));
    }
    text + "\\end{table*}\n"
}

/// Text as LaTeX, for any engine and input encoding.
fn escaped(text: &str) -> String {
    let mut latex = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                latex.push('\\');
                latex.push(character);
            }
            '\\' => latex += "\\textbackslash{}",
            '~' => latex += "\\textasciitilde{}",
            '^' => latex += "\\textasciicircum{}",
            '<' => latex += "\\textless{}",
            '>' => latex += "\\textgreater{}",
            '−' => latex += "$-$",
            '±' => latex += "$\\pm$",
            '×' => latex += "$\\times$",
            '→' => latex += "$\\to$",
            '≈' => latex += "$\\approx$",
            '–' => latex += "--",
            '“' => latex += "``",
            '”' => latex += "''",
            '’' => latex.push('\''),
            '…' => latex += "\\dots{}",
            '\n' | '\r' => latex.push(' '),
            other => latex.push(other),
        }
    }
    latex
}
