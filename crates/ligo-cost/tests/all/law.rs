//! The law of the loss: numbers that were put in are found, those of scipy on noisy losses too, and what was not measured is said.

use ligo_cost::Error;
use ligo_cost::law::{FARTHEST, Law, Point, Start};
use serde_json::Value;

const E: f64 = 1.6;
const A: f64 = 90.0;
const ALPHA: f64 = 0.31;
const B: f64 = 260.0;
const BETA: f64 = 0.29;

fn scratch(parameters: f64, tokens: f64) -> Point {
    Point {
        parameters,
        tokens,
        start: None,
    }
}

fn grown(method: &str, [parameters, tokens, small, of_small]: [f64; 4]) -> Point {
    let start = Start::Trained {
        parameters: small,
        tokens: of_small,
    };
    Point {
        start: Some((method.to_owned(), start)),
        ..scratch(parameters, tokens)
    }
}

fn truth(n: f64, d: f64, alpha: f64, beta: f64) -> f64 {
    E + A / n.powf(alpha) + B / d.powf(beta)
}

/// Tokens with which `n` parameters are as good as `small` after `d`.
fn equal(n: f64, small: f64, d: f64) -> f64 {
    (d.powf(-BETA) + A / B * (small.powf(-ALPHA) - n.powf(-ALPHA))).powf(-1.0 / BETA)
}

fn close(found: f64, expected: f64, share: f64) {
    assert!((found / expected - 1.0).abs() < share, "{found}, expected {expected}");
}

#[test]
fn the_numbers_that_made_the_losses_are_found() {
    let mut points = Vec::new();
    for n in [2e5, 6e5, 2e6] {
        points.extend([2e6, 4e6, 8e6, 2e7].map(|d| (scratch(n, d), truth(n, d, ALPHA, BETA))));
    }
    for (method, gain) in [("stackbert", 0.8), ("harmful", -0.2)] {
        for (small, n, of_small, d) in [(2e5, 6e5, 2e6, 2e6), (6e5, 2e6, 8e6, 4e6), (6e5, 2e6, 4e6, 8e6)] {
            let loss = truth(n, d + gain * equal(n, small, of_small), ALPHA, BETA);
            points.push((grown(method, [n, d, small, of_small]), loss));
        }
    }
    let law = Law::fit(&points).unwrap();
    assert!(law.assumed().is_empty(), "{:?}", law.assumed());
    for (found, expected) in law.numbers().into_iter().zip([E, A, ALPHA, B, BETA]) {
        close(found, expected, 1e-3);
    }
    close(law.gain("stackbert").unwrap(), 0.8, 1e-3);
    close(law.gain("harmful").unwrap(), -0.2, 1e-3);
    assert_eq!(law.gain("ligo"), None);
    assert!(law.residual() < 1e-5);
    // What it says of others, and back again.
    let loss = truth(1e6, 1.5e7, ALPHA, BETA);
    let found = law.expected(&scratch(1e6, 1.5e7));
    close(found.loss, loss, 1e-5);
    assert!(found.half_width.unwrap() < 1e-3 && found.beyond == 1.0);
    close(law.tokens_for(1e6, loss).unwrap(), 1.5e7, 1e-3);
    assert_eq!(law.tokens_for(1e6, law.floor(1e6) - 1e-6), None);
    let small = Start::Trained {
        parameters: 2e5,
        tokens: 8e6,
    };
    close(law.tokens_equal_to(2e6, &small), equal(2e6, 2e5, 8e6), 1e-3);
    // A given model counts by its loss.
    let measured = Start::Measured {
        loss: truth(2e5, 8e6, ALPHA, BETA),
    };
    close(law.tokens_equal_to(2e6, &measured), equal(2e6, 2e5, 8e6), 1e-3);
}

