//! A run that several ranks share is the run of one.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::{Device, Tensor};
use ligo_arch::{BertConfig, ModelConfig};
use ligo_checkpoint::{Change, Disk};
use ligo_growth::{LigoConfig, LigoOperator, MemorySource};
use ligo_metrics::{Record, read};
use ligo_models::Inputs;
use ligo_train::{
    Average, Collective, DistillObjective, Distillation, Error, Event, FailedSavePolicy, Freeze, LayerDrop, Learner,
    Leaves, NonFinitePolicy, Objective, OperatorObjective, OptimizerKind, Outcome, RunData, StepContext, Submodels,
    ThreadRank, TokenDropping, TrainConfig, TrainResult, Trainer,
};

use crate::toy::{self, Toy, Watcher, bits, config, run, timeless};

/// Weights, moments and updates as bits.
type Bits = (BTreeMap<String, Vec<u32>>, u64);

/// How a rank ended.
type Ended = Result<(TrainResult, Bits, Watcher), Error>;

/// What a rank does beside its work in a sum, which is one for each step of the toy.
type Meddling = fn(rank: usize, step: usize, sums: &mut Vec<f32>) -> Result<(), Error>;

/// A rank that meddles with sums.
#[derive(Debug)]
struct Meddler {
    rank: ThreadRank,
    meddling: Meddling,
    steps: AtomicUsize,
}

impl Collective for Meddler {
    fn rank(&self) -> usize {
        self.rank.rank()
    }

    fn size(&self) -> usize {
        self.rank.size()
    }

    fn all_gather(&self, mine: &[u64]) -> Result<Vec<u64>, Error> {
        self.rank.all_gather(mine)
    }

    fn sum(&self, values: &mut Vec<f32>) -> Result<(), Error> {
        self.rank.sum(values)?;
        (self.meddling)(self.rank(), self.steps.fetch_add(1, Ordering::Relaxed), values)
    }

    fn broadcast(&self, bytes: &mut Vec<u8>) -> Result<(), Error> {
        self.rank.broadcast(bytes)
    }
}

/// An objective that loses its numbers in one micro-batch, once.
struct Poisoned<'a> {
    inner: &'a dyn Objective,
    at: (u64, usize),
    done: Cell<bool>,
}

impl Objective for Poisoned<'_> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn model(&self, leaves: &Leaves) -> Result<Box<dyn Learner>, Error> {
        self.inner.model(leaves)
    }

    fn loss(&self, leaves: &Leaves, batch: &Inputs, at: &StepContext<'_>) -> Result<Tensor<1>, Error> {
        let loss = self.inner.loss(leaves, batch, at)?;
        let is_now = (at.step, at.micro_step) == self.at && !self.done.replace(true);
        Ok(if is_now { loss.mul_scalar(f32::NAN) } else { loss })
    }
}

/// What a test does to a run.
#[derive(Clone, Copy)]
struct Setup<'a> {
    config: &'a TrainConfig,
    stop: Option<u64>,
    meddling: Meddling,
    /// Step and micro-step without a loss.
    poison: Option<(u64, usize)>,
    /// Whether nothing can be written in checkpoints.
    is_disk_full: bool,
}

impl<'a> Setup<'a> {
    fn new(config: &'a TrainConfig, stop: Option<u64>) -> Self {
        Self {
            config,
            stop,
            meddling: |_, _, _| Ok(()),
            poison: None,
            is_disk_full: false,
        }
    }

    /// Each rank in a thread with a toy of its own, as a process would have it; `None` where it panicked. Only rank 0 is asked to stop.
    fn on(self, size: usize, dir: &Path) -> Vec<Option<Ended>> {
        std::thread::scope(|scope| {
            let ranks = ThreadRank::all(size).into_iter();
            let threads: Vec<_> = ranks.map(|rank| scope.spawn(move || self.run(rank, dir))).collect();
            threads.into_iter().map(|thread| thread.join().ok()).collect()
        })
    }

