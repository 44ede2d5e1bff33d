//! Validation loss against FLOPs and against time, a line for every run.

use super::colour::{self, AXIS, FAINT, INK, LINES, WARNING};
use super::font;
use super::panel::{Panel, spread};
use super::svg::{Stroke, Svg, Text};
use crate::summary::{Cost, Counter, MethodSummary, Summary, Unit};
use crate::units;

const WIDTH: f64 = 1240.0;
const MARGIN: f64 = 70.0;
/// Room right of a panel for the final losses.
const ENDS: f64 = 60.0;
const PANEL_WIDTH: f64 = (WIDTH - 2.0 * (MARGIN + ENDS)) / 2.0;
const PANEL_HEIGHT: f64 = 360.0;
const LEGEND_ROW: f64 = 24.0;
/// Height of the part above the break of the loss axis.
const STRIP: f64 = 38.0;

/// Draws a comparison as SVG: two panels, FLOPs by `counter` on the left and wall time on the right.
///
/// A line starts where its operator was paid for; dashed lines show the unigram loss, the small model's loss and the
/// target. A ring marks where a run reached the target. The loss axis ends above the interesting part; a unigram loss
/// far above stands in a strip of its own.
#[must_use]
pub fn comparison(summary: &Summary, counter: Counter) -> String {
    let runs = runs(summary);
    let legend = Legend::new(&runs, counter);
    let top = 78.0 + legend.height() + 40.0;
    let mut svg = Svg::new(WIDTH, top + PANEL_HEIGHT + 62.0);
    heading(&mut svg, summary);
    legend.draw(&mut svg, 84.0);

    let losses = loss_range(summary);
    let flops = |cost: &Cost| cost.flops(counter);
    let seconds = |cost: &Cost| cost.seconds;
    let (flops_unit, flops_size) = units::flops_unit(largest(summary, &flops));
    let (seconds_unit, seconds_size) = units::seconds_unit(largest(summary, &seconds));
    let count = match counter {
        Counter::Exact => "exact count",
        Counter::Electra => "ELECTRA’s count",
    };
    let panels = [
        Content {
            title: "Validation loss against FLOPs",
            x_label: format!("training cost in {flops_unit} ({count}), operator included"),
            cost: &move |cost| flops(cost) / flops_size,
        },
        Content {
            title: "Validation loss against wall time",
            x_label: format!("training time in {seconds_unit}, operator included"),
            cost: &move |cost| seconds(cost) / seconds_size,
        },
    ];
    for (index, content) in panels.iter().enumerate() {
        let left = MARGIN + index as f64 * (PANEL_WIDTH + ENDS + MARGIN);
        let end = 1.02 * largest(summary, content.cost);
        let end = if end > 0.0 { end } else { 1.0 };
        let whole = Panel {
            left,
            top,
            width: PANEL_WIDTH,
            height: PANEL_HEIGHT,
            x: (0.0, end),
            y: losses,
        };
        draw(&mut svg, &whole, summary, &runs, content);
    }
    let axis = Text {
        size: 13.0,
        anchor: "middle",
        upwards: true,
        ..Text::default()
    };
    svg.text(
        22.0,
        top + PANEL_HEIGHT / 2.0,
        match summary.corpus.unit {
            Unit::Tokens => "validation loss (nats per predicted token)",
            Unit::Images => "validation loss (nats per image)",
        },
        &axis,
    );
    svg.finish()
}

/// What differs between the two panels.
struct Content<'a> {
    title: &'static str,
    x_label: String,
    /// A cost in the panel's unit.
    cost: &'a dyn Fn(&Cost) -> f64,
}

/// A run and how it is drawn.
struct Run<'a> {
    method: &'a MethodSummary,
    colour: &'static str,
    /// Further seeds of a method are thin and have no legend.
    first_seed: bool,
}

fn runs(summary: &Summary) -> Vec<Run<'_>> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    let mut unknown = 0;
    for method in &summary.methods {
        let earlier = runs
            .iter()
            .find(|run| run.method.name == method.name)
            .map(|run| run.colour);
        let colour = earlier.unwrap_or_else(|| colour::method(&method.name, unknown));
        unknown += usize::from(earlier.is_none() && colour::fixed(&method.name).is_none());
        runs.push(Run {
            method,
            colour,
            first_seed: earlier.is_none(),
        });
    }
    runs
}

