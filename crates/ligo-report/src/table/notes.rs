//! The remarks beneath the table.

use super::cells::{labels, loss, share};
use crate::summary::{Cost, Counter, Estimate, Group, Provenance, Summary};
use crate::verdict;
use ligo_cost::format;

pub(super) fn notes(summary: &Summary, counter: Counter) -> Vec<String> {
    let names = labels(&summary.groups);
    let named: Vec<(&String, &Group)> = names.iter().zip(&summary.groups).collect();
    let several = summary.several_seeds();
    let mut notes: Vec<String> = verdict::cautions(summary);
    notes.push(target(summary));
    if several {
        notes.push(
            "±: 95 % interval of the mean over seeds (Student's t). Savings compare each run with the scratch run of the \
             same seed; “mean curves” compares the mean curves at the mean of scratch's final losses."
                .to_string(),
        );
        notes.extend(unpaired(&named));
    }
    if verdict::has_scratch(summary) {
        notes.extend(never(&named));
        notes.extend(at_equal_loss(&named, counter));
    }
    notes.push(match &summary.small.cost {
        Some(cost) => format!(
            "“incl. small” charges the small model too: {} and {}.",
            format::flops(cost.flops.by(counter)),
            format::seconds(cost.seconds)
        ),
        None => "What the small model cost is not known, so it is not charged.".to_string(),
    });
    notes.extend(annealed(summary));
    notes.extend(spent(summary, counter));
    notes.extend(elsewhere(summary, &named));
    notes.extend(verdict::uneven_times(summary));
    notes.extend(operators(&named, counter));
    notes.push(other_count(&named, counter));
    if named
        .iter()
        .any(|(_, group)| group.energy_kwh.is_some() && !group.energy_measured)
    {
        notes.push("≈: energy that is estimated from the machine's power and the time, not measured.".to_string());
    }
    notes
}

/// What all had to reach, with the losses that it must be judged by.
fn target(summary: &Summary) -> String {
    let floor = verdict::floor(&summary.corpus);
    let small = format::loss(summary.small.loss);
    if !verdict::has_scratch(summary) {
        return format!("No run from scratch, so there is no target and no saving (small model {small}; {floor}).");
    }
    match &summary.reference {
        Some(reference) if reference.losses.len() > 1 => {
            let each: Vec<String> = reference.losses.iter().copied().map(format::loss).collect();
            format!(
                "Target: the final validation loss of the scratch run of the same seed, {} (mean {}; small model {small}; \
                 {floor}).",
                each.join(", "),
                loss(reference.loss)
            )
        }
        _ => format!(
            "Target: scratch's final validation loss, {} (small model {small}; {floor}).",
            format::loss(summary.target_loss)
        ),
    }
}

/// The small model with a rate that falls.
fn annealed(summary: &Summary) -> Option<String> {
    let annealed = summary.small.annealed?;
    Some(format!(
        "The small model is grown as it is at a constant rate, {}; with a rate that falls at the end it comes to {}.",
        format::loss(summary.small.loss),
        format::loss(annealed.loss)
    ))
}

/// What the comparison itself took, where that is less than the sum of its runs.
fn spent(summary: &Summary, counter: Counter) -> Option<String> {
    let shared = summary.methods.iter().filter(|run| run.shared.is_some()).count();
    let (charged, spent) = summary.charged_and_spent();
    let said = |cost: &Cost| {
        format!(
            "{} and {}",
            format::flops(cost.flops.by(counter)),
            format::seconds(cost.seconds)
        )
    };
    (shared > 0).then(|| {
        format!(
            "{shared} runs have their first steps in common with others, which made them once: all runs together took {}. Each is charged as if it were alone, {} in all.",
            said(&spent),
            said(&charged)
        )
    })
}

fn never(named: &[(&String, &Group)]) -> Option<String> {
    let short = named.iter().filter(|(_, group)| group.reached < group.seeds.len());
    let short: Vec<String> = short
        .map(
            |(name, group)| match (group.seeds.len() - group.reached, group.seeds.len()) {
                (missed, all) if missed < all => format!("{name} ({missed} of {all} seeds, left out of its savings)"),
                _ => (*name).clone(),
            },
        )
        .collect();
    (!short.is_empty()).then(|| format!("Never reached the target: {}.", short.join(", ")))
}

