//! What several devices that share a run make of its time.

use std::fmt::Write as _;

use ligo_cost::format;
use ligo_cost::plan::{Bill, Plan};
use ligo_cost::ranks::{Cluster, SharedStep, pays_up_to};
use ligo_growth::{LigoOperator, OperatorSpec};
use ligo_train::TrainConfig;

use crate::Failure;
use crate::recipe::{DataFacts, Recipe};

/// The steps of a plan on 1 device and on as many as can share them, up to `most`: of training the large model, and of learning an operator
/// where a method does.
///
/// # Errors
/// A model or an operator is not valid for these data.
pub fn on_ranks(
    recipe: &Recipe,
    facts: &DataFacts,
    plan: &Plan,
    cluster: &Cluster,
    most: usize,
) -> Result<String, Failure> {
    let mut text = format!(
        "On several devices, {} on a machine, {} between machines:\n",
        cluster.per_machine, cluster.network
    );
    let scratch = plan.methods.iter().find(|run| run.method == "scratch");
    if let Some(run) = scratch.or_else(|| plan.methods.first()) {
        let seconds = a_step(&run.training, run.steps);
        let gradients = 4.0 * plan.large.parameters as f64;
        tell(
            &mut text,
            "training the large model",
            &recipe.large.train,
            cluster,
            most,
            seconds,
            gradients,
        );
    }
    let learning = recipe.methods.iter().zip(&plan.methods).find_map(|(method, run)| {
        let config = match recipe.operator_of(method)? {
            OperatorSpec::Ligo(config) => config,
            _ => return None,
        };
        Some((config, run.operator?))
    });
    if let Some((config, bill)) = learning {
        let pair = recipe.pair(facts)?;
        let operator = LigoOperator::new(&pair.small.table(), &pair.large.table(), &config, recipe.seed)?;
        let seconds = a_step(&bill, recipe.operator.train.steps);
        let gradients = 4.0 * operator.num_parameters() as f64;
        tell(
            &mut text,
            "learning the operator",
            &recipe.operator.train,
            cluster,
            most,
            seconds,
            gradients,
        );
    }
    text += "\nA model: gradients are summed after each step and nothing beside it; stragglers, updates and evaluations are left out.";
    Ok(text)
}

fn a_step(bill: &Bill, steps: u64) -> f64 {
    bill.seconds / steps.max(1) as f64
}

fn tell(
    text: &mut String,
    what: &str,
    train: &TrainConfig,
    cluster: &Cluster,
    most: usize,
    seconds: f64,
    gradients: f64,
) {
    let steps = cluster.steps(most, train.accumulation, seconds, gradients);
    let _ = writeln!(
        text,
        "\n{what}: {} micro-batches a step, gradients of {}\n  devices  computing      sums  times faster  devices compute",
        train.accumulation,
        format::bytes(gradients)
    );
    for step in &steps {
        let SharedStep {
            ranks,
            compute_seconds,
            sum_seconds,
            times_faster,
        } = *step;
        let _ = writeln!(
            text,
            "  {ranks:>7}  {:>9}  {:>8}  {times_faster:>12.1}  {:>15}",
            milliseconds(compute_seconds),
            milliseconds(sum_seconds),
            format!("{:.0} %", 100.0 * step.efficiency())
        );
    }
    let _ = writeln!(text, "  {}", verdict(&steps, most, train.accumulation));
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.0} ms", 1000.0 * seconds)
}

/// From which number on more devices do not pay.
fn verdict(steps: &[SharedStep], most: usize, accumulation: usize) -> String {
    let paying = pays_up_to(steps);
    match steps.iter().find(|step| step.ranks > paying) {
        Some(next) => format!(
            "From {} on it does not pay: devices wait for more than half of their time.",
            next.ranks
        ),
        None if most > accumulation => format!(
            "It pays for all of them; more than {accumulation} cannot share {accumulation} micro-batches: raise accumulation and lower batch_size."
        ),
        None => "It pays for all of them.".into(),
    }
}
