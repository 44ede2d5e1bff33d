//! How low a method gets for what it costs, over schedules of several lengths: where runs end, joined by a line for each method.

use super::color::{self, FAINT};
use super::legend::Legend;
use super::losses;
use super::panel::Panel;
use super::series::{Axis, Series};
use super::svg::{Stroke, Svg, Text};
use crate::summary::{Cost, Counter, Estimate, MethodSummary, Summary};

const WIDTH: f64 = 1240.0;
const MARGIN: f64 = 70.0;
const RIGHT: f64 = 30.0;
const PANEL_WIDTH: f64 = (WIDTH - 2.0 * (MARGIN + RIGHT)) / 2.0;
const PANEL_HEIGHT: f64 = 320.0;
const BENEATH: f64 = 62.0;
const BETWEEN: f64 = 40.0;
/// Half the width of the ends of an interval.
const CAP: f64 = 4.0;

/// Whether the small model's training is charged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Small {
    Given,
    Charged,
}

/// A method at one length: the mean of its seeds.
struct End {
    x: f64,
    loss: Estimate,
}

/// A method over its lengths.
struct Line<'a> {
    series: Series<'a>,
    /// The runs of each length.
    lengths: Vec<Vec<&'a MethodSummary>>,
}

/// Draws final losses against FLOPs by `counter`, wall time and tokens as SVG, the small model given on the left and charged on the right. A vertical bar is the 95 %
/// interval over seeds; a method of one length is a point.
///
/// Nothing where no method has schedules of several lengths.
#[must_use]
pub fn frontier(summary: &Summary, counter: Counter) -> Option<String> {
    let summary = &*summary.with_groups();
    let lines = lines(summary);
    if lines.iter().all(|line| line.lengths.len() < 2) {
        return None;
    }
    let mut panels = vec![
        (Axis::Flops(counter), Small::Given),
        (Axis::Flops(counter), Small::Charged),
        (Axis::Time, Small::Given),
        (Axis::Time, Small::Charged),
        // How many tokens a small model of its own read is in no summary.
        (Axis::Tokens, Small::Given),
    ];
    if summary.small.cost.is_none() {
        panels.retain(|(_, small)| *small == Small::Given);
    }
    let legend = Legend::new(
        lines.iter().map(|line| &line.series),
        counter,
        (MARGIN, WIDTH - RIGHT),
        2.4,
    );
    let row = PANEL_HEIGHT + BENEATH + BETWEEN;
    let top = 84.0 + legend.height() + BETWEEN;
    let mut svg = Svg::new(WIDTH, top + panels.len().div_ceil(2) as f64 * row - BETWEEN);
    heading(&mut svg, summary);
    legend.draw(&mut svg, 78.0);
    for (index, (axis, small)) in panels.into_iter().enumerate() {
        let place = (
            MARGIN + (index % 2) as f64 * (PANEL_WIDTH + RIGHT + MARGIN),
            top + (index / 2) as f64 * row,
        );
        draw(&mut svg, place, summary, &lines, (axis, small));
    }
    Some(svg.finish())
}

/// The methods in the order of the table, each with its lengths.
fn lines(summary: &Summary) -> Vec<Line<'_>> {
    let mut keys: Vec<&str> = Vec::new();
    for run in &summary.methods {
        if !keys.contains(&run.series()) {
            keys.push(run.series());
        }
    }
    let runs_of = |key: &str| -> Vec<&MethodSummary> {
        let of_series = summary.methods.iter().filter(|run| run.series() == key);
        of_series.collect()
    };
    let names = keys.iter().map(|key| runs_of(key)[0].name.as_str());
    let styles = color::styles(names);
    let lines = keys.iter().zip(styles).map(|(key, style)| {
        let runs = runs_of(key);
        let mut lengths: Vec<Vec<&MethodSummary>> = Vec::new();
        for run in runs.iter().copied() {
            match lengths.iter_mut().find(|runs| runs[0].group() == run.group()) {
                Some(runs) => runs.push(run),
                None => lengths.push(vec![run]),
            }
        }
        // The longest one is called as the method is.
        let longest = runs.iter().max_by_key(|run| run.steps);
        Line {
            series: Series {
                label: longest.map_or_else(String::new, |run| run.label.clone()),
                style,
                runs,
                operator: Cost::default(),
            },
            lengths,
        }
    });
    lines.collect()
}

