//! The table of methods.

use maud::{Markup, html};

use super::page::Section;
use super::parts::{choice, notes, prose, scrolling};
use crate::plot::color::{Style, styles};
use crate::summary::{CostEstimate, Counter, Estimate, Group, Saving, Summary};
use crate::table::{NONE, Table, energy, flops, loss, seconds, share};
use ligo_cost::format;

/// A cell: what is shown, what it is sorted by, and whether it is the best of its column.
pub(super) struct Cell {
    pub text: String,
    pub value: Option<f64>,
    pub best: bool,
}

/// A column with what tells its cells.
struct Column<'a> {
    band: &'static str,
    heading: &'static str,
    /// `exact` or `electra` for columns that only one count shows.
    class: &'static str,
    /// Whether more is better.
    descending: bool,
    cell: Box<dyn Fn(&Group) -> (Option<String>, Option<f64>) + 'a>,
}

impl Column<'_> {
    /// Whether both stand below one heading.
    fn is_of_band(&self, other: &Self) -> bool {
        (self.band, self.class) == (other.band, other.class)
    }
}

/// The other forms of the table: what the script calls them, what people do, and the file.
const FORMS: [(&str, &str, &str); 4] = [
    ("markdown", "Markdown", "table.md"),
    ("latex", "LaTeX", "table.tex"),
    ("csv", "CSV", "methods.csv"),
    ("runs", "CSV of every run", "runs.csv"),
];

pub(super) fn section(summary: &Summary, names: &[String]) -> Section {
    let table = Table::new(summary, Counter::Exact);
    let counters = [("exact", "FLOPs, exact"), ("electra", "ELECTRA’s count")];
    Section {
        id: "table",
        link: "Table",
        title: "All methods",
        content: html! {
            div.tools { (choice("FLOPs", "counter", false, &counters)) }
            (scrolling("All methods", &grid(summary, names, &columns(summary))))
            (notes(table.notes().iter().map(|note| prose(note))))
            div.tools {
                @for (form, name, _) in FORMS {
                    button type="button" data-copy=(form) { "copy " (name) }
                }
                @for (form, name, file) in &FORMS[2..] {
                    button type="button" data-save=(form) data-file=(file) { "save " (name) }
                }
            }
        },
    }
}

