//! What a table holds, whatever form it is written in.

use crate::summary::Summary;

/// A table with remarks beneath it, made from a [`Summary`] and its [`groups`](Summary::groups).
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub(super) title: String,
    pub(super) methods: Vec<String>,
    pub(super) bands: Vec<Band>,
    pub(super) notes: Vec<String>,
    pub(super) csv: String,
    pub(super) csv_of_methods: String,
    pub(super) summary: Summary,
}

/// Columns that belong together and are never parted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Band {
    /// What the columns have in common, for forms with two lines of headings.
    pub(super) title: &'static str,
    pub(super) columns: Vec<Column>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    /// The heading where there is no band's title above.
    pub(super) heading: &'static str,
    /// The heading beneath the band's title.
    pub(super) short: &'static str,
    /// A cell for each method.
    pub(super) cells: Vec<String>,
}

impl Table {
    /// All columns, without their bands.
    pub(super) fn columns(&self) -> impl Iterator<Item = &Column> {
        self.bands.iter().flat_map(|band| &band.columns)
    }
}
