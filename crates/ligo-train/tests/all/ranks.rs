//! A run that several ranks share is the run of one.

mod faults;
mod operator;

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
    Average, Collective, DistillObjective, Error, Event, FailedSavePolicy, Learner, Leaves, NonFinitePolicy, Objective,
    OperatorObjective, OptimizerKind, Outcome, RunData, StepContext, ThreadRank, TrainConfig, TrainResult, Trainer,
};

use crate::toy::{self, Toy, Watcher, bits, run, timeless, with_micro_batches};

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
    let schedules = [
        ("plain", with(&|_| {})),
        ("layer drop", with(&|c| c.layer_drop = toy::layer_drop())),
        (
            "token drop",
            with(&|c| {
                c.token_drop = toy::token_drop();
            }),
        ),
        (
            "sub-models",
            with(&|c| {
                c.submodels = toy::submodels();
            }),
        ),
        (
            "freeze and distillation",
            with(&|c| {
                c.layer_drop = toy::layer_drop();
                c.freeze = toy::freeze();
                c.distillation = toy::distillation();
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
    assert!(sum <= result.cost.seconds, "{sum} of {}", result.cost.seconds);
    let shared =
        |record: &&Record| matches!(record, Record::Event(event) if event.message.contains("2 of 4 micro-batches"));
    assert_eq!(records.iter().filter(shared).count(), 1);
}
