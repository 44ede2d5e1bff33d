//! Which columns the table has.

use super::cells::{NEVER, NONE, energy, flops, loss, seconds, share};
use super::content::{Band, Column};
use crate::summary::{CostEstimate, Counter, Estimate, Group, Saving, Summary};
use ligo_cost::format;

/// The columns of a comparison. With one seed they are those of a single run of each method; several seeds add how many
/// reached the target, the saving by mean curves and what the operator cost, and memory and energy are there when somebody
/// measured them.
pub(super) fn bands(summary: &Summary, counter: Counter) -> Vec<Band> {
    let groups = &summary.groups;
    let several = summary.several_seeds();
    let column = |heading, short, cell: &dyn Fn(&Group) -> String| Column {
        heading,
        short,
        cells: groups.iter().map(cell).collect(),
    };
    let never = |cost: Option<String>| cost.unwrap_or(NEVER.to_string());
    let none = |text: Option<String>| text.unwrap_or(NONE.to_string());

    let mut losses = vec![
        column("loss at start", "at start", &|group| loss(group.loss_start)),
        column("final loss", "final", &|group| loss(group.loss_final)),
    ];
    if several {
        let reached = column("reached", "reached", &|group| {
            format!("{} of {}", group.reached, group.seeds.len())
        });
        losses.insert(0, reached);
    }
    let savings = |pick: fn(&CostEstimate, Counter) -> Option<Estimate>, mean: fn(&Saving, Counter) -> f64| {
        let mut columns = vec![
            column("saving", "saving", &|group| share(pick(&group.saving, counter))),
            column("incl. small", "incl. small", &|group| {
                share(pick(&group.saving_with_small, counter))
            }),
        ];
        if several {
            columns.push(column("mean curves", "mean curves", &|group| {
                none(
                    group
                        .mean_curve
                        .saving
                        .map(|saving| format::percent(mean(&saving, counter))),
                )
            }));
        }
        columns
    };
    let by_flops = [column("FLOPs to target", "to target", &|group| {
        never(flops(group.to_target.flops(counter)))
    })];
    let by_flops = by_flops
        .into_iter()
        .chain(savings(CostEstimate::flops, |saving, counter| saving.flops(counter)));
    let by_time = [column("time to target", "to target", &|group| {
        never(seconds(group.to_target.seconds))
    })];
    let by_time = by_time
        .into_iter()
        .chain(savings(|cost, _| cost.seconds, |saving, _| saving.seconds));

    let mut whole = Vec::new();
    if several && groups.iter().any(|group| operator(group, counter).is_some()) {
        whole.push(column("operator", "operator", &|group| none(operator(group, counter))));
    }
    if groups.iter().any(|group| group.peak_memory_bytes.is_some()) {
        whole.push(column("peak memory", "peak memory", &|group| {
            none(group.peak_memory_bytes.map(|memory| format::bytes(memory.mean)))
        }));
    }
    if groups.iter().any(|group| group.energy_kwh.is_some()) {
        whole.push(column("energy", "energy", &|group| none(energy(group))));
    }

    let mut bands = vec![
        band("validation loss", losses),
        band("FLOPs", by_flops.collect()),
        band("wall time", by_time.collect()),
    ];
    if !whole.is_empty() {
        bands.push(band("whole run", whole));
    }
    bands
}

fn band(title: &'static str, columns: Vec<Column>) -> Band {
    Band { title, columns }
}

/// FLOPs of learning the operator, where there was something to learn.
fn operator(group: &Group, counter: Counter) -> Option<String> {
    let cost = group.operator_cost.flops(counter).filter(|cost| cost.mean > 0.0)?;
    Some(format::flops(cost.mean))
}
