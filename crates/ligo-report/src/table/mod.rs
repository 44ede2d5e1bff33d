//! The closing table of a comparison, a row for each method over its seeds: as text, Markdown, LaTeX, CSV and JSON.

mod bands;
mod csv;
mod latex;
mod listing;
mod markdown;
mod notes;
mod text;

use ligo_cost::format;
use std::collections::BTreeMap;

pub(crate) use bands::energy;
pub use listing::Listing;

use crate::summary::{Counter, Estimate, Group, Summary};
use crate::{Error, Result};

/// What stands where there is nothing to say.
pub(crate) const NONE: &str = "–";
/// What stands for the cost of a target that no seed reached.
const NEVER: &str = "never";

/// A table with remarks beneath it, made from a [`Summary`] and its [`groups`](Summary::groups).
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    title: String,
    methods: Vec<String>,
    bands: Vec<Band>,
    notes: Vec<String>,
    csv: String,
    csv_of_methods: String,
    summary: Summary,
}

/// Columns that belong together and are never parted.
#[derive(Debug, Clone, PartialEq)]
struct Band {
    /// What the columns have in common, for forms with two lines of headings.
    title: &'static str,
    columns: Vec<Column>,
}

#[derive(Debug, Clone, PartialEq)]
struct Column {
    /// The heading where there is no band's title above.
    heading: &'static str,
    /// The heading beneath the band's title.
    short: &'static str,
    /// A cell for each method.
    cells: Vec<String>,
}

impl Table {
    /// The table of a comparison, its FLOPs by the given count; the notes name the other count's savings.
    #[must_use]
    pub fn new(summary: &Summary, counter: Counter) -> Self {
        let summary = &*summary.with_groups();
        Self {
            title: summary.title.clone(),
            methods: labels(&summary.groups),
            bands: bands::bands(summary, counter),
            notes: notes::notes(summary, counter),
            csv: csv::runs(summary),
            csv_of_methods: csv::methods(summary),
            summary: Summary {
                methods: Vec::new(),
                operators: Vec::new(),
                ..summary.clone()
            },
        }
    }

    /// Aligned columns for a file, however wide; without `unicode` only ASCII comes out.
    #[must_use]
    pub fn text(&self, unicode: bool) -> String {
        text::text(self, unicode, usize::MAX)
    }

    /// The same for a terminal of so many columns: what does not fit beside the rest comes beneath it, and remarks are
    /// wrapped.
    #[must_use]
    pub fn text_within(&self, unicode: bool, columns: usize) -> String {
        text::text(self, unicode, columns)
    }

    /// The same as a Markdown table with a list beneath.
    #[must_use]
    pub fn markdown(&self) -> String {
        markdown::markdown(self)
    }

    /// A LaTeX table ready to paste; it needs the packages `booktabs` and `graphicx`.
    #[must_use]
    pub fn latex(&self) -> String {
        latex::latex(self)
    }

    /// Every number of every run, unrounded, with units in the column names.
    #[must_use]
    pub fn csv(&self) -> &str {
        &self.csv
    }

    /// Every number of every method over its seeds: means and half-widths of their 95 % intervals, unrounded.
    #[must_use]
    pub fn csv_of_methods(&self) -> &str {
        &self.csv_of_methods
    }

    /// The groups, the reference and the remarks, unrounded, as JSON: `summary.json` without curves and pictures.
    ///
    /// # Errors
    /// [`Error::Encode`] when a value has no JSON.
    pub fn json(&self) -> Result<String> {
        let summary = &self.summary;
        let value = serde_json::json!({
            "title": summary.title,
            "corpus": summary.corpus,
            "small": summary.small,
            "reference": summary.reference,
            "groups": summary.groups,
            "flags": summary.flags,
            "notes": self.notes,
        });
        let text = serde_json::to_string_pretty(&value);
        let text = text.map_err(|source| Error::Encode {
            what: "a table",
            source,
        })?;
        Ok(text + "\n")
    }

    /// The remarks beneath the table.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// All columns, without their bands.
    fn columns(&self) -> impl Iterator<Item = &Column> {
        self.bands.iter().flat_map(|band| &band.columns)
    }
}

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
pub(crate) fn one_line(name: &str) -> String {
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
