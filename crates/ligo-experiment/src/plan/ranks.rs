//! What several devices that share a run make of its time.

use std::fmt::Write as _;

use ligo_cost::format;
use ligo_cost::plan::{Bill, Plan};
use ligo_cost::ranks::{Cluster, SharedStep, counts, pays_up_to};
use ligo_growth::{LigoOperator, OperatorSpec};
use ligo_train::TrainConfig;

use super::{largest_share, learning_memory, training_memory_on};
use crate::Failure;
use crate::recipe::{DataFacts, Recipe};

/// Devices that a plan is to be shared among.
#[derive(Debug, Clone, Copy)]
pub struct Devices {
    /// What connects them.
    pub cluster: Cluster,
    /// The most of them.
    pub most: usize,
    /// Whether each keeps a share of the optimizer's moments.
    pub shares: bool,
}

/// What is shared.
struct Shared<'a> {
    what: &'a str,
    train: &'a TrainConfig,
    /// Of a step on one device.
    seconds: f64,
    gradients: f64,
    /// The largest share of the parameters on so many devices, where they are shared out.
    largest: Option<&'a dyn Fn(usize) -> f64>,
    /// Bytes that a step keeps on each of so many devices.
    memory: &'a dyn Fn(usize) -> f64,
}

/// The steps of a plan on 1 device and on as many as can share them: of training the large model, and of learning an operator where a method
/// does.
///
/// # Errors
/// A model or an operator is not valid for these data.
pub fn on_ranks(recipe: &Recipe, facts: &DataFacts, plan: &Plan, devices: Devices) -> Result<String, Failure> {
    let Devices { cluster, shares, .. } = devices;
    let mut text = format!(
        "On several devices, {} on a machine, {} between machines{}:\n",
        cluster.per_machine,
        cluster.network,
        if shares {
            ", the optimizer's moments shared out"
        } else {
            ""
        }
    );
    let pair = recipe.pair(facts)?;
    let scratch = plan.methods.iter().find(|run| run.method == "scratch");
    if let Some(run) = scratch.or_else(|| plan.methods.first()) {
        let train = &recipe.large.train;
        let largest = |ranks| largest_share(&pair.large, ranks);
        let memory = |ranks| training_memory_on((ranks, shares), &pair.large, train, &recipe.data).total_bytes();
        let shared = Shared {
            what: "training the large model",
            train,
            seconds: a_step(&run.training, run.steps),
            gradients: 4.0 * plan.large.parameters as f64,
            largest: shares.then_some(&largest),
            memory: &memory,
        };
        shared.tell(&mut text, &devices);
    }
    let learning = recipe.methods.iter().zip(&plan.methods).find_map(|(method, run)| {
        let config = match recipe.operator_of(method)? {
            OperatorSpec::Ligo(config) => config,
            _ => return None,
        };
        Some((config, run.operator?))
    });
    if let Some((config, bill)) = learning {
        let operator = LigoOperator::new(&pair.small.table(), &pair.large.table(), &config, recipe.seed)?;
        let train = &recipe.operator.train;
        let memory = |ranks: usize| {
            let of_rank = TrainConfig {
                accumulation: (train.accumulation / ranks).max(1),
                ..train.clone()
            };
            learning_memory((&pair.small, &pair.large), &operator, &of_rank, &recipe.data).total_bytes()
        };
        let shared = Shared {
            what: "learning the operator",
            train,
            seconds: a_step(&bill, train.steps),
            gradients: 4.0 * operator.num_parameters() as f64,
            // Its moments are few.
            largest: None,
            memory: &memory,
        };
        shared.tell(&mut text, &devices);
    }
    text += "\nA model: gradients are summed after each step and nothing beside it; stragglers, updates and evaluations are left out.";
    Ok(text)
}

fn a_step(bill: &Bill, steps: u64) -> f64 {
    bill.cost.seconds / steps.max(1) as f64
}

impl Shared<'_> {
    fn tell(&self, text: &mut String, devices: &Devices) {
        let accumulation = self.train.accumulation;
        let _ = writeln!(
            text,
            "\n{}: {accumulation} micro-batches a step, gradients of {}\n  devices  computing      sums  times faster  devices compute  memory of each",
            self.what,
            format::bytes(self.gradients)
        );
        let cluster = devices.cluster;
        let step = |ranks| match self.largest {
            Some(largest) => cluster.step_with_shares(ranks, self.seconds, self.gradients, largest(ranks)),
            None => cluster.step(ranks, self.seconds, self.gradients),
        };
        let steps: Vec<SharedStep> = counts(devices.most, accumulation).map(step).collect();
        for step in &steps {
            let SharedStep {
                ranks,
                compute_seconds,
                sum_seconds,
                times_faster,
            } = *step;
            let _ = writeln!(
                text,
                "  {ranks:>7}  {:>9}  {:>8}  {times_faster:>12.1}  {:>15}  {:>14}",
                milliseconds(compute_seconds),
                milliseconds(sum_seconds),
                format!("{:.0} %", 100.0 * step.efficiency()),
                format::bytes((self.memory)(ranks))
            );
        }
        let _ = writeln!(text, "  {}", verdict(&steps, devices.most, accumulation));
    }
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