    fn run(self, rank: ThreadRank, dir: &Path) -> Ended {
        let config = self.config;
        let rank = Meddler {
            rank,
            meddling: self.meddling,
            steps: AtomicUsize::new(0),
        };
        let toy = Toy::with_layers(4);
        let loader = toy.loader(true);
        let teacher = toy.objective.network(&Leaves::plain(&toy.store())).unwrap();
        let distilled = DistillObjective::new(toy.objective.clone(), teacher);
        let plain: &dyn Objective = match config.distillation {
            Some(_) => &distilled,
            None => &toy.objective,
        };
        let poisoned = Poisoned {
            inner: plain,
            at: self.poison.unwrap_or_default(),
            done: Cell::new(false),
        };
        let objective = if self.poison.is_some() { &poisoned } else { plain };
        let is_full = self.is_disk_full;
        let disk = Disk::with_hook(move |change| match change {
            Change::Write(..) if is_full => Err(io::Error::from(io::ErrorKind::StorageFull)),
            _ => Ok(()),
        });
        let trainer = toy.trainer(config, &loader, objective, dir).with_disk(disk);
        let mut trainer = trainer.with_ranks(&rank)?;
        let mut watcher = Watcher {
            stop_after_step: self.stop,
            ..Watcher::default()
        };
        let result = run(&mut trainer, &mut watcher)?;
        Ok((result, bits(&trainer), watcher))
    }

    /// All ranks must come to the same; what rank 0 came to.
    fn together(self, size: usize, dir: &Path) -> (TrainResult, Bits, Watcher) {
        let mut ended = self.on(size, dir).into_iter().map(|ended| ended.unwrap().unwrap());
        let first = ended.next().unwrap();
        for (result, bits, watcher) in ended {
            assert!(bits == first.1, "the ranks hold different numbers");
            assert_eq!(result, first.0);
            assert!(watcher.steps.is_empty() && watcher.evals.is_empty() && watcher.events.is_empty());
        }
        first
    }

    /// The errors of all ranks; `None` where one panicked.
    fn errors(self, size: usize, dir: &Path) -> Vec<Option<Error>> {
        let ended = self.on(size, dir).into_iter();
        ended
            .map(|ended| ended.map(|ended| ended.err().expect("this rank should fail")))
            .collect()
    }
}

fn together(size: usize, dir: &Path, config: &TrainConfig, stop: Option<u64>) -> (TrainResult, Bits, Watcher) {
    Setup::new(config, stop).together(size, dir)
}

fn with_micro_batches(accumulation: usize) -> TrainConfig {
    TrainConfig {
        accumulation,
        batch_size: 2,
        ..config()
    }
}

fn numbers(dir: &Path) -> Vec<(u64, u64, u64)> {
    let numbers = |record: Record| match record {
        Record::Train(r) => Some((r.step, r.loss.to_bits(), r.grad_norm.to_bits())),
        Record::Eval(r) => Some((r.step, r.loss.to_bits(), 0)),
        Record::Event(_) => None,
    };
    read(dir.join("metrics.jsonl"))
        .unwrap()
        .into_iter()
        .filter_map(numbers)
        .collect()
}

#[test]
fn any_number_of_ranks_comes_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    for (accumulation, sizes) in [(4, [1, 2, 4].as_slice()), (12, &[3, 6, 12])] {
        let config = with_micro_batches(accumulation);
        let dir_of = |size: usize| folder.path().join(format!("{accumulation}-{size}"));
        // Without ranks at all.
        let toy = Toy::with_layers(4);
        let loader = toy.loader(true);
        let mut alone = toy.trainer(&config, &loader, &toy.objective, &dir_of(0));
        let expected = run(&mut alone, &mut Watcher::default()).unwrap();
        assert_eq!(expected.outcome, Outcome::Completed);
        for size in sizes {
            let (result, all, watcher) = together(*size, &dir_of(*size), &config, None);
            assert!(all == bits(&alone), "{size} ranks, {accumulation} micro-batches");
            assert_eq!(timeless(&result), timeless(&expected));
            assert_eq!((watcher.steps.len(), watcher.evals.len()), (24, 6));
            assert_eq!(numbers(&dir_of(*size)), numbers(&dir_of(0)));
            let state = |size| std::fs::read(dir_of(size).join("checkpoints/step-24/state.safetensors")).unwrap();
            assert!(state(*size) == state(0));
        }
    }
}

