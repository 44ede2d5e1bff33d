//! Which way to a large model: from scratch, grown from a small one that exists or is trained for it, or both under one schedule.
//!
//! A route is priced as everything else in a plan is. What it ends with comes from a [`Law`] of what was measured ([`Evidence`]); where nothing was, there is no
//! loss, and a rule decides. Every number says what it rests on.

mod choose;
mod evidence;
mod goal;
mod pilot;
mod sizes;
#[cfg(test)]
mod tests;
mod text;

use std::path::PathBuf;

use ligo_arch::ModelConfig;
use ligo_cost::hardware::Precision;
use ligo_cost::law::{Assumed, Expected, Law};
use ligo_cost::plan::{Bill, Rates};
use ligo_cost::utilization::Utilization;
use ligo_growth::OperatorSpec;
use serde::Serialize;

pub use crate::run::RECIPE_TOML as RECIPE;
pub use evidence::Evidence;
pub use goal::{Goal, of_recipe, parse_flops, parse_share, parse_size};
pub use pilot::Pilot;
pub use text::text;

use crate::Failure;
use crate::plan::{Pricing, Terms, name};
use crate::recipe::{DataFacts, Pair, Recipe, USUAL_TAU, overrides};
use choose::{Chooser, Way};
use evidence::{ONE_SCHEDULE, parameters, tokens_of_a_sequence};

/// The version of [`RoutePlan`] as JSON.
const FORMAT: u32 = 1;

/// The shares of one schedule that are always shown.
const TAUS: [f64; 3] = [0.3, USUAL_TAU, 0.6];

/// What stands for that rule.
pub const RULE: &str = "one schedule over both models, grown at τ = 0.45: it needs no finished small model, and the rate is not falling yet when it grows. In the demo (docs/RESULTS.md, one seed) \
     it reached scratch's loss for 34.5 % less with everything charged; arXiv:2604.19835 found no gap to scratch for τ from 0.13 to 0.38, and 98 % of it closed at 0.51";

/// Routes to a large model, the best one first.
#[derive(Debug, Serialize)]
pub struct RoutePlan {
    /// The version.
    pub format: u32,
    /// The recipe.
    pub recipe: String,
    /// The large model.
    pub large: Model,
    /// What is asked for.
    pub goal: Goal,
    /// The routes, best first. Where nothing was measured the first one is a rule's.
    pub routes: Vec<Route>,
    /// What the losses rest on; nothing where nothing was measured.
    pub law: Option<LawSummary>,
    /// Routes that no operator can take, and why.
    pub refused: Vec<String>,
    /// A sentence for everything that rests on something else.
    pub notes: Vec<String>,
    /// A command that runs the first route.
    pub command: String,
}

/// A model for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    /// Its family and size.
    pub name: String,
    /// Its parameters.
    pub parameters: f64,
}

/// The small model of a route.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Small {
    /// The model.
    #[serde(flatten)]
    pub model: Model,
    /// Its steps; nothing where it is given.
    pub steps: Option<u64>,
    /// Its layers and its width.
    pub size: (usize, usize),
}

/// One way to the large model.
#[derive(Debug, Clone, Serialize)]
pub struct Route {
    /// The method's name in a recipe.
    pub method: String,
    /// The method for people.
    pub label: String,
    /// The small model, if there is one.
    pub small: Option<Small>,
    /// The share of the steps at which the large model is grown, if both have one schedule.
    pub tau: Option<f64>,
    /// Steps of the large model itself.
    pub steps: u64,
    /// Everything that it costs, but for a small model that is given.
    pub bill: Bill,
    /// The same with the small model given; nothing where there is none, or where both are one run.
    pub bill_small_given: Option<Bill>,
    /// What it ends with; nothing where nobody knows.
    pub expected: Option<Expected>,
    /// What it saves of the FLOPs with which scratch comes to that loss.
    pub saving: Option<f64>,
    /// The same with the small model given.
    pub saving_small_given: Option<f64>,
    /// What its loss rests on.
    pub basis: String,
}

/// The law for people and programs.
#[derive(Debug, Clone, Serialize)]
pub struct LawSummary {
    /// `E, A, α, B, β` of `L = E + A / N^α + B / D^β`.
    pub numbers: [f64; 5],
    /// The gain of each method.
    pub gains: Vec<(String, f64)>,
    /// How many points it was fitted to.
    pub points: usize,
    /// How many numbers were fitted.
    pub fitted_numbers: usize,
    /// The root of the mean square of its residuals, in nats.
    pub residual: f64,
    /// What was not fitted.
    pub assumed: Vec<Assumed>,
    /// Where it was measured.
    pub from: String,
}

