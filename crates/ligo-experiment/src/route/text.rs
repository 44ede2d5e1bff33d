//! Routes for a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use ligo_cost::format;

use super::{Goal, LawSummary, Route, RoutePlan, sizes};
use crate::plan::table::aligned;
use crate::recipe::Pair;

/// What stands where nobody can tell.
const NONE: &str = "–";

/// Routes and what each number rests on.
pub fn text(plan: &RoutePlan) -> String {
    let goal = match plan.goal {
        Goal::Budget { flops } => format!("{} to spend", format::flops(flops)),
        Goal::Loss { loss } => format!("to a loss of {loss}"),
    };
    let mut text = format!(
        "routes for {}: {}, {} parameters; {goal}\n\n",
        plan.recipe,
        plan.large.name,
        format::count(plan.large.parameters)
    );
    text += &aligned(&rows(plan));
    text += "\n";
    if let Some(law) = &plan.law {
        let _ = writeln!(text, "• {}", of_law(law));
        for assumed in &law.assumed {
            let _ = writeln!(
                text,
                "• Not fitted: {} is taken to be {} ({}; {}).",
                assumed.what, assumed.value, assumed.source, assumed.why
            );
        }
    }
    for note in plan.refused.iter().chain(&plan.notes) {
        let _ = writeln!(text, "• {note}");
    }
    let _ = writeln!(text, "\nThe first of them:\n    {}", plan.command);
    text
}

fn rows(plan: &RoutePlan) -> Vec<Vec<String>> {
    let header = [
        "route",
        "small model",
        "its steps",
        "τ",
        "steps",
        "FLOPs",
        "time",
        "small given",
        "loss",
        "saves",
        "small given",
        "rests on",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(plan.routes.iter().map(row));
    rows
}

fn row(route: &Route) -> Vec<String> {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| NONE.to_owned());
    let small = route.small.as_ref();
    let steps = small.map(|small| small.steps.map_or("given".to_owned(), |steps| steps.to_string()));
    let seconds = route.bill.total_seconds();
    vec![
        route.label.clone(),
        or_none(small.map(|small| small.model.name.clone())),
        or_none(steps),
        or_none(route.tau.map(|tau| tau.to_string())),
        route.steps.to_string(),
        format::flops(route.bill.cost.flops.exact),
        format::duration(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)),
        or_none(route.bill_small_given.map(|bill| format::flops(bill.cost.flops.exact))),
        or_none(route.expected.map(|expected| {
            let far = if expected.is_far() { "~" } else { "" };
            let width = expected.half_width.map(|width| format!(" ± {width:.3}"));
            format!("{far}{:.3}{}", expected.loss, width.unwrap_or_default())
        })),
        or_none(route.saving.map(format::percent)),
        or_none(route.saving_small_given.map(format::percent)),
        route.basis.clone(),
    ]
}

fn of_law(law: &LawSummary) -> String {
    let [floor, a, alpha, b, beta] = law.numbers;
    let gains: Vec<String> = law
        .gains
        .iter()
        .map(|(method, gain)| format!("{method} {gain:.2}"))
        .collect();
    let gains = match gains.as_slice() {
        [] => String::new(),
        gains => format!(
            " Gain (the share of the small model's worth that is carried over): {}.",
            gains.join(", ")
        ),
    };
    format!(
        "Losses: L = {floor:.3} + {a:.4} / N^{alpha:.3} + {b:.4} / D^{beta:.3} for N parameters and D tokens, {} numbers fitted on {} points of {}, residual {:.4}; \
         ± is the 95 % interval of one run.{gains}",
        law.fitted_numbers, law.points, law.from, law.residual
    )
}

/// A command that runs a route beside scratch.
pub(super) fn command(recipe: &str, pair: &Pair, route: &Route) -> String {
    let mut words = vec![format!("ligo compare --recipe {recipe} --methods {}", route.method)];
    let mut set = |setting: String| words.push(format!("--set {setting}"));
    match (&route.small, route.tau) {
        (Some(small), Some(tau)) => {
            set(format!(
                "large.train.steps={}",
                route.steps + small.steps.unwrap_or_default()
            ));
            set(format!("'methods=[{{name=\"{}\",tau={tau}}}]'", route.method));
        }
        (small, _) => {
            set(format!("large.train.steps={}", route.steps));
            if let Some(steps) = small.as_ref().and_then(|small| small.steps) {
                set(format!("small.train.steps={steps}"));
            }
        }
    }
    if let Some(small) = route.small.as_ref().filter(|small| small.steps.is_some()) {
        let settings = sizes::settings(&pair.small, small.size).unwrap_or_default();
        settings
            .into_iter()
            .for_each(|setting| set(format!("small.model.{setting}")));
    }
    words.join(" ")
}