impl Line<'_> {
    /// Where its lengths end, the cheapest first.
    fn ends(&self, summary: &Summary, (axis, small): (Axis, Small)) -> Vec<End> {
        let x = |run: &MethodSummary| match axis {
            Axis::Flops(_) | Axis::Time => {
                let owes = small == Small::Charged && run.owes_small.unwrap_or(!run.is_scratch());
                let owed = summary.small.cost.filter(|_| owes).unwrap_or_default();
                axis.of_cost(&(run.cost + run.operator_cost + owed))
            }
            Axis::Steps => run.steps as f64,
            Axis::Tokens => run.curve.last().map_or(0.0, |point| point.tokens as f64),
        };
        let end = |runs: &Vec<&MethodSummary>| {
            let loss = Estimate::of(runs.iter().map(|run| run.loss_final))?;
            let x = Estimate::of(runs.iter().map(|run| x(run)))?.mean;
            Some(End { x, loss })
        };
        let mut ends: Vec<End> = self.lengths.iter().filter_map(end).collect();
        ends.sort_by(|a, b| a.x.total_cmp(&b.x));
        ends
    }
}

fn heading(svg: &mut Svg, summary: &Summary) {
    let title = Text {
        size: 20.0,
        ..Text::default()
    };
    svg.text(MARGIN, 34.0, &format!("{}: final losses", summary.title), &title);
    let look = Text {
        size: 13.0,
        fill: FAINT,
        ..Text::default()
    };
    let about = "each point is a schedule that ends there, and bars are 95 % intervals over seeds; lower and further left is better";
    svg.text(MARGIN, 57.0, about, &look);
}

fn draw(svg: &mut Svg, (left, top): (f64, f64), summary: &Summary, lines: &[Line<'_>], axes: (Axis, Small)) {
    let ends: Vec<Vec<End>> = lines.iter().map(|line| line.ends(summary, axes)).collect();
    let all = || ends.iter().flatten();
    let largest = all().map(|end| end.x).fold(0.0, f64::max);
    let (_, x_label, size) = axes.0.texts(largest, summary.corpus.unit);
    let half = |end: &End| end.loss.half_width.unwrap_or(0.0);
    let low = all().map(|end| end.loss.mean - half(end)).fold(f64::INFINITY, f64::min);
    let high = all()
        .map(|end| end.loss.mean + half(end))
        .fold(f64::NEG_INFINITY, f64::max);
    let margin = (0.08 * (high - low)).max(1e-3);
    let panel = Panel {
        left,
        top,
        width: PANEL_WIDTH,
        height: PANEL_HEIGHT,
        x: (0.0, if largest > 0.0 { 1.04 * largest / size } else { 1.0 }),
        y: (low - margin, high + margin),
    };
    let title = match axes {
        (Axis::Tokens, _) => "tokens of the runs themselves",
        (_, Small::Given) => "the small model given",
        (_, Small::Charged) => "everything charged",
    };
    panel.axes(svg, title, &x_label, (6, 6));
    let loss = Text {
        size: 13.0,
        anchor: "middle",
        upwards: true,
        ..Text::default()
    };
    let what = format!("final {}", losses::axis_label(summary.corpus.unit));
    svg.text(left - 48.0, top + PANEL_HEIGHT / 2.0, &what, &loss);
    for (line, ends) in lines.iter().zip(&ends).rev() {
        let look = Stroke::new(line.series.style.light, 2.4);
        let at = |end: &End, loss: f64| panel.at(end.x / size, loss);
        let places: Vec<(f64, f64)> = ends.iter().map(|end| at(end, end.loss.mean)).collect();
        svg.polyline(&places, &look.dashed(line.series.style.dashes));
        for (end, (x, y)) in ends.iter().zip(places) {
            let bar = Stroke::new(look.color, 1.2);
            if let Some(half) = end.loss.half_width {
                let (lower, upper) = (at(end, end.loss.mean - half).1, at(end, end.loss.mean + half).1);
                svg.line((x, lower), (x, upper), &bar);
                for y in [lower, upper] {
                    svg.line((x - CAP, y), (x + CAP, y), &bar);
                }
            }
            svg.circle(x, y, 4.2, look.color, &Stroke::new("#ffffff", 1.0));
        }
    }
}
