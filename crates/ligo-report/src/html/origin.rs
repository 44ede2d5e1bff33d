//! Where the comparison came from, how to repeat it, and what a plan had said.

use maud::{Markup, html};

use super::page::Section;
use super::parts::{notes, scrolling};
use crate::summary::{Figures, PredictedRun, Prediction, Provenance, Summary};
use crate::table::NONE;
use ligo_cost::format;

pub(super) fn section(summary: &Summary) -> Section {
    let unknown = Provenance::default();
    let origin = summary.provenance.as_ref().unwrap_or(&unknown);
    Section {
        id: "repeat",
        link: "Repeat it",
        title: "How to repeat it",
        content: html! {
            @if !origin.command.is_empty() { (copyable("The command", &origin.command)) }
            div.columns {
                div {
                    h3 { "Data and machine" }
                    (facts(machine(summary, origin).iter().map(|(name, text)| (name, text))))
                }
                @if !summary.files.is_empty() {
                    div {
                        h3 { "Files beside this one" }
                        (facts(&summary.files))
                    }
                }
            }
            @if !origin.recipe.is_empty() { (copyable("The recipe", &origin.recipe)) }
        },
    }
}

fn machine(summary: &Summary, origin: &Provenance) -> Vec<(String, String)> {
    let corpus = &summary.corpus;
    let mut facts = vec![
        ("data".to_string(), corpus.name.clone()),
        ("hash of the data".to_string(), corpus.hash.clone()),
        (
            format!("{} to train, to validate", corpus.unit.samples()),
            format!(
                "{}, {}",
                format::whole(corpus.train_tokens),
                format::whole(corpus.valid_tokens)
            ),
        ),
        ("hash of the recipe".to_string(), origin.recipe_hash.clone()),
    ];
    facts.extend(
        origin
            .versions
            .iter()
            .map(|(name, version)| (name.clone(), version.clone())),
    );
    let cpu = match origin.threads {
        Some(threads) if !origin.cpu.is_empty() => format!("{}, {threads} threads", origin.cpu),
        _ => origin.cpu.clone(),
    };
    let memory = origin
        .memory_bytes
        .map_or(String::new(), |bytes| format::bytes(bytes as f64));
    let machine = [
        ("device", origin.device.clone()),
        ("precision of products", origin.precision.clone()),
        ("processor", cpu),
        ("memory", memory),
        ("system", origin.os.clone()),
        ("began", origin.started.clone()),
        ("ended", origin.ended.clone()),
    ];
    facts.extend(machine.map(|(name, text)| (name.to_string(), text)));
    facts.retain(|(_, text)| !text.is_empty());
    facts
}

fn facts<'a>(facts: impl IntoIterator<Item = (&'a String, &'a String)>) -> Markup {
    html! {
        dl.facts {
            @for (name, text) in facts { dt { (name) } dd { (text) } "\n" }
        }
    }
}

fn copyable(title: &str, text: &str) -> Markup {
    html! {
        h3 { (title) }
        div.copyable { pre tabindex="0" { (text.trim_end()) } }
    }
}

/// What a plan said beside what happened.
pub(super) fn prediction(summary: &Summary) -> Option<Section> {
    let prediction = summary
        .prediction
        .as_ref()
        .filter(|prediction| !prediction.runs.is_empty())?;
    Some(Section {
        id: "plan",
        link: "Plan",
        title: "The plan, and what came of it",
        content: html! {
            p.lead {
                "Predicted"
                @if !prediction.hardware.is_empty() { " for " (prediction.hardware) }
                " before the first step, then measured."
            }
            (scrolling("Plan and measurement", &planned(prediction)))
            (notes(&prediction.assumptions))
        },
    })
}

/// What is predicted, how it is written, and where it stands.
type Figure = (&'static str, fn(f64) -> String, fn(&Figures) -> Option<f64>);

const FIGURES: [Figure; 4] = [
    ("FLOPs", format::flops, |figures| figures.flops_exact),
    ("time", format::seconds, |figures| figures.seconds),
    ("memory", format::bytes, |figures| figures.memory_bytes),
    ("energy", format::energy, |figures| figures.energy_kwh),
];

fn planned(prediction: &Prediction) -> Markup {
    html! {
        table.grid {
            thead {
                tr.bands {
                    th {}
                    @for (name, ..) in FIGURES { th.first colspan="3" { (name) } }
                }
                tr {
                    th scope="col" { "what" }
                    @for _ in FIGURES {
                        th.first scope="col" { "predicted" }
                        th scope="col" { "measured" }
                        th scope="col" { "off by" }
                    }
                }
            }
            tbody {
                @for run in &prediction.runs {
                    tr {
                        th scope="row" { (run.label) }
                        @for figure in &FIGURES { (beside(figure, run)) }
                    }
                    "\n"
                }
            }
        }
    }
}

/// The cells of one figure: what was said, what was, and by how much that was off.
fn beside((_, text, pick): &Figure, run: &PredictedRun) -> Markup {
    let (said, was) = (pick(&run.predicted), pick(&run.measured));
    let shown = |value: Option<f64>| value.map_or(NONE.to_string(), text);
    let off = match (said, was) {
        (Some(said), Some(was)) if said.is_finite() && was > 0.0 => {
            let share = format::percent(said / was - 1.0);
            if said > was { format!("+{share}") } else { share }
        }
        _ => NONE.to_string(),
    };
    html! {
        td.first { (shown(said)) }
        td { (shown(was)) }
        td { (off) }
    }
}