fn heading(svg: &mut Svg, summary: &Summary) {
    let corpus = &summary.corpus;
    svg.text(
        MARGIN,
        34.0,
        &summary.title,
        &Text {
            size: 20.0,
            ..Text::default()
        },
    );
    let unit = match corpus.unit {
        Unit::Tokens => "tokens",
        Unit::Images => "images",
    };
    let about = format!("{}, {} training {unit}", corpus.name, units::count(corpus.train_tokens));
    let caution = if !summary.flags.scratch_passed_unigram {
        "Scratch learnt nothing from context: this comparison means nothing."
    } else if !summary.flags.scratch_passed_small {
        "Scratch stayed above the small model’s loss: the savings only say that the small model was trained longer."
    } else {
        ""
    };
    let look = Text {
        size: 13.0,
        fill: FAINT,
        ..Text::default()
    };
    svg.text(MARGIN, 57.0, &about, &look);
    if !caution.is_empty() {
        svg.text(
            WIDTH - ENDS,
            57.0,
            caution,
            &Text {
                fill: WARNING,
                anchor: "end",
                ..look
            },
        );
    }
}

/// The methods' colours, in as many rows as they need.
struct Legend {
    /// Row, left edge, colour, text.
    entries: Vec<(usize, f64, &'static str, String)>,
}

impl Legend {
    const SIZE: f64 = 14.0;
    const SAMPLE: f64 = 26.0;
    const GAP: f64 = 26.0;

