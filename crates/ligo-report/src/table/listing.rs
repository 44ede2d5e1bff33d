//! Small tables beside the one of the comparison: the searches for learning rates, and a sweep's ranking.

use ligo_cost::format;
use std::fmt::Write as _;

use super::cells::{NEVER, NONE, one_line};
use super::csv::quoted;
use super::markdown::{escaped, plain};
use super::text::ascii;
use crate::summary::{Cost, Search, Sweep, Trial};

/// A plain table with a heading and remarks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    title: String,
    headings: Vec<String>,
    /// The first cell is a name, the others are numbers.
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
    csv: String,
}

const DIVERGED: &str = "diverged";

impl Listing {
    /// Final losses by learning rate, a row for each method; nothing when nothing was searched.
    #[must_use]
    pub fn searches(searches: &[Search]) -> Option<Self> {
        let mut rates: Vec<f64> = searches
            .iter()
            .flat_map(|s| &s.trials)
            .map(|t| t.learning_rate)
            .collect();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        if rates.is_empty() {
            return None;
        }
        let mut listing = Self {
            title: "Learning rates: validation loss at the end of a trial, * the one that was taken".into(),
            headings: std::iter::once("method".to_owned())
                .chain(rates.iter().map(|rate| format!("{rate:e}")))
                .collect(),
            csv: "method,learning_rate,loss,chosen,flops_exact,flops_electra,seconds,schedule\n".into(),
            ..Self::default()
        };
        let mut whole = Cost::default();
        for search in searches {
            let is_chosen =
                |trial: &Trial| search.chosen == Some(trial.learning_rate) && search.chosen_schedule == trial.schedule;
            let mut schedules: Vec<&Option<String>> = Vec::new();
            for trial in &search.trials {
                if !schedules.contains(&&trial.schedule) {
                    schedules.push(&trial.schedule);
                }
            }
            for schedule in schedules {
                let of_schedule = || search.trials.iter().filter(|trial| trial.schedule == *schedule);
                let cell = |rate: &f64| {
                    let found = of_schedule().find(|trial| trial.learning_rate == *rate);
                    found.map_or(NONE.to_owned(), |trial| {
                        let star = if is_chosen(trial) { " *" } else { "" };
                        format!("{}{star}", loss(trial))
                    })
                };
                let name = schedule.as_ref().map_or_else(String::new, |kind| format!(", {kind}"));
                let name = std::iter::once(format!("{}{name}", one_line(&search.label)));
                listing.rows.push(name.chain(rates.iter().map(cell)).collect());
            }
            for trial in &search.trials {
                let Trial {
                    learning_rate,
                    loss,
                    cost,
                    schedule,
                } = trial;
                whole += *cost;
                let _ = writeln!(
                    listing.csv,
                    "{},{learning_rate},{loss},{},{},{},{},{}",
                    quoted(&search.method),
                    is_chosen(trial),
                    cost.flops.exact,
                    cost.flops.electra,
                    cost.seconds,
                    schedule.as_deref().unwrap_or_default()
                );
            }
        }
        let at_edge: Vec<String> = searches.iter().filter_map(edge).collect();
        if !at_edge.is_empty() {
            listing.notes.push(format!(
                "At the edge of the list, so a better rate may lie beyond it: {}.",
                at_edge.join(", ")
            ));
        }
        listing.notes.push(format!(
            "All trials together took {} and {}; no method is charged for them.",
            format::flops(whole.flops.exact),
            format::seconds(whole.seconds)
        ));
        Some(listing)
    }

    /// The variants of a sweep from the best to the worst; nothing without any.
    #[must_use]
    pub fn sweep(sweep: &Sweep) -> Option<Self> {
        if sweep.variants.is_empty() {
            return None;
        }
        let mut csv =
            String::from("rank,id,saving_flops_exact,loss_start,loss_final,operator_flops_exact,operator_seconds\n");
        let headings = ["settings", "rank", "saving", "loss at start", "final loss", "operator"];
        let mut rows = Vec::new();
        for (i, variant) in sweep.variants.iter().enumerate() {
            let has_ended = variant.loss_final.is_finite();
            let saving = match variant.saving {
                Some(saving) => format::percent(saving),
                None if has_ended => NEVER.to_owned(),
                None => DIVERGED.to_owned(),
            };
            rows.push(vec![
                variant.id.clone(),
                (i + 1).to_string(),
                saving,
                format::loss(variant.loss_start),
                format::loss(variant.loss_final),
                format::flops(variant.operator_cost.flops.exact),
            ]);
            let _ = writeln!(
                csv,
                "{},{},{},{},{},{},{}",
                i + 1,
                quoted(&variant.id),
                variant.saving.map_or(String::new(), |saving| saving.to_string()),
                variant.loss_start,
                variant.loss_final,
                variant.operator_cost.flops.exact,
                variant.operator_cost.seconds
            );
        }
        Some(Self {
            title: format!(
                "Sweep of {}, by the FLOPs that were saved, the operator charged",
                sweep.method
            ),
            headings: headings.map(str::to_owned).to_vec(),
            rows,
            notes: vec!["One seed each: differences of a few points mean nothing.".into()],
            csv,
        })
    }

