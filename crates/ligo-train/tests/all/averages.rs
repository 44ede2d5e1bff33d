//! Evaluations and models of averaged weights.

use std::collections::BTreeMap;

use ligo_train::{Average, ParamStore, TrainConfig};

use crate::toy::{self, Toy, Watcher, bits, config, run, timeless};

fn averaging(average: Average) -> TrainConfig {
    TrainConfig {
        average: Some(average),
        ..config()
    }
}

fn ema(ema: f64) -> Average {
    Average {
        ema: Some(ema),
        ..Average::default()
    }
}

fn last(last: usize, every: u64) -> Average {
    Average {
        last: Some(last),
        every: Some(every),
        ..Average::default()
    }
}

fn values(store: &ParamStore) -> BTreeMap<String, Vec<f32>> {
    store
        .to_values()
        .unwrap()
        .into_iter()
        .map(|(info, values)| (info.name, values))
        .collect()
}

/// The weights after each of these steps of the plain run.
fn weights_after(toy: &Toy, steps: &[u64]) -> Vec<BTreeMap<String, Vec<f32>>> {
    let loader = toy.loader(true);
    let after = |step: &u64| {
        let dir = toy.folder.path().join(format!("plain-{step}"));
        let mut trainer = toy.trainer(&config(), &loader, &toy.objective, &dir).with_end(*step);
        run(&mut trainer, &mut Watcher::default()).unwrap();
        values(trainer.store())
    };
    steps.iter().map(after).collect()
}

fn assert_near(found: &BTreeMap<String, Vec<f32>>, expected: &BTreeMap<String, Vec<f64>>) {
    for (name, expected) in expected {
        let near = found[name]
            .iter()
            .zip(expected)
            .all(|(x, y)| (f64::from(*x) - y).abs() < 1e-6);
        assert!(near, "{name}");
    }
}

fn weighted(all: &[(f64, &BTreeMap<String, Vec<f32>>)]) -> BTreeMap<String, Vec<f64>> {
    let names = all[0].1.keys();
    let sum = |name: &String| {
        let count = all[0].1[name].len();
        (0..count)
            .map(|i| all.iter().map(|(w, values)| w * f64::from(values[name][i])).sum())
            .collect()
    };
    names.map(|name| (name.clone(), sum(name))).collect()
}

#[test]
fn the_model_is_the_mean_that_was_asked_for_and_training_knows_nothing_of_it() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let plain = weights_after(&toy, &[1, 2, 3, 18, 21, 24]);
    let finished = |average: Average, end: u64, name: &str| {
        let config = averaging(average);
        let mut trainer = toy
            .trainer(&config, &loader, &toy.objective, &toy.folder.path().join(name))
            .with_end(end);
        let result = run(&mut trainer, &mut Watcher::default()).unwrap();
        let trained = values(trainer.store());
        (trained, values(&trainer.into_store()), result)
    };
    // Weights after steps 18, 21 and 24.
    let (trained, mean, result) = finished(last(3, 3), 24, "last");
    assert_eq!(trained, plain[5]);
    let third = 1.0 / 3.0;
    assert_near(
        &mean,
        &weighted(&[(third, &plain[3]), (third, &plain[4]), (third, &plain[5])]),
    );
    assert_ne!(mean, trained);
    // Nothing has been averaged before the first step.
    let mut whole = toy.trainer(&config(), &loader, &toy.objective, &toy.folder.path().join("whole"));
    let whole = run(&mut whole, &mut Watcher::default()).unwrap();
    assert_eq!(result.curve[0].loss.to_bits(), whole.curve[0].loss.to_bits());
    assert_ne!(result.curve[5].loss, whole.curve[5].loss);

    // Begins with the weights after the first update: 0.6 (0.6 w1 + 0.4 w2) + 0.4 w3.
    let (trained, mean, _) = finished(ema(0.6), 3, "ema");
    assert_eq!(trained, plain[2]);
    assert_near(
        &mean,
        &weighted(&[(0.36, &plain[0]), (0.24, &plain[1]), (0.4, &plain[2])]),
    );
}

#[test]
fn an_average_survives_being_stopped_to_the_last_bit() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let dir = toy.folder.path();
    for (name, average) in [("ema", ema(0.9)), ("last", last(3, 2))] {
        let config = averaging(average);
        let mut whole = toy.trainer(&config, &loader, &toy.objective, &dir.join(name));
        let expected = run(&mut whole, &mut Watcher::default()).unwrap();
        let expected_bits = bits(&whole);
        let expected_mean = values(&whole.into_store());
        for stop in [1, 2, 5, 13, 23] {
            let run_dir = dir.join(format!("{name}-{stop}"));
            let mut first = toy.trainer(&config, &loader, &toy.objective, &run_dir);
            run(&mut first, &mut Watcher::stopping_after(stop)).unwrap();
            drop(first);
            let mut second = toy.trainer(&config, &loader, &toy.objective, &run_dir);
            let result = run(&mut second, &mut Watcher::default()).unwrap();
            assert_eq!(timeless(&result), timeless(&expected), "{name} stopped at {stop}");
            assert_eq!(bits(&second), expected_bits);
            assert_eq!(values(&second.into_store()), expected_mean, "{name} stopped at {stop}");
        }
        // Kept beside the moments.
        let table = toy.model.table();
        let more = config.numbers_kept(&table) - toy::config().numbers_kept(&table);
        assert_eq!(more, average.kept() as f64);
    }
}

#[test]
fn averages_that_cannot_be_are_refused() {
    for (average, part) in [
        (Average::default(), "either `ema` alone, or `last` with `every`"),
        (
            Average {
                ema: Some(0.9),
                ..last(2, 2)
            },
            "either",
        ),
        (
            Average {
                every: None,
                ..last(2, 2)
            },
            "either",
        ),
        (ema(1.0), "average.ema must be above 0 and below 1, found 1"),
        (ema(f64::NAN), "average.ema"),
        (last(1, 2), "average.last must be 2 to 64, found 1"),
        (last(2, 0), "average.every must be at least 1"),
        (
            last(5, 5),
            "5 weights that are 5 steps apart need 25 steps, and there are 24",
        ),
    ] {
        let error = averaging(average).validate().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
