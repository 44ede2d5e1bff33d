//! Whole steps: losses, norms, clipping, weights.

use burn::tensor::Device;
use ligo_data::Cursor;
use ligo_train::{
    Alone, Collective, Error, Objective, Optimizer, OptimizerConfig, OptimizerKind, ParamInfo, SplitObjective,
    ThreadRank, TrainConfig, train_step,
};

use crate::toy::{self, Toy};

const STEPS: u64 = 6;

/// Losses of all steps, the whole weights behind them, and the part that the rank held.
type Trained = (Vec<f64>, Vec<(ParamInfo, Vec<f32>)>, usize);

fn config(kind: OptimizerKind) -> TrainConfig {
    TrainConfig {
        optimizer: OptimizerConfig {
            kind,
            ..OptimizerConfig::default()
        },
        clip_norm: 0.05,
        ..toy::config()
    }
}

/// Training on one of the ranks; [`Alone`] is one of one.
fn train(toy: &Toy, config: &TrainConfig, ranks: impl Collective + Send + Sync + 'static) -> Result<Trained, Error> {
    let device = Device::flex();
    let objective = SplitObjective::new(&toy.model, &[], ranks, &device)?;
    let mut store = objective.part_of(toy.store().to_values()?, &device)?;
    let mut optimizer = Optimizer::new(config.optimizer, &store);
    let loader = toy.loader(true);
    let mut cursor = Cursor::default();
    let mut losses = Vec::new();
    for step in 0..STEPS {
        let (loss, next) = train_step(config, &objective, &mut store, &mut optimizer, &loader, step, cursor)?;
        losses.push(loss);
        cursor = next;
    }
    let sums = objective.ranks().sums();
    let is_alone = objective.ranks().ranks().size() == 1;
    assert_eq!(sums.count > 0, !is_alone);
    Ok((losses, objective.whole(&store)?, store.num_parameters()))
}

fn on_threads(toy: &Toy, config: &TrainConfig, ranks: usize) -> Vec<Trained> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = ThreadRank::all(ranks)
            .into_iter()
            .map(|rank| scope.spawn(move || train(toy, config, rank).unwrap()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// The same training of the whole model.
fn whole(toy: &Toy, config: &TrainConfig) -> Trained {
    let mut store = toy.store();
    let mut optimizer = Optimizer::new(config.optimizer, &store);
    let loader = toy.loader(true);
    let mut cursor = Cursor::default();
    let mut losses = Vec::new();
    for step in 0..STEPS {
        let done = train_step(
            config,
            &toy.objective,
            &mut store,
            &mut optimizer,
            &loader,
            step,
            cursor,
        );
        let (loss, next) = done.unwrap();
        losses.push(loss);
        cursor = next;
    }
    (losses, store.to_values().unwrap(), store.num_parameters())
}

fn near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= tolerance * b.abs(), "{a} and {b}");
    }
}

#[test]
fn steps_of_divided_layers_are_those_of_whole_ones_with_the_norm_clipped() {
    let toy = Toy::with_dropout(0.0);
    let config = config(OptimizerKind::Sgd);
    let (losses, weights, count) = whole(&toy, &config);
    let not_clipped = TrainConfig {
        clip_norm: 0.0,
        ..config.clone()
    };
    let (free, _, _) = whole(&toy, &not_clipped);
    assert!(free != losses, "nothing was clipped");
    let start = toy.store().to_values().unwrap();
    for found in [vec![train(&toy, &config, Alone).unwrap()], on_threads(&toy, &config, 2)] {
        for (own_losses, own_weights, own_count) in &found {
            near(own_losses, &losses, 1e-5);
            assert_eq!(*own_count < count, found.len() > 1);
            assert_eq!(own_weights, &found[0].1, "ranks differ");
            for ((info, own), (expected, values)) in own_weights.iter().zip(&weights) {
                assert_eq!(info, expected);
                let apart = own.iter().zip(values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(apart <= 1e-5, "`{}` is apart by {apart}", info.name);
            }
            assert!(own_weights.iter().zip(&start).any(|(own, start)| own.1 != start.1));
        }
    }
}

#[test]
fn adamw_takes_the_same_way_on_divided_layers() {
    let toy = Toy::with_dropout(0.0);
    let config = config(OptimizerKind::Adamw);
    let (losses, _, _) = whole(&toy, &config);
    for (own, _, _) in on_threads(&toy, &config, 2) {
        near(&own, &losses, 1e-4);
    }
}

#[test]
fn a_rank_holds_half_of_its_layers_and_all_else() {
    let toy = Toy::new();
    let objective = SplitObjective::new(&toy.model, &[], Alone, &Device::flex()).unwrap();
    let all = toy.store().num_parameters();
    assert_eq!(
        objective
            .part_of(toy.store().to_values().unwrap(), &Device::flex())
            .unwrap()
            .num_parameters(),
        all
    );
    let halved: usize = toy
        .model
        .table()
        .params()
        .filter(|p| {
            p.axes()
                .iter()
                .any(|axis| ["query", "key", "value", "ffn"].contains(&axis.name()))
        })
        .map(|p| p.num_elements())
        .sum();
    let (_, _, own) = on_threads(&toy, &config(OptimizerKind::Sgd), 2).remove(0);
    assert_eq!(own, all - halved / 2);
}

#[test]
fn the_trainer_does_not_take_what_it_would_write_in_part() {
    let toy = Toy::new();
    let objective = SplitObjective::new(&toy.model, &[], Alone, &Device::flex()).unwrap();
    let faults = objective.faults(&toy::config());
    assert!(faults.iter().any(|fault| fault.contains("train_step")), "{faults:?}");
    let short = toy.store().to_values().unwrap().into_iter().map(|(info, mut values)| {
        values.pop();
        (info, values)
    });
    let fault = objective.part_of(short, &Device::flex());
    assert!(matches!(fault, Err(Error::WrongNumberOfValues { .. })), "{fault:?}");
}
