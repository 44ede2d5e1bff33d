//! The closing table of a comparison: text for a terminal, Markdown and CSV.

use std::fmt::Write as _;

use crate::summary::{Counter, MethodSummary, Summary};
use crate::units;

const COLUMNS: [&str; 9] = [
    "method",
    "loss at start",
    "final loss",
    "FLOPs to target",
    "saving",
    "incl. small",
    "time to target",
    "saving",
    "incl. small",
];

/// What stands where there is nothing to say.
const NONE: &str = "–";

/// A table with remarks beneath it, made from a [`Summary`].
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    rows: Vec<[String; COLUMNS.len()]>,
    notes: Vec<String>,
    csv: String,
}

impl Table {
    /// The table of a comparison, its FLOPs by the given count; the notes name the other count's savings.
    #[must_use]
    pub fn new(summary: &Summary, counter: Counter) -> Self {
        let seeds = summary.several_seeds();
        Self {
            rows: summary
                .methods
                .iter()
                .map(|method| row(method, counter, seeds))
                .collect(),
            notes: notes(summary, counter),
            csv: csv(summary),
        }
    }

    /// Aligned columns for a terminal; without `unicode` only ASCII comes out.
    #[must_use]
    pub fn text(&self, unicode: bool) -> String {
        let header = COLUMNS.map(str::to_string);
        let widths: [usize; COLUMNS.len()] = std::array::from_fn(|column| {
            self.rows
                .iter()
                .chain([&header])
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        });
        let line = |row: &[String; COLUMNS.len()]| {
            let mut line = String::new();
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                // Names to the left, numbers to the right.
                let _ = if column == 0 {
                    write!(line, "{cell:<width$}")
                } else {
                    write!(line, "  {cell:>width$}")
                };
            }
            line.trim_end().to_string() + "\n"
        };
        let mut text = line(&header);
        text += &"─".repeat(widths.iter().sum::<usize>() + 2 * (COLUMNS.len() - 1));
        text.push('\n');
        self.rows.iter().for_each(|row| text += &line(row));
        if !self.notes.is_empty() {
            text.push('\n');
        }
        self.notes.iter().for_each(|note| _ = writeln!(text, "• {note}"));
        if unicode { text } else { ascii(&text) }
    }

    /// The same as a Markdown table with a list beneath.
    #[must_use]
    pub fn markdown(&self) -> String {
        let escape = |cell: &String| cell.replace('|', "\\|");
        let mut text = format!("| {} |\n|", COLUMNS.join(" | "));
        (0..COLUMNS.len()).for_each(|column| text += if column == 0 { " --- |" } else { " ---: |" });
        text.push('\n');
        for row in &self.rows {
            let _ = writeln!(text, "| {} |", row.each_ref().map(escape).join(" | "));
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        self.notes.iter().for_each(|note| _ = writeln!(text, "* {note}"));
        text
    }

    /// Every number of every run, unrounded, with units in the column names.
    #[must_use]
    pub fn csv(&self) -> &str {
        &self.csv
    }

    /// The remarks beneath the table.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

fn row(method: &MethodSummary, counter: Counter, seeds: bool) -> [String; COLUMNS.len()] {
    let label = if seeds {
        format!("{} (seed {})", method.label, method.seed)
    } else {
        method.label.clone()
    };
    let or_none = |text: Option<String>| text.unwrap_or_else(|| NONE.to_string());
    let (target, saving, with_small) = (&method.to_target, &method.saving, &method.saving_with_small);
    [
        label,
        units::loss(method.loss_start),
        units::loss(method.loss_final),
        target.map_or("never".to_string(), |reached| units::flops(reached.cost.flops(counter))),
        or_none(saving.map(|saving| units::percent(saving.flops(counter)))),
        or_none(with_small.map(|saving| units::percent(saving.flops(counter)))),
        target.map_or("never".to_string(), |reached| units::seconds(reached.cost.seconds)),
        or_none(saving.map(|saving| units::percent(saving.seconds))),
        or_none(with_small.map(|saving| units::percent(saving.seconds))),
    ]
}

fn notes(summary: &Summary, counter: Counter) -> Vec<String> {
    let mut notes = Vec::new();
    let target = units::loss(summary.target_loss);
    let unigram = units::loss(summary.corpus.unigram_loss);
    // Below the context-free loss, a masked model has learnt from context; below the unigram loss it may only copy.
    let floor = match summary.corpus.context_free_loss {
        Some(loss) => format!("context-free loss of {} (unigram {unigram})", units::loss(loss)),
        None => format!("unigram loss of {unigram}"),
    };
    let small = units::loss(summary.small.loss);
    if !summary.flags.scratch_passed_unigram {
        notes.push(format!(
            "Scratch ended at {target} and never left the corpus's {floor}: these savings mean \
             nothing. Train longer."
        ));
    } else if !summary.flags.scratch_passed_small {
        notes.push(format!(
            "Scratch ended at {target}, above the small model's own loss of {small}: the savings say only that the \
             small model was trained longer. Train longer."
        ));
    }
    notes.push(format!(
        "Target: scratch's final validation loss, {target} (small model {small}; {floor})."
    ));
    let never: Vec<&str> = summary
        .methods
        .iter()
        .filter(|method| method.to_target.is_none())
        .map(|method| method.label.as_str())
        .collect();
    if !never.is_empty() {
        notes.push(format!("Never reached the target: {}.", never.join(", ")));
    }
    notes.push(match &summary.small.cost {
        Some(cost) => format!(
            "“incl. small” charges the small model too: {} and {}.",
            units::flops(cost.flops(counter)),
            units::seconds(cost.seconds)
        ),
        None => "What the small model cost is not known, so it is not charged.".to_string(),
    });
    for method in summary
        .methods
        .iter()
        .filter(|method| method.operator_cost.flops(counter) > 0.0)
    {
        let cost = &method.operator_cost;
        notes.push(format!(
            "{} includes its operator: {} and {}.",
            method.label,
            units::flops(cost.flops(counter)),
            units::seconds(cost.seconds)
        ));
    }
    let (shown, other, other_counter) = match counter {
        Counter::Exact => (
            "exact (backward = 2 × forward)",
            "ELECTRA's count, as in the paper",
            Counter::Electra,
        ),
        Counter::Electra => ("ELECTRA's count, as in the paper", "the exact count", Counter::Exact),
    };
    let others: Vec<String> = summary
        .methods
        .iter()
        .filter_map(|method| {
            let saving = method.saving?;
            Some(format!(
                "{} {}",
                method.label,
                units::percent(saving.flops(other_counter))
            ))
        })
        .collect();
    let others = if others.is_empty() {
        String::new()
    } else {
        format!(" By {other}: {}.", others.join(", "))
    };
    notes.push(format!("FLOPs: {shown}.{others}"));
    notes
}

fn csv(summary: &Summary) -> String {
    let mut csv = String::from(
        "method,seed,steps,loss_start,loss_final,target_loss,target_step,\
         target_flops_exact,target_flops_electra,target_seconds,\
         saving_flops_exact,saving_flops_electra,saving_seconds,\
         saving_with_small_flops_exact,saving_with_small_flops_electra,saving_with_small_seconds,\
         operator_flops_exact,operator_flops_electra,operator_seconds,\
         total_flops_exact,total_flops_electra,total_seconds\n",
    );
    for method in &summary.methods {
        let quoted = format!("\"{}\"", method.name.replace('"', "\"\""));
        let name = if method.name.contains([',', '"', '\n']) {
            &quoted
        } else {
            &method.name
        };
        let three = |numbers: Option<[f64; 3]>| {
            numbers
                .map_or([const { String::new() }; 3], |numbers| {
                    numbers.map(|number| number.to_string())
                })
                .join(",")
        };
        let (operator, cost) = (&method.operator_cost, &method.cost);
        let _ = writeln!(
            csv,
            "{name},{},{},{},{},{},{},{},{},{},{},{}",
            method.seed,
            method.steps,
            method.loss_start,
            method.loss_final,
            summary.target_loss,
            method.to_target.map_or(String::new(), |target| target.step.to_string()),
            three(
                method
                    .to_target
                    .map(|t| [t.cost.flops_exact, t.cost.flops_electra, t.cost.seconds])
            ),
            three(method.saving.map(|s| [s.flops_exact, s.flops_electra, s.seconds])),
            three(
                method
                    .saving_with_small
                    .map(|s| [s.flops_exact, s.flops_electra, s.seconds])
            ),
            three(Some([operator.flops_exact, operator.flops_electra, operator.seconds])),
            three(Some([
                operator.flops_exact + cost.flops_exact,
                operator.flops_electra + cost.flops_electra,
                operator.seconds + cost.seconds,
            ])),
        );
    }
    csv
}

fn ascii(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '−' | '–' | '─' => '-',
            '×' => 'x',
            '•' => '*',
            '“' | '”' => '"',
            '→' => '>',
            other if other.is_ascii() => other,
            _ => '?',
        })
        .collect()
}