#[test]
fn blocks_that_are_no_powers_of_two_differ_in_bits_and_agree_to_rounding() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_micro_batches(12);
    let (one, one_bits, _) = together(1, &folder.path().join("1"), &config, None);
    for size in [2, 4] {
        let (other, other_bits, _) = together(size, &folder.path().join(size.to_string()), &config, None);
        assert!(other_bits != one_bits, "{size}");
        let (a, b) = (one.final_loss().unwrap(), other.final_loss().unwrap());
        assert!((a - b).abs() < 1e-6 * a, "{a} and {b}");
    }
}

#[test]
fn a_run_that_is_stopped_goes_on_with_another_number_of_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_micro_batches(4);
    let (expected, whole, _) = together(1, &folder.path().join("whole"), &config, None);
    for stops in [[1, 2], [5, 6], [7, 8], [9, 17], [14, 23], [20, 21]] {
        let dir = folder.path().join(format!("{stops:?}"));
        let (result, ..) = together(4, &dir, &config, Some(stops[0]));
        assert_eq!(result.outcome, Outcome::Interrupted { step: stops[0] });
        let (_, _, watcher) = together(2, &dir, &config, Some(stops[1]));
        assert!(matches!(watcher.events[0], Event::Resumed { step, .. } if step == stops[0]));
        let (result, all, _) = together(1, &dir, &config, None);
        assert_eq!(timeless(&result), timeless(&expected));
        assert!(all == whole, "{stops:?}");
        assert_eq!(numbers(&dir), numbers(&folder.path().join("whole")));
    }
}

#[test]
fn muon_and_averages_of_weights_are_the_same_on_all_ranks_and_go_on_with_other_numbers_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut muon = with_micro_batches(4);
    muon.optimizer.kind = OptimizerKind::Muon;
    let averaged = |average| TrainConfig {
        average: Some(average),
        ..with_micro_batches(4)
    };
    let ema = averaged(Average {
        ema: Some(0.9),
        ..Average::default()
    });
    let last = averaged(Average {
        last: Some(3),
        every: Some(2),
        ..Average::default()
    });
    for (name, config) in [("muon", muon), ("ema", ema), ("last", last)] {
        let dir = |kind: &str| folder.path().join(format!("{name} {kind}"));
        let (expected, whole, _) = together(1, &dir("whole"), &config, None);
        together(4, &dir("run"), &config, Some(9));
        together(2, &dir("run"), &config, Some(17));
        let (result, all, _) = together(2, &dir("run"), &config, None);
        assert_eq!(timeless(&result), timeless(&expected), "{name}");
        assert!(all == whole, "{name}");
    }
}

#[test]
fn whatever_a_step_leaves_out_ranks_leave_out_too() {
    let folder = tempfile::tempdir().unwrap();
    let with = |change: &dyn Fn(&mut TrainConfig)| {
        let mut config = with_micro_batches(4);
        change(&mut config);
        config
    };
    let layer_drop = Some(LayerDrop {
        max_rate: 0.6,
        ..LayerDrop::default()
    });
    let schedules = [
        ("plain", with(&|_| {})),
        ("layer drop", with(&|c| c.layer_drop = layer_drop)),
        (
            "token drop",
            with(&|c| {
                c.token_drop = Some(TokenDropping {
                    rate: 0.4,
                    ..TokenDropping::default()
                });
            }),
        ),
        (
            "sub-models",
            with(&|c| {
                c.submodels = Some(Submodels {
                    block: Some(1),
                    share: 0.5,
                });
            }),
        ),
        (
            "freeze and distillation",
            with(&|c| {
                c.layer_drop = layer_drop;
                c.freeze = Some(Freeze {
                    layers: 2,
                    share: 0.5,
                    ..Freeze::default()
                });
                c.distillation = Some(Distillation {
                    share: 0.5,
                    ..Distillation::default()
                });
            }),
        ),
    ];
    let mut seen = Vec::new();
    for (name, config) in schedules {
        let dir = |size: usize| folder.path().join(format!("{name} {size}"));
        let (expected, one, _) = together(1, &dir(1), &config, None);
        for size in [2, 4] {
            let (result, all, _) = together(size, &dir(size), &config, None);
            assert_eq!(timeless(&result), timeless(&expected), "{name} on {size}");
            assert!(all == one, "{name} on {size}");
        }
        // Negative control: each schedule does something.
        assert!(!seen.contains(&one), "{name}");
        seen.push(one);
    }
}

