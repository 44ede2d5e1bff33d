//! A little training that finds what a law lacks.

use std::path::PathBuf;

use ligo_cost::{format, law::FARTHEST};
use ligo_train::TrainConfig;

use super::{Evidence, ONE_SCHEDULE, Pricing};
use crate::recipe::{DataFacts, MethodSection, Recipe, SearchSection, SweepSection};
use crate::{Experiment, Failure, Listener, Workforce};

/// How much shorter than the longest the others are. Together they span enough for the exponent of the tokens.
const LENGTHS: [f64; 2] = [0.25, 0.5];
/// Steps of the small model over those of the longest run.
const SMALL: f64 = 0.5;
/// Where the pilot grows under one schedule.
const TAU: f64 = 0.4;
/// Fewer steps than this teach nothing.
const FEWEST: f64 = 8.0;
/// What grows.
const GROWN: [&str; 2] = ["stackbert", ONE_SCHEDULE];

/// A comparison over a share of a budget.
#[derive(Debug, Clone)]
pub struct Pilot {
    recipe: Recipe,
    /// FLOPs that it takes.
    flops: f64,
    share: f64,
}

impl Pilot {
    /// The pilot of a recipe, whose training steps take this share of a budget. Nothing where what was measured lacks nothing.
    ///
    /// # Errors
    /// The share leaves too few steps, or the pair cannot be grown.
    pub fn new(recipe: &Recipe, budget: f64, share: f64, evidence: Option<&Evidence>) -> Result<Option<Self>, Failure> {
        let lacks = |method: &&str| evidence.is_none_or(|evidence| evidence.law.gain(method).is_none());
        if !GROWN.iter().any(|method| lacks(&method)) {
            return Ok(None);
        }
        let steps = longest(recipe, budget * share)?;
        let fewest = steps * LENGTHS[0];
        if fewest < FEWEST {
            return Err(Failure::other(
                format!(
                    "a pilot of {} of {} has runs of {fewest:.0} steps, which teach nothing",
                    format::percent(share),
                    format::flops(budget)
                ),
                format!(
                    "give --pilot {:.3} or more, or a larger --budget",
                    share * FEWEST / fewest.max(f64::MIN_POSITIVE)
                ),
            ));
        }
        Ok(Some(Self {
            recipe: shortened(recipe, steps)?,
            flops: budget * share,
            share,
        }))
    }

    /// What is trained.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// What it is, for people.
    pub fn told(&self) -> String {
        format!(
            "a pilot of {} ({} of the budget): scratch, {} at three lengths of up to {} steps; what the routes take lies up to {:.0} times beyond, and more than {FARTHEST} times is a guess",
            format::flops(self.flops),
            format::percent(self.share),
            GROWN.join(", "),
            self.recipe.large.train.steps,
            1.0 / self.share
        )
    }

    /// Trains it, or goes on with it; the folder with its results.
    ///
    /// # Errors
    /// It diverges, or as [`Experiment::run`].
    pub fn run(self, workforce: Workforce, listener: &dyn Listener) -> Result<PathBuf, Failure> {
        let experiment = Experiment::new(self.recipe)?;
        let folder = experiment.default_folder();
        match experiment.run(&folder, &[], workforce, listener) {
            Ok(_) => Ok(folder),
            Err(failure) if failure.is_interruption() => Err(failure),
            Err(failure) => Err(Failure::other(
                format!("the pilot did not come to its end: {failure}"),
                "where it diverged, lower the rate: --set large.train.schedule.peak_lr=1e-3, and small.train likewise; or compare yourself and give --from RUN_FOLDER",
            )),
        }
    }
}

/// The steps of the longest runs of a pilot that takes so many FLOPs.
fn longest(recipe: &Recipe, flops: f64) -> Result<f64, Failure> {
    let facts = DataFacts::expected(recipe);
    let pair = recipe.pair(&facts)?;
    // No time is asked for, so that any machine will do.
    let rates = super::no_rates();
    let pricing = Pricing {
        recipe,
        pair: &pair,
        rates: &rates,
    };
    let step = |config, train: &TrainConfig| pricing.step_flops(config, train);
    let large = step(&pair.large, &recipe.large.train);
    let lengths = 1.0 + LENGTHS.iter().sum::<f64>();
    let small = match &recipe.small.path {
        Some(_) => 0.0,
        None => SMALL * step(&pair.small, &recipe.small.train),
    };
    let one_schedule = TAU * step(&pair.small, &recipe.large.train) + (1.0 - TAU) * large;
    Ok(flops / (small + lengths * (2.0 * large + one_schedule)))
}

/// The recipe with runs of so many steps at most, all lengths of all methods.
fn shortened(recipe: &Recipe, steps: f64) -> Result<Recipe, Failure> {
    let own = |name: &str| {
        let method = recipe.methods.iter().find(|method| method.id() == name);
        MethodSection {
            tau: (name == ONE_SCHEDULE).then_some(TAU),
            ..method.cloned().unwrap_or_else(|| MethodSection {
                name: name.into(),
                ..MethodSection::default()
            })
        }
    };
    let mut pilot = Recipe {
        name: format!("{}-pilot", recipe.name),
        methods: std::iter::once("scratch").chain(GROWN).map(own).collect(),
        lengths: LENGTHS.to_vec(),
        search: SearchSection::default(),
        sweep: SweepSection::default(),
        ..recipe.clone()
    };
    shorten(&mut pilot.large.train, steps, steps * LENGTHS[0]);
    shorten(&mut pilot.small.train, steps * SMALL, steps * SMALL);
    for method in &mut pilot.methods {
        method.train.remove("steps");
    }
    Ok(pilot.comparing(&[], None)?)
}

/// A warm-up is no more than a quarter of the shortest run, and losses are wanted at the end.
fn shorten(train: &mut TrainConfig, steps: f64, shortest: f64) {
    train.steps = steps.round() as u64;
    train.schedule.warmup_steps = train.schedule.warmup_steps.min((shortest / 4.0) as u64);
    train.eval_every = train.steps;
}
