//! A learned operator: its depth matrices as heat maps, the norms of its width matrices as curves.

use serde::{Deserialize, Serialize};

use super::color::{self, FAINT, INK};
use super::font;
use super::panel::Panel;
use super::svg::{Stroke, Svg, Text};
use crate::{Error, Result};

const WIDTH: f64 = 1240.0;
const MARGIN: f64 = 50.0;
const TOP: f64 = 96.0;

/// A named matrix, row by row.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    /// What it maps: `attention.query.weight` for a depth matrix, `hidden` for a width matrix.
    pub name: String,
    /// Rows: layers or channels of the large model.
    pub rows: usize,
    /// Columns: layers or channels of the small model.
    pub columns: usize,
    /// `rows × columns` values.
    #[serde(with = "ligo_cost::nan_is_null::each")]
    pub values: Vec<f32>,
}

impl Matrix {
    /// Euclidean norms of the rows and of the columns.
    #[must_use]
    pub fn norms(&self) -> (Vec<f64>, Vec<f64>) {
        let mut rows = vec![0.0; self.rows];
        let mut columns = vec![0.0; self.columns];
        let places = (0..self.rows).flat_map(|row| (0..self.columns).map(move |column| (row, column)));
        for ((row, column), &value) in places.zip(&self.values) {
            let square = f64::from(value) * f64::from(value);
            rows[row] += square;
            columns[column] += square;
        }
        let root = |squares: Vec<f64>| squares.into_iter().map(f64::sqrt).collect();
        (root(rows), root(columns))
    }
}

/// What [`operator`] draws.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorPicture {
    /// A line above the picture.
    pub title: String,
    /// One `[large layers, small layers]` matrix per module type.
    pub depth: Vec<Matrix>,
    /// One `[large channels, small channels]` matrix per axis.
    pub width: Vec<Matrix>,
}

/// Draws an operator as SVG.
///
/// # Errors
/// [`Error::MatrixShape`] when a matrix does not hold `rows × columns` values.
pub fn operator(picture: &OperatorPicture) -> Result<String> {
    picture.depth.iter().chain(&picture.width).try_for_each(check)?;
    let maps = Grid::heat_maps(&picture.depth);
    let norms_top = TOP + maps.height() + 44.0;
    let norms = Grid {
        columns: 3,
        cell: ((WIDTH - 2.0 * MARGIN) / 3.0, 270.0),
        count: picture.width.len(),
    };
    let bottom = if picture.width.is_empty() {
        TOP + maps.height() + 20.0
    } else {
        norms_top + norms.height()
    };

    let mut svg = Svg::new(WIDTH, bottom);
    svg.text(
        MARGIN,
        36.0,
        &picture.title,
        &Text {
            size: 20.0,
            ..Text::default()
        },
    );
    let section = Text {
        size: 14.0,
        fill: FAINT,
        ..Text::default()
    };
    if !picture.depth.is_empty() {
        svg.text(
            MARGIN,
            62.0,
            "Depth: layers of the large model (rows) from layers of the small one (columns)",
            &section,
        );
    }
    let scale = largest(&picture.depth);
    for (index, matrix) in picture.depth.iter().enumerate() {
        let (x, y) = maps.place(index);
        heat_map(&mut svg, MARGIN + x, TOP + y, matrix, scale);
    }
    if !picture.width.is_empty() {
        width_heading(&mut svg, norms_top - 22.0);
    }
    for (index, matrix) in picture.width.iter().enumerate() {
        let (x, y) = norms.place(index);
        norm_panel(&mut svg, MARGIN + x, norms_top + y, norms.cell, matrix);
    }
    Ok(svg.finish())
}

fn check(matrix: &Matrix) -> Result<()> {
    let (expected, found) = (matrix.rows * matrix.columns, matrix.values.len());
    if expected == found {
        return Ok(());
    }
    let (rows, columns) = (matrix.rows, matrix.columns);
    Err(Error::MatrixShape {
        name: matrix.name.clone(),
        rows,
        columns,
        expected,
        found,
    })
}