    /// Aligned columns; without `unicode` only ASCII comes out.
    #[must_use]
    pub fn text(&self, unicode: bool) -> String {
        let all = || std::iter::once(&self.headings).chain(&self.rows);
        let width = |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.headings.len()).map(width).collect();
        let mut text = format!("{}\n\n", self.title);
        for (i, row) in all().enumerate() {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let _ = match column {
                    0 => write!(line, "{cell:<width$}"),
                    _ => write!(line, "  {cell:>width$}"),
                };
            }
            text += line.trim_end();
            text.push('\n');
            if i == 0 {
                text += &"─".repeat(widths.iter().sum::<usize>() + 2 * (widths.len() - 1));
                text.push('\n');
            }
        }
        text.push('\n');
        self.notes.iter().for_each(|note| _ = writeln!(text, "• {note}"));
        if unicode { text } else { ascii(&text) }
    }

    /// The same in Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let mut text = format!("{}:\n\n{}| --- |", plain(&self.title), line(&self.headings));
        (1..self.headings.len()).for_each(|_| text += " ---: |");
        text.push('\n');
        self.rows.iter().for_each(|row| text += &line(row));
        text.push('\n');
        self.notes
            .iter()
            .for_each(|note| _ = writeln!(text, "* {}", plain(note)));
        text
    }

    /// The title, the headings, the rows and the remarks, for other forms.
    pub(crate) fn parts(&self) -> (&str, &[String], &[Vec<String>], &[String]) {
        (&self.title, &self.headings, &self.rows, &self.notes)
    }

    /// Every number, unrounded.
    #[must_use]
    pub fn csv(&self) -> &str {
        &self.csv
    }
}

/// Who chose the lowest or highest rate, and which.
fn edge(search: &Search) -> Option<String> {
    let chosen = search.chosen.filter(|_| search.at_edge)?;
    let is_highest = search.trials.iter().all(|trial| trial.learning_rate <= chosen);
    let end = if is_highest { "highest" } else { "lowest" };
    Some(format!("{} ({chosen:e}, the {end})", search.label))
}

fn loss(trial: &Trial) -> String {
    if trial.loss.is_finite() {
        format::loss(trial.loss)
    } else {
        DIVERGED.to_owned()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::summary::Variant;

    #[test]
    fn each_schedule_that_was_tried_has_a_row_and_one_trial_is_taken() {
        let trial = |kind: &str, learning_rate, loss| Trial {
            learning_rate,
            loss,
            schedule: Some(kind.into()),
            ..Trial::default()
        };
        let search = Search {
            method: "ligo".into(),
            label: "LiGO".into(),
            trials: vec![
                trial("linear", 1e-3, 2.5),
                trial("wsd", 1e-3, 2.25),
                trial("linear", 2e-3, 2.375),
            ],
            chosen: Some(1e-3),
            chosen_schedule: Some("wsd".into()),
            at_edge: false,
        };
        let listing = Listing::searches(&[search]).unwrap();
        let rows: Vec<Vec<&str>> = listing
            .rows
            .iter()
            .map(|row| row.iter().map(String::as_str).collect())
            .collect();
        assert_eq!(
            rows,
            [["LiGO, linear", "2.500", "2.375"], ["LiGO, wsd", "2.250 *", NONE]]
        );
        assert!(
            listing.csv().contains("ligo,0.001,2.25,true,0,0,0,wsd"),
            "{}",
            listing.csv()
        );
    }

    #[test]
    fn a_search_shows_every_rate_and_the_chosen_one() {
        let trial = |learning_rate, loss| Trial {
            learning_rate,
            loss,
            cost: Cost::of_measures([1e12, 1e12, 30.0]),
            ..Trial::default()
        };
        let search = |label: &str, trials, chosen, at_edge| Search {
            method: label.to_lowercase(),
            label: label.into(),
            trials,
            chosen,
            at_edge,
            ..Search::default()
        };
        let searches = [
            search("scratch", vec![trial(1e-3, 2.5), trial(2e-3, 2.25)], Some(2e-3), true),
            search(
                "LiGO",
                vec![trial(1e-3, 2.125), trial(2e-3, f64::NAN)],
                Some(1e-3),
                true,
            ),
        ];
        let listing = Listing::searches(&searches).unwrap();
        let text = listing.text(true);
        for part in [
            "1e-3",
            "2e-3",
            "2.250 *",
            "2.125 *",
            "diverged",
            "scratch (2e-3, the highest), LiGO (1e-3, the lowest)",
            "4.0 TFLOP",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        assert!(
            listing.csv().contains("ligo,0.002,NaN,false,1000000000000"),
            "{}",
            listing.csv()
        );
        assert!(
            listing.markdown().contains("| LiGO | 2.125 * | diverged |"),
            "{}",
            listing.markdown()
        );
        assert!(listing.text(false).is_ascii());
        assert_eq!(Listing::searches(&[]), None);
    }

    #[test]
    fn a_sweep_is_listed_as_it_is_ranked() {
        let variant = |id: &str, saving, loss_final| Variant {
            id: id.into(),
            saving,
            loss_final,
            ..Variant::default()
        };
        let sweep = Sweep {
            method: "ligo".into(),
            variants: vec![
                variant("ligo/lr=1e-3,steps=10", Some(0.5), 2.0),
                variant("ligo", None, 2.5),
                variant("ligo/lr=1", None, f64::NAN),
            ],
        };
        let text = Listing::sweep(&sweep).unwrap().text(true);
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("ligo")).collect();
        assert!(
            rows[0].contains("50.0 %") && rows[1].contains("never") && rows[2].contains("diverged"),
            "{text}"
        );
        assert!(
            Listing::sweep(&sweep)
                .unwrap()
                .csv()
                .contains("1,\"ligo/lr=1e-3,steps=10\",0.5")
        );
        assert_eq!(Listing::sweep(&Sweep::default()), None);
    }
}
