//! Routes by a law whose numbers are known.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use ligo_cost::hardware::Hardware;
use ligo_cost::law::{Point, Start};

use super::*;
use crate::plan::{Asked, of_known};
use crate::recipe;

const ALPHA: f64 = 0.35;
const BETA: f64 = 0.3;

fn load(more: &[&str]) -> Recipe {
    let overrides: Vec<String> = more.iter().map(|text| (*text).to_owned()).collect();
    recipe::load("demo", &overrides).unwrap()
}

fn terms() -> Terms {
    of_known(Hardware::by_name("h100").unwrap(), &Asked::default()).unwrap()
}

fn truth(parameters: f64, tokens: f64) -> f64 {
    1.2 + 40.0 / parameters.powf(ALPHA) + 90.0 / tokens.powf(BETA)
}

/// A law measured on the recipe's pair in which these methods have these gains.
fn evidence(recipe: &Recipe, gains: &[(&str, f64)]) -> Evidence {
    let facts = DataFacts::expected(recipe);
    let pair = recipe.pair(&facts).unwrap();
    let [small, large] = [&pair.small, &pair.large].map(parameters);
    let middle = (small * large).sqrt();
    let whole = (recipe.large.train.steps * recipe.large.train.sequences_per_step() as u64) as f64
        * tokens_of_a_sequence(recipe, &pair);
    let scratch = |parameters: f64, tokens: f64| {
        let point = Point {
            parameters,
            tokens,
            start: None,
        };
        (point, truth(parameters, tokens))
    };
    let mut points: Vec<(Point, f64)> = Vec::new();
    for size in [small, middle, large] {
        points.extend([0.2, 0.5, 1.0].map(|share| scratch(size, share * whole)));
    }
    for (method, gain) in gains {
        for (of_small, tokens) in [(0.3, 0.5), (0.6, 0.5), (0.6, 0.8)] {
            let above = (of_small * whole).powf(-BETA) + 40.0 / 90.0 * (small.powf(-ALPHA) - large.powf(-ALPHA));
            let worth = tokens * whole + gain * above.powf(-1.0 / BETA);
            let start = Start::Trained {
                parameters: small,
                tokens: of_small * whole,
            };
            let point = Point {
                parameters: large,
                tokens: tokens * whole,
                start: Some(((*method).to_owned(), start)),
            };
            points.push((point, truth(large, worth)));
        }
    }
    Evidence {
        law: Law::fit(&points).unwrap(),
        folders: vec![PathBuf::from("runs/measured")],
        facts,
        family: pair.large.model_type().to_owned(),
        given: Vec::new(),
        notes: Vec::new(),
    }
}

fn ask<'a>(recipe: &'a Recipe, goal: Option<Goal>, evidence: Option<&'a Evidence>) -> Question<'a> {
    Question {
        recipe,
        named: "demo",
        sizes: &[],
        goal,
        evidence,
    }
}

fn of<'a>(plan: &'a RoutePlan, method: &str) -> &'a Route {
    plan.routes.iter().find(|route| route.method == method).unwrap()
}

