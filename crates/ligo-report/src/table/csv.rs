//! The table for spreadsheets: unrounded, units in the column names.

use crate::summary::{Cost, CostEstimate, Estimate, Saving, Summary};

/// A row for each run.
pub(super) fn runs(summary: &Summary) -> String {
    let mut csv = line(&[
        &text_headings(&[
            "method",
            "seed",
            "steps",
            "loss_start",
            "loss_final",
            "target_loss",
            "target_step",
        ]),
        &three_headings("target", ""),
        &three_headings("saving", ""),
        &three_headings("saving_with_small", ""),
        &three_headings("operator", ""),
        &three_headings("total", ""),
        &text_headings(&[
            "id",
            "group",
            "learning_rate",
            "peak_memory_bytes",
            "energy_kwh",
            "energy_measured",
        ]),
    ]);
    let target_of = |seed: u64| {
        let reference = summary.reference.as_ref()?;
        let at = reference.seeds.iter().position(|&found| found == seed)?;
        reference.losses.get(at).copied()
    };
    for method in &summary.methods {
        let target = target_of(method.seed).unwrap_or(summary.target_loss);
        let costs = |cost: Cost| cost.measures().map(|number| number.to_string());
        let savings = |saving: Saving| saving.measures().map(|number| number.to_string());
        let or_empty = |cells: Option<[String; 3]>| cells.unwrap_or_default().to_vec();
        csv += &line(&[
            &[
                quoted(&method.name),
                method.seed.to_string(),
                method.steps.to_string(),
                method.loss_start.to_string(),
                method.loss_final.to_string(),
                target.to_string(),
                number(method.to_target.map(|target| target.step)),
            ],
            &or_empty(method.to_target.map(|target| costs(target.cost))),
            &or_empty(method.saving.map(savings)),
            &or_empty(method.saving_with_small.map(savings)),
            &costs(method.operator_cost),
            &costs(method.operator_cost + method.cost),
            &[
                quoted(&method.id),
                quoted(method.group()),
                number(method.learning_rate),
                number(method.peak_memory_bytes),
                number(method.energy.map(|energy| energy.kwh)),
                number(method.energy.map(|energy| energy.measured)),
            ],
        ]);
    }
    csv
}

/// A row for each method over its seeds: means, and half the widths of their 95 % intervals.
pub(super) fn methods(summary: &Summary) -> String {
    let both = |name: &str| [name.to_string(), format!("{name}_half_width")];
    let estimates = |name: &str| [three_headings(name, ""), three_headings(name, "_half_width")].concat();
    let mut csv = line(&[
        &text_headings(&[
            "group",
            "method",
            "label",
            "seeds",
            "reached",
            "unpaired",
            "learning_rate",
        ]),
        &both("loss_start"),
        &both("loss_final"),
        &estimates("target"),
        &estimates("saving"),
        &estimates("saving_with_small"),
        &three_headings("mean_curve_saving", ""),
        &three_headings("mean_curve_saving_with_small", ""),
        &estimates("operator"),
        &both("peak_memory_bytes"),
        &both("energy_kwh"),
        &text_headings(&["energy_measured"]),
    ]);
    for group in &summary.groups {
        let savings = |saving: Option<Saving>| {
            let parts = saving.map(|saving| saving.measures());
            parts.map_or_else(Default::default, |parts| parts.map(|number| number.to_string()))
        };
        csv += &line(&[
            &[
                quoted(&group.key),
                quoted(&group.name),
                quoted(&group.label),
                group.seeds.len().to_string(),
                group.reached.to_string(),
                group.unpaired.to_string(),
                number(group.learning_rate),
            ],
            &estimate(group.loss_start),
            &estimate(group.loss_final),
            &three(&group.to_target),
            &three(&group.saving),
            &three(&group.saving_with_small),
            &savings(group.mean_curve.saving),
            &savings(group.mean_curve.saving_with_small),
            &three(&group.operator_cost),
            &estimate(group.peak_memory_bytes),
            &estimate(group.energy_kwh),
            &[number(group.energy_kwh.map(|_| group.energy_measured))],
        ]);
    }
    csv
}

fn line(parts: &[&[String]]) -> String {
    parts.concat().join(",") + "\n"
}

fn text_headings(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn three_headings(name: &str, end: &str) -> Vec<String> {
    let parts = ["flops_exact", "flops_electra", "seconds"];
    parts.map(|part| format!("{name}_{part}{end}")).to_vec()
}

fn number(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn estimate(value: Option<Estimate>) -> [String; 2] {
    [number(value.map(|v| v.mean)), number(value.and_then(|v| v.half_width))]
}

/// Three means, then three half-widths.
fn three(cost: &CostEstimate) -> Vec<String> {
    let parts = cost.measures().map(estimate);
    let means = parts.iter().map(|[mean, _]| mean.clone());
    means.chain(parts.iter().map(|[_, half]| half.clone())).collect()
}

/// A text as RFC 4180 wants it.
pub(super) fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
