//! What a comparison says in a sentence, and what speaks against believing it.

use ligo_cost::format;
use std::collections::BTreeMap;

use crate::summary::{Corpus, Counter, Estimate, Group, MethodSummary, Summary};
use crate::table::{labels, share};

/// The answer to "what did it save?", worded no stronger than the runs allow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// One sentence.
    pub headline: String,
    /// Sentences that say how far it goes: the interval, wall time, the small model's price.
    pub details: Vec<String>,
    /// Which methods the seeds do not tell from the best one.
    pub rivals: Option<String>,
    /// The [`key`](Group::key) of the method that saved most.
    pub best: Option<String>,
    /// Why not to believe it, the gravest first; empty when nothing is wrong.
    pub cautions: Vec<String>,
}

/// Methods are ranked by their mean paired saving in FLOPs by the given count. Only those of which every seed reached the target
/// are: a mean over the lucky seeds would favor unreliable methods.
#[must_use]
pub fn verdict(summary: &Summary, counter: Counter) -> Verdict {
    let summary = &*summary.with_groups();
    let names = labels(&summary.groups);
    let mut ranked: Vec<(&str, &Group, Estimate)> = names
        .iter()
        .zip(&summary.groups)
        .filter(|(_, group)| group.reached == group.seeds.len())
        .filter_map(|(name, group)| Some((name.as_str(), group, group.saving.flops(counter)?)))
        .collect();
    ranked.sort_by(|a, b| b.2.mean.total_cmp(&a.2.mean));
    let mut cautions = cautions(summary);
    // Savings that mean nothing make no method better than another.
    let is_grave = !cautions.is_empty();
    if has_scratch(summary) && summary.methods.len() > 1 && !summary.several_seeds() {
        cautions.push(
            "One seed only: another seed of scratch alone can move these savings by tens of points, so small differences \
             between methods mean nothing."
                .to_string(),
        );
    }
    cautions.extend(uneven_times(summary));
    let Some(&(best, group, saving)) = ranked.first() else {
        return Verdict {
            headline: nothing(summary).to_string(),
            cautions,
            ..Verdict::default()
        };
    };
    let untrusted = !summary.flags.scratch_passed_unigram || !summary.flags.scratch_passed_small;
    Verdict {
        headline: sentence(&headline(best, saving, untrusted)),
        details: details(counter, best, saving, group),
        rivals: not_told_apart(summary, counter, &ranked).filter(|_| !is_grave),
        best: Some(group.key.clone()),
        cautions,
    }
}

fn nothing(summary: &Summary) -> &'static str {
    if !has_scratch(summary) {
        "Without a run from scratch there is nothing to compare with"
    } else if summary.methods.iter().all(MethodSummary::is_scratch) {
        "Only scratch has run so far: there is nothing to compare yet"
    } else {
        "No method reached the loss that training from scratch ends at"
    }
}

fn headline(best: &str, saving: Estimate, untrusted: bool) -> String {
    let percent = format::percent(saving.mean.abs());
    if untrusted {
        return format!("{best} is ahead by {percent}, but these savings say nothing yet");
    }
    if saving.mean <= 0.0 {
        return format!("Nothing saved: {best} came nearest and cost {percent} more FLOPs than scratch");
    }
    match saving.half_width {
        Some(half) if half >= saving.mean && saving.seeds == 2 => {
            format!("{best} seems to save {percent} of the FLOPs, but two seeds are too few to be sure of any saving")
        }
        Some(half) if half >= saving.mean => {
            format!(
                "{best} seems to save {percent} of the FLOPs, but the seeds differ too much to be sure of any saving"
            )
        }
        _ => format!("{best} reached scratch’s final loss with {percent} fewer FLOPs"),
    }
}

/// Text as the beginning of a sentence; a first word that is spelled in its own way (`bert2BERT`) stays.
fn sentence(text: &str) -> String {
    let first = text.split_whitespace().next().unwrap_or_default();
    if first.is_empty() || !first.chars().all(|c| c.is_ascii_lowercase()) {
        return text.to_owned();
    }
    let (initial, rest) = text.split_at(1);
    initial.to_uppercase() + rest
}

fn details(counter: Counter, best: &str, saving: Estimate, group: &Group) -> Vec<String> {
    let mut details = Vec::new();
    if let Some(half) = saving.half_width {
        details.push(format!(
            "Over {} seeds the mean saving of {best} is {} (95 % interval {} to {}).",
            saving.seeds,
            format::percent(saving.mean),
            format::percent(saving.mean - half),
            format::percent(saving.mean + half)
        ));
    }
    if let Some(time) = group.saving.seconds {
        details.push(format!("By wall time it saved {}.", share(Some(time))));
    }
    if let Some(small) = group.saving_with_small.flops(counter) {
        details.push(format!(
            "With the small model’s training charged to it, {} of the FLOPs.",
            share(Some(small))
        ));
    }
    details
}

