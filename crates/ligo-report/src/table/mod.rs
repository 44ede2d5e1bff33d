//! The closing table of a comparison, a row for each method over its seeds: as text, Markdown, LaTeX, CSV and JSON.

mod bands;
mod cells;
mod content;
mod csv;
mod latex;
mod listing;
mod markdown;
mod notes;
mod text;

pub(crate) use cells::{NONE, energy, flops, labels, loss, seconds, share};
pub use content::Table;
pub use listing::Listing;

use crate::summary::{Counter, Summary};
use crate::{Error, Result};

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
}
