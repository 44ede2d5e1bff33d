//! The report of a comparison: one HTML file that needs nothing else, neither a network nor a server.
//!
//! Tables, recipe and hashes are in the page itself; the pictures are drawn by the script in it, from the data in it. The page forbids
//! its own loading of anything else (`Content-Security-Policy`), and every text of a summary is escaped, by its type: what is a string becomes
//! text of the page, and only our own style and script do not.

mod answer;
mod data;
mod methods;
mod origin;
mod page;
mod parts;
mod pictures;
mod runs;
mod tried;

use crate::summary::{Counter, Summary};
use crate::table::labels;
use crate::verdict;
use page::Page;

/// The whole page as HTML. Parts of which the summary holds nothing (operators, a prediction, the provenance) are left out.
#[must_use]
pub fn report(summary: &Summary) -> String {
    let summary = &*summary.with_groups();
    let names = labels(&summary.groups);
    let sections = [
        pictures::savings(summary),
        pictures::curves(summary),
        pictures::frontier(summary),
        Some(methods::section(summary, &names)),
        tried::section(summary),
        pictures::operators(summary),
        origin::prediction(summary),
        Some(runs::section(summary)),
        Some(origin::section(summary)),
    ];
    let page = Page {
        title: &summary.title,
        about: answer::about(summary),
        answer: answer::answer(summary, &verdict(summary, Counter::Exact)),
        sections: sections.into_iter().flatten().collect(),
        ended: summary.provenance.as_ref().map_or("", |origin| &origin.ended),
        data: data::data(summary, &names),
    };
    page.document()
}
