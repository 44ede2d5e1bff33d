//! What goes wrong in a run is reported by type and costs nothing that was reached before.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ligo_checkpoint::{Change, Disk};
use ligo_train::{
    Error, Event, FailedSavePolicy, Observer, Outcome, RunData, Silent, StepReport, TrainConfig, Trainer,
};

use crate::toy::{Toy, Watcher, bits, config, run, timeless};

/// A disk that refuses to write while the flag is up, after a number of bytes.
fn full_disk(full: &Arc<AtomicBool>, room: u64) -> Disk {
    let (full, used) = (Arc::clone(full), AtomicU64::new(0));
    Disk::with_hook(move |change| match change {
        Change::Write(_, bytes) if full.load(Ordering::Relaxed) => {
            let before = used.fetch_add(bytes as u64, Ordering::Relaxed);
            if before + bytes as u64 > room {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            Ok(())
        }
        _ => Ok(()),
    })
}

/// Fills the disk once a step is done.
struct Filling<'a>(&'a AtomicBool, u64);

impl Observer for Filling<'_> {
    fn on_step(&mut self, report: &StepReport) {
        if report.step == self.1 {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_full_disk_leaves_the_former_checkpoint_and_the_run_goes_on_from_it() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let mut whole = toy.trainer(&config(), &loader, &toy.objective, &toy.folder.path().join("whole"));
    let expected = run(&mut whole, &mut Watcher::default()).unwrap();

    for (i, room) in [0, 100, 5_000, 60_000].into_iter().enumerate() {
        let run_dir = toy.folder.path().join(format!("full-{i}"));
        let full = Arc::new(AtomicBool::new(false));
        let trainer = toy.trainer(&config(), &loader, &toy.objective, &run_dir);
        let mut trainer = trainer.with_disk(full_disk(&full, room));
        // Step 7 is saved, step 14 is not.
        let error = trainer
            .run(&AtomicBool::new(false), &mut Filling(&full, 10))
            .unwrap_err();
        assert!(
            matches!(error, Error::Checkpoint(ligo_checkpoint::Error::Write { .. })),
            "{error}"
        );
        drop(trainer);

        let mut second = toy.trainer(&config(), &loader, &toy.objective, &run_dir);
        let mut watcher = Watcher::default();
        let result = run(&mut second, &mut watcher).unwrap();
        assert!(matches!(watcher.events[0], Event::Resumed { step: 7, .. }));
        assert_eq!(timeless(&result), timeless(&expected));
        assert_eq!(bits(&second), bits(&whole));
    }
}

#[test]
fn a_run_may_go_on_without_a_checkpoint_but_not_end_without_one() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let config = TrainConfig {
        on_failed_save: FailedSavePolicy::Continue,
        ..config()
    };
    let full = Arc::new(AtomicBool::new(true));
    let trainer = toy.trainer(&config, &loader, &toy.objective, &toy.folder.path().join("run"));
    let mut trainer = trainer.with_disk(full_disk(&full, 0));
    let mut watcher = Watcher::default();
    let error = run(&mut trainer, &mut watcher).unwrap_err();
    assert!(matches!(error, Error::Checkpoint(_)), "{error}");
    let failed: Vec<u64> = watcher
        .events
        .iter()
        .filter_map(|e| match e {
            Event::SaveFailed { step, .. } => Some(*step),
            _ => None,
        })
        .collect();
    assert_eq!(failed, [7, 14, 21]);
    assert_eq!(watcher.steps.len(), 24);
}

#[test]
fn a_damaged_checkpoint_is_set_aside_and_the_one_before_it_used() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let mut whole = toy.trainer(&config(), &loader, &toy.objective, &toy.folder.path().join("whole"));
    let expected = run(&mut whole, &mut Watcher::default()).unwrap();

    let run_dir = toy.folder.path().join("damaged");
    let mut first = toy.trainer(&config(), &loader, &toy.objective, &run_dir);
    run(&mut first, &mut Watcher::stopping_after(16)).unwrap();
    drop(first);
    let file = run_dir.join("checkpoints/step-16/state.safetensors");
    let mut content = std::fs::read(&file).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    std::fs::write(&file, content).unwrap();

    let mut second = toy.trainer(&config(), &loader, &toy.objective, &run_dir);
    let mut watcher = Watcher::default();
    let result = run(&mut second, &mut watcher).unwrap();
    let Event::CheckpointRejected { path, reason } = &watcher.events[0] else {
        panic!("unexpected events {:?}", watcher.events);
    };
    assert!(path.ends_with("damaged-0-step-16") && path.exists());
    assert!(reason.contains("state.safetensors"), "{reason}");
    assert!(matches!(watcher.events[1], Event::Resumed { step: 14, .. }));
    assert_eq!(timeless(&result), timeless(&expected));
    assert_eq!(bits(&second), bits(&whole));
}

