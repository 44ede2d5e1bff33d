//! The top of the page: what the comparison says, and why one might not believe it.

use maud::{Markup, html};

use super::parts::prose;
use crate::summary::{Counter, Estimate, Group, Summary};
use crate::verdict;
use crate::verdict::Verdict;
use ligo_cost::format;

/// What was compared, in a line.
pub(super) fn about(summary: &Summary) -> String {
    let corpus = &summary.corpus;
    let seeds = summary.groups.iter().map(|group| group.seeds.len()).max().unwrap_or(0);
    let methods = summary.groups.len();
    let plural = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let parts = [
        corpus.name.clone(),
        format!(
            "{} training {}",
            format::whole(corpus.train_tokens),
            corpus.unit.samples()
        ),
        format!(
            "small model {} at a loss of {}",
            summary.small.name,
            format::loss(summary.small.loss)
        ),
        format!("{}, {}", plural(methods, "method"), plural(seeds, "seed")),
    ];
    parts.join(" · ")
}

/// The verdict between its cautions and its figures.
pub(super) fn answer(summary: &Summary, verdict: &Verdict) -> Markup {
    let best = summary
        .groups
        .iter()
        .find(|group| Some(&group.key) == verdict.best.as_ref());
    html! {
        (cautions(summary, verdict))
        p.verdict { (verdict.headline) "." }
        // Nothing where no method has a saving.
        @if let Some(best) = best { dl.tiles { (tiles(summary, best)) } }
        // What the tiles cannot say: which methods are as good.
        @if let Some(rivals) = &verdict.rivals { p.rivals { (rivals) } }
    }
}

/// Cautions that make the savings meaningless are red, others are not.
fn cautions(summary: &Summary, verdict: &Verdict) -> Markup {
    let grave = verdict::cautions(summary);
    html! {
        @for caution in &verdict.cautions {
            @let grave = grave.contains(caution);
            p.caution.grave[grave] {
                strong { @if grave { "Do not trust these savings." } @else { "Take care." } }
                " " (prose(caution))
            }
        }
    }
}

/// The best method's figures.
fn tiles(summary: &Summary, best: &Group) -> Markup {
    let mut tiles = vec![
        saving("FLOPs saved", best.saving.flops(Counter::Exact), electra(best)),
        saving("wall time saved", best.saving.seconds, String::new()),
    ];
    if summary.small.cost.is_some() {
        let small = best.saving_with_small.flops(Counter::Exact);
        tiles.push(saving("FLOPs saved, small model charged", small, String::new()));
    }
    let (scratch, start) = (
        summary.reference.as_ref().and_then(|reference| reference.loss),
        best.loss_start,
    );
    let figure = best.loss_final.map_or(f64::NAN, |loss| loss.mean);
    let more = format!(
        "scratch {}, after growing {}",
        format::loss(scratch.map_or(summary.target_loss, |loss| loss.mean)),
        format::loss(start.map_or(f64::NAN, |loss| loss.mean))
    );
    tiles.push(tile("final loss", &format::loss(figure), &more));
    html! {
        @for tile in &tiles { (tile) }
    }
}

fn electra(best: &Group) -> String {
    let saving = best.saving.flops(Counter::Electra);
    saving.map_or(String::new(), |saving| {
        format!("{} by ELECTRA’s count", format::percent(saving.mean))
    })
}

fn saving(what: &str, saving: Option<Estimate>, more: String) -> Markup {
    let figure = saving.map_or("–".to_string(), |saving| format::percent(saving.mean));
    let interval = saving.and_then(|saving| {
        let half = saving.half_width?;
        Some(format!(
            "{} to {}",
            format::percent(saving.mean - half),
            format::percent(saving.mean + half)
        ))
    });
    let more = match interval {
        Some(interval) => format!("95 % interval {interval}"),
        None => more,
    };
    tile(what, &figure, &more)
}

fn tile(what: &str, figure: &str, more: &str) -> Markup {
    html! {
        div.tile {
            dt { (what) }
            dd.figure { (figure) }
            dd.more { (more) }
        }
    }
}
