//! Lengths of one method under `wsd` are one run up to where the first of them decays, and each comes to what it comes to alone.

use std::fs;
use std::path::Path;

use crate::common::{self, Place, assert_says};
use ligo_report::summary::{MethodSummary as Method, Summary};

const WSD: [&str; 8] = [
    "--set",
    "large.train.schedule.kind=\"wsd\"",
    "--set",
    "large.train.schedule.warmup_steps=3",
    "--set",
    "large.train.eval_every=4",
    "--set",
    "large.train.log_every=1",
];

fn compare<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&common::COMPARE[..], &WSD, more].concat()
}

fn summary(place: &Place) -> Summary {
    Summary::read(place.path("run/summary.json")).unwrap()
}

fn of<'a>(summary: &'a Summary, id: &str) -> &'a Method {
    summary.methods.iter().find(|m| m.id == id).unwrap()
}

/// Loss and FLOPs of each point of a curve.
fn curve(method: &Method) -> Vec<(u64, u64, u64)> {
    let points = method.curve.iter();
    points
        .map(|p| (p.step, p.loss.to_bits(), p.cost.flops.exact.to_bits()))
        .collect()
}

/// Losses and rates of all steps.
fn steps(folder: &Path) -> Vec<(u64, String, String)> {
    let text = fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    let records = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let of_step = records.filter(|record| record.get("lr").is_some());
    of_step
        .map(|record| {
            (
                record["step"].as_u64().unwrap(),
                record["loss"].to_string(),
                record["lr"].to_string(),
            )
        })
        .collect()
}

#[test]
fn each_length_is_what_it_would_be_alone_and_their_common_steps_are_made_once() {
    let place = Place::new();
    let lengths = ["--methods", "scratch,stackbert", "--lengths", "0.5,0.8"];
    let said = place.shown(&compare(&lengths));
    // 3 of warm-up and 80 % of the rest: 8 of 10 steps, 13 of 16 (of 13 · 0.8 = 10.4 whole ones).
    assert_says(
        &said,
        &[
            "scratch/steps=16: goes on after the 8 steps at a constant rate",
            "scratch: goes on after the 13 steps at a constant rate",
            "stackbert: goes on after the 13 steps at a constant rate",
            "have their first steps in common with others",
        ],
    );
    let together = summary(&place);

    let alone = Place::new();
    let said = alone.shown(&compare(&["--methods", "scratch,stackbert"]));
    assert!(!said.contains("goes on after"), "{said}");
    let of_one = summary(&alone);
    for id in ["scratch", "stackbert"] {
        assert_eq!(curve(of(&together, id)), curve(of(&of_one, id)), "{id}");
        let folders = [&place, &alone].map(|place| place.path("run/methods").join(id));
        assert_eq!(steps(&folders[0]), steps(&folders[1]), "{id}");
        let weights = folders.map(|folder| fs::read(folder.join("model/model.safetensors")).unwrap());
        assert!(weights[0] == weights[1], "{id}");
        assert_eq!(of(&together, id).shared.unwrap().steps, 13);
        assert_eq!(of(&of_one, id).shared, None);
    }

    // All is charged to each, and was paid for once: the first 8 steps of three runs, and 5 more of two.
    let (charged, spent) = together.charged_and_spent();
    let step = of(&together, "scratch").cost.flops.exact / 20.0;
    let saved = (charged - spent).flops.exact;
    assert!((saved / step - 2.0 * (8.0 + 13.0)).abs() < 0.5, "{}", saved / step);

    let again = place.shown(&compare(&lengths));
    assert_says(
        &again,
        &["scratch: complete, skipped", "have their first steps in common"],
    );
}

#[test]
fn processes_side_by_side_come_to_the_same_and_other_rates_share_nothing() {
    let place = Place::new();
    let lengths = ["--methods", "scratch", "--lengths", "0.5"];
    place.shown(&compare(&[&lengths[..], &["--jobs", "2"]].concat()));
    let one_by_one = Place::new();
    one_by_one.shown(&compare(&lengths));
    let [a, b] = [&place, &one_by_one].map(summary);
    assert_eq!(curve(of(&a, "scratch")), curve(of(&b, "scratch")));
    assert_eq!(of(&a, "scratch").shared.unwrap().steps, 8);

    let other = Place::new();
    let methods = "methods=[{name=\"scratch\"},{name=\"scratch\",id=\"fast\",train={steps=10,schedule={peak_lr=1e-3}}},{name=\"scratch\",id=\"late\",train={steps=18,schedule={decay_share=0.1,decay_shape=\"cosine\"}}}]";
    let said = other.shown(&compare(&["--methods", "fast,late,scratch", "--set", methods]));
    assert!(!said.contains("run/methods/fast"), "{said}");
    // A decay of another share and shape parts where the longer one has not begun to fall yet.
    assert_says(&said, &["scratch: goes on after the 16 steps"]);
}

#[test]
fn a_small_model_at_a_constant_rate_tells_what_it_would_have_come_to() {
    let place = Place::new();
    let constant = ["--set", "small.train.schedule.kind=\"constant\""];
    let annealed = ["--set", "small.annealed.decay_share=0.3", "--methods", "stackbert"];
    let said = place.shown(&compare(&[&constant[..], &annealed].concat()));
    assert_says(
        &said,
        &[
            "small model, annealed: goes on after the 14 steps",
            "grown as it is at a constant rate",
        ],
    );
    let with = summary(&place);
    let branch = with.small.annealed.unwrap();
    assert!(branch.loss.is_finite() && branch.loss.to_bits() != with.small.loss.to_bits());
    let own = branch.cost.flops.exact / with.small.cost.unwrap().flops.exact;
    assert!((own - 6.0 / 20.0).abs() < 0.02, "{own}");
    // It is what a run of its own would have come to, and nothing depends on it.
    let falling = Place::new();
    let wsd = [
        "--set",
        "small.train.schedule.kind=\"wsd\"",
        "--set",
        "small.train.schedule.decay_share=0.3",
    ];
    falling.shown(&compare(&[&wsd[..], &["--methods", "scratch"]].concat()));
    assert_eq!(summary(&falling).small.loss.to_bits(), branch.loss.to_bits());
    let without = Place::new();
    without.shown(&compare(&[&constant[..], &["--methods", "stackbert"]].concat()));
    let without = summary(&without);
    assert_eq!(curve(of(&without, "stackbert")), curve(of(&with, "stackbert")));

    for (more, part) in [
        (
            &["--set", "small.annealed={}"][..],
            "is for a small model at a constant rate",
        ),
        (&["--set", "large.annealed={}"], "is for the small model"),
    ] {
        assert_says(&place.refused(&compare(more)), &[part]);
    }
}
