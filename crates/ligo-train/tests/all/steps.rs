//! The arithmetic of a step.

use ligo_cost::Flops;
use ligo_data::{Batch, Cursor};
use ligo_train::{OptimizerConfig, OptimizerKind, StepCost, TrainConfig, Work};

use crate::toy::{self, Toy, Watcher, config, run};

#[test]
fn accumulating_two_batches_equals_one_of_twice_the_size() {
    let toy = Toy::with_dropout(0.0);
    let loader = toy.loader(true);
    let weights = |batch_size, accumulation| {
        let mut config = TrainConfig {
            batch_size,
            accumulation,
            // With plain descent a weight moves in proportion to its gradient; Adam would blow up differences in tiny ones.
            optimizer: OptimizerConfig {
                kind: OptimizerKind::Sgd,
                ..OptimizerConfig::default()
            },
            clip_norm: 0.0,
            ..config()
        };
        config.schedule.peak_lr = 0.1;
        let run_dir = toy.folder.path().join(format!("{batch_size}-{accumulation}"));
        let mut trainer = toy.trainer(&config, &loader, &toy.objective, &run_dir);
        let mut watcher = Watcher::default();
        let result = run(&mut trainer, &mut watcher).unwrap();
        // The weights have moved: equality below is not that of the start values.
        assert!(result.curve[5].loss < result.curve[0].loss - 0.05, "{:?}", result.curve);
        let losses: Vec<f64> = watcher.steps.iter().map(|s| s.loss).collect();
        let values = trainer.store().to_values().unwrap();
        let weights: Vec<f32> = values.into_iter().flat_map(|(_, v)| v).collect();
        (losses, weights)
    };
    let (losses, whole) = weights(6, 1);
    let (split_losses, split) = weights(3, 2);
    for (a, b) in losses.iter().zip(&split_losses) {
        assert!((a - b).abs() < 1e-5, "{losses:?} and {split_losses:?}");
    }
    let worst = whole.iter().zip(&split).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-5, "weights differ by {worst}");
}

#[test]
fn clipping_is_by_the_norm_of_everything() {
    let toy = Toy::with_dropout(0.0);
    let loader = toy.loader(true);
    let first_step = |clip_norm: f64| {
        let mut config = TrainConfig {
            clip_norm,
            optimizer: OptimizerConfig {
                kind: OptimizerKind::Sgd,
                weight_decay: 0.0,
                ..OptimizerConfig::default()
            },
            ..config()
        };
        config.schedule.warmup_steps = 0;
        config.schedule.peak_lr = 1.0;
        let run_dir = toy.folder.path().join(format!("clip-{clip_norm}"));
        let mut trainer = toy.trainer(&config, &loader, &toy.objective, &run_dir);
        let mut watcher = Watcher::stopping_after(1);
        run(&mut trainer, &mut watcher).unwrap();
        let moved = |name: &str| {
            let flat =
                |store: &ligo_train::ParamStore| store.value(name).unwrap().to_data().try_to_vec::<f32>().unwrap();
            let (before, after) = (flat(&toy.store()), flat(trainer.store()));
            before
                .iter()
                .zip(&after)
                .map(|(a, b)| f64::from(a - b).powi(2))
                .sum::<f64>()
        };
        let names: Vec<String> = toy.store().infos().iter().map(|i| i.name.clone()).collect();
        let squares: Vec<f64> = names.iter().map(|name| moved(name)).collect();
        (watcher.steps[0], squares)
    };
    let (free, free_squares) = first_step(0.0);
    let (clipped, clipped_squares) = first_step(0.1);
    assert_eq!(free.clip_scale, 1.0);
    assert!(free.grad_norm > 0.2 && (free.grad_norm - clipped.grad_norm).abs() < 1e-9);
    // A step of plain descent at rate 1 is the gradient itself.
    assert!((free_squares.iter().sum::<f64>().sqrt() - free.grad_norm).abs() < 1e-4);
    assert!((clipped_squares.iter().sum::<f64>().sqrt() - 0.1).abs() < 1e-4);
    // Every tensor shrinks by the same factor.
    let factor = clipped.clip_scale.powi(2);
    for (free, clipped) in free_squares.iter().zip(&clipped_squares) {
        assert!((free * factor - clipped).abs() < 1e-6, "{free} {clipped}");
    }
}

