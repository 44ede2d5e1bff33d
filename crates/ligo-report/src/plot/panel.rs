//! A rectangle with two linear axes.

use super::axis;
use super::color::{AXIS, FAINT, GRID, INK};
use super::svg::{Stroke, Svg, Text};

/// Where a panel lies and which values its edges stand for.
#[derive(Clone, Copy)]
pub(super) struct Panel {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
    pub x: (f64, f64),
    pub y: (f64, f64),
}

impl Panel {
    pub(super) fn right(&self) -> f64 {
        self.left + self.width
    }

    pub(super) fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// The place of a pair of values, also outside the panel.
    pub(super) fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let (x, y) = (
            (x - self.x.0) / (self.x.1 - self.x.0),
            (y - self.y.0) / (self.y.1 - self.y.0),
        );
        (self.left + x * self.width, self.bottom() - y * self.height)
    }

    /// Grid, frame, ticks and the label beneath.
    pub(super) fn axes(&self, svg: &mut Svg, title: &str, x_label: &str, ticks: (usize, usize)) {
        let grid = Stroke::new(GRID, 1.0);
        let x_ticks = axis::ticks(self.x.0, self.x.1, ticks.0);
        let y_ticks = axis::ticks(self.y.0, self.y.1, ticks.1);
        let label = Text {
            fill: FAINT,
            ..Text::default()
        };
        for (&tick, text) in x_ticks.iter().zip(axis::labels(&x_ticks)) {
            let (x, _) = self.at(tick, self.y.0);
            svg.line((x, self.top), (x, self.bottom()), &grid);
            svg.text(
                x,
                self.bottom() + 17.0,
                &text,
                &Text {
                    anchor: "middle",
                    ..label
                },
            );
        }
        for (&tick, text) in y_ticks.iter().zip(axis::labels(&y_ticks)) {
            let (_, y) = self.at(self.x.0, tick);
            svg.line((self.left, y), (self.right(), y), &grid);
            svg.text(self.left - 7.0, y + 4.0, &text, &Text { anchor: "end", ..label });
        }
        let axis = Stroke::new(AXIS, 1.0);
        svg.line((self.left, self.bottom()), (self.right(), self.bottom()), &axis);
        svg.line((self.left, self.top), (self.left, self.bottom()), &axis);
        let middle = self.left + self.width / 2.0;
        if !title.is_empty() {
            svg.text(
                self.left,
                self.top - 10.0,
                title,
                &Text {
                    size: 14.0,
                    fill: INK,
                    ..Text::default()
                },
            );
        }
        svg.text(
            middle,
            self.bottom() + 38.0,
            x_label,
            &Text {
                size: 13.0,
                anchor: "middle",
                ..Text::default()
            },
        );
    }
}

/// Moves labels apart so that neighbors are `distance` from each other, within `[low, high]`, keeping their order.
///
/// Labels that touch form a group around their common middle, so that they move as little as possible.
pub(super) fn spread(places: &[f64], distance: f64, low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by(|&a, &b| places[a].total_cmp(&places[b]));
    // Groups of (first place, number of labels).
    let mut groups: Vec<(f64, usize)> = Vec::new();
    for &index in &order {
        let mut group = (places[index], 1);
        loop {
            let length = (group.1 - 1) as f64 * distance;
            group.0 = group.0.min(high - length).max(low);
            let Some(&(start, count)) = groups.last().filter(|(s, n)| s + *n as f64 * distance > group.0 + 1e-9) else {
                break;
            };
            // The start that is best for the joint labels is the mean of each one's wish for it.
            let (n, m) = (count as f64, group.1 as f64);
            group = ((n * start + m * (group.0 - n * distance)) / (n + m), count + group.1);
            groups.pop();
        }
        groups.push(group);
    }
    let apart = groups
        .iter()
        .flat_map(|&(start, count)| (0..count).map(move |at| start + at as f64 * distance));
    let mut spread = places.to_vec();
    order
        .into_iter()
        .zip(apart)
        .for_each(|(index, place)| spread[index] = place);
    spread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_moved_apart_and_keep_their_order() {
        assert_eq!(spread(&[10.0, 11.0, 50.0], 12.0, 0.0, 100.0), [4.5, 16.5, 50.0]);
        assert_eq!(spread(&[99.0, 98.0], 12.0, 0.0, 100.0), [100.0, 88.0]);
        assert_eq!(spread(&[1.0, 2.0, 13.0], 12.0, 0.0, 100.0), [0.0, 12.0, 24.0]);
        assert!(spread(&[], 12.0, 0.0, 100.0).is_empty());
    }
}
