//! The report of a comparison: one HTML file that needs nothing else, neither a network nor a server.
//!
//! Tables, recipe and hashes are in the page itself; the pictures are drawn by the script in it, from the data in it. The page forbids
//! its own loading of anything else (`Content-Security-Policy`), and every text of a summary is escaped.

mod answer;
mod data;
mod methods;
mod origin;
mod page;
mod runs;
mod tried;

use ligo_assets::report::{CURVES, OPERATORS, PAGE, SAVINGS, SCRIPT, STYLE};

use crate::summary::{Counter, MethodSummary, Summary};
use crate::table::labels;
use crate::verdict;
use page::{escaped, filled};

/// A part of the page: what links to it, and its markup.
struct Section {
    id: &'static str,
    link: &'static str,
    markup: String,
}

/// The whole page as HTML. Parts of which the summary holds nothing (operators, a prediction, the provenance) are left out.
#[must_use]
pub fn report(summary: &Summary) -> String {
    let summary = &*summary.with_groups();
    let names = labels(&summary.groups);
    let verdict = verdict(summary, Counter::Exact);
    let sections: Vec<Section> = [
        savings(summary),
        curves(summary),
        Some(methods::section(summary, &names)),
        tried::section(summary),
        operators(summary),
        origin::prediction(summary),
        Some(runs::section(summary)),
        Some(origin::section(summary)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let links = sections
        .iter()
        .map(|section| format!("<a href=\"#{}\">{}</a>", section.id, section.link));
    let script = format!("(() => {{\n'use strict';\n{}}})();\n", SCRIPT.concat());
    filled(
        PAGE,
        &[
            ("version", env!("CARGO_PKG_VERSION")),
            ("title", &escaped(&summary.title)),
            ("style", STYLE),
            ("navigation", &links.collect::<String>()),
            ("about", &answer::about(summary)),
            ("cautions", &answer::cautions(summary, &verdict)),
            ("headline", &escaped(&verdict.headline)),
            ("tiles", &answer::tiles(summary, &verdict)),
            ("rivals", &answer::rivals(&verdict)),
            (
                "sections",
                &sections
                    .iter()
                    .map(|section| section.markup.as_str())
                    .collect::<String>(),
            ),
            ("footer", &origin::footer(summary)),
            ("data", &data::data(summary, &names)),
            ("script", &script),
        ],
    )
}

fn savings(summary: &Summary) -> Option<Section> {
    if !verdict::has_scratch(summary) || summary.methods.iter().all(MethodSummary::is_scratch) {
        return None;
    }
    let lead = "The share of scratch’s cost that a method did not need to reach scratch’s final loss. Learning the operator is \
                charged; the small model is taken as given, as in the LiGO paper, unless you charge it too.";
    let unknown = if summary.small.cost.is_none() { " hidden" } else { "" };
    Some(Section {
        id: "savings",
        link: "Savings",
        markup: filled(SAVINGS, &[("lead", lead), ("without_small", unknown)]),
    })
}

fn curves(summary: &Summary) -> Option<Section> {
    if summary.methods.iter().all(|run| run.curve.is_empty()) {
        return None;
    }
    let one_seed = if summary.several_seeds() { "" } else { " hidden" };
    let samples = summary.corpus.unit.samples();
    Some(Section {
        id: "curves",
        link: "Curves",
        markup: filled(CURVES, &[("samples", samples), ("one_seed", one_seed)]),
    })
}

fn operators(summary: &Summary) -> Option<Section> {
    if summary.operators.is_empty() {
        return None;
    }
    let options = summary.operators.iter().enumerate().map(|(index, operator)| {
        let title = if operator.title.is_empty() {
            &operator.run
        } else {
            &operator.title
        };
        format!("<option value=\"{index}\">{}</option>", escaped(title))
    });
    Some(Section {
        id: "operators",
        link: "Operators",
        markup: filled(OPERATORS, &[("options", &options.collect::<String>())]),
    })
}
