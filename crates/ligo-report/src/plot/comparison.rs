//! Validation loss against what it cost: a line for every method, thin ones for its seeds.

use super::color::{AXIS, FAINT, INK, LINES, WARNING};
use super::legend::Legend;
use super::losses::{self, Losses};
use super::panel::{Panel, spread};
use super::series::{self, Axis, Series};
use super::svg::{Stroke, Svg, Text};
use crate::summary::{Counter, Summary, Unit};
use ligo_cost::format;

const WIDTH: f64 = 1240.0;
const MARGIN: f64 = 70.0;
/// Room right of a panel for the final losses.
const ENDS: f64 = 60.0;
const PANEL_WIDTH: f64 = (WIDTH - 2.0 * (MARGIN + ENDS)) / 2.0;
const PANEL_HEIGHT: f64 = 360.0;
/// Room beneath a panel for its axis, and for the title of the one below.
const BENEATH: f64 = 62.0;
const BETWEEN: f64 = 40.0;
/// Height of the part above the break of the loss axis.
const STRIP: f64 = 38.0;
/// With more methods than this the lines are thinner.
const MANY: usize = 8;

/// Draws a comparison as SVG: two panels, FLOPs by `counter` on the left and wall time on the right.
///
/// A line starts where its operator was paid for; dashed lines show the unigram loss, the small model's loss and the
/// target. A ring marks where a method reached the target. Several seeds of a method are thin lines and their mean a bold one.
/// The loss axis ends above the interesting part; a unigram loss far above stands in a strip of its own.
#[must_use]
pub fn comparison(summary: &Summary, counter: Counter) -> String {
    panels(summary, counter, &[Axis::Flops(counter), Axis::Time])
}

/// The same against FLOPs by `counter`, wall time, steps and tokens: four panels.
#[must_use]
pub fn curves(summary: &Summary, counter: Counter) -> String {
    let axes = [Axis::Flops(counter), Axis::Time, Axis::Steps, Axis::Tokens];
    panels(summary, counter, &axes)
}

fn panels(summary: &Summary, counter: Counter, axes: &[Axis]) -> String {
    let summary = &*summary.with_groups();
    let series = series::series(summary);
    let legend = Legend::new(&series, counter, (MARGIN, WIDTH - ENDS), width(&series));
    let row = PANEL_HEIGHT + BENEATH + BETWEEN;
    // A caution stands between the heading and the legend.
    let legend_top = if summary.flags.scratch_passed_unigram && summary.flags.scratch_passed_small {
        84.0
    } else {
        96.0
    };
    let top = legend_top - 6.0 + legend.height() + BETWEEN;
    let rows = axes.len().div_ceil(2);
    let mut svg = Svg::new(WIDTH, top + rows as f64 * row - BETWEEN);
    heading(&mut svg, summary);
    legend.draw(&mut svg, legend_top);

    let range = losses::range(summary);
    for (index, &axis) in axes.iter().enumerate() {
        let largest = series::largest(&series, axis);
        let (title, x_label, size) = axis.texts(largest, summary.corpus.unit);
        let end = 1.02 * largest / size;
        let whole = Panel {
            left: MARGIN + (index % 2) as f64 * (PANEL_WIDTH + ENDS + MARGIN),
            top: top + (index / 2) as f64 * row,
            width: PANEL_WIDTH,
            height: PANEL_HEIGHT,
            x: (0.0, if end > 0.0 { end } else { 1.0 }),
            y: range,
        };
        let content = Content {
            title,
            x_label,
            axis,
            size,
        };
        draw(&mut svg, &whole, summary, &series, &content);
    }
    for row_index in 0..rows {
        loss_label(&mut svg, top + row_index as f64 * row, summary.corpus.unit);
    }
    svg.finish()
}

fn loss_label(svg: &mut Svg, top: f64, unit: Unit) {
    let look = Text {
        size: 13.0,
        anchor: "middle",
        upwards: true,
        ..Text::default()
    };
    svg.text(22.0, top + PANEL_HEIGHT / 2.0, losses::axis_label(unit), &look);
}

/// What differs between panels.
struct Content {
    title: String,
    x_label: String,
    axis: Axis,
    /// How much one unit of the label is.
    size: f64,
}

impl Content {
    fn place(&self, panel: &Panel, (x, loss): (f64, f64)) -> (f64, f64) {
        panel.at(x / self.size, loss)
    }
}

fn width(series: &[Series<'_>]) -> f64 {
    if series.len() > MANY { 1.8 } else { 2.4 }
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
    let samples = corpus.unit.samples();
    let about = format!(
        "{}, {} training {samples}",
        corpus.name,
        format::whole(corpus.train_tokens)
    );
    let most = summary.groups.iter().map(|group| group.seeds.len()).max().unwrap_or(0);
    let about = if most > 1 {
        format!("{about}; thin lines are seeds, bold ones the means of up to {most}")
    } else {
        about
    };
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
        let look = Text { fill: WARNING, ..look };
        svg.text(MARGIN, 76.0, caution, &look);
    }
}

