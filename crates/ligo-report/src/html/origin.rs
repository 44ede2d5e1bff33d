//! Where the comparison came from, how to repeat it, and what a plan had said.

use super::Section;
use super::page::escaped;
use crate::summary::{Figures, Prediction, Provenance, Summary};
use crate::table::NONE;
use ligo_cost::format;

pub(super) fn section(summary: &Summary) -> Section {
    let unknown = Provenance::default();
    let origin = summary.provenance.as_ref().unwrap_or(&unknown);
    let mut markup = String::from(
        "<section id=\"repeat\" aria-labelledby=\"repeat-title\">\n<h2 id=\"repeat-title\">How to repeat it</h2>\n",
    );
    if !origin.command.is_empty() {
        markup += &copyable("The command", &origin.command);
    }
    markup += "<div class=\"columns\">\n<div>\n<h3>Data and machine</h3>\n";
    markup += &facts(&machine(summary, origin));
    markup += "</div>\n";
    if !summary.files.is_empty() {
        let files: Vec<(String, String)> = summary
            .files
            .iter()
            .map(|(name, path)| (name.clone(), path.clone()))
            .collect();
        markup += &format!("<div>\n<h3>Files beside this one</h3>\n{}</div>\n", facts(&files));
    }
    markup += "</div>\n";
    if !origin.recipe.is_empty() {
        markup += &copyable("The recipe", &origin.recipe);
    }
    markup += "</section>\n";
    Section {
        id: "repeat",
        link: "Repeat it",
        markup,
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

fn facts(facts: &[(String, String)]) -> String {
    let rows = facts
        .iter()
        .map(|(name, text)| format!("<dt>{}</dt><dd>{}</dd>\n", escaped(name), escaped(text)));
    format!("<dl class=\"facts\">\n{}</dl>\n", rows.collect::<String>())
}

fn copyable(title: &str, text: &str) -> String {
    format!(
        "<h3>{title}</h3>\n<div class=\"copyable\"><pre tabindex=\"0\">{}</pre></div>\n",
        escaped(text.trim_end())
    )
}

/// What a plan said beside what happened.
pub(super) fn prediction(summary: &Summary) -> Option<Section> {
    let prediction = summary
        .prediction
        .as_ref()
        .filter(|prediction| !prediction.runs.is_empty())?;
    let hardware = if prediction.hardware.is_empty() {
        String::new()
    } else {
        format!(" for {}", escaped(&prediction.hardware))
    };
    let assumptions = prediction
        .assumptions
        .iter()
        .map(|text| format!("<li>{}</li>\n", escaped(text)));
    let markup = format!(
        "<section id=\"plan\" aria-labelledby=\"plan-title\">\n<h2 id=\"plan-title\">The plan, and what came of it</h2>\n\
         <p class=\"lead\">Predicted{hardware} before the first step, then measured.</p>\n{}<ul class=\"notes\">\n{}</ul>\n</section>\n",
        planned(prediction),
        assumptions.collect::<String>()
    );
    Some(Section {
        id: "plan",
        link: "Plan",
        markup,
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

fn planned(prediction: &Prediction) -> String {
    let mut bands = String::from("<th></th>");
    let mut heads = String::from("<th scope=\"col\">what</th>");
    for (name, ..) in FIGURES {
        bands += &format!("<th class=\"first\" colspan=\"3\">{name}</th>");
        heads += "<th scope=\"col\" class=\"first\">predicted</th><th scope=\"col\">measured</th><th scope=\"col\">off by</th>";
    }
    let rows = prediction.runs.iter().map(|run| {
        let cells = FIGURES.map(|(_, text, pick)| {
            let (said, was) = (pick(&run.predicted), pick(&run.measured));
            let shown = |value: Option<f64>| value.map_or(NONE.to_string(), text);
            let off = match (said, was) {
                (Some(said), Some(was)) if said.is_finite() && was > 0.0 => {
                    let share = format::percent(said / was - 1.0);
                    if said > was { format!("+{share}") } else { share }
                }
                _ => NONE.to_string(),
            };
            format!(
                "<td class=\"first\">{}</td><td>{}</td><td>{off}</td>",
                shown(said),
                shown(was)
            )
        });
        format!(
            "<tr><th scope=\"row\">{}</th>{}</tr>\n",
            escaped(&run.label),
            cells.concat()
        )
    });
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Plan and measurement\"><table class=\"grid\">\n\
         <thead><tr class=\"bands\">{bands}</tr>\n<tr>{heads}</tr></thead>\n<tbody>\n{}</tbody></table></div>\n",
        rows.collect::<String>()
    )
}

pub(super) fn footer(summary: &Summary) -> String {
    let ended = summary.provenance.as_ref().map_or("", |origin| origin.ended.as_str());
    let ended = if ended.is_empty() {
        String::new()
    } else {
        format!(" Runs ended {}.", escaped(ended))
    };
    format!(
        "Made by ligo {}.{ended} This file holds all it shows and loads nothing.",
        env!("CARGO_PKG_VERSION")
    )
}
