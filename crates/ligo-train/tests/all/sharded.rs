//! A run whose ranks keep shares of the optimizer's state is the run of one.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::toy::{self, Toy, Watcher, run, timeless, with_micro_batches};
use ligo_checkpoint::{Change, Disk};
use ligo_train::{
    Average, Collective, Error, Event, FailedSavePolicy, HostMoments, OptimizerKind, ThreadRank, TrainConfig,
    TrainResult,
};

/// What a rank comes to.
struct Ended {
    result: TrainResult,
    weights: BTreeMap<String, Vec<u32>>,
    moments: HostMoments,
    watcher: Watcher,
    /// Numbers that the rank gave to sums and to gathers.
    given: [usize; 2],
}

/// What a rank does to what it has gathered.
type Meddling = fn(rank: usize, gather: usize, gathered: &mut Vec<f32>) -> Result<(), Error>;

/// A rank that counts, and meddles with what it gathers.
#[derive(Debug)]
struct Meddler {
    rank: ThreadRank,
    meddling: Meddling,
    gathers: AtomicUsize,
    given: [AtomicUsize; 2],
}

impl Meddler {
    fn count(&self, what: usize, numbers: usize) {
        self.given[what].fetch_add(numbers, Ordering::Relaxed);
    }
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
        // An all-reduce: what is summed is given to all once more.
        self.count(0, values.len());
        self.count(1, values.len());
        self.rank.sum(values)
    }

    fn sum_parts(&self, values: Vec<f32>, parts: &[usize]) -> Result<Vec<f32>, Error> {
        self.count(0, values.len());
        self.rank.sum_parts(values, parts)
    }

    fn gather_parts(&self, mine: Vec<f32>, parts: &[usize]) -> Result<Vec<f32>, Error> {
        self.count(1, parts.iter().sum());
        let mut values = self.rank.gather_parts(mine, parts)?;
        (self.meddling)(self.rank(), self.gathers.fetch_add(1, Ordering::Relaxed), &mut values)?;
        Ok(values)
    }

    fn broadcast(&self, bytes: &mut Vec<u8>) -> Result<(), Error> {
        self.rank.broadcast(bytes)
    }
}

/// A rank that knows no parts.
#[derive(Debug)]
struct Plain(ThreadRank);

impl Collective for Plain {
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
        self.0.sum(values)
    }

    fn broadcast(&self, bytes: &mut Vec<u8>) -> Result<(), Error> {
        self.0.broadcast(bytes)
    }
}

#[derive(Clone, Copy)]
struct Setup<'a> {
    config: &'a TrainConfig,
    is_sharded: bool,
    stop: Option<u64>,
    meddling: Meddling,
    is_disk_full: bool,
    /// Moments that rank 0 begins with.
    start: Option<&'a HostMoments>,
}

impl<'a> Setup<'a> {
    fn sharded(config: &'a TrainConfig) -> Self {
        Self {
            config,
            is_sharded: true,
            stop: None,
            meddling: |_, _, _| Ok(()),
            is_disk_full: false,
            start: None,
        }
    }

    fn plain(config: &'a TrainConfig) -> Self {
        Self {
            is_sharded: false,
            ..Self::sharded(config)
        }
    }

    fn until(self, step: u64) -> Self {
        Self {
            stop: Some(step),
            ..self
        }
    }

    /// Each rank in a thread; `None` where it panicked.
    fn on(self, size: usize, dir: &Path) -> Vec<Option<Result<Ended, Error>>> {
        std::thread::scope(|scope| {
            let ranks = ThreadRank::all(size).into_iter();
            let run = |rank| {
                move || {
                    let rank = Meddler {
                        rank,
                        meddling: self.meddling,
                        gathers: AtomicUsize::new(0),
                        given: Default::default(),
                    };
                    let mut ended = self.run(&rank, dir)?;
                    ended.given = rank.given.map(AtomicUsize::into_inner);
                    Ok(ended)
                }
            };
            let threads: Vec<_> = ranks.map(|rank| scope.spawn(run(rank))).collect();
            threads.into_iter().map(|thread| thread.join().ok()).collect()
        })
    }