#[test]
fn a_step_without_a_loss_on_one_rank_is_none_for_all() {
    let folder = tempfile::tempdir().unwrap();
    for (i, on_non_finite) in [NonFinitePolicy::Skip, NonFinitePolicy::Rollback]
        .into_iter()
        .enumerate()
    {
        let config = TrainConfig {
            on_non_finite,
            ..with_micro_batches(4)
        };
        let setup = Setup {
            poison: Some((9, 3)),
            ..Setup::new(&config, None)
        };
        let dir = |size: usize| folder.path().join(format!("{i}-{size}"));
        let (expected, one, _) = setup.together(1, &dir(1));
        assert_eq!((expected.skipped_steps.len(), expected.rollbacks.len()), (1 - i, i));
        let (result, all, _) = setup.together(4, &dir(4));
        assert_eq!(timeless(&result), timeless(&expected));
        assert!(all == one, "{on_non_finite:?}");
    }
    let config = with_micro_batches(4);
    let setup = Setup {
        poison: Some((9, 3)),
        ..Setup::new(&config, None)
    };
    for error in setup.errors(2, &folder.path().join("stop")) {
        assert!(matches!(error, Some(Error::NonFinite { step: 9, .. })), "{error:?}");
    }
}

#[test]
fn a_bit_that_flips_on_one_rank_is_found_before_the_next_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_micro_batches(4);
    let setup = Setup {
        meddling: |rank, step, sums| {
            if (rank, step) == (1, 9) {
                sums[700] = f32::from_bits(sums[700].to_bits() ^ 1 << 20);
            }
            Ok(())
        },
        ..Setup::new(&config, None)
    };
    let dir = folder.path().join("run");
    for error in setup.errors(2, &dir) {
        let found = matches!(&error, Some(Error::ReplicasDiffer { step: 14, rank: 1, name }) if !name.is_empty());
        assert!(found, "{error:?}");
    }
    // The checkpoint before is good, and the run goes on from it.
    assert!(dir.join("checkpoints/step-7").exists() && !dir.join("checkpoints/step-14").exists());
    let (_, whole, _) = together(1, &folder.path().join("whole"), &config, None);
    let (_, all, watcher) = together(2, &dir, &config, None);
    assert!(matches!(watcher.events[0], Event::Resumed { step: 7, .. }));
    assert!(all == whole);
}

