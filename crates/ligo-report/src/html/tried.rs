//! What was tried before the comparison: learning rates, and settings of one method.

use super::Section;
use super::page::escaped;
use crate::summary::Summary;
use crate::table::Listing;

pub(super) fn section(summary: &Summary) -> Option<Section> {
    let sweep = summary.sweep.as_ref().and_then(Listing::sweep);
    let listings = [Listing::searches(&summary.searches), sweep];
    let tables: String = listings.iter().flatten().map(table).collect();
    if tables.is_empty() {
        return None;
    }
    Some(Section {
        id: "tried",
        link: "Tried",
        markup: format!(
            "<section id=\"tried\" aria-labelledby=\"tried-title\">\n<h2 id=\"tried-title\">What was tried first</h2>\n{tables}</section>\n"
        ),
    })
}

fn table(listing: &Listing) -> String {
    let (title, headings, rows, notes) = listing.parts();
    let title = escaped(title);
    let heads: String = headings
        .iter()
        .map(|head| format!("<th scope=\"col\">{}</th>", escaped(head)))
        .collect();
    let row = |cells: &Vec<String>| {
        let cell = |(i, cell): (usize, &String)| match i {
            0 => format!("<th scope=\"row\">{}</th>", escaped(cell)),
            _ => format!("<td>{}</td>", escaped(cell)),
        };
        format!("<tr>{}</tr>\n", cells.iter().enumerate().map(cell).collect::<String>())
    };
    let rows: String = rows.iter().map(row).collect();
    let notes: String = notes
        .iter()
        .map(|note| format!("<li>{}</li>\n", escaped(note)))
        .collect();
    format!(
        "<h3>{title}</h3>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\"><table class=\"grid\">\n\
         <thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n<ul class=\"notes\">\n{notes}</ul>\n"
    )
}