    fn run(self, rank: &dyn Collective, dir: &Path) -> Result<Ended, Error> {
        let toy = Toy::with_layers(4);
        let loader = toy.loader(true);
        let is_full = self.is_disk_full;
        let disk = Disk::with_hook(move |change| match change {
            Change::Write(..) if is_full => Err(io::Error::from(io::ErrorKind::StorageFull)),
            _ => Ok(()),
        });
        let trainer = toy.trainer(self.config, &loader, &toy.objective, dir).with_disk(disk);
        let mut trainer = trainer.with_ranks(rank)?;
        if self.is_sharded {
            trainer = trainer.with_optimizer_sharding();
        }
        if let Some(moments) = self.start.filter(|_| rank.rank() == 0) {
            trainer = trainer.with_moments(moments.clone(), 7)?;
        }
        let mut watcher = Watcher {
            stop_after_step: self.stop,
            ..Watcher::default()
        };
        let result = run(&mut trainer, &mut watcher)?;
        let weights = trainer.store().to_values()?.into_iter();
        Ok(Ended {
            result,
            weights: weights
                .map(|(info, values)| (info.name, values.iter().map(|x| x.to_bits()).collect()))
                .collect(),
            moments: trainer.optimizer().to_moments(trainer.store())?,
            watcher,
            given: [0; 2],
        })
    }

    /// All ranks must end well, with the same weights.
    fn together(self, size: usize, dir: &Path) -> Vec<Ended> {
        let ended: Vec<Ended> = self
            .on(size, dir)
            .into_iter()
            .map(|ended| ended.unwrap().unwrap())
            .collect();
        assert!(ended.iter().all(|other| other.weights == ended[0].weights));
        ended
    }

    fn errors(self, size: usize, dir: &Path) -> Vec<Option<Error>> {
        let ended = self.on(size, dir).into_iter();
        ended
            .map(|ended| ended.map(|ended| ended.err().expect("this rank should fail")))
            .collect()
    }
}

fn state(dir: &Path) -> Vec<u8> {
    std::fs::read(dir.join("checkpoints/step-24/state.safetensors")).unwrap()
}

fn counters(dir: &Path) -> Vec<u8> {
    let text = std::fs::read_to_string(dir.join("checkpoints/step-24/state.json")).unwrap();
    // All but the clock.
    let lines = text.lines().filter(|line| !line.contains("seconds"));
    lines.collect::<String>().into_bytes()
}

#[test]
fn shares_of_the_moments_give_the_same_bits_and_the_same_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    for (accumulation, sizes) in [(4, [1, 2, 4].as_slice()), (12, &[1, 3, 6, 12])] {
        let config = with_micro_batches(accumulation);
        let whole = folder.path().join(format!("{accumulation}"));
        let expected = Setup::plain(&config).together(1, &whole).swap_remove(0);
        for size in sizes {
            let dir = folder.path().join(format!("{accumulation}-{size}"));
            let ended = Setup::sharded(&config).together(*size, &dir);
            assert_eq!(timeless(&ended[0].result), timeless(&expected.result), "{size}");
            assert!(ended[0].weights == expected.weights, "{size} of {accumulation}");
            assert!(state(&dir) == state(&whole), "{size} of {accumulation}");
            assert!(counters(&dir) == counters(&whole));
            // Each moment is on one rank.
            let mut moments: HostMoments = Vec::new();
            for rank in &ended {
                assert!(*size == 1 || rank.moments.len() < expected.moments.len());
                moments.extend(rank.moments.iter().cloned());
            }
            moments.sort_by(|a, b| a.0.cmp(&b.0));
            let mut all = expected.moments.clone();
            all.sort_by(|a, b| a.0.cmp(&b.0));
            assert!(moments == all);
        }
    }
}

