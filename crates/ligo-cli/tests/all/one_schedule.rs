//! One schedule over a small and a large model, Muon and averages, through the program.

use std::fs;

use ligo_cost::plan::Plan;
use ligo_report::summary::{MethodSummary as Method, Summary};

use crate::common::{self, Place, assert_says};

fn compare<'a>(methods: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&common::COMPARE, &["--methods", methods][..], more].concat()
}

fn summary(place: &Place) -> Summary {
    Summary::read(place.path("run/summary.json")).unwrap()
}

fn of<'a>(summary: &'a Summary, id: &str) -> &'a Method {
    let ids: Vec<&str> = summary.methods.iter().map(|m| m.id.as_str()).collect();
    summary
        .methods
        .iter()
        .find(|m| m.id == id)
        .unwrap_or_else(|| panic!("{id} is not among {ids:?}"))
}

/// Loss and FLOPs of each point of a curve.
fn curve(method: &Method) -> Vec<(u64, u64, u64)> {
    let points = method.curve.iter();
    points
        .map(|p| (p.step, p.loss.to_bits(), p.cost.flops.exact.to_bits()))
        .collect()
}

const TAUS: &str =
    "methods=[{name=\"scratch\"},{name=\"one-schedule\",tau=[0.5,0.3]},{name=\"ligo\",id=\"ligo-early\",tau=0.5}]";

#[test]
fn several_shares_have_one_small_model_and_each_is_what_it_would_be_alone() {
    let place = Place::new();
    let all = "one-schedule,ligo-early";
    let said = place.shown(&compare(all, &["--set", TAUS]));
    assert_says(
        &said,
        &["one-schedule/tau=0.5, stage 1 of 2: goes on after the 6 steps of"],
    );
    let together = summary(&place);
    let plan: Plan = serde_json::from_slice(&fs::read(place.path("run/plan.json")).unwrap()).unwrap();

    // Alone, in a folder of its own, nothing is gone on with.
    let alone = Place::new();
    let one = "methods=[{name=\"scratch\"},{name=\"one-schedule\",tau=[0.5]}]";
    let said = alone.shown(&compare("one-schedule", &["--set", one]));
    assert!(!said.contains("goes on after"), "{said}");
    let of_one = summary(&alone);
    let id = "one-schedule/tau=0.5";
    // But for the point where the other one was left.
    let left_at = |points: Vec<(u64, u64, u64)>| points.into_iter().filter(|p| p.0 != 6).collect::<Vec<_>>();
    assert_eq!(left_at(curve(of(&together, id))), curve(of(&of_one, id)));
    assert_eq!(curve(of(&together, "scratch")), curve(of(&of_one, "scratch")));

    for (id, small) in [("one-schedule/tau=0.3", 6), (id, 10), ("ligo-early", 10)] {
        let method = of(&together, id);
        assert_eq!((method.steps, method.stages[1].first_step), (20, small), "{id}");
        // All is charged: the plan counts the steps of both models, and there is no other small model to owe for.
        let planned = plan.methods.iter().find(|planned| planned.id == id).unwrap();
        let planned = planned.whole().cost.flops;
        let found = (method.cost + method.operator_cost).flops;
        assert!((found.exact / planned.exact - 1.0).abs() < 0.05, "{id}");
        assert!((found.electra / planned.electra - 1.0).abs() < 1e-9, "{id}");
        assert!(
            method.cost.flops.exact < of(&together, "scratch").cost.flops.exact,
            "{id}"
        );
        let updates = fs::read(
            place
                .path("run/methods")
                .join(id)
                .join(format!("checkpoints/step-{}/state.json", 20 - small)),
        );
        let state: serde_json::Value = serde_json::from_slice(&updates.unwrap()).unwrap();
        let kept = if id == "ligo-early" { 20 - small } else { 20 };
        assert_eq!(state["optimizer_updates"].as_u64(), Some(kept), "{id}");
    }
    let again = place.shown(&compare(all, &["--set", TAUS]));
    assert_says(&again, &["one-schedule/tau=0.5, stage 1 of 2: complete, skipped"]);

    // What one of them left is not gone on with by another run.
    let other = Place::new();
    let rates = "methods=[{name=\"scratch\"},{name=\"one-schedule\",tau=0.3,id=\"a\"},{name=\"one-schedule\",tau=0.5,id=\"b\",train={clip_norm=0.5}}]";
    let said = other.shown(&compare("a,b", &["--set", rates]));
    assert!(!said.contains("goes on after"), "{said}");
}

#[test]
fn muon_and_averages_run_through_growth_and_are_counted() {
    let place = Place::new();
    let methods = "methods=[{name=\"scratch\"},{name=\"one-schedule\",tau=0.5,train={average={last=2,every=3}}},{name=\"stackbert-moments\"}]";
    let settings = [
        "--set",
        methods,
        "--set",
        "small.train.optimizer.kind=\"muon\"",
        "--set",
        "large.train.optimizer.kind=\"muon\"",
    ];
    place.shown(&compare("one-schedule,stackbert-moments", &settings));
    let found = summary(&place);
    let plan: Plan = serde_json::from_slice(&fs::read(place.path("run/plan.json")).unwrap()).unwrap();
    let adamw = Place::new();
    adamw.shown(&compare("stackbert-moments", &[]));
    let with_adamw = summary(&adamw);
    for id in ["scratch", "one-schedule", "stackbert-moments"] {
        let planned = plan.methods.iter().find(|planned| planned.id == id).unwrap();
        let planned = planned.whole().cost.flops;
        let method = of(&found, id);
        assert!((method.cost.flops.exact / planned.exact - 1.0).abs() < 0.05, "{id}");
        assert!(
            method.loss_final.is_finite() && method.loss_final < method.curve[0].loss,
            "{id}"
        );
    }
    // 20 steps, 2 layers of 24: four square matrices and two of 24 by 96, five iterations each.
    let product = |r: f64, c: f64| 4.0 * r * r * c + 2.0 * r * r * r;
    let of_muon = 20.0 * 2.0 * 5.0 * (4.0 * product(24.0, 24.0) + 2.0 * product(24.0, 96.0));
    let (with, without) = (of(&found, "scratch").cost, of(&with_adamw, "scratch").cost);
    let more = (with - without).flops;
    assert!((more.exact - of_muon).abs() < 1e-6 * of_muon);
    assert!((more.electra - of_muon).abs() < 1e-6 * of_muon);
    // Moments take less memory than AdamW's.
    let other: Plan = serde_json::from_slice(&fs::read(adamw.path("run/plan.json")).unwrap()).unwrap();
    let moments = |plan: &Plan| {
        plan.methods
            .iter()
            .find(|m| m.id == "scratch")
            .unwrap()
            .memory
            .moments_bytes
    };
    assert!(moments(&plan) < moments(&other));
}

#[test]
fn what_cannot_be_is_told_before_anything_runs() {
    let place = Place::new();
    for (methods, part) in [
        ("{name=\"one-schedule\",tau=1.5}", "lies between 0 and 1, found 1.5"),
        (
            "{name=\"one-schedule\",tau=0.9}",
            "would never be trained at the full rate",
        ),
        (
            "{name=\"one-schedule\",tau=0.4,train={average={ema=2.0}}}",
            "average.ema must be above 0 and below 1",
        ),
    ] {
        let set = format!("methods=[{methods}]");
        let said = place.refused(&compare("one-schedule", &["--set", &set]));
        assert_says(&said, &[part]);
    }
    assert!(!place.path("run").exists());
}
