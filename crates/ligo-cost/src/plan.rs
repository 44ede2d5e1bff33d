//! A plan: what a comparison will cost, with what that was assumed. Written to `plan.json` before a run and compared with
//! what was measured afterwards.

use serde::{Deserialize, Serialize};

use crate::cost::{Cost, Flops};
use crate::energy;
use crate::hardware::Precision;
use crate::memory::Memory;
use crate::published::Expectation;
use crate::utilization::Utilization;

/// The version of [`Plan`] as JSON.
pub const FORMAT: u32 = 1;

/// What turns FLOPs into time, energy and money.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// The hardware.
    pub hardware: String,
    /// Its peak, FLOP/s.
    pub peak_flops: f64,
    /// The share of the peak that training reaches, by the exact count.
    #[serde(alias = "utilisation")]
    pub utilization: f64,
    /// How that share is known; plans that were written before it was told count as assumed.
    #[serde(default)]
    pub utilization_known: Utilization,
    /// The numbers that products are computed with.
    #[serde(default)]
    pub precision: Precision,
    /// Power while it computes; `None` where nobody can tell.
    pub watts: Option<f64>,
    /// Energy drawn for each unit that reaches the hardware.
    pub pue: f64,
    /// Price of an hour in US dollars; `None` where nobody can tell.
    pub usd_per_hour: Option<f64>,
    /// Carbon dioxide for each kilowatt-hour.
    pub grams_co2_per_kwh: f64,
    /// The hardware's memory; `None` where nobody can tell.
    pub memory_bytes: Option<f64>,
}

/// Arithmetic that is to be done.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Work {
    /// FLOPs of training steps.
    pub flops: Flops,
    /// FLOPs of evaluations by the exact count.
    pub evaluation_flops: f64,
}

impl Work {
    /// A share of it.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self {
            flops: self.flops * factor,
            evaluation_flops: self.evaluation_flops * factor,
        }
    }
}

/// What some work costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Bill {
    /// What the training steps cost.
    #[serde(flatten)]
    pub cost: Cost,
    /// Seconds of evaluations.
    pub eval_seconds: f64,
    /// Joules that the hardware itself takes for the training steps.
    pub joules: Option<f64>,
    /// Energy of steps and evaluations, cooling included.
    pub kwh: Option<f64>,
    /// Carbon dioxide of that.
    pub kg_co2: Option<f64>,
    /// US dollars for steps and evaluations.
    pub usd: Option<f64>,
}

impl Bill {
    /// Seconds of steps and evaluations.
    #[must_use]
    pub fn total_seconds(&self) -> f64 {
        self.cost.seconds + self.eval_seconds
    }

    /// Both bills together; what is not known of one is not known of the sum.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let sum = |a: Option<f64>, b: Option<f64>| Some(a? + b?);
        Self {
            cost: self.cost + other.cost,
            eval_seconds: self.eval_seconds + other.eval_seconds,
            joules: sum(self.joules, other.joules),
            kwh: sum(self.kwh, other.kwh),
            kg_co2: sum(self.kg_co2, other.kg_co2),
            usd: sum(self.usd, other.usd),
        }
    }

    /// What is left of a bill when these shares of FLOPs and of time are saved; energy and money follow the time.
    #[must_use]
    pub fn saving(&self, flops: f64, time: f64) -> Self {
        let left = |value: Option<f64>| value.map(|value| value * (1.0 - time));
        Self {
            cost: Cost {
                flops: self.cost.flops * (1.0 - flops),
                seconds: self.cost.seconds * (1.0 - time),
            },
            eval_seconds: self.eval_seconds * (1.0 - time),
            joules: left(self.joules),
            kwh: left(self.kwh),
            kg_co2: left(self.kg_co2),
            usd: left(self.usd),
        }
    }
}

impl Rates {
    /// FLOPs that are done in a second.
    #[must_use]
    pub fn flops_per_second(&self) -> f64 {
        self.peak_flops * self.utilization
    }

