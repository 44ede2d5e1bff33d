//! What the page's script draws from: numbers with as many digits as a picture can show.

use serde_json::{Value, json};

use crate::plot::Matrix;
use crate::plot::color::{Style, styles};
use crate::plot::losses::{Losses, range};
use crate::summary::{CostEstimate, Counter, Group, MethodSummary, OperatorSummary, Saving, Summary, WidthMatrix};
use crate::table::Table;

pub(super) fn data(summary: &Summary, names: &[String]) -> Value {
    let losses = Losses::of(summary);
    let (low, high) = range(summary);
    let styles = styles(summary.groups.iter().map(|group| group.name.as_str()));
    let groups = summary.groups.iter().zip(names).zip(styles);
    let table = Table::new(summary, Counter::Exact);
    json!({
        "samples": summary.corpus.unit.samples(),
        "losses": {
            "target": number(losses.target),
            "small": number(losses.small),
            "unigram": number(losses.unigram),
            "contextFree": number(losses.context_free),
        },
        "targetLabel": losses.target_label(summary),
        "range": [number(low), number(high)],
        "groups": groups.map(|((group, name), style)| of_group(summary, group, name, style)).collect::<Vec<_>>(),
        "operators": summary.operators.iter().map(operator).collect::<Vec<_>>(),
        "forms": {
            "markdown": table.markdown(),
            "latex": table.latex(),
            "csv": table.csv_of_methods(),
            "runs": table.csv(),
        },
    })
}

fn of_group(summary: &Summary, group: &Group, name: &str, style: Style) -> Value {
    let runs = summary.methods.iter().filter(|run| run.group() == group.key);
    json!({
        "label": name,
        "scratch": group.name == crate::summary::SCRATCH,
        "light": style.light,
        "dark": style.dark,
        "dashes": style.dashes,
        "reached": group.reached,
        "saving": estimates(&group.saving),
        "withSmall": estimates(&group.saving_with_small),
        "meanCurve": group.mean_curve.saving.map(savings),
        "meanCurveWithSmall": group.mean_curve.saving_with_small.map(savings),
        "runs": runs.map(run).collect::<Vec<_>>(),
    })
}

fn run(run: &MethodSummary) -> Value {
    let points = || run.curve.iter();
    json!({
        "seed": run.seed,
        "operator": three(run.operator_cost.measures(), number),
        "saving": run.saving.map(savings),
        "withSmall": run.saving_with_small.map(savings),
        "stages": run.stages.iter().map(|stage| json!([stage.first_step, stage.label])).collect::<Vec<_>>(),
        "step": points().map(|point| point.step).collect::<Vec<_>>(),
        "tokens": points().map(|point| point.tokens).collect::<Vec<_>>(),
        "loss": points().map(|point| number(point.loss)).collect::<Vec<_>>(),
        "exact": points().map(|point| number(point.cost.flops.exact)).collect::<Vec<_>>(),
        "electra": points().map(|point| number(point.cost.flops.electra)).collect::<Vec<_>>(),
        "seconds": points().map(|point| number(point.cost.seconds)).collect::<Vec<_>>(),
    })
}

fn operator(operator: &OperatorSummary) -> Value {
    // A matrix that does not hold what its shape says would be drawn wrong; it is left out.
    let whole = |matrix: &&Matrix| matrix.values.len() == matrix.rows * matrix.columns;
    let depth = operator.depth.iter().filter(whole).map(|matrix| {
        json!({
            "name": matrix.name,
            "rows": matrix.rows,
            "columns": matrix.columns,
            "values": matrix.values.iter().map(|&value| coarse(f64::from(value))).collect::<Vec<_>>(),
        })
    });
    let width = |matrix: &WidthMatrix| {
        json!({
            "name": matrix.name,
            "rows": matrix.rows,
            "columns": matrix.columns,
            "norms": matrix.row_norms.iter().copied().map(coarse).collect::<Vec<_>>(),
            "singular": matrix.singular_values.iter().copied().map(coarse).collect::<Vec<_>>(),
        })
    };
    json!({ "depth": depth.collect::<Vec<_>>(), "width": operator.width.iter().filter(|matrix| !matrix.row_norms.is_empty() || !matrix.singular_values.is_empty()).map(width).collect::<Vec<_>>() })
}

/// One value for each way to count, in the order of [`Cost::MEASURES`](ligo_cost::Cost::MEASURES).
fn three<T>(measures: [T; 3], shown: impl Fn(T) -> Value) -> Value {
    let [exact, electra, seconds] = measures.map(shown);
    json!({ "exact": exact, "electra": electra, "seconds": seconds })
}

/// Mean and half the interval.
fn estimates(cost: &CostEstimate) -> Value {
    three(cost.measures(), |estimate| {
        estimate.map_or(Value::Null, |e| {
            json!([number(e.mean), number(e.half_width.unwrap_or(f64::NAN))])
        })
    })
}

fn savings(saving: Saving) -> Value {
    three(saving.measures(), number)
}

/// Six significant digits; nothing for what is no number.
fn number(value: f64) -> Value {
    rounded(value, 5)
}

/// Three significant digits.
fn coarse(value: f64) -> Value {
    rounded(value, 2)
}

fn rounded(value: f64, digits: usize) -> Value {
    let value: f64 = format!("{value:.digits$e}").parse().unwrap_or(value);
    // Whole numbers are shorter without a point.
    if value.fract() == 0.0 && value.abs() < 9e15 {
        json!(value as i64)
    } else {
        json!(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_a_picture_needs() {
        assert_eq!(number(2.340_987_654_3).to_string(), "2.34099");
        assert_eq!(number(35_291_957_769_382.25).to_string(), "35292000000000");
        assert_eq!(coarse(-0.012_345).to_string(), "-0.0123");
        assert_eq!(number(f64::NAN).to_string(), "null");
        assert_eq!(number(0.0).to_string(), "0");
    }
}
