//! How a cell says what it holds: losses, shares, costs and names.

use std::collections::BTreeMap;

use ligo_cost::format;

use crate::summary::{Estimate, Group};

/// What stands where there is nothing to say.
pub(crate) const NONE: &str = "–";
/// What stands for the cost of a target that no seed reached.
pub(super) const NEVER: &str = "never";

/// The methods' names; where two methods have the same, with what tells them apart.
pub(crate) fn labels(groups: &[Group]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for group in groups {
        *counts.entry(&group.label).or_default() += 1;
    }
    let label = |group: &Group| match counts.get(group.label.as_str()) {
        Some(&count) if count > 1 && group.key != group.label => format!("{} ({})", group.label, group.key),
        _ => group.label.clone(),
    };
    groups.iter().map(label).map(|label| one_line(&label)).collect()
}

/// A name without what would break a line or speak to a terminal.
pub(super) fn one_line(name: &str) -> String {
    name.replace(char::is_control, " ")
}

/// A loss over seeds.
pub(crate) fn loss(loss: Option<Estimate>) -> String {
    loss.map_or(NONE.to_string(), |loss| {
        format::fixed(loss.mean, loss.half_width, 3, "")
    })
}

/// A share over seeds.
pub(crate) fn share(share: Option<Estimate>) -> String {
    share.map_or(NONE.to_string(), |share| {
        format::fixed(100.0 * share.mean, share.half_width.map(|half| 100.0 * half), 1, "%")
    })
}

/// FLOPs over seeds.
pub(crate) fn flops(flops: Option<Estimate>) -> Option<String> {
    let flops = flops?;
    let (unit, size) = format::flops_unit(flops.mean);
    Some(format::with_interval(flops.mean, flops.half_width, size, unit))
}

/// Seconds over seeds.
pub(crate) fn seconds(seconds: Option<Estimate>) -> Option<String> {
    let seconds = seconds?;
    // One number reads best as people say it, `2 min 05 s`; an interval needs one unit.
    if seconds.half_width.is_none() {
        return Some(format::seconds(seconds.mean));
    }
    let (unit, size) = format::seconds_unit(seconds.mean);
    Some(format::with_interval(seconds.mean, seconds.half_width, size, unit))
}

/// The energy of a run; `≈` before what nobody measured.
pub(crate) fn energy(group: &Group) -> Option<String> {
    let text = format::energy(group.energy_kwh?.mean);
    Some(if group.energy_measured {
        text
    } else {
        format!("≈ {text}")
    })
}