/// Savings between the ends of schedules, beside those of the table, which hold a schedule's end against the way of another one.
fn at_equal_loss(named: &[(&String, &Group)], counter: Counter) -> Option<String> {
    let each: Vec<String> = named
        .iter()
        .filter_map(|(name, group)| {
            let saving = share(Some(group.at_equal_loss.flops(counter)?));
            let charged = group.at_equal_loss_with_small.flops(counter);
            let charged = charged.map_or_else(String::new, |charged| {
                format!(" ({} incl. small)", share(Some(charged)))
            });
            Some(format!("{name} {saving}{charged}"))
        })
        .collect();
    (!each.is_empty()).then(|| {
        format!(
            "FLOPs saved at equal loss, each run's own last one, against scratch with schedules that end at that loss (between their ends the logarithm of the FLOPs is interpolated): {}.",
            each.join(", ")
        )
    })
}

fn unpaired(named: &[(&String, &Group)]) -> Option<String> {
    let without: Vec<&str> = named
        .iter()
        .filter(|(_, group)| group.unpaired > 0)
        .map(|(name, _)| name.as_str())
        .collect();
    (!without.is_empty()).then(|| {
        format!(
            "Measured against the first scratch run, where scratch has not run with their seed: {}.",
            without.join(", ")
        )
    })
}

/// Methods whose times are those of other computers.
fn elsewhere(summary: &Summary, named: &[(&String, &Group)]) -> Option<String> {
    let here = summary.provenance.as_ref().map(Provenance::computer);
    let mut computers: Vec<&str> = Vec::new();
    let mut methods: Vec<&str> = Vec::new();
    for run in &summary.methods {
        let Some(computer) = run
            .computed_on
            .as_deref()
            .filter(|other| Some(*other) != here.as_deref())
        else {
            continue;
        };
        let group = named.iter().find(|(_, group)| group.key == run.group);
        for (list, entry) in [
            (&mut computers, computer),
            (
                &mut methods,
                group.map_or(run.label.as_str(), |(name, _)| name.as_str()),
            ),
        ] {
            if !list.contains(&entry) {
                list.push(entry);
            }
        }
    }
    (!methods.is_empty()).then(|| {
        format!(
            "Taken over from other comparisons, with times and energy of another computer ({}): {}.",
            computers.join("; "),
            methods.join(", ")
        )
    })
}

fn operators(named: &[(&String, &Group)], counter: Counter) -> Option<String> {
    let operators: Vec<(&str, String)> = named
        .iter()
        .filter_map(|(name, group)| {
            let flops = group.operator_cost.flops(counter).filter(|cost| cost.mean > 0.0)?;
            let seconds = group.operator_cost.seconds?;
            let cost = format!("{} and {}", format::flops(flops.mean), format::seconds(seconds.mean));
            Some((name.as_str(), cost))
        })
        .collect();
    match operators.as_slice() {
        [] => None,
        [(name, cost)] => Some(format!("{name} includes its operator: {cost}.")),
        several => {
            let several: Vec<String> = several.iter().map(|(name, cost)| format!("{name} {cost}")).collect();
            Some(format!("Operators are included: {}.", several.join("; ")))
        }
    }
}

/// What the FLOPs are, and the savings by the other count.
fn other_count(named: &[(&String, &Group)], counter: Counter) -> String {
    let (shown, other, other_counter) = match counter {
        Counter::Exact => (
            "exact (backward = 2 × forward)",
            "ELECTRA's count, as in the paper",
            Counter::Electra,
        ),
        Counter::Electra => ("ELECTRA's count, as in the paper", "the exact count", Counter::Exact),
    };
    let saving = |group: &Group| -> Option<Estimate> { group.saving.flops(other_counter) };
    let others: Vec<String> = named
        .iter()
        .filter_map(|(name, group)| Some(format!("{name} {}", share(Some(saving(group)?)))))
        .collect();
    let others = if others.is_empty() {
        String::new()
    } else {
        format!(" By {other}: {}.", others.join(", "))
    };
    format!("FLOPs: {shown}.{others}")
}
