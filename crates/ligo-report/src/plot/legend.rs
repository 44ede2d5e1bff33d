//! The methods' colors, in as many rows as they need.

use super::font;
use super::series::Series;
use super::svg::{Stroke, Svg, Text};
use crate::summary::Counter;
use ligo_cost::format;

const SIZE: f64 = 14.0;
const ROW: f64 = 24.0;
const SAMPLE: f64 = 30.0;
const GAP: f64 = 26.0;

pub(super) struct Legend {
    entries: Vec<Entry>,
    rows: usize,
}

struct Entry {
    row: usize,
    left: f64,
    stroke: Stroke,
    text: String,
}

impl Legend {
    /// Entries between two edges, as many beside each other as fit.
    pub(super) fn new<'a>(
        series: impl IntoIterator<Item = &'a Series<'a>>,
        counter: Counter,
        edges: (f64, f64),
        stroke: f64,
    ) -> Self {
        let mut entries = Vec::new();
        let (mut row, mut left) = (0, edges.0);
        for series in series {
            let operator = series.operator.flops.by(counter);
            let text = if operator > 0.0 {
                format!("{} (operator: {})", series.label, format::flops(operator))
            } else {
                series.label.clone()
            };
            let width = SAMPLE + 8.0 + font::width(&text, SIZE);
            if left > edges.0 && left + width > edges.1 {
                row += 1;
                left = edges.0;
            }
            entries.push(Entry {
                row,
                left,
                stroke: Stroke::new(series.style.light, stroke).dashed(series.style.dashes),
                text,
            });
            left += width + GAP;
        }
        let rows = entries.last().map_or(0, |entry| entry.row + 1);
        Self { entries, rows }
    }

    pub(super) fn height(&self) -> f64 {
        ROW * self.rows as f64
    }

    pub(super) fn draw(&self, svg: &mut Svg, top: f64) {
        for Entry {
            row,
            left,
            stroke,
            text,
        } in &self.entries
        {
            let y = top + (*row as f64 + 0.5) * ROW;
            svg.line((*left, y), (left + SAMPLE, y), stroke);
            let look = Text {
                size: SIZE,
                ..Text::default()
            };
            svg.text(left + SAMPLE + 8.0, y + 5.0, text, &look);
        }
    }
}