fn grid(summary: &Summary, names: &[String], columns: &[Column<'_>]) -> Markup {
    let begins = |place: usize| place == 0 || !columns[place].is_of_band(&columns[place - 1]);
    let cells: Vec<Vec<Cell>> = columns.iter().map(|column| cells(summary, column)).collect();
    let styles = styles(summary.groups.iter().map(|group| group.name.as_str()));
    html! {
        table.grid data-sortable data-counter="exact" {
            thead {
                tr.bands {
                    th {}
                    @for band in columns.chunk_by(Column::is_of_band) {
                        th.first.(band[0].class) colspan=(band.len()) { (band[0].band) }
                    }
                }
                tr {
                    (head("method", "", false, false))
                    @for (place, column) in columns.iter().enumerate() {
                        (head(column.heading, column.class, column.descending, begins(place)))
                    }
                }
            }
            tbody {
                @for (row, (name, style)) in names.iter().zip(styles).enumerate() {
                    tr {
                        th scope="row" { (sample(style)) " " (name) }
                        @for (place, column) in columns.iter().enumerate() {
                            (cells[place][row].markup(column.class, begins(place)))
                        }
                    }
                    "\n"
                }
            }
        }
    }
}

/// A piece of a method's line.
fn sample(style: Style) -> Markup {
    let Style { light, dark, dashes } = style;
    let dashes = Some(dashes).filter(|dashes| !dashes.is_empty());
    html! {
        svg.series.sample style={ "--light:" (light) ";--dark:" (dark) } width="26" height="10" aria-hidden="true" {
            line x1="1" x2="25" y1="5" y2="5" stroke="var(--own)" stroke-width="3" stroke-dasharray=[dashes] {}
        }
    }
}

/// A heading that sorts.
pub(super) fn head(text: &str, class: &str, descending: bool, begins: bool) -> Markup {
    let better = if descending { "descending" } else { "ascending" };
    html! {
        th.(class).first[begins] scope="col" data-better=(better) {
            button type="button" { (text) }
        }
    }
}

impl Cell {
    pub(super) fn markup(&self, class: &str, begins: bool) -> Markup {
        let value = self.value.filter(|value| value.is_finite());
        let value = value.map_or(String::new(), |value| value.to_string());
        html! {
            td.(class).first[begins].best[self.best] data-value=(value) {
                // The interval after a mean is paler.
                @match self.text.split_once(" ± ") {
                    Some((mean, rest)) => { (mean) " " small { "± " (rest) } }
                    None => { (self.text) }
                }
            }
        }
    }
}

fn cells(summary: &Summary, column: &Column<'_>) -> Vec<Cell> {
    let cells: Vec<(Option<String>, Option<f64>)> = summary.groups.iter().map(|group| (column.cell)(group)).collect();
    // Only savings have a best one: a low loss right after growth is no aim, and time depends on the machine. As in the verdict,
    // only methods count of which every seed arrived.
    let all = |group: &Group| group.reached == group.seeds.len();
    let values = cells.iter().zip(&summary.groups).filter(|(_, group)| all(group));
    let best = values
        .filter_map(|((_, value), _)| *value)
        .filter(|value| value.is_finite())
        .fold(f64::NEG_INFINITY, f64::max);
    let ranked = column.descending && best.is_finite() && summary.groups.len() > 2;
    cells
        .into_iter()
        .zip(&summary.groups)
        .map(|((text, value), group)| Cell {
            text: text.unwrap_or(NONE.to_string()),
            value,
            best: ranked && all(group) && value == Some(best),
        })
        .collect()
}

fn columns(summary: &Summary) -> Vec<Column<'_>> {
    fn mean(estimate: Option<Estimate>) -> Option<f64> {
        estimate.map(|estimate| estimate.mean)
    }
    let several = summary.several_seeds();
    let mut columns: Vec<Column<'_>> = Vec::new();
    let mut add = |band, heading, class, descending, cell: Box<dyn Fn(&Group) -> (Option<String>, Option<f64>)>| {
        columns.push(Column {
            band,
            heading,
            class,
            descending,
            cell,
        });
    };
    if several {
        add(
            "seeds",
            "reached",
            "",
            false,
            Box::new(|group| {
                let text = format!("{} of {}", group.reached, group.seeds.len());
                // More first, though it is no saving: sorted by what is missing.
                (Some(text), Some(group.seeds.len() as f64 - group.reached as f64))
            }),
        );
    }
    let losses = "validation loss";
    add(
        losses,
        "at start",
        "",
        false,
        Box::new(|group| (Some(loss(group.loss_start)), mean(group.loss_start))),
    );
    add(
        losses,
        "final",
        "",
        false,
        Box::new(|group| (Some(loss(group.loss_final)), mean(group.loss_final))),
    );
    for (counter, class) in [(Counter::Exact, "exact"), (Counter::Electra, "electra")] {
        let band = match counter {
            Counter::Exact => "FLOPs",
            Counter::Electra => "FLOPs, ELECTRA’s count",
        };
        let pick = move |cost: &CostEstimate| cost.flops(counter);
        add(
            band,
            "to target",
            class,
            false,
            Box::new(move |group| {
                let cost = pick(&group.to_target);
                (Some(flops(cost).unwrap_or("never".into())), mean(cost))
            }),
        );
        add(band, "saving", class, true, saving(move |group| pick(&group.saving)));
        if summary.small.cost.is_some() {
            add(
                band,
                "incl. small",
                class,
                true,
                saving(move |group| pick(&group.saving_with_small)),
            );
        }
        if several {
            add(
                band,
                "mean curves",
                class,
                true,
                by_mean(move |saving| saving.flops(counter)),
            );
        }
        add(
            band,
            "operator",
            class,
            false,
            Box::new(move |group| {
                let cost = pick(&group.operator_cost).filter(|cost| cost.mean > 0.0);
                (
                    cost.map(|cost| format::flops(cost.mean)),
                    mean(pick(&group.operator_cost)),
                )
            }),
        );
    }
    let time = "wall time";
    add(
        time,
        "to target",
        "",
        false,
        Box::new(|group| {
            let cost = group.to_target.seconds;
            (Some(seconds(cost).unwrap_or("never".into())), mean(cost))
        }),
    );
    add(time, "saving", "", true, saving(|group| group.saving.seconds));
    if summary.small.cost.is_some() {
        add(
            time,
            "incl. small",
            "",
            true,
            saving(|group| group.saving_with_small.seconds),
        );
    }
    if several {
        add(time, "mean curves", "", true, by_mean(|saving| saving.seconds));
    }
    add(
        time,
        "operator",
        "",
        false,
        Box::new(|group| {
            let cost = group.operator_cost.seconds.filter(|cost| cost.mean > 0.0);
            (
                cost.map(|cost| format::seconds(cost.mean)),
                mean(group.operator_cost.seconds),
            )
        }),
    );
    let whole = "whole run";
    if summary.groups.iter().any(|group| group.peak_memory_bytes.is_some()) {
        add(
            whole,
            "peak memory",
            "",
            false,
            Box::new(|group| {
                (
                    group.peak_memory_bytes.map(|memory| format::bytes(memory.mean)),
                    mean(group.peak_memory_bytes),
                )
            }),
        );
    }
    if summary.groups.iter().any(|group| group.energy_kwh.is_some()) {
        add(
            whole,
            "energy",
            "",
            false,
            Box::new(|group| (energy(group), mean(group.energy_kwh))),
        );
    }
    if summary.groups.iter().any(|group| group.learning_rate.is_some()) {
        add(
            whole,
            "learning rate",
            "",
            false,
            Box::new(|group| (group.learning_rate.map(|rate| format!("{rate:e}")), group.learning_rate)),
        );
    }
    columns
}

type Cells = Box<dyn Fn(&Group) -> (Option<String>, Option<f64>)>;

fn saving(pick: impl Fn(&Group) -> Option<Estimate> + 'static) -> Cells {
    Box::new(move |group| {
        let saving = pick(group);
        (Some(share(saving)), saving.map(|saving| saving.mean))
    })
}

fn by_mean(pick: impl Fn(&Saving) -> f64 + 'static) -> Cells {
    Box::new(move |group| {
        let saving = group.mean_curve.saving.as_ref().map(&pick);
        (saving.map(format::percent), saving)
    })
}