/// Equal cells, row by row.
struct Grid {
    columns: usize,
    cell: (f64, f64),
    count: usize,
}

impl Grid {
    /// Cells that hold the tallest and widest heat map with its name.
    fn heat_maps(matrices: &[Matrix]) -> Self {
        let rows = matrices.iter().map(|matrix| matrix.rows).max().unwrap_or(0);
        let columns = matrices.iter().map(|matrix| matrix.columns).max().unwrap_or(0);
        let names = matrices
            .iter()
            .map(|matrix| font::width(&matrix.name, 12.0))
            .fold(0.0, f64::max);
        let entry = entry_size(rows, columns);
        let width = (columns as f64 * entry.0 + 26.0).max(names).max(90.0) + 26.0;
        let height = rows as f64 * entry.1 + 58.0;
        let per_row = (((WIDTH - 2.0 * MARGIN) / width) as usize).max(1);
        Self {
            columns: per_row,
            cell: (width, height),
            count: matrices.len(),
        }
    }

    fn height(&self) -> f64 {
        self.count.div_ceil(self.columns) as f64 * self.cell.1
    }

    fn place(&self, index: usize) -> (f64, f64) {
        (
            (index % self.columns) as f64 * self.cell.0,
            (index / self.columns) as f64 * self.cell.1,
        )
    }
}

/// Entries are as large as a number where there is room.
fn entry_size(rows: usize, columns: usize) -> (f64, f64) {
    match rows.max(columns) {
        0..=12 => (34.0, 22.0),
        13..=24 => (28.0, 17.0),
        _ => (8.0, 8.0),
    }
}

fn largest(matrices: &[Matrix]) -> f64 {
    let values = matrices
        .iter()
        .flat_map(|matrix| &matrix.values)
        .map(|value| f64::from(value.abs()));
    let largest = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
    if largest > 0.0 { largest } else { 1.0 }
}

fn heat_map(svg: &mut Svg, left: f64, top: f64, matrix: &Matrix, scale: f64) {
    let (width, height) = entry_size(matrix.rows, matrix.columns);
    let (left, numbers) = (left + 22.0, width >= 20.0);
    svg.text(left, top, &matrix.name, &Text::default());
    let top = top + 22.0;
    let label = Text {
        size: 10.0,
        fill: FAINT,
        anchor: "middle",
        ..Text::default()
    };
    // With many layers every fifth is named.
    let named = |index: usize| numbers || index.is_multiple_of(5);
    for column in (0..matrix.columns).filter(|&column| named(column)) {
        svg.text(
            left + (column as f64 + 0.5) * width,
            top - 5.0,
            &column.to_string(),
            &label,
        );
    }
    for row in 0..matrix.rows {
        let y = top + row as f64 * height;
        if named(row) {
            let look = Text { anchor: "end", ..label };
            svg.text(left - 5.0, y + height / 2.0 + 3.5, &row.to_string(), &look);
        }
        for column in 0..matrix.columns {
            let value = f64::from(matrix.values[row * matrix.columns + column]);
            let x = left + column as f64 * width;
            let share = value / scale;
            let fill = if value.is_finite() {
                color::diverging(share)
            } else {
                "#000000".to_string()
            };
            svg.rect(x, y, width, height, &fill);
            if numbers {
                let fill = if share.abs() > 0.6 || !value.is_finite() {
                    "#ffffff"
                } else {
                    INK
                };
                let look = Text {
                    size: 10.5,
                    fill,
                    anchor: "middle",
                    ..Text::default()
                };
                svg.text(x + width / 2.0, y + height / 2.0 + 3.8, &entry(value), &look);
            }
        }
    }
    let size = (matrix.columns as f64 * width, matrix.rows as f64 * height);
    svg.frame(left, top, size.0, size.1, &Stroke::new("#b0b0b0", 1.0));
}

/// Two decimals in four letters: `.25`, `−.03`, `1.00`.
fn entry(value: f64) -> String {
    let text = format!("{value:.2}").replace('-', "−");
    match text.as_str() {
        "−0.00" => ".00".to_string(),
        other => other.replacen("0.", ".", usize::from(value.abs() < 0.995)),
    }
}