#[test]
fn a_rank_that_fails_or_panics_ends_the_others_and_the_run_goes_on_from_its_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_micro_batches(4);
    let (expected, whole, _) = together(1, &folder.path().join("whole"), &config, None);
    let fails: Meddling = |rank, step, _| match (rank, step) {
        (2, 10) => Err(Error::NothingToLearn { step: 10 }),
        _ => Ok(()),
    };
    let panics: Meddling = |rank, step, _| {
        assert!((rank, step) != (2, 10), "a fault of rank 2");
        Ok(())
    };
    for (name, meddling) in [("fails", fails), ("panics", panics)] {
        let dir = folder.path().join(name);
        let setup = Setup {
            meddling,
            ..Setup::new(&config, None)
        };
        for (rank, error) in setup.errors(4, &dir).into_iter().enumerate() {
            match rank {
                2 => assert!(matches!(error, None | Some(Error::NothingToLearn { .. })), "{error:?}"),
                _ => assert!(matches!(error, Some(Error::RankLost { .. })), "{error:?}"),
            }
        }
        let (result, all, watcher) = together(4, &dir, &config, None);
        assert!(matches!(watcher.events[0], Event::Resumed { step: 7, .. }));
        assert_eq!(timeless(&result), timeless(&expected));
        assert!(all == whole, "{name}");
    }
    // A disk that is full is rank 0's alone.
    let setup = Setup {
        is_disk_full: true,
        ..Setup::new(&config, None)
    };
    let errors = setup.errors(2, &folder.path().join("full"));
    assert!(matches!(errors[0], Some(Error::Checkpoint(_))), "{errors:?}");
    assert!(
        matches!(errors[1], Some(Error::RankLost { rank: Some(0), .. })),
        "{errors:?}"
    );
    // A save on the way may fail, and no rank waits for another.
    let config = TrainConfig {
        on_failed_save: FailedSavePolicy::Continue,
        ..config
    };
    let setup = Setup {
        config: &config,
        ..setup
    };
    let errors = setup.errors(2, &folder.path().join("full, on the way"));
    assert!(matches!(errors[0], Some(Error::Checkpoint(_))), "{errors:?}");
}

