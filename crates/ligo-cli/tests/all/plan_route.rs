//! `ligo plan --route` through the program: from what comparisons measured, from a pilot, and from nothing.

use crate::common::{self, Place, assert_says};
use serde_json::Value;

const ROUTE: [&str; 6] = ["plan", "--route", "recipe.toml", "--hardware", "h100", "--json"];

fn json(said: &str) -> Value {
    let start = said.find('{').unwrap_or_else(|| panic!("{said}"));
    let mut values = serde_json::Deserializer::from_str(&said[start..]).into_iter::<Value>();
    values.next().unwrap().unwrap()
}

fn route<'a>(plan: &'a Value, method: &str) -> &'a Value {
    let routes = plan["routes"].as_array().unwrap();
    routes.iter().find(|route| route["method"] == method).unwrap()
}

#[test]
fn losses_come_from_what_a_comparison_measured() {
    let place = Place::new();
    let methods = "scratch,stackbert,one-schedule";
    let compare = [&common::COMPARE, &["--methods", methods, "--lengths", "0.3,0.6"][..]].concat();
    place.shown(&compare);
    let plan = json(&place.shown(&["plan", "--route", "--from", "run", "--hardware", "h100", "--json"]));
    let law = &plan["law"];
    // Three lengths of three methods, and the small model.
    assert_eq!(law["points"].as_u64(), Some(10), "{law}");
    assert_eq!(law["gains"].as_array().unwrap().len(), 2, "{law}");
    for method in ["scratch", "stackbert", "one-schedule", "ligo"] {
        let route = route(&plan, method);
        let loss = route["expected"]["loss"].as_f64().unwrap();
        assert!(loss > 1.0 && loss < 7.0, "{route}");
        let basis = if method == "ligo" {
            "assumed to gain as"
        } else {
            "fitted"
        };
        assert!(route["basis"].as_str().unwrap().starts_with(basis), "{route}");
    }
    let said = place.shown(&["plan", "--route", "--from", "run", "--hardware", "h100"]);
    assert_says(
        &said,
        &[
            "10 points of run",
            "Not fitted: the exponent of the parameters",
            "The first of them:",
        ],
    );
    // The small model that the comparison trained, as one that is given.
    let given = json(&place.shown(&[&ROUTE[..], &["--from", "run", "--small", "run/small/model"]].concat()));
    let stacked = route(&given, "stackbert");
    assert!(
        stacked["small"]["steps"].is_null() && stacked["expected"]["loss"].is_f64(),
        "{stacked}"
    );

    for (more, part) in [
        (&["--from", "nowhere"][..], "holds no results of a comparison"),
        (&["--from", "run", "--budget", "1e3"], "less than the smallest route"),
        (&["--from", "run", "--target-loss", "0.001"], "endless tokens"),
        (&["--target-loss", "0"], "above 0"),
    ] {
        assert_says(&place.refused(&[&ROUTE[..], more].concat()), &[part]);
    }
    let few = Place::new();
    few.shown(&[&common::COMPARE, &["--methods", "scratch"][..]].concat());
    assert_says(
        &few.refused(&[&ROUTE[..], &["--from", "run"]].concat()),
        &["two lengths or more, found 1"],
    );
}

#[test]
fn a_pilot_trains_what_is_lacking_and_goes_on_where_it_is_complete() {
    let place = Place::new();
    let pilot = |more: &[&'static str]| {
        let pilot = ["--pilot", "60%", "--data", "text.txt", "--set", "large.train.steps=400"];
        [&ROUTE[..], &pilot, more].concat()
    };
    let said = place.shown(&pilot(&[]));
    let plan = json(&said[said.rfind("\n{").unwrap()..]);
    assert!(plan["law"]["points"].as_u64().unwrap() >= 10, "{plan}");
    assert!(route(&plan, "one-schedule")["expected"]["loss"].is_f64(), "{plan}");
    assert_says(&place.shown(&pilot(&[])), &["complete, skipped"]);
    let diverged = place.refused(&pilot(&["--set", "large.train.schedule.peak_lr=1e30"]));
    assert_says(&diverged, &["the pilot did not come to its end", "lower the rate"]);
    let short = place.refused(&[&ROUTE[..], &["--pilot", "0.1%", "--data", "text.txt"]].concat());
    assert_says(&short, &["which teach nothing"]);
}

#[test]
fn nothing_measured_is_said_plainly() {
    let place = Place::new();
    let said = place.shown(&ROUTE[..5]);
    assert_says(
        &said,
        &["Nothing was measured", "The first route is a rule's", "small given"],
    );
    let sizes = [&ROUTE[..5], &["--small-sizes", "1x16,1x8"]].concat();
    assert_says(&place.shown(&sizes), &["BERT (1, 16)", "BERT (1, 8)"]);
}