/// The methods whose saving differs from the best one's by less than the seeds do. The difference is taken seed by seed, where
/// both share a scratch run, so that its luck cancels.
fn not_told_apart(summary: &Summary, counter: Counter, ranked: &[(&str, &Group, Estimate)]) -> Option<String> {
    let (best, others) = ranked.split_first()?;
    let savings = |group: &Group| -> BTreeMap<u64, f64> {
        let runs = summary.methods.iter().filter(|run| run.group() == group.key);
        runs.filter_map(|run| Some((run.seed, run.saving?.flops(counter))))
            .collect()
    };
    let of_best = savings(best.1);
    let mut alike: Vec<&str> = Vec::new();
    let mut compared = 0;
    for (name, group, _) in others {
        let differences = savings(group)
            .into_iter()
            .filter_map(|(seed, saving)| Some(of_best.get(&seed)? - saving));
        let Some(difference) = Estimate::of(differences) else {
            continue;
        };
        let Some(half) = difference.half_width else { continue };
        compared += 1;
        if half >= difference.mean {
            alike.push(name);
        }
    }
    if compared == 0 {
        return None;
    }
    let best = best.0;
    Some(if alike.is_empty() {
        "It saved more than every other method by more than the seeds vary.".to_string()
    } else {
        format!("These seeds do not tell {best} from {}.", list(&alike))
    })
}

fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_string(),
        [some @ .., last] => format!("{} or {last}", some.join(", ")),
    }
}

/// Whether anything can be compared.
pub(crate) fn has_scratch(summary: &Summary) -> bool {
    summary.methods.iter().any(MethodSummary::is_scratch)
}

/// Why the savings may mean nothing: scratch has to end below what a model learns without context, and below the small model.
pub(crate) fn cautions(summary: &Summary) -> Vec<String> {
    if !has_scratch(summary) {
        return Vec::new();
    }
    let losses = summary
        .reference
        .as_ref()
        .map_or(&[][..], |reference| &reference.losses);
    let ended = match losses {
        [] | [_] => format::loss(summary.target_loss),
        _ => losses.iter().copied().map(format::loss).collect::<Vec<_>>().join(", "),
    };
    let small = format::loss(summary.small.loss);
    if !summary.flags.scratch_passed_unigram {
        return vec![format!(
            "Scratch ended at {ended} and never left the corpus's {}: these savings mean nothing. Train longer.",
            floor(&summary.corpus)
        )];
    }
    if !summary.flags.scratch_passed_small {
        return vec![format!(
            "Scratch ended at {ended}, above the small model's own loss of {small}: the savings say only that the small \
             model was trained longer. Train longer."
        )];
    }
    // The flags judge one scratch run; another seed may have ended elsewhere.
    let above = losses.iter().filter(|&&loss| loss >= summary.small.loss).count();
    if above == 0 {
        return Vec::new();
    }
    vec![format!(
        "{above} of {} scratch runs ended above the small model's own loss of {small}: the savings of those seeds say only \
         that the small model was trained longer.",
        losses.len()
    )]
}

/// Equal work that took unequal time, so that savings of wall time say little.
pub(crate) fn uneven_times(summary: &Summary) -> Option<String> {
    let scratch = summary.methods.iter().find(|run| run.is_scratch())?;
    let is_equal = |run: &&MethodSummary| {
        let (flops, of_scratch) = (run.cost.flops.exact, scratch.cost.flops.exact);
        run.steps == scratch.steps && (flops - of_scratch).abs() <= 0.001 * of_scratch && run.computed_on.is_none()
    };
    let times = summary.methods.iter().filter(is_equal).map(|run| run.cost.seconds);
    let times: Vec<f64> = times.filter(|seconds| seconds.is_finite()).collect();
    let shortest = times.iter().copied().reduce(f64::min)?;
    let longest = times.iter().copied().reduce(f64::max)?;
    (longest > 1.2 * shortest).then(|| {
        format!(
            "Runs with the same work took {} to {}: other work shared the machine, so savings of wall time say little.",
            format::seconds(shortest),
            format::seconds(longest)
        )
    })
}

/// What a model reaches that learns nothing from context: below the context-free loss a masked model has, below the unigram loss
/// it may only copy.
pub(crate) fn floor(corpus: &Corpus) -> String {
    if !corpus.unigram_loss.is_finite() {
        return "unigram loss not known".to_string();
    }
    let unigram = format::loss(corpus.unigram_loss);
    match corpus.context_free_loss {
        Some(loss) => format!("context-free loss of {} (unigram {unigram})", format::loss(loss)),
        None => format!("unigram loss of {unigram}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_begins_with_a_capital_and_names_stay_as_they_are_spelled() {
        for (text, expected) in [
            ("one schedule is ahead", "One schedule is ahead"),
            ("bert2BERT is ahead", "bert2BERT is ahead"),
            ("LiGO is ahead", "LiGO is ahead"),
            ("", ""),
        ] {
            assert_eq!(sentence(text), expected);
        }
    }
}