#[test]
fn without_a_measurement_there_is_a_price_and_a_rule_and_no_loss() {
    let recipe = load(&[]);
    let plan = propose(&ask(&recipe, None, None), terms()).unwrap();
    assert!(plan.law.is_none() && plan.routes.iter().all(|route| route.expected.is_none()));
    let first = &plan.routes[0];
    assert_eq!((first.method.as_str(), first.tau), (ONE_SCHEDULE, Some(USUAL_TAU)));
    let Goal::Budget { flops } = plan.goal else {
        panic!("{:?}", plan.goal)
    };
    for route in &plan.routes {
        assert!((route.bill.cost.flops.exact / flops - 1.0).abs() < 0.01, "{route:?}");
        assert_eq!(route.basis, "nothing was measured");
    }
    assert_eq!(of(&plan, "scratch").steps, recipe.large.train.steps);
    let text = text(&plan);
    for part in [
        "Nothing was measured",
        "2604.19835",
        "--pilot",
        "ligo compare --recipe demo --methods one-schedule",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let unknown = propose(&ask(&recipe, Some(Goal::Loss { loss: 2.0 }), None), terms());
    assert!(unknown.unwrap_err().to_string().contains("nothing was measured"));
}

#[test]
fn a_route_pays_for_the_operator_as_its_method_learns_it() {
    let bill = |learn: &str| {
        let recipe = load(&[&format!("methods=[{{name=\"scratch\"}},{{name=\"ligo\"{learn}}}]")]);
        let plan = propose(&ask(&recipe, None, None), terms()).unwrap();
        let Goal::Budget { flops } = plan.goal else {
            panic!("{:?}", plan.goal)
        };
        let route = of(&plan, "ligo");
        assert!((route.bill.cost.flops.exact / flops - 1.0).abs() < 0.01, "{route:?}");
        route.steps
    };
    let steps = load(&[]).operator.train.steps;
    let longer = format!(",learn={{steps={}}}", 3 * steps);
    assert!(
        bill(&longer) < bill(""),
        "three times the learning leaves as many steps to train"
    );
}

#[test]
fn a_budget_goes_to_the_lowest_loss_and_a_loss_to_the_lowest_price() {
    let recipe = load(&[]);
    let measured = evidence(&recipe, &[("stackbert", 0.7), (ONE_SCHEDULE, 0.95)]);
    let plan = propose(&ask(&recipe, None, Some(&measured)), terms()).unwrap();
    let losses: Vec<f64> = plan.routes.iter().map(|route| route.expected.unwrap().loss).collect();
    assert!(losses.windows(2).all(|pair| pair[0] <= pair[1]), "{losses:?}");
    let best = &plan.routes[0];
    assert_eq!(best.method, ONE_SCHEDULE);
    assert!(best.saving.unwrap() > 0.1, "{best:?}");
    // LiGO was not measured, and says whose gain it was given.
    assert!(
        of(&plan, "ligo").basis.starts_with("assumed to gain as"),
        "{:?}",
        of(&plan, "ligo")
    );
    let scratch = of(&plan, "scratch");
    let facts = DataFacts::expected(&recipe);
    let pair = recipe.pair(&facts).unwrap();
    let tokens = (scratch.steps * recipe.large.train.sequences_per_step() as u64) as f64 * 16.0;
    assert!((scratch.expected.unwrap().loss - truth(parameters(&pair.large), tokens)).abs() < 1e-3);
    // With the small model given less is paid for the same loss.
    let stacked = of(&plan, "stackbert");
    assert!(stacked.bill_small_given.unwrap().cost.flops.exact < stacked.bill.cost.flops.exact);
    assert!(stacked.saving_small_given.unwrap() > stacked.saving.unwrap());

    // The price of scratch's loss is what was spent on it, and others pay less.
    let goal = Goal::Loss {
        loss: scratch.expected.unwrap().loss,
    };
    let back = propose(&ask(&recipe, Some(goal), Some(&measured)), terms()).unwrap();
    let price = |route: &Route| route.bill.cost.flops.exact;
    assert!((price(of(&back, "scratch")) / price(scratch) - 1.0).abs() < 0.01);
    assert!(back.routes.windows(2).all(|pair| price(&pair[0]) <= price(&pair[1])));
    let cheapest = &back.routes[0];
    let saved = 1.0 - price(cheapest) / price(of(&back, "scratch"));
    assert!((saved - cheapest.saving.unwrap()).abs() < 0.02, "{saved} {cheapest:?}");
}

#[test]
fn what_cannot_be_is_told_with_its_reason() {
    let recipe = load(&[]);
    let measured = evidence(&recipe, &[(ONE_SCHEDULE, 0.9)]);
    let said = |goal: Goal| {
        propose(&ask(&recipe, Some(goal), Some(&measured)), terms())
            .unwrap_err()
            .to_string()
    };
    let small = said(Goal::Budget { flops: 1e6 });
    assert!(small.contains("1.0 MFLOP is less than the smallest route"), "{small}");
    let low = said(Goal::Loss { loss: 0.5 });
    assert!(low.contains("endless tokens"), "{low}");
    // Endless training is named a guess.
    let dear = propose(
        &ask(&recipe, Some(Goal::Budget { flops: 1e15 }), Some(&measured)),
        terms(),
    )
    .unwrap();
    assert!(dear.routes.iter().all(|route| route.expected.unwrap().is_far()));
    // No law decides there.
    assert_eq!(
        (dear.routes[0].method.as_str(), dear.routes[0].tau),
        (ONE_SCHEDULE, Some(USUAL_TAU))
    );
    assert!(
        dear.notes.iter().any(|note| note.contains("a rule's")),
        "{:?}",
        dear.notes
    );
    assert!(text(&dear).contains("no more than guesses"));

    let gpt2 = Recipe {
        ..recipe::load("gpt2-mini", &["corpus.paths=[\"data\"]".into()]).unwrap()
    };
    let other = propose(&ask(&gpt2, None, Some(&measured)), terms())
        .unwrap_err()
        .to_string();
    assert!(
        other.contains("measured bert models, and the recipe's are gpt2"),
        "{other}"
    );
}

#[test]
fn small_models_of_several_sizes_are_held_against_each_other() {
    let recipe = load(&[]);
    let measured = evidence(&recipe, &[("stackbert", 0.8), (ONE_SCHEDULE, 0.8)]);
    let question = Question {
        sizes: &[(1, 64), (2, 64)],
        ..ask(&recipe, None, Some(&measured))
    };
    let plan = propose(&question, terms()).unwrap();
    let of_size = |size| {
        plan.routes
            .iter()
            .filter(|route| route.small.as_ref().is_some_and(|small| small.size == size))
            .count()
    };
    assert!(of_size((1, 64)) > 3 && of_size((2, 64)) > 3);
    assert_eq!(plan.routes.iter().filter(|route| route.method == "scratch").count(), 1);
    // A size that is larger than the large model can be grown by nobody.
    let question = Question {
        sizes: &[(2, 512)],
        ..ask(&recipe, None, None)
    };
    assert!(propose(&question, terms()).is_err());
}

#[test]
fn a_pilot_takes_its_share_and_spans_enough_lengths() {
    let recipe = load(&[]);
    let budget = of_recipe(&recipe).unwrap();
    let pilot = Pilot::new(&recipe, budget, 0.5, None).unwrap().unwrap();
    let planned = crate::plan::plan(pilot.recipe(), &DataFacts::expected(&recipe), terms()).unwrap();
    let small = planned
        .small_training
        .iter()
        .map(|run| run.whole().cost.flops.exact)
        .sum::<f64>();
    let all = small
        + planned
            .methods
            .iter()
            .map(|run| run.whole().cost.flops.exact)
            .sum::<f64>();
    assert!((all / budget - 0.5).abs() < 0.02, "{}", all / budget);
    let message = Pilot::new(&recipe, budget, 0.001, None).unwrap_err().to_string();
    assert!(message.contains("teach nothing"), "{message}");
    let measured = evidence(&recipe, &[("stackbert", 0.7), (ONE_SCHEDULE, 0.9)]);
    assert!(Pilot::new(&recipe, budget, 0.5, Some(&measured)).unwrap().is_none());
}