#[test]
fn noisy_losses_with_outliers_give_what_scipy_finds() {
    let fixture: Value = serde_json::from_str(include_str!("law_fixture/law.json")).unwrap();
    let number = |value: &Value, key: &str| value[key].as_f64().unwrap();
    let point = |value: &Value| {
        let [n, d] = ["parameters", "tokens"].map(|key| number(value, key));
        let point = match value["method"].as_str() {
            None => scratch(n, d),
            Some(method) => grown(
                method,
                [n, d, number(value, "small_parameters"), number(value, "small_tokens")],
            ),
        };
        (point, number(value, "loss"))
    };
    let points: Vec<(Point, f64)> = fixture["points"].as_array().unwrap().iter().map(point).collect();
    let law = Law::fit(&points).unwrap();
    let expected = fixture["law"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap());
    for (found, expected) in law.numbers().into_iter().zip(expected) {
        close(found, expected, 2e-3);
    }
    for (method, gain) in law.gains() {
        close(gain, number(&fixture["gains"], method), 2e-3);
    }
    // Two points are far off, and move nothing.
    let far = law
        .points()
        .iter()
        .filter(|fitted| fitted.residual.abs() > 0.03)
        .count();
    assert_eq!(far, 2);
    let expected = law.expected(&scratch(1e6, 1e7));
    let truth = truth(1e6, 1e7, ALPHA, BETA);
    assert!(
        (expected.loss - truth).abs() < expected.half_width.unwrap(),
        "{expected:?}, {truth}"
    );
}

#[test]
fn what_the_points_cannot_tell_is_assumed_and_said() {
    let beta = 0.3658;
    let few: Vec<(Point, f64)> = [1.8e7, 2.4e7, 3e7]
        .map(|d| (scratch(1e6, d), truth(1e6, d, ALPHA, beta)))
        .into();
    let law = Law::fit(&few).unwrap();
    let assumed: Vec<&str> = law.assumed().iter().map(|assumed| assumed.what).collect();
    assert_eq!(
        assumed,
        ["the exponent of the tokens", "the exponent of the parameters"]
    );
    assert!(law.assumed()[0].why.contains("1.7"), "{:?}", law.assumed()[0]);
    close(
        law.expected(&scratch(1e6, 4e7)).loss,
        truth(1e6, 4e7, ALPHA, beta),
        1e-4,
    );

    let with_small = [
        few.clone(),
        vec![(scratch(2e5, 1.6e7), truth(2e5, 1.6e7, 0.3478, beta))],
    ]
    .concat();
    let law = Law::fit(&with_small).unwrap();
    assert_eq!(law.assumed()[1].value, 0.3478);
    // Two numbers and two points leave nothing to judge by.
    assert_eq!(
        Law::fit(&few[..2]).unwrap().expected(&scratch(1e6, 2e7)).half_width,
        None
    );

    assert_eq!(Law::fit(&few[..1]), Err(Error::TooFewLengths { found: 1 }));
    assert_eq!(Law::fit(&[]), Err(Error::TooFewLengths { found: 0 }));
    let broken = [(scratch(1e6, 1e7), f64::NAN), (scratch(1e6, 2e7), 2.0)];
    assert_eq!(Law::fit(&broken), Err(Error::TooFewLengths { found: 1 }));
}

#[test]
fn beyond_the_points_is_said_in_every_direction() {
    let mut points: Vec<(Point, f64)> = [1e7, 2e7, 4e7, 8e7]
        .map(|d| (scratch(1e6, d), truth(1e6, d, ALPHA, BETA)))
        .into();
    points.push((scratch(2e5, 2e7), truth(2e5, 2e7, ALPHA, BETA)));
    points.push((
        grown("stackbert", [1e6, 2e7, 2e5, 2e7]),
        truth(1e6, 2e7 + 0.7 * equal(1e6, 2e5, 2e7), ALPHA, BETA),
    ));
    let law = Law::fit(&points).unwrap();
    for (point, beyond) in [
        (scratch(1e6, 4e7), 1.0),
        (scratch(1e6, 8e8), 10.0),
        (scratch(1e6, 2e6), 5.0),
        (scratch(6e6, 4e7), 6.0),
        (grown("stackbert", [1e6, 2e7, 2e5, 1e8]), 5.0),
        (grown("stackbert", [1e6, 2e7, 2e5, 2e7]), 1.0),
    ] {
        let found = law.expected(&point);
        close(found.beyond, beyond, 1e-6);
        assert_eq!(found.is_far(), beyond > FARTHEST);
    }
}