#[test]
fn every_rule_and_schedule_is_the_same_with_shares() {
    let folder = tempfile::tempdir().unwrap();
    let with = |change: &dyn Fn(&mut TrainConfig)| {
        let mut config = with_micro_batches(4);
        change(&mut config);
        config
    };
    let cases = [
        ("muon", with(&|c| c.optimizer.kind = OptimizerKind::Muon)),
        ("descent", with(&|c| c.optimizer.kind = OptimizerKind::Sgd)),
        (
            "average",
            with(&|c| {
                c.average = Some(Average {
                    ema: Some(0.9),
                    ..Average::default()
                });
            }),
        ),
        (
            "layers that some steps lack",
            with(&|c| {
                c.layer_drop = toy::layer_drop();
                c.freeze = toy::freeze();
            }),
        ),
    ];
    for (name, config) in cases {
        let dir = |kind: &str| folder.path().join(format!("{name} {kind}"));
        let expected = Setup::plain(&config).together(1, &dir("whole")).swap_remove(0);
        Setup::sharded(&config).until(9).together(4, &dir("run"));
        let ended = Setup::sharded(&config).together(2, &dir("run"));
        assert_eq!(timeless(&ended[0].result), timeless(&expected.result), "{name}");
        assert!(state(&dir("run")) == state(&dir("whole")), "{name}");
    }
}

#[test]
fn a_run_goes_on_with_shares_or_without_on_any_number_of_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_micro_batches(4);
    let whole = folder.path().join("whole");
    let expected = Setup::plain(&config).together(1, &whole).swap_remove(0);
    let (sharded, plain) = (Setup::sharded(&config), Setup::plain(&config));
    for (i, [first, second, last]) in [
        [(sharded, 4), (plain, 2), (plain, 1)],
        [(plain, 4), (sharded, 2), (plain, 1)],
        [(plain, 1), (sharded, 2), (sharded, 4)],
    ]
    .into_iter()
    .enumerate()
    {
        for stops in [[1, 2], [7, 8], [14, 23]] {
            let dir = folder.path().join(format!("{i} {stops:?}"));
            first.0.until(stops[0]).together(first.1, &dir);
            let ended = second.0.until(stops[1]).together(second.1, &dir);
            assert!(matches!(ended[0].watcher.events[0], Event::Resumed { step, .. } if step == stops[0]));
            let ended = last.0.together(last.1, &dir);
            assert_eq!(timeless(&ended[0].result), timeless(&expected.result));
            assert!(state(&dir) == state(&whole), "{i} {stops:?}");
        }
    }
}

#[test]
fn moments_that_a_run_begins_with_are_dealt_out() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_micro_batches(4);
    let before = Setup::plain(&config)
        .until(5)
        .together(1, &folder.path().join("before"));
    let start = Some(&before[0].moments);
    let on = |size: usize, is_sharded: bool| {
        let dir = folder.path().join(format!("on {size}"));
        let setup = Setup {
            start,
            is_sharded,
            ..Setup::plain(&config)
        };
        let weights = setup.together(size, &dir).swap_remove(0).weights;
        (weights, state(&dir))
    };
    let expected = on(1, false);
    assert!(on(4, true) == expected);
    // Negative control: they matter.
    let fresh = Setup::plain(&config).together(1, &folder.path().join("fresh"));
    assert!(fresh[0].weights != expected.0);
}

#[test]
fn no_more_is_sent_than_without_shares() {
    let folder = tempfile::tempdir().unwrap();
    let config = TrainConfig {
        checkpoint_every: 0,
        ..with_micro_batches(4)
    };
    let given = |setup: Setup<'_>, name: &str| setup.together(4, &folder.path().join(name))[0].given;
    let plain = given(Setup::plain(&config), "plain");
    let [sums, gathers] = given(Setup::sharded(&config), "shares");
    assert_eq!(sums, plain[0]);
    // Beside the weights of all steps there are the moments of one checkpoint.
    let of_a_step = plain[1] / 24;
    assert!(
        gathers > plain[1] && gathers < plain[1] + 2 * of_a_step,
        "{gathers} {plain:?}"
    );
}