#[test]
fn shares_that_are_not_even_and_ranks_of_different_runs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_micro_batches(4);
    for error in Setup::new(&config, None).errors(3, &folder.path().join("uneven")) {
        let uneven = Error::UnevenShares {
            accumulation: 4,
            ranks: 3,
        };
        assert_eq!(error.unwrap().to_string(), uneven.to_string());
        assert!(uneven.to_string().contains("start 1 or 2 or 4 ranks"), "{uneven}");
    }
    let dir = folder.path().join("different");
    let start = |rank: ThreadRank| {
        let config = TrainConfig {
            seed: rank.rank() as u64 / 2,
            ..with_micro_batches(4)
        };
        Setup::new(&config, None).run(rank, &dir).err().unwrap()
    };
    let errors: Vec<_> = std::thread::scope(|scope| {
        let start = &start;
        let ranks = ThreadRank::all(4).into_iter();
        let threads: Vec<_> = ranks.map(|rank| scope.spawn(move || start(rank))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    // The first to see it ends, and may be what another one sees.
    let found = |error: &Error| matches!(error, Error::OtherRank { rank: 2 } | Error::RankLost { .. });
    assert!(errors.iter().all(found), "{errors:?}");
    assert!(matches!(errors[0], Error::OtherRank { .. }), "{errors:?}");
}

#[test]
fn an_evaluation_is_broken_off_on_all_ranks_and_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_micro_batches(4);
    let (expected, whole, _) = together(1, &folder.path().join("whole"), &config, None);
    let dir = folder.path().join("run");
    std::thread::scope(|scope| {
        for rank in ThreadRank::all(2) {
            let (config, dir) = (&config, &dir);
            scope.spawn(move || {
                let toy = Toy::with_layers(4);
                let loader = toy.loader(true);
                let trainer = toy.trainer(config, &loader, &toy.objective, dir);
                // Two rounds for three batches: the third round is the first of the evaluation at step 5.
                let mut watcher = Watcher {
                    stop_in_evaluation: Some(3),
                    ..Watcher::default()
                };
                let result = run(&mut trainer.with_ranks(&rank).unwrap(), &mut watcher).unwrap();
                assert_eq!(result.outcome, Outcome::Interrupted { step: 5 });
            });
        }
    });
    let (result, all, _) = together(2, &dir, &config, None);
    assert_eq!(timeless(&result), timeless(&expected));
    assert!(all == whole);
}

/// A rank that counts the numbers it sums.
#[derive(Debug)]
struct Counting(ThreadRank, AtomicUsize);

impl Collective for Counting {
    fn rank(&self) -> usize {
        self.0.rank()
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn all_gather(&self, mine: &[u64]) -> Result<Vec<u64>, Error> {
        self.0.all_gather(mine)
    }

    fn sum(&self, values: &mut Vec<f32>) -> Result<(), Error> {
        self.1.fetch_add(values.len(), Ordering::Relaxed);
        self.0.sum(values)
    }

    fn broadcast(&self, bytes: &mut Vec<u8>) -> Result<(), Error> {
        self.0.broadcast(bytes)
    }
}

#[test]
fn learning_an_operator_sums_its_matrices_only() {
    let folder = tempfile::tempdir().unwrap();
    let config = TrainConfig {
        steps: 6,
        eval_every: 3,
        ..with_micro_batches(4)
    };
    // Losses, learned numbers, numbers of the large model, and numbers that were summed in a step.
    let learn = |rank: ThreadRank| {
        let counting = Counting(rank, AtomicUsize::new(0));
        let (toy, device) = (Toy::new(), Device::flex());
        let loader = toy.loader(true);
        let mut large = BertConfig::new(toy.tokens.info().vocab_size, 24, 3, 3);
        large.max_position_embeddings = toy::SEQ_LEN;
        let large = ModelConfig::Bert(large);
        let operator = LigoOperator::new(&toy.model.table(), &large.table(), &LigoConfig::default(), 4).unwrap();
        let small = toy.store().to_values().unwrap().into_iter();
        let mut small = MemorySource::new(small.map(|(info, values)| (info.name, info.shape, values)));
        let objective = OperatorObjective::new(operator, &large, &mut small, &device).unwrap();
        let start = objective.start(&device).unwrap();
        let learned = start.num_parameters();
        let data = RunData {
            train: &loader,
            valid: &toy.valid,
        };
        let dir = folder.path().join(format!("{}", counting.size()));
        let trainer = Trainer::new(config.clone(), &objective, start, data, dir).unwrap();
        let mut trainer = trainer.with_ranks(&counting).unwrap();
        let result = run(&mut trainer, &mut Watcher::default()).unwrap();
        let whole = large.table().num_parameters();
        let losses: Vec<f64> = result.curve.iter().map(|point| point.loss).collect();
        (losses, learned, whole, counting.1.load(Ordering::Relaxed) / 6)
    };
    let on = |size: usize| {
        std::thread::scope(|scope| {
            let learn = &learn;
            let ranks = ThreadRank::all(size).into_iter();
            let threads: Vec<_> = ranks.map(|rank| scope.spawn(move || learn(rank))).collect();
            let mut ended: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            ended.swap_remove(0)
        })
    };
    let (one, ..) = on(1);
    let (two, learned, whole, summed) = on(2);
    assert!(one[2] < one[0] - 0.01, "nothing was learned: {one:?}");
    for (a, b) in one.iter().zip(&two) {
        assert!((a - b).abs() < 1e-5 * a, "{one:?} and {two:?}");
    }
    assert_eq!(summed, learned);
    assert!(learned < whole, "{learned} {whole}");
}

#[test]
fn the_log_tells_what_each_rank_computed_for() {
    let folder = tempfile::tempdir().unwrap();
    let (result, ..) = together(2, folder.path(), &with_micro_batches(4), Some(6));
    let records = read(folder.path().join("metrics.jsonl")).unwrap();
    let lines = records.iter().filter_map(|record| match record {
        Record::Train(line) => Some(line),
        _ => None,
    });
    let mut sum = 0.0;
    for line in lines {
        assert!(line.rank_seconds.len() == 2 && line.rank_seconds.iter().all(|seconds| *seconds > 0.0));
        sum += line.rank_seconds[0];
    }
    assert!(sum <= result.seconds, "{sum} of {}", result.seconds);
    let shared =
        |record: &&Record| matches!(record, Record::Event(event) if event.message.contains("2 of 4 micro-batches"));
    assert_eq!(records.iter().filter(shared).count(), 1);
}
