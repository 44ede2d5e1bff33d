//! The places of the pictures, with the buttons that change them. The script draws.

use maud::{Markup, PreEscaped, html};

use super::page::Section;
use super::parts::{choice, switch};
use crate::summary::{Counter, MethodSummary, OperatorSummary, Summary};
use crate::{plot, verdict};

pub(super) fn savings(summary: &Summary) -> Option<Section> {
    if !verdict::has_scratch(summary) || summary.methods.iter().all(MethodSummary::is_scratch) {
        return None;
    }
    let measures = [
        ("exact", "FLOPs"),
        ("electra", "FLOPs (ELECTRA)"),
        ("seconds", "wall time"),
    ];
    let small_is_free = summary.small.cost.is_none();
    Some(Section {
        id: "savings",
        link: "Savings",
        title: "What each method saved",
        content: html! {
            p.lead {
                "The share of scratch’s cost that a method did not need to reach scratch’s final loss. Learning the operator is \
                 charged; the small model is taken as given, as in the LiGO paper, unless you charge it too."
            }
            div.tools role="group" aria-label="What is saved" {
                (choice("Measure", "measure", false, &measures))
                (switch("small", small_is_free, "small model charged"))
            }
            div.chart data-chart="savings" {}
            p.key data-key {}
        },
    })
}

pub(super) fn curves(summary: &Summary) -> Option<Section> {
    if summary.methods.iter().all(|run| run.curve.is_empty()) {
        return None;
    }
    Some(Section {
        id: "curves",
        link: "Curves",
        title: "Validation loss on the way",
        content: html! {
            (tools_of_curves(summary))
            div.with-legend {
                div.chart data-chart="curves" {}
                div.legend data-legend role="group" aria-label="Methods shown" {}
            }
            p.key {
                "Drag to zoom, double-click for the first view. With the keyboard on the picture: arrows read out, + and − zoom, \
                 0 resets. A ring marks where the mean curve reaches the target; dots before a line are its operator’s price."
            }
            p.sr aria-live="polite" data-live {}
        },
    })
}

fn tools_of_curves(summary: &Summary) -> Markup {
    let axes = [
        ("exact", "FLOPs"),
        ("electra", "FLOPs (ELECTRA)"),
        ("seconds", "time"),
        ("step", "steps"),
        ("tokens", summary.corpus.unit.samples()),
    ];
    let seeds = [("lines", "seeds as lines"), ("band", "as band"), ("none", "mean only")];
    html! {
        div.tools {
            (choice("Horizontal axis", "axis", false, &axes))
            (choice("Seeds", "seeds", !summary.several_seeds(), &seeds))
            span.buttons { (switch("logX", false, "log x")) (switch("logY", false, "log y")) }
            span.buttons {
                button type="button" data-do="in" aria-label="Zoom in" { "+" }
                button type="button" data-do="out" aria-label="Zoom out" { "−" }
                button type="button" data-do="reset" { "reset" }
                button type="button" data-do="all" { "whole curves" }
            }
        }
    }
}

/// The one picture that the script does not draw: the file beside the page, which has a white ground and needs no buttons.
pub(super) fn frontier(summary: &Summary) -> Option<Section> {
    let picture = plot::frontier(summary, Counter::Exact)?;
    Some(Section {
        id: "frontier",
        link: "Frontier",
        title: "How low for how much",
        content: html! {
            p.lead {
                "Each point is the end of a schedule, the mean of its seeds. Where two lines stand at one height, the way between them is what the                  one on the left saves: a loss on the way of a longer schedule would be that of a high learning rate."
            }
            // Its texts were escaped when it was drawn.
            div.picture { (PreEscaped(picture)) }
        },
    })
}

pub(super) fn operators(summary: &Summary) -> Option<Section> {
    if summary.operators.is_empty() {
        return None;
    }
    Some(Section {
        id: "operators",
        link: "Operators",
        title: "What the operators look like",
        content: html! {
            div.tools {
                label {
                    "Run "
                    select data-operator {
                        @for (index, operator) in summary.operators.iter().enumerate() {
                            option value=(index) { (title(operator)) }
                        }
                    }
                }
            }
            div data-pictures {}
        },
    })
}

fn title(operator: &OperatorSummary) -> &str {
    match operator.title.as_str() {
        "" => &operator.run,
        title => title,
    }
}