const ROWS: &str = "#d55e00";
const COLUMNS: &str = "#0072b2";

fn width_heading(svg: &mut Svg, y: f64) {
    let look = Text {
        size: 14.0,
        fill: FAINT,
        ..Text::default()
    };
    let mut x = MARGIN;
    for (color, text) in [
        ("", "Width: Euclidean norms of the"),
        (ROWS, "rows (channels of the large model)"),
        ("", "and of the"),
        (COLUMNS, "columns (channels of the small model)"),
    ] {
        let fill = if color.is_empty() { FAINT } else { color };
        svg.text(x, y, text, &Text { fill, ..look });
        x += font::width(text, look.size) + 6.0;
    }
}

fn norm_panel(svg: &mut Svg, left: f64, top: f64, cell: (f64, f64), matrix: &Matrix) {
    let (rows, columns) = matrix.norms();
    let highest = rows
        .iter()
        .chain(&columns)
        .copied()
        .filter(|norm| norm.is_finite())
        .fold(0.0, f64::max);
    let y = (0.0, if highest > 0.0 { 1.08 * highest } else { 1.0 });
    let x = (0.0, matrix.rows.max(matrix.columns).max(1) as f64);
    let panel = Panel {
        left: left + 34.0,
        top: top + 26.0,
        width: cell.0 - 70.0,
        height: cell.1 - 100.0,
        x,
        y,
    };
    let title = format!("{}: {} × {}", matrix.name, matrix.rows, matrix.columns);
    panel.axes(svg, &title, "channel", (5, 4));
    if matrix.rows > matrix.columns {
        // From here on the large model's channels have no counterpart in the small one.
        let (x, _) = panel.at(matrix.columns as f64, 0.0);
        svg.line(
            (x, panel.top),
            (x, panel.bottom()),
            &Stroke::new(FAINT, 1.0).dashed("4 4"),
        );
    }
    // The columns are wider and beneath: both can be seen where they coincide.
    for (norms, color, width) in [(columns, COLUMNS, 2.6), (rows, ROWS, 1.2)] {
        let places: Vec<(f64, f64)> = steps(&norms).map(|(x, norm)| panel.at(x, norm)).collect();
        svg.polyline(&places, &Stroke::new(color, width));
    }
}

/// A horizontal piece for each channel.
fn steps(norms: &[f64]) -> impl Iterator<Item = (f64, f64)> + '_ {
    let finite = norms.iter().enumerate().filter(|(_, norm)| norm.is_finite());
    finite.flat_map(|(index, &norm)| [(index as f64, norm), (index as f64 + 1.0, norm)])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn entries_are_short_numbers() {
        let entries = [0.25, -0.031, 1.0, -1.254, 0.001, -0.001, 0.997].map(entry);
        assert_eq!(entries, [".25", "−.03", "1.00", "−1.25", ".00", ".00", "1.00"]);
    }

    #[test]
    fn norms_go_along_rows_and_columns() {
        let values = vec![3.0, 0.0, 4.0, 0.0, 1.0, 0.0];
        let matrix = Matrix {
            name: "hidden".into(),
            rows: 2,
            columns: 3,
            values,
        };
        let (rows, columns) = matrix.norms();
        assert_eq!(rows, [5.0, 1.0]);
        assert_eq!(columns, [3.0, 1.0, 4.0]);
    }

    #[test]
    fn a_matrix_with_missing_values_is_refused_by_name() {
        let matrix = Matrix {
            name: "query".into(),
            rows: 2,
            columns: 2,
            values: vec![0.0; 3],
        };
        let picture = OperatorPicture {
            title: String::new(),
            depth: vec![matrix],
            width: vec![],
        };
        let error = operator(&picture).unwrap_err();
        assert!(
            matches!(&error, Error::MatrixShape { name, expected: 4, found: 3, .. } if name == "query"),
            "{error}"
        );
    }
}
