//! The lines of a picture: a method's runs and their mean, along one of four axes.

use ligo_cost::Curve;
use ligo_cost::format;
use ligo_cost::seeds::{Evaluation, mean_curve};

use super::color::{self, Style};
use crate::summary::{Cost, Counter, CurvePoint, MethodSummary, Summary, Unit};
use crate::table::labels;

/// What lies along the horizontal axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    /// FLOPs by one of the counts, the operator's included.
    Flops(Counter),
    /// Wall time of the training steps, the operator's included.
    Time,
    /// Steps of the large model.
    Steps,
    /// Tokens, or images, that the large model read.
    Tokens,
}

impl Axis {
    fn of_point(self, point: &CurvePoint) -> f64 {
        match self {
            Self::Steps => point.step as f64,
            Self::Tokens => point.tokens as f64,
            Self::Flops(_) | Self::Time => self.of_cost(&point.cost),
        }
    }

    /// What something that is no step of the large model adds.
    pub(super) fn of_cost(self, cost: &Cost) -> f64 {
        match self {
            Self::Flops(counter) => cost.flops.by(counter),
            Self::Time => cost.seconds,
            Self::Steps | Self::Tokens => 0.0,
        }
    }

    /// The panel's title, the label beneath its axis, and how much one unit of that label is.
    pub(super) fn texts(self, largest: f64, unit: Unit) -> (String, String, f64) {
        let many = match unit {
            Unit::Tokens => "tokens read",
            Unit::Images => "images seen",
        };
        let scale = |name: &str| match largest {
            l if l >= 1e9 => (format!("{name}, in billions"), 1e9),
            l if l >= 1e6 => (format!("{name}, in millions"), 1e6),
            l if l >= 1e5 => (format!("{name}, in thousands"), 1e3),
            _ => (name.to_owned(), 1.0),
        };
        let (title, (label, size)) = match self {
            Self::Flops(counter) => {
                let (unit, size) = format::flops_unit(largest);
                let count = match counter {
                    Counter::Exact => "exact count",
                    Counter::Electra => "ELECTRA’s count",
                };
                (
                    "FLOPs",
                    (format!("training cost in {unit} ({count}), operator included"), size),
                )
            }
            Self::Time => {
                let (unit, size) = format::seconds_unit(largest);
                (
                    "wall time",
                    (format!("training time in {unit}, operator included"), size),
                )
            }
            Self::Steps => ("steps", scale("steps of the large model")),
            Self::Tokens => (unit.samples(), scale(many)),
        };
        (format!("Validation loss against {title}"), label, size)
    }
}

/// A method and how it is drawn.
pub(super) struct Series<'a> {
    pub label: String,
    pub style: Style,
    pub runs: Vec<&'a MethodSummary>,
    /// The mean over seeds.
    pub operator: Cost,
}

/// The methods of a summary, in the order of the table.
pub(super) fn series(summary: &Summary) -> Vec<Series<'_>> {
    let styles = color::styles(summary.groups.iter().map(|group| group.name.as_str()));
    let labels = labels(&summary.groups);
    let groups = summary.groups.iter().zip(labels).zip(styles);
    groups
        .map(|((group, label), style)| {
            let mean = |estimate: Option<crate::summary::Estimate>| estimate.map_or(0.0, |estimate| estimate.mean);
            let operator = group.operator_cost.measures();
            Series {
                label,
                style,
                runs: summary.methods.iter().filter(|run| run.group() == group.key).collect(),
                operator: Cost::of_measures(operator.map(mean)),
            }
        })
        .collect()
}

impl Series<'_> {
    /// The mean over seeds; the run itself where there is one.
    pub(super) fn mean(&self, axis: Axis) -> Vec<(f64, f64)> {
        if let [run] = self.runs.as_slice() {
            return points(run, axis);
        }
        let offset = axis.of_cost(&self.operator);
        let Some(curve) = self.curve(axis) else {
            return Vec::new();
        };
        let points = curve.points().iter().map(|point| (offset + point.cost, point.loss));
        points.filter(|(_, loss)| loss.is_finite()).collect()
    }

    /// The seeds; nothing where there is one, which is the mean.
    pub(super) fn seeds(&self, axis: Axis) -> Vec<Vec<(f64, f64)>> {
        match self.runs.as_slice() {
            [] | [_] => Vec::new(),
            several => several.iter().map(|run| points(run, axis)).collect(),
        }
    }

    /// Where the mean curve reaches the target.
    pub(super) fn reaches(&self, axis: Axis, target: f64) -> Option<f64> {
        Some(axis.of_cost(&self.operator) + self.curve(axis)?.cost_to_reach(target).cost()?)
    }

    fn curve(&self, axis: Axis) -> Option<Curve> {
        let evaluations = |run: &&MethodSummary| -> Vec<Evaluation> {
            let evaluation = |point: &CurvePoint| Evaluation {
                step: point.step,
                cost: axis.of_point(point),
                loss: point.loss,
            };
            run.curve.iter().map(evaluation).collect()
        };
        let seeds: Vec<Vec<Evaluation>> = self.runs.iter().map(evaluations).collect();
        mean_curve(&seeds).ok()
    }
}

/// Where the run stands on the axis at each evaluation, its operator paid for, and its loss.
fn points(run: &MethodSummary, axis: Axis) -> Vec<(f64, f64)> {
    let offset = axis.of_cost(&run.operator_cost);
    let points = run
        .curve
        .iter()
        .map(|point| (offset + axis.of_point(point), point.loss));
    points.filter(|(x, loss)| x.is_finite() && loss.is_finite()).collect()
}

/// The largest value along the axis.
pub(super) fn largest(series: &[Series<'_>], axis: Axis) -> f64 {
    let runs = series.iter().flat_map(|series| &series.runs);
    let ends = runs.flat_map(|run| points(run, axis)).map(|(x, _)| x);
    ends.fold(0.0, f64::max)
}