#[test]
fn cost_tokens_and_learning_rate_are_counted_per_step() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let cost = Flops {
        exact: 3.0e6,
        electra: 2.0e6,
    };
    let run_dir = toy.folder.path().join("run");
    let mut trainer = toy
        .trainer(&config(), &loader, &toy.objective, &run_dir)
        .with_cost(cost);
    let mut watcher = Watcher::default();
    let result = run(&mut trainer, &mut watcher).unwrap();
    assert_eq!(result.tokens, 24 * 6 * toy::SEQ_LEN as u64);
    assert_eq!(result.cost.measures()[..2], [7.2e7, 4.8e7]);
    assert_eq!(result.curve[2].tokens, 10 * 6 * toy::SEQ_LEN as u64);
    assert_eq!(result.curve[2].cost.flops.exact, 3.0e7);
    for (i, step) in watcher.steps.iter().enumerate() {
        assert_eq!(step.lr, config().lr(i as u64));
    }
    assert!(result.curve.is_sorted_by(|a, b| a.cost.seconds <= b.cost.seconds));
    assert!((result.curve[5].cost.seconds - result.cost.seconds).abs() < 1e-12);
}

#[test]
fn runs_with_another_seed_differ_by_dropout_only() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let losses = |seed: u64, name: &str| {
        let config = TrainConfig { seed, ..config() };
        let mut trainer = toy.trainer(&config, &loader, &toy.objective, &toy.folder.path().join(name));
        let result = run(&mut trainer, &mut Watcher::default()).unwrap();
        result.curve.iter().map(|p| p.loss).collect::<Vec<_>>()
    };
    let (one, again, other) = (losses(1, "one"), losses(1, "again"), losses(2, "other"));
    assert_eq!(one, again);
    assert_eq!(one[0], other[0]);
    assert_ne!(one[1..], other[1..]);
}

#[test]
fn gradient_checkpointing_changes_no_bit_of_a_run() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let run = |gradient_checkpointing: bool| {
        let config = TrainConfig {
            gradient_checkpointing,
            ..config()
        };
        let folder = toy.folder.path().join(format!("again-{gradient_checkpointing}"));
        let mut trainer = toy.trainer(&config, &loader, &toy.objective, &folder);
        let mut watcher = Watcher::default();
        run(&mut trainer, &mut watcher).unwrap();
        let losses: Vec<u64> = watcher.steps.iter().map(|step| step.loss.to_bits()).collect();
        (losses, toy::bits(&trainer))
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn a_run_may_go_on_with_gradient_checkpointing() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let folder = toy.folder.path().join("run");
    let mut trainer = toy.trainer(&config(), &loader, &toy.objective, &folder);
    run(&mut trainer, &mut Watcher::stopping_after(5)).unwrap();
    drop(trainer);
    let config = TrainConfig {
        gradient_checkpointing: true,
        ..config()
    };
    let mut trainer = toy.trainer(&config, &loader, &toy.objective, &folder);
    run(&mut trainer, &mut Watcher::default()).unwrap();
    let mut whole = toy.trainer(&config, &loader, &toy.objective, &toy.folder.path().join("whole"));
    run(&mut whole, &mut Watcher::default()).unwrap();
    assert_eq!(toy::bits(&trainer), toy::bits(&whole));
}

/// A FLOP for each label.
struct ByLabels;

impl StepCost for ByLabels {
    fn of(&self, micro_batches: &[Work]) -> Flops {
        let labels: usize = micro_batches.iter().map(|work| work.labels.unwrap()).sum();
        Flops {
            exact: labels as f64,
            electra: 0.0,
        }
    }

    fn whole(&self) -> Flops {
        Flops::default()
    }
}

#[test]
fn a_step_is_charged_for_the_labels_of_its_batches() {
    let toy = Toy::new();
    let (loader, config) = (toy.loader(true), config());
    let run_dir = toy.folder.path().join("labels");
    let trainer = toy.trainer(&config, &loader, &toy.objective, &run_dir);
    let mut watcher = Watcher::default();
    run(&mut trainer.with_cost(ByLabels), &mut watcher).unwrap();
    let mut cursor = Cursor::default();
    let mut expected = Vec::new();
    for _ in 0..config.steps {
        let mut labels = 0;
        for _ in 0..config.accumulation {
            let (batch, next) = loader.batch_at(cursor, config.batch_size).unwrap();
            labels += Batch::from(batch).num_labels();
            cursor = next;
        }
        expected.push(labels as f64);
    }
    let charged: Vec<f64> = watcher.steps.iter().map(|step| step.step_cost.flops.exact).collect();
    assert_eq!(charged, expected);
    assert!(
        charged.iter().any(|labels| *labels != charged[0]),
        "all batches alike: {charged:?}"
    );
}
