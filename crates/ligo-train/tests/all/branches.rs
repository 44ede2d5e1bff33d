//! A state that is kept for runs of other lengths, by one rank or by many.

use std::path::Path;

use ligo_checkpoint::verify;
use ligo_train::{Event, LrSchedule, ScheduleKind, ThreadRank, TrainConfig, TrainResult, find_branch};
use serde_json::Value;

use crate::toy::{Toy, Watcher, run, timeless, with_micro_batches};

/// A rate that is constant between warm-up and decay.
fn of_length(steps: u64) -> TrainConfig {
    let config = with_micro_batches(4);
    TrainConfig {
        steps,
        schedule: LrSchedule {
            kind: ScheduleKind::Wsd,
            decay_share: 0.3,
            ..config.schedule
        },
        ..config
    }
}

/// Ranks that train together.
#[derive(Clone, Copy, Debug)]
struct Ranks {
    size: usize,
    is_sharded: bool,
}

const ALONE: Ranks = Ranks {
    size: 1,
    is_sharded: false,
};

fn sharded(size: usize) -> Ranks {
    Ranks { size, is_sharded: true }
}

impl Ranks {
    /// Each in a thread; what rank 0 came to, and what it told.
    fn train(self, config: &TrainConfig, dir: &Path, stop: Option<u64>) -> (TrainResult, Watcher) {
        std::thread::scope(|scope| {
            let start = |rank| scope.spawn(move || self.train_as(rank, config, dir, stop));
            let threads: Vec<_> = ThreadRank::all(self.size).into_iter().map(start).collect();
            let mut ended = threads.into_iter().map(|thread| thread.join().unwrap());
            let first = ended.next().unwrap();
            assert!(ended.all(|(result, _)| result == first.0));
            first
        })
    }

    fn train_as(self, rank: ThreadRank, config: &TrainConfig, dir: &Path, stop: Option<u64>) -> (TrainResult, Watcher) {
        let toy = Toy::with_layers(4);
        let loader = toy.loader(true);
        let trainer = toy.trainer(config, &loader, &toy.objective, dir);
        let mut trainer = trainer.with_ranks(&rank).unwrap();
        if self.is_sharded {
            trainer = trainer.with_optimizer_sharding();
        }
        if let Some(step) = config.branches_at() {
            trainer = trainer.with_branch(step);
        }
        let mut watcher = Watcher {
            stop_after_step: stop,
            ..Watcher::default()
        };
        (run(&mut trainer, &mut watcher).unwrap(), watcher)
    }
}

fn tensors(state: &Path) -> Vec<u8> {
    std::fs::read(state.join("state.safetensors")).unwrap()
}

/// All of the counters but the clock.
fn counters(state: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(state.join("state.json")).unwrap();
    let lines = text.lines().filter(|line| !line.contains("seconds"));
    lines.map(str::to_owned).collect()
}

#[test]
fn any_number_of_ranks_keeps_the_same_branch() {
    let folder = tempfile::tempdir().unwrap();
    let config = of_length(24);
    let at = config.branches_at().unwrap();
    let branch = |dir: &Path| dir.join(format!("branch/step-{at}"));
    let one = folder.path().join("one");
    let (expected, _) = ALONE.train(&config, &one, None);
    // A checkpoint of that step is the same state, and one of another step is not.
    let stopped = folder.path().join("stopped");
    ALONE.train(&config, &stopped, Some(at));
    let checkpoint = stopped.join(format!("checkpoints/step-{at}"));
    assert!(tensors(&branch(&one)) == tensors(&checkpoint));
    assert!(tensors(&branch(&one)) != tensors(&one.join("checkpoints/step-24")));
    let unsharded = Ranks {
        is_sharded: false,
        ..sharded(4)
    };
    for ranks in [sharded(2), sharded(4), unsharded] {
        let dir = folder.path().join(format!("{ranks:?}"));
        let (result, _) = ranks.train(&config, &dir, None);
        verify(branch(&dir)).unwrap();
        assert!(tensors(&branch(&dir)) == tensors(&branch(&one)), "{ranks:?}");
        assert_eq!(counters(&branch(&dir)), counters(&branch(&one)), "{ranks:?}");
        assert_eq!(timeless(&result), timeless(&expected), "{ranks:?}");
    }
}

#[test]
fn a_longer_run_goes_on_from_the_branch_of_any_ranks_on_any_other_ones() {
    let folder = tempfile::tempdir().unwrap();
    let (short, long) = (of_length(24), of_length(36));
    let at = short.branches_at().unwrap();
    let whole = folder.path().join("whole");
    let (expected, _) = ALONE.train(&long, &whole, None);
    let end = |dir: &Path| tensors(&dir.join("checkpoints/step-36"));
    for (before, after) in [(ALONE, sharded(4)), (sharded(4), sharded(2)), (sharded(2), ALONE)] {
        let dir = |name: &str| folder.path().join(format!("{name} {before:?} {after:?}"));
        before.train(&short, &dir("short"), None);
        let branch = find_branch(&dir("short"), &long, &Value::Null).unwrap().unwrap();
        assert_eq!(branch.step, at);
        branch.take(&dir("long"), &long, &Value::Null).unwrap();
        let (result, watcher) = after.train(&long, &dir("long"), None);
        assert!(matches!(watcher.events[0], Event::Resumed { step, .. } if step == at));
        assert_eq!(watcher.steps.len() as u64, 36 - at);
        assert_eq!(timeless(&result), timeless(&expected));
        assert!(end(&dir("long")) == end(&whole), "{before:?} {after:?}");
    }
}