impl LawSummary {
    fn of(law: &Law, from: String) -> Self {
        let gains = law.gains().into_iter().map(|(method, gain)| (method.to_owned(), gain));
        Self {
            numbers: law.numbers(),
            gains: gains.collect(),
            points: law.points().len(),
            fitted_numbers: law.fitted_numbers(),
            residual: law.residual(),
            assumed: law.assumed().to_vec(),
            from,
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// What people call it: a built-in recipe or a file.
    pub named: &'a str,
    /// Layers and width of small models instead of the recipe's.
    pub sizes: &'a [(usize, usize)],
    /// What the routes are to come to; without one, the FLOPs of the recipe's training from scratch.
    pub goal: Option<Goal>,
    /// What was measured.
    pub evidence: Option<&'a Evidence>,
}

/// Rates for those who ask for FLOPs alone.
fn no_rates() -> Rates {
    Rates {
        hardware: String::new(),
        peak_flops: 1.0,
        utilization: 1.0,
        utilization_known: Utilization::Assumed,
        precision: Precision::default(),
        watts: None,
        pue: 1.0,
        usd_per_hour: None,
        grams_co2_per_kwh: 0.0,
        memory_bytes: None,
    }
}

/// Proposes routes for a recipe's large model.
///
/// # Errors
/// A size is none, no operator can grow any of the pairs, the budget is smaller than the smallest route, or no route comes to the target.
pub fn propose(question: &Question<'_>, terms: Terms) -> Result<RoutePlan, Failure> {
    let Question {
        recipe,
        named,
        sizes,
        goal,
        evidence,
    } = *question;
    let facts = evidence.map_or_else(|| DataFacts::expected(recipe), |evidence| evidence.facts.clone());
    let recipes = with_sizes(recipe, sizes, &facts)?;
    let pair = recipe.pair(&facts)?;
    check_evidence(evidence, &pair)?;
    let goal = match goal {
        Some(goal) => goal,
        None => goal::of_scratch(recipe, &pair),
    };
    let (mut routes, mut refused, mut smallest) = (Vec::new(), Vec::new(), f64::INFINITY);
    for (i, recipe) in recipes.iter().enumerate() {
        let pair = recipe.pair(&facts)?;
        let pricing = Pricing {
            recipe,
            pair: &pair,
            rates: &terms.rates,
        };
        let chooser = Chooser::new(&pricing, evidence, goal)?;
        for way in ways(recipe, &pair, i == 0, &mut refused) {
            smallest = smallest.min(chooser.least(&way));
            routes.extend(chooser.route(&way));
        }
    }
    if routes.is_empty() {
        return Err(goal.impossible(
            smallest,
            evidence.map(|evidence| evidence.law.floor(parameters(&pair.large))),
        ));
    }
    let grows = |route: &Route| route.method != "scratch";
    if !routes.iter().any(grows) && !refused.is_empty() {
        return Err(Failure::other(
            format!("no operator can grow this pair:\n{}", refused.join("\n")),
            "`ligo methods` says what each operator needs; give other sizes with --small-sizes",
        ));
    }
    sort(&mut routes, goal);
    let mut notes = evidence.map_or_else(Vec::new, |evidence| evidence.notes.clone());
    notes.extend(notes_on(&routes, evidence, goal));
    notes.extend(terms.notes);
    Ok(RoutePlan {
        format: FORMAT,
        recipe: recipe.name.clone(),
        large: model(&pair.large),
        goal,
        law: evidence.map(|evidence| LawSummary::of(&evidence.law, evidence.told())),
        command: routes
            .first()
            .map(|route| text::command(named, &pair, route))
            .unwrap_or_default(),
        routes,
        refused,
        notes,
    })
}

/// Writes what its folders recommend into the recipe's `auto` section, where it has the method `auto` and does not say itself.
///
/// # Errors
/// As [`Evidence::read`] and [`propose`].
pub fn recommend(recipe: &mut Recipe) -> Result<(), Failure> {
    if let Some(folders) = recipe.auto.unread() {
        let (tau, steps) = best_schedule(recipe, folders)?;
        (recipe.auto.tau, recipe.auto.steps) = (Some(tau), Some(steps));
    }
    Ok(())
}

/// The share at which to grow under one schedule for what scratch costs by the recipe, and the steps of both models together, by what these folders measured.
///
/// # Errors
/// As [`Evidence::read`] and [`propose`].
fn best_schedule(recipe: &Recipe, folders: &[PathBuf]) -> Result<(f64, u64), Failure> {
    let evidence = Evidence::read(folders)?;
    let question = Question {
        recipe,
        named: &recipe.name,
        sizes: &[],
        goal: None,
        evidence: evidence.as_ref(),
    };
    let terms = Terms {
        rates: no_rates(),
        notes: Vec::new(),
    };
    let plan = propose(&question, terms)?;
    let known = |route: &&Route| route.method == ONE_SCHEDULE && route.expected.is_some();
    let best = plan.routes.iter().find(known).and_then(|route| {
        let small = route.small.as_ref()?.steps?;
        Some((route.tau?, small + route.steps))
    });
    best.ok_or_else(|| {
        Failure::other(
            format!(
                "what {} measured says nothing of models that were grown",
                plan.law.map(|law| law.from).unwrap_or_default()
            ),
            "compare one-schedule or stackbert there as well, or leave auto.from out",
        )
    })
}

fn check_evidence(evidence: Option<&Evidence>, pair: &Pair) -> Result<(), Failure> {
    match evidence.filter(|evidence| evidence.family != pair.large.model_type()) {
        None => Ok(()),
        Some(evidence) => Err(Failure::other(
            format!(
                "{} measured {} models, and the recipe's are {}",
                evidence.told(),
                evidence.family,
                pair.large.model_type()
            ),
            "losses of one family say nothing of another's; give folders of this one, or --pilot",
        )),
    }
}

/// The recipe with each of the small models.
fn with_sizes(recipe: &Recipe, sizes: &[(usize, usize)], facts: &DataFacts) -> Result<Vec<Recipe>, Failure> {
    if sizes.is_empty() {
        return Ok(vec![recipe.clone()]);
    }
    if recipe.small.path.is_some() {
        return Err(Failure::other(
            "sizes are for small models that are trained, and one is given",
            "leave out --small-sizes or --small",
        ));
    }
    let pair = recipe.pair(facts)?;
    let of_size = |size: &(usize, usize)| {
        let mut resized = recipe.clone();
        let fields = overrides(&sizes::settings(&pair.small, *size)?)?;
        resized.small.model.extend(fields);
        Ok(resized)
    };
    sizes.iter().map(of_size).collect()
}

fn model(config: &ModelConfig) -> Model {
    Model {
        name: name(config),
        parameters: parameters(config),
    }
}

/// The ways that a pair can take; `first` has scratch too, which no small model changes.
fn ways(recipe: &Recipe, pair: &Pair, first: bool, refused: &mut Vec<String>) -> Vec<Way> {
    let mut ways = Vec::new();
    if first {
        ways.push(Way::Scratch);
    }
    let ligo = OperatorSpec::Ligo(recipe.operator.ligo.clone());
    let mut can = |operator: &OperatorSpec| {
        let checked = operator.check(&pair.small.table_for(&pair.large), &pair.large.table());
        let refusal = checked.err().map(|error| {
            format!(
                "{} cannot grow {} into {}: {error}",
                operator.label(),
                name(&pair.small),
                name(&pair.large)
            )
        });
        refused.extend(refusal.clone());
        refusal.is_none()
    };
    if can(&OperatorSpec::Stackbert) {
        ways.push(Way::Grown(OperatorSpec::Stackbert));
        ways.extend(TAUS.map(Way::OneSchedule));
        ways.push(Way::BestSchedule);
    }
    if can(&ligo) {
        ways.push(Way::Grown(ligo));
    }
    ways
}

/// The lowest loss first, or the lowest price; what nobody knows stays behind, a rule's route before the others.
fn sort(routes: &mut Vec<Route>, goal: Goal) {
    let is_led = is_led_by_law(routes);
    let rank = |route: &Route| match (goal, route.expected.as_ref().filter(|_| is_led)) {
        (Goal::Budget { .. }, Some(expected)) => (0, expected.loss),
        (Goal::Loss { .. }, Some(_)) => (0, route.bill.cost.flops.exact),
        (_, None) => match (route.method.as_str(), route.tau) {
            (ONE_SCHEDULE, Some(USUAL_TAU)) => (1, 0.0),
            _ => (2, 0.0),
        },
    };
    routes.sort_by(|a, b| {
        let (a, b) = (rank(a), rank(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    // The best share may be one of those that are always there.
    routes.dedup_by(|b, a| a.tau.is_some() && a.tau == b.tau && a.small == b.small);
}

/// Whether a law decides: what it expects of some route does not lie too far beyond what was measured.
fn is_led_by_law(routes: &[Route]) -> bool {
    let near = |route: &Route| route.expected.is_some_and(|expected| !expected.is_far());
    routes.iter().any(near)
}

fn notes_on(routes: &[Route], evidence: Option<&Evidence>, goal: Goal) -> Vec<String> {
    let mut notes = Vec::new();
    let Some(_) = evidence else {
        notes.push(
            "Nothing was measured, so that no loss is told: --from RUN_FOLDER takes what a comparison found, and --pilot 0.05 trains a little to find it.".to_owned(),
        );
        notes.push(format!("The first route is a rule's: {RULE}."));
        return notes;
    };
    if let Some(far) = routes
        .iter()
        .find(|route| route.expected.is_some_and(|expected| expected.is_far()))
    {
        let times = far.expected.map_or(0.0, |expected| expected.beyond);
        notes.push(format!(
            "Losses with a ~ lie more than {} times beyond what was measured ({times:.0} times at most for {}): no more than guesses.",
            ligo_cost::law::FARTHEST, far.label
        ));
    }
    if !is_led_by_law(routes) {
        notes.push(format!(
            "So far beyond no law decides, and the first route is a rule's: {RULE}."
        ));
    }
    if matches!(goal, Goal::Loss { .. }) {
        notes.push("Steps and FLOPs are those with which the law expects the target; a run may need more or less by the interval of its loss.".into());
    }
    notes
}
