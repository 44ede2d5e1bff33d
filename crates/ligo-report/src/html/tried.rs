//! What was tried before the comparison: learning rates, and settings of one method.

use maud::{Markup, html};

use super::page::Section;
use super::parts::{notes, scrolling};
use crate::summary::Summary;
use crate::table::Listing;

pub(super) fn section(summary: &Summary) -> Option<Section> {
    let sweep = summary.sweep.as_ref().and_then(Listing::sweep);
    let listings = [Listing::searches(&summary.searches), sweep];
    if listings.iter().all(Option::is_none) {
        return None;
    }
    Some(Section {
        id: "tried",
        link: "Tried",
        title: "What was tried first",
        content: html! {
            @for listing in listings.iter().flatten() { (table(listing)) }
        },
    })
}

fn table(listing: &Listing) -> Markup {
    let (title, headings, rows, remarks) = listing.parts();
    let table = html! {
        table.grid {
            thead {
                tr {
                    @for heading in headings { th scope="col" { (heading) } }
                }
            }
            tbody {
                @for row in rows {
                    tr {
                        @for (place, cell) in row.iter().enumerate() {
                            @if place == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                        }
                    }
                    "\n"
                }
            }
        }
    };
    html! {
        h3 { (title) }
        (scrolling(title, &table))
        (notes(remarks))
    }
}
