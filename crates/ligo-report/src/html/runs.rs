//! The table of all runs.

use maud::{Markup, html};

use super::methods::{Cell, head};
use super::page::Section;
use super::parts::scrolling;
use crate::summary::{Counter, MethodSummary, Summary};
use crate::table::NONE;
use ligo_cost::format;

/// Heading, whether more is better, and the cell with what it is sorted by.
type Column = (&'static str, bool, fn(&MethodSummary) -> (Option<String>, Option<f64>));

const COLUMNS: [Column; 11] = [
    ("seed", false, |run| (Some(run.seed.to_string()), Some(run.seed as f64))),
    ("learning rate", false, |run| {
        (run.learning_rate.map(|rate| format!("{rate:e}")), run.learning_rate)
    }),
    ("steps", false, |run| {
        (Some(format::whole(run.steps)), Some(run.steps as f64))
    }),
    ("loss at start", false, |run| {
        (Some(format::loss(run.loss_start)), Some(run.loss_start))
    }),
    ("final loss", false, |run| {
        (Some(format::loss(run.loss_final)), Some(run.loss_final))
    }),
    ("steps to target", false, |run| {
        let step = run.to_target.map(|target| target.step);
        (
            Some(step.map_or("never".into(), |step| format::whole(step.max(0.0).round() as u64))),
            step,
        )
    }),
    ("FLOPs saved", true, |run| {
        let saving = run.saving.map(|saving| saving.flops(Counter::Exact));
        (saving.map(format::percent), saving)
    }),
    ("time saved", true, |run| {
        let saving = run.saving.map(|saving| saving.seconds);
        (saving.map(format::percent), saving)
    }),
    ("time", false, |run| {
        (Some(format::seconds(run.cost.seconds)), Some(run.cost.seconds))
    }),
    ("peak memory", false, |run| {
        let bytes = run.peak_memory_bytes.map(|bytes| bytes as f64);
        (bytes.map(format::bytes), bytes)
    }),
    ("energy", false, |run| {
        let text = run.energy.map(|energy| {
            let text = format::energy(energy.kwh);
            if energy.measured { text } else { format!("≈ {text}") }
        });
        (text, run.energy.map(|energy| energy.kwh))
    }),
];

pub(super) fn section(summary: &Summary) -> Section {
    let runs = &summary.methods;
    Section {
        id: "runs",
        link: "Runs",
        title: "Every run",
        content: html! {
            details open[runs.len() <= FEW] {
                summary {
                    @match runs.len() {
                        1 => { "1 run" }
                        many => { (many) " runs, each with its seed" }
                    }
                }
                (scrolling("Every run", &table(runs)))
            }
        },
    }
}

fn table(runs: &[MethodSummary]) -> Markup {
    // Columns of which no run has a value are left out.
    let columns: Vec<&Column> = COLUMNS
        .iter()
        .filter(|(.., cell)| runs.iter().any(|run| cell(run).0.is_some()))
        .collect();
    let with_notes = runs.iter().any(|run| !notes(run).is_empty());
    html! {
        table.grid data-sortable {
            thead {
                tr {
                    (head("run", "", false, false))
                    @for (heading, descending, _) in &columns { (head(heading, "", *descending, false)) }
                    @if with_notes { th scope="col" { "notes" } }
                }
            }
            tbody {
                @for run in runs {
                    tr {
                        th scope="row" { @if run.id.is_empty() { (run.label) } @else { (run.id) } }
                        @for (.., cell) in &columns { (shown(cell(run)).markup("", false)) }
                        @if with_notes { td.text { (notes(run)) } }
                    }
                    "\n"
                }
            }
        }
    }
}

fn shown((text, value): (Option<String>, Option<f64>)) -> Cell {
    Cell {
        text: text.unwrap_or(NONE.to_string()),
        value,
        best: false,
    }
}

/// So many runs are shown at once.
const FEW: usize = 8;

fn notes(run: &MethodSummary) -> String {
    let stages = run
        .stages
        .iter()
        .map(|stage| format!("{} from step {}", stage.label, format::whole(stage.first_step)));
    let all: Vec<String> = stages.chain(run.notes.iter().cloned()).collect();
    all.join("; ")
}