#[test]
fn ranks_that_know_no_parts_come_to_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_micro_batches(4);
    let whole = folder.path().join("whole");
    Setup::plain(&config).together(1, &whole);
    let dir = folder.path().join("plain ranks");
    std::thread::scope(|scope| {
        for rank in ThreadRank::all(2) {
            let (config, dir) = (&config, &dir);
            scope.spawn(move || Setup::sharded(config).run(&Plain(rank), dir).map(drop).unwrap());
        }
    });
    assert!(state(&dir) == state(&whole));
}

#[test]
fn a_rank_that_is_lost_in_the_gather_ends_the_others_and_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_micro_batches(4);
    let whole = folder.path().join("whole");
    Setup::plain(&config).together(1, &whole);
    let fails: Meddling = |rank, gather, _| match (rank, gather) {
        (2, 90) => Err(Error::NothingToLearn { step: 10 }),
        _ => Ok(()),
    };
    let panics: Meddling = |rank, gather, _| {
        assert!((rank, gather) != (2, 90), "a fault of rank 2");
        Ok(())
    };
    for (name, meddling) in [("fails", fails), ("panics", panics)] {
        let dir = folder.path().join(name);
        let setup = Setup {
            meddling,
            ..Setup::sharded(&config)
        };
        for (rank, error) in setup.errors(4, &dir).into_iter().enumerate() {
            match rank {
                2 => assert!(matches!(error, None | Some(Error::NothingToLearn { .. })), "{error:?}"),
                _ => assert!(
                    matches!(error, Some(Error::RankLost { rank: Some(2), .. })),
                    "{error:?}"
                ),
            }
        }
        Setup::sharded(&config).together(4, &dir);
        assert!(state(&dir) == state(&whole), "{name}");
    }
}

#[test]
fn a_bit_that_flips_in_what_was_gathered_is_found_before_it_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let config = TrainConfig {
        checkpoint_every: 0,
        ..with_micro_batches(4)
    };
    let setup = Setup {
        meddling: |rank, gather, gathered| {
            // That of the last step: what flips sooner the next step replaces by what the owner has.
            if (rank, gather) == (1, 23) {
                // The first numbers are those of rank 0.
                gathered[7] = f32::from_bits(gathered[7].to_bits() ^ 1 << 12);
            }
            Ok(())
        },
        ..Setup::sharded(&config)
    };
    for error in setup.errors(2, folder.path()) {
        assert!(
            matches!(error, Some(Error::ReplicasDiffer { rank: 1, .. })),
            "{error:?}"
        );
    }
}

#[test]
fn a_checkpoint_that_cannot_be_written_keeps_no_rank_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let config = TrainConfig {
        on_failed_save: FailedSavePolicy::Continue,
        ..with_micro_batches(4)
    };
    let setup = Setup {
        is_disk_full: true,
        ..Setup::sharded(&config)
    };
    // Saves on the way fail and the run goes on; the last one must succeed.
    let errors = setup.errors(4, folder.path());
    assert!(matches!(errors[0], Some(Error::Checkpoint(_))), "{errors:?}");
    assert!(
        errors[1..]
            .iter()
            .all(|error| matches!(error, Some(Error::RankLost { rank: Some(0), .. })))
    );
}

#[test]
fn ranks_must_agree_whether_they_keep_shares() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_micro_batches(4);
    let start = |rank: ThreadRank| {
        let setup = match rank.rank() {
            0 => Setup::sharded(&config),
            _ => Setup::plain(&config),
        };
        setup.run(&rank, folder.path()).err().unwrap()
    };
    let errors: Vec<Error> = std::thread::scope(|scope| {
        let start = &start;
        let ranks = ThreadRank::all(2).into_iter();
        let threads: Vec<_> = ranks.map(|rank| scope.spawn(move || start(rank))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(
        errors.iter().any(|error| matches!(error, Error::OtherRank { rank: 1 })),
        "{errors:?}"
    );
}