#[test]
fn old_checkpoints_are_removed_and_the_newest_kept() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let run_dir = toy.folder.path().join("run");
    let mut trainer = toy.trainer(&config(), &loader, &toy.objective, &run_dir);
    run(&mut trainer, &mut Watcher::default()).unwrap();
    let names = std::fs::read_dir(run_dir.join("checkpoints")).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    assert_eq!(names, ["step-21", "step-24"]);
}

#[test]
fn checkpoints_that_a_kill_kept_from_being_removed_are_removed_on_the_next_start() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let run_dir = toy.folder.path().join("run");
    let start = || toy.trainer(&config(), &loader, &toy.objective, &run_dir);
    run(&mut start(), &mut Watcher::stopping_after(9)).unwrap();
    let folder = run_dir.join("checkpoints");
    let kept = run_dir.join("kept");
    std::fs::rename(folder.join("step-7"), &kept).unwrap();
    run(&mut start(), &mut Watcher::default()).unwrap();
    // As if the last save had been killed before it removed an old one.
    std::fs::rename(&kept, folder.join("step-7")).unwrap();
    run(&mut start(), &mut Watcher::default()).unwrap();
    assert!(!folder.join("step-7").exists() && folder.join("step-21").exists() && folder.join("step-24").exists());
}

#[test]
fn checkpoints_of_a_run_with_other_settings_are_refused() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let run_dir = toy.folder.path().join("run");
    let mut first = toy.trainer(&config(), &loader, &toy.objective, &run_dir);
    run(&mut first, &mut Watcher::stopping_after(5)).unwrap();
    drop(first);
    let refused = |config: TrainConfig, shuffle: bool| {
        let loader = toy.loader(shuffle);
        let mut trainer = toy.trainer(&config, &loader, &toy.objective, &run_dir);
        match run(&mut trainer, &mut Watcher::default()) {
            Err(Error::OtherRun { differences, .. }) => differences.join("; "),
            other => panic!("unexpected outcome {other:?}"),
        }
    };
    assert_eq!(
        refused(TrainConfig { seed: 12, ..config() }, true),
        "seed was 11 and is now 12"
    );
    assert!(refused(config(), false).contains("data"));
    // How often to save may change.
    let often = TrainConfig {
        checkpoint_every: 2,
        ..config()
    };
    let mut trainer = toy.trainer(&often, &loader, &toy.objective, &run_dir);
    assert_eq!(run(&mut trainer, &mut Watcher::default()).unwrap().steps, 24);
}

#[test]
fn a_second_run_in_the_same_folder_is_refused_while_the_first_goes_on() {
    struct Intruder<'a>(&'a mut dyn FnMut());
    impl Observer for Intruder<'_> {
        fn on_step(&mut self, _report: &StepReport) {
            (self.0)();
        }
    }
    let toy = Toy::new();
    let loader = toy.loader(true);
    let run_dir = toy.folder.path().join("run");
    let mut refused = 0;
    let mut intrude = || {
        let mut second = toy.trainer(&config(), &loader, &toy.objective, &run_dir);
        let error = run(&mut second, &mut Watcher::default()).unwrap_err();
        assert!(
            matches!(error, Error::Checkpoint(ligo_checkpoint::Error::InUse { .. })),
            "{error}"
        );
        refused += 1;
    };
    let mut first = toy.trainer(&config(), &loader, &toy.objective, &run_dir);
    let short = first.run(&AtomicBool::new(false), &mut Intruder(&mut intrude));
    assert_eq!(short.unwrap().outcome, Outcome::Completed);
    assert_eq!(refused, 24);
}

#[test]
fn nothing_to_evaluate_on_is_reported_before_the_first_step() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let data = RunData {
        train: &loader,
        valid: &[],
    };
    let got = Trainer::new(
        config(),
        &toy.objective,
        toy.store(),
        data,
        toy.folder.path().join("run"),
    );
    assert!(matches!(got, Err(Error::NothingToEvaluate)));
}

#[test]
fn a_store_without_a_tensor_of_the_model_is_refused_by_name() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let mut values = toy.store().to_values().unwrap();
    let (lost, _) = values.remove(3);
    let store = ligo_train::ParamStore::from_values(values, toy.store().device()).unwrap();
    let data = RunData {
        train: &loader,
        valid: &toy.valid,
    };
    let mut trainer = Trainer::new(config(), &toy.objective, store, data, toy.folder.path().join("run")).unwrap();
    let got = trainer.run(&AtomicBool::new(false), &mut Silent);
    assert!(matches!(got, Err(Error::UnknownParameter { name, .. }) if name == lost.name));
}