fn draw(svg: &mut Svg, whole: &Panel, summary: &Summary, series: &[Series<'_>], content: &Content) {
    let losses = Losses::of(summary);
    let title = Text {
        size: 14.0,
        ..Text::default()
    };
    svg.text(whole.left, whole.top - 12.0, &content.title, &title);
    let off_scale = losses.unigram > whole.y.1;
    let strip = if off_scale { STRIP } else { 0.0 };
    let panel = &Panel {
        top: whole.top + strip,
        height: whole.height - strip,
        ..*whole
    };
    panel.axes(svg, "", &content.x_label, (6, 6));
    if off_scale {
        unigram_strip(svg, whole, losses.unigram);
    }
    let lines = [
        (losses.unigram, "7 5"),
        (losses.context_free, "7 5"),
        (losses.small, "7 5"),
        (losses.target, "2 4"),
    ];
    for (loss, dashes) in lines {
        if (panel.y.0..=panel.y.1).contains(&loss) {
            let (_, y) = panel.at(0.0, loss);
            let look = Stroke::new(LINES, 1.2).dashed(dashes);
            svg.line((panel.left, y), (panel.right(), y), &look);
        }
    }
    let bold = width(series);
    svg.clipped(panel.left, panel.top, panel.width, panel.height, |svg| {
        series
            .iter()
            .rev()
            .for_each(|series| seeds(svg, panel, series, content));
        series
            .iter()
            .rev()
            .for_each(|series| mean(svg, panel, series, content, bold));
    });
    series
        .iter()
        .for_each(|series| marks(svg, panel, series, losses.target, content));
    line_labels(svg, panel, summary, losses, off_scale);
    ends(svg, panel, series, content);
}

/// Above the line at the right, where the curves have gone below; the target's below the line at the left, where
/// they have not come down yet.
fn line_labels(svg: &mut Svg, panel: &Panel, summary: &Summary, losses: Losses, off_scale: bool) {
    let look = Text {
        size: 12.0,
        fill: INK,
        anchor: "end",
        halo: true,
        upwards: false,
    };
    let right = panel.right() - 6.0;
    let unigram = if off_scale { f64::NAN } else { losses.unigram };
    let lines = [
        ("unigram loss", unigram),
        ("context-free loss", losses.context_free),
        ("small model", losses.small),
    ];
    for (what, loss) in lines {
        if (panel.y.0..=panel.y.1).contains(&loss) {
            let text = format!("{what} {}", format::loss(loss));
            svg.text(right, panel.at(0.0, loss).1 - 6.0, &text, &look);
        }
    }
    if losses.target.is_finite() {
        let look = Text {
            anchor: "start",
            ..look
        };
        let y = panel.at(0.0, losses.target).1 + 16.0;
        svg.text(panel.left + 6.0, y, &losses.target_label(summary), &look);
    }
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
        &format!("unigram loss {}", format::loss(unigram)),
        &look,
    );
}

fn seeds(svg: &mut Svg, panel: &Panel, series: &Series<'_>, content: &Content) {
    let look = Stroke {
        opacity: 0.35,
        ..Stroke::new(series.style.light, 1.0)
    };
    for points in series.seeds(content.axis) {
        let places: Vec<(f64, f64)> = points.iter().map(|&point| content.place(panel, point)).collect();
        svg.polyline(&places, &look);
    }
}

fn mean(svg: &mut Svg, panel: &Panel, series: &Series<'_>, content: &Content, width: f64) {
    let points = series.mean(content.axis);
    let Some(&(start, loss)) = points.first() else { return };
    let places: Vec<(f64, f64)> = points.iter().map(|&point| content.place(panel, point)).collect();
    let look = Stroke::new(series.style.light, width);
    svg.polyline(&places, &look.dashed(series.style.dashes));
    if start > 0.0 {
        // What was spent on the operator before the first step.
        let (from, to) = ((0.0, loss), (start, loss));
        let look = look.dashed("1 4");
        svg.line(content.place(panel, from), content.place(panel, to), &look);
    }
}

/// A dot at the start and a ring where the target is reached.
fn marks(svg: &mut Svg, panel: &Panel, series: &Series<'_>, target: f64, content: &Content) {
    let color = series.style.light;
    let points = series.mean(content.axis);
    if let Some(&start) = points.first().filter(|point| point.1 <= panel.y.1) {
        let (x, y) = content.place(panel, start);
        svg.circle(x, y, 3.6, color, &Stroke::new("#ffffff", 1.0));
    }
    if let Some(reached) = series.reaches(content.axis, target) {
        let (x, y) = content.place(panel, (reached, target));
        svg.circle(x, y, 4.6, "#ffffff", &Stroke::new(color, 2.2));
    }
}

/// The final losses, right of the panel, in the colors of their lines.
fn ends(svg: &mut Svg, panel: &Panel, series: &[Series<'_>], content: &Content) {
    let ends: Vec<(&'static str, (f64, f64))> = series
        .iter()
        .filter_map(|series| Some((series.style.light, *series.mean(content.axis).last()?)))
        .filter(|(_, (_, loss))| (panel.y.0..=panel.y.1).contains(loss))
        .collect();
    let places: Vec<f64> = ends.iter().map(|(_, (_, loss))| panel.at(0.0, *loss).1).collect();
    let places = spread(&places, 15.0, panel.top + 6.0, panel.bottom() - 2.0);
    for ((color, end), y) in ends.into_iter().zip(places) {
        let leader = Stroke {
            opacity: 0.6,
            ..Stroke::new(color, 0.8)
        };
        svg.line(content.place(panel, end), (panel.right() + 8.0, y), &leader);
        let look = Text {
            size: 13.0,
            fill: color,
            ..Text::default()
        };
        svg.text(panel.right() + 11.0, y + 4.5, &format::loss(end.1), &look);
    }
}