    fn new(runs: &[Run<'_>], counter: Counter) -> Self {
        let mut entries = Vec::new();
        let (mut row, mut left) = (0, MARGIN);
        for run in runs.iter().filter(|run| run.first_seed) {
            let operator = run.method.operator_cost.flops(counter);
            let text = if operator > 0.0 {
                format!("{} (operator: {})", run.method.label, units::flops(operator))
            } else {
                run.method.label.clone()
            };
            let width = Self::SAMPLE + 8.0 + font::width(&text, Self::SIZE);
            if left > MARGIN && left + width > WIDTH - ENDS {
                row += 1;
                left = MARGIN;
            }
            entries.push((row, left, run.colour, text));
            left += width + Self::GAP;
        }
        Self { entries }
    }

    fn height(&self) -> f64 {
        LEGEND_ROW * self.entries.last().map_or(0.0, |&(row, ..)| (row + 1) as f64)
    }

    fn draw(&self, svg: &mut Svg, top: f64) {
        for (row, left, colour, text) in &self.entries {
            let y = top + (*row as f64 + 0.5) * LEGEND_ROW;
            svg.line((*left, y), (left + Self::SAMPLE, y), &Stroke::new(colour, 3.0));
            let look = Text {
                size: Self::SIZE,
                ..Text::default()
            };
            svg.text(left + Self::SAMPLE + 8.0, y + 5.0, text, &look);
        }
    }
}

fn draw(svg: &mut Svg, whole: &Panel, summary: &Summary, runs: &[Run<'_>], content: &Content<'_>) {
    let (unigram, small, target) = (summary.corpus.unigram_loss, summary.small.loss, summary.target_loss);
    svg.text(
        whole.left,
        whole.top - 12.0,
        content.title,
        &Text {
            size: 14.0,
            ..Text::default()
        },
    );
    let off_scale = unigram > whole.y.1;
    let strip = if off_scale { STRIP } else { 0.0 };
    let panel = &Panel {
        top: whole.top + strip,
        height: whole.height - strip,
        ..*whole
    };
    panel.axes(svg, "", &content.x_label, (6, 6));
    if off_scale {
        unigram_strip(svg, whole, unigram);
    }
    let context_free = summary.corpus.context_free_loss.unwrap_or(f64::NAN);
    let lines = [(unigram, "7 5"), (context_free, "7 5"), (small, "7 5"), (target, "2 4")];
    for (loss, dashes) in lines
        .into_iter()
        .filter(|(loss, _)| (panel.y.0..=panel.y.1).contains(loss))
    {
        let (_, y) = panel.at(0.0, loss);
        svg.line(
            (panel.left, y),
            (panel.right(), y),
            &Stroke::new(LINES, 1.2).dashed(dashes),
        );
    }
    svg.clipped(panel.left, panel.top, panel.width, panel.height, |svg| {
        runs.iter().rev().for_each(|run| curve(svg, panel, run, content));
    });
    runs.iter()
        .filter(|run| run.first_seed)
        .for_each(|run| marks(svg, panel, run, target, content));

    // Above the line at the right, where the curves have gone below; the target's below the line at the left, where
    // they have not come down yet.
    let look = Text {
        size: 12.0,
        fill: INK,
        anchor: "end",
        halo: true,
        upwards: false,
    };
    let (right, left) = (panel.right() - 6.0, panel.left + 6.0);
    let name = |what: &str, loss: f64| format!("{what} {}", units::loss(loss));
    if unigram.is_finite() && !off_scale {
        svg.text(
            right,
            panel.at(0.0, unigram).1 - 6.0,
            &name("unigram loss", unigram),
            &look,
        );
    }
    if (panel.y.0..=panel.y.1).contains(&context_free) {
        let y = panel.at(0.0, context_free).1 - 6.0;
        svg.text(right, y, &name("context-free loss", context_free), &look);
    }
    if small.is_finite() {
        svg.text(right, panel.at(0.0, small).1 - 6.0, &name("small model", small), &look);
    }
    if target.is_finite() {
        let look = Text {
            anchor: "start",
            ..look
        };
        svg.text(
            left,
            panel.at(0.0, target).1 + 16.0,
            &name("target: scratch’s final loss", target),
            &look,
        );
    }
    ends(svg, panel, runs, content);
}

/// The unigram line above a broken axis.
fn unigram_strip(svg: &mut Svg, whole: &Panel, unigram: f64) {
    let (line, end) = (whole.top + 16.0, whole.top + STRIP);
    svg.line(
        (whole.left, line),
        (whole.right(), line),
        &Stroke::new(LINES, 1.2).dashed("7 5"),
    );
    let axis = Stroke::new(AXIS, 1.0);
    svg.line((whole.left, whole.top), (whole.left, end - 7.0), &axis);
    for y in [end - 7.0, end - 2.0] {
        svg.line((whole.left - 5.0, y + 2.5), (whole.left + 5.0, y - 2.5), &axis);
    }
    let look = Text {
        anchor: "end",
        ..Text::default()
    };
    svg.text(
        whole.left - 7.0,
        line + 4.0,
        &format!("{unigram:.1}"),
        &Text { fill: FAINT, ..look },
    );
    svg.text(
        whole.right() - 6.0,
        line - 5.0,
        &format!("unigram loss {}", units::loss(unigram)),
        &look,
    );
}

/// Where the run stands on the cost axis at each evaluation, and its loss.
fn points(run: &Run<'_>, content: &Content<'_>) -> Vec<(f64, f64)> {
    let offset = (content.cost)(&run.method.operator_cost);
    let points = run
        .method
        .curve
        .iter()
        .map(|point| (offset + (content.cost)(&point.cost), point.loss));
    points.filter(|(x, loss)| x.is_finite() && loss.is_finite()).collect()
}

fn curve(svg: &mut Svg, panel: &Panel, run: &Run<'_>, content: &Content<'_>) {
    let points = points(run, content);
    let Some(&(start, loss)) = points.first() else { return };
    let places: Vec<(f64, f64)> = points.iter().map(|&(x, y)| panel.at(x, y)).collect();
    let look = if run.first_seed {
        Stroke::new(run.colour, 2.4)
    } else {
        Stroke {
            opacity: 0.55,
            ..Stroke::new(run.colour, 1.2)
        }
    };
    svg.polyline(&places, &look);
    if run.first_seed && start > 0.0 {
        // What was spent on the operator before the first step.
        svg.line(
            panel.at(0.0, loss),
            panel.at(start, loss),
            &Stroke::new(run.colour, 2.4).dashed("1 4"),
        );
    }
}

/// A dot at the start and a ring where the target is reached.
fn marks(svg: &mut Svg, panel: &Panel, run: &Run<'_>, target: f64, content: &Content<'_>) {
    if let Some(&(x, loss)) = points(run, content).first().filter(|point| point.1 <= panel.y.1) {
        let (x, y) = panel.at(x, loss);
        svg.circle(x, y, 3.6, run.colour, &Stroke::new("#ffffff", 1.0));
    }
    if let Some(reached) = &run.method.to_target {
        let (x, y) = panel.at((content.cost)(&reached.cost), target);
        svg.circle(x, y, 4.6, "#ffffff", &Stroke::new(run.colour, 2.2));
    }
}

/// The final losses, right of the panel, in the colours of their lines.
fn ends(svg: &mut Svg, panel: &Panel, runs: &[Run<'_>], content: &Content<'_>) {
    let ends: Vec<(&Run<'_>, (f64, f64))> = runs
        .iter()
        .filter(|run| run.first_seed)
        .filter_map(|run| points(run, content).last().map(|&(x, loss)| (run, (x, loss))))
        .filter(|(_, (_, loss))| (panel.y.0..=panel.y.1).contains(loss))
        .collect();
    let places: Vec<f64> = ends.iter().map(|(_, (_, loss))| panel.at(0.0, *loss).1).collect();
    let places = spread(&places, 15.0, panel.top + 6.0, panel.bottom() - 2.0);
    for ((run, (x, loss)), y) in ends.into_iter().zip(places) {
        let from = panel.at(x, loss);
        let leader = Stroke {
            opacity: 0.6,
            ..Stroke::new(run.colour, 0.8)
        };
        svg.line(from, (panel.right() + 8.0, y), &leader);
        let look = Text {
            size: 13.0,
            fill: run.colour,
            ..Text::default()
        };
        svg.text(panel.right() + 11.0, y + 4.5, &units::loss(loss), &look);
    }
}

/// The largest cost of a run, its operator included.
fn largest(summary: &Summary, cost: &dyn Fn(&Cost) -> f64) -> f64 {
    let total = |method: &MethodSummary| {
        let end = method
            .curve
            .iter()
            .map(|point| cost(&point.cost))
            .filter(|x| x.is_finite())
            .fold(0.0, f64::max);
        cost(&method.operator_cost) + end
    };
    summary
        .methods
        .iter()
        .map(total)
        .filter(|x| x.is_finite())
        .fold(0.0, f64::max)
}

/// The losses between which runs differ: from the lowest loss up to what they have after a third of their way, with
/// the small model's line, with the starts of grown models near it, and with the unigram line if that leaves
/// two thirds of the height to the rest.
fn loss_range(summary: &Summary) -> (f64, f64) {
    let (unigram, small, target) = (summary.corpus.unigram_loss, summary.small.loss, summary.target_loss);
    let all = || {
        summary
            .methods
            .iter()
            .flat_map(|method| &method.curve)
            .map(|point| point.loss)
    };
    let finite = |loss: &f64| loss.is_finite();
    let low = all()
        .chain([small, target])
        .filter(finite)
        .fold(f64::INFINITY, f64::min);
    let settled = summary.methods.iter().filter_map(|method| {
        let end = method.curve.last()?.step as f64;
        method
            .curve
            .iter()
            .find(|point| point.step as f64 >= end / 3.0)
            .map(|point| point.loss)
    });
    let starts = summary
        .methods
        .iter()
        .map(|method| method.loss_start)
        .filter(|loss| *loss < unigram);
    let high = settled
        .chain([small, target])
        .filter(finite)
        .fold(f64::NEG_INFINITY, f64::max);
    let high = starts
        .filter(|start| start - low < 1.6 * (high - low))
        .fold(high, f64::max);
    if !low.is_finite() || !high.is_finite() {
        return (0.0, 1.0);
    }
    let high = if unigram > high && unigram - low < 1.5 * (high - low) {
        unigram
    } else {
        high
    };
    let range = (high - low).max(1e-3);
    (low - 0.07 * range, high + 0.09 * range)
}