    /// What some work costs.
    #[must_use]
    pub fn bill(&self, work: Work) -> Bill {
        let seconds = work.flops.exact / self.flops_per_second();
        let eval_seconds = work.evaluation_flops / self.flops_per_second();
        let total = seconds + eval_seconds;
        let kwh = self.watts.map(|watts| energy::kwh(watts, total, self.pue));
        Bill {
            cost: Cost {
                flops: work.flops,
                seconds,
            },
            eval_seconds,
            joules: self.watts.map(|watts| watts * seconds),
            kwh,
            kg_co2: kwh.map(|kwh| energy::kg_co2(kwh, self.grams_co2_per_kwh)),
            usd: self.usd_per_hour.map(|price| energy::money(total, price)),
        }
    }
}

/// A model for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedModel {
    /// Its family and size.
    pub name: String,
    /// Its parameters.
    pub parameters: usize,
    /// What training it keeps in memory.
    pub memory: Memory,
}

/// Everything that is planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`FORMAT`].
    pub format: u32,
    /// The recipe.
    pub recipe: String,
    /// The small model.
    pub small: PlannedModel,
    /// The large model.
    pub large: PlannedModel,
    /// Training the small model; `None` when a finished one was given.
    pub small_training: Option<PlannedRun>,
    /// The methods in the recipe's order, each with every seed.
    pub methods: Vec<PlannedRun>,
    /// What time, energy and money rest on.
    pub rates: Rates,
    /// A sentence for each assumption.
    pub assumptions: Vec<String>,
}

/// One run, of the small model or of a method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedRun {
    /// Its folder: `small`, or the one in `methods`.
    pub id: String,
    /// The method's name in the recipe; `small` for the small model.
    pub method: String,
    /// The method's name for people.
    pub label: String,
    /// Optimizer steps of the model, without those of the operator.
    pub steps: u64,
    /// What they cost.
    pub training: Bill,
    /// What learning the operator costs.
    pub operator: Option<Bill>,
    /// What training its largest model keeps in memory.
    pub memory: Memory,
    /// What learning its operator keeps in memory.
    pub operator_memory: Option<Memory>,
    /// What it may save against training from scratch; `None` where nobody measured it, and for scratch itself.
    pub expected: Option<Expected>,
}

impl PlannedRun {
    /// Its memory where it needs the most.
    #[must_use]
    pub fn largest_bytes(&self) -> f64 {
        let operator = self.operator_memory.map_or(0.0, |memory| memory.total_bytes());
        self.memory.total_bytes().max(operator)
    }

    /// The run as the recipe has it, all steps and the operator.
    #[must_use]
    pub fn whole(&self) -> Bill {
        match &self.operator {
            Some(operator) => self.training.plus(operator),
            None => self.training,
        }
    }
}

/// What a method costs until it is as good as scratch, if it saves what it saved elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// Share of scratch's FLOPs.
    pub saving_flops: f64,
    /// Share of scratch's time; that of the FLOPs where the time is not published.
    pub saving_seconds: f64,
    /// Whether its time is published.
    #[serde(alias = "time_was_told")]
    pub time_is_published: bool,
    /// The pair of models that it was measured on.
    pub pair: String,
    /// Whether that pair has the sizes of this one.
    pub same_pair: bool,
    /// Whether this repository measured it.
    pub measured_here: bool,
    /// Where it was told.
    pub source: String,
    /// The bill, operator included.
    pub bill: Bill,
    /// The bill with the small model's training; `None` when a finished one was given.
    pub with_small: Option<Bill>,
}

impl Expected {
    /// A saving applied to what scratch costs.
    #[must_use]
    pub fn new(expectation: &Expectation, scratch: &Bill, small: Option<&Bill>) -> Self {
        let published = expectation.published;
        let time = published.time.unwrap_or(published.flops);
        let bill = scratch.saving(published.flops, time);
        Self {
            saving_flops: published.flops,
            saving_seconds: time,
            time_is_published: published.time.is_some(),
            pair: published.pair.into(),
            same_pair: expectation.same_pair,
            measured_here: published.measured_here,
            source: published.source.into(),
            bill,
            with_small: small.map(|small| bill.plus(small)),
        }
    }
}
