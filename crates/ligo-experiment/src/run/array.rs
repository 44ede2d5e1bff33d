//! The units of a comparison in processes that know of each other by the files of its folder alone: jobs of an array, or ranks that each do one
//! unit at a time.
//!
//! `.units/` in the run's folder is theirs: for each unit a folder that is locked while somebody does it, with a mark for how it ended, and for
//! each share of an array a folder that is locked while its process lives. It goes away when the comparison is gathered.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use ligo_checkpoint::RunLock;

use super::leftovers::LOCK;
use super::share::Share;
use super::{Failed, RunFolder, Runner, Unit};
use crate::files::write_whole;
use crate::{Failure, Listener, stop};

/// Everything that these processes tell each other.
const FOLDER: &str = ".units";
const SHARES: &str = "shares";
/// Marks in a unit's folder.
const DONE: &str = "done";
const FAILED: &str = "failed";

/// How often to look what the others have done.
const TICK: Duration = Duration::from_millis(200);
/// Seconds to wait for a unit that nobody does.
const PATIENCE_VARIABLE: &str = "LIGO_UNIT_PATIENCE";
const PATIENCE: u64 = 600;
/// Whoever only looks whether a lock is held holds it for a moment.
const MOMENT: Duration = Duration::from_secs(5);

fn share_folder(share: Share, run: &Path) -> PathBuf {
    run.join(FOLDER).join(SHARES).join(share.folder_name())
}

/// Which units a process does.
#[derive(Clone, Copy, Debug)]
enum Deal {
    /// Those of a share, whose process began at this time of the disk.
    Share(Share, SystemTime),
    /// Any that nobody else does.
    Any,
}

/// How a unit stands.
enum Standing {
    Done,
    /// One that it needs has failed.
    Without(String),
    /// One that it needs is not complete.
    Waits(usize),
    /// Somebody does it.
    Taken,
    Ready(RunLock),
}

/// What a process does of a run.
struct Worker<'a> {
    units: &'a [Unit],
    run: &'a Path,
    is_complete: &'a dyn Fn(&Unit) -> bool,
    work: &'a dyn Fn(&Unit) -> Result<(), Failure>,
    listener: &'a dyn Listener,
    deal: Deal,
    patience: Duration,
}

/// Does a share of the units, in their order, each when those that it waits for are complete. Returns those that failed.
///
/// # Errors
/// [`Failure::Interrupted`]; [`Failure::Waiting`] where one that is waited for is not complete and nobody does it; another process has this share.
pub fn work_share(
    share: Share,
    units: &[Unit],
    run: &RunFolder<'_>,
    runner: &Runner<'_>,
    listener: &dyn Listener,
) -> Result<Vec<Failed>, Failure> {
    let folder = share_folder(share, run.path);
    let _alive = lock_in_time(&folder)?;
    let lock = folder.join(LOCK);
    let began = fs::metadata(&lock).and_then(|found| found.modified());
    let worker = Worker {
        units,
        run: run.path,
        is_complete: &|unit| run.is_done(unit),
        work: &|unit| runner.run(unit),
        listener,
        deal: Deal::Share(share, began.map_err(Failure::io("read", &lock))?),
        patience: patience()?,
    };
    worker.run()
}

/// Does any units that no other process does, until all are done or failed. Returns those that this one could not do.
///
/// # Errors
/// [`Failure::Interrupted`].
pub fn work_any(
    units: &[Unit],
    run: &RunFolder<'_>,
    runner: &Runner<'_>,
    listener: &dyn Listener,
) -> Result<Vec<Failed>, Failure> {
    let worker = Worker {
        units,
        run: run.path,
        is_complete: &|_| false,
        work: &|unit| runner.run(unit),
        listener,
        deal: Deal::Any,
        patience: Duration::MAX,
    };
    worker.run()
}

/// The units that some process could not do, and those that waited for them.
pub fn failed(units: &[Unit], run: &Path) -> Vec<Failed> {
    let failed = |unit: &Unit| {
        let reason = fs::read_to_string(mark_of(run, &unit.name, FAILED)).ok()?;
        Some(Failed {
            unit: unit.name.clone(),
            reason,
            log: None,
        })
    };
    units.iter().filter_map(failed).collect()
}

/// Forgets what processes told each other, for a process that does or gathers all units.
///
/// # Errors
/// Some of them still work; or the folder cannot be removed.
pub fn forget(run: &Path) -> Result<(), Failure> {
    let folder = run.join(FOLDER);
    let shares = fs::read_dir(folder.join(SHARES)).into_iter().flatten().flatten();
    let mut alive: Vec<String> = shares
        .filter(|share| is_held(&share.path()))
        .map(|share| share.file_name().to_string_lossy().replace("-of-", "/"))
        .collect();
    alive.sort();
    if !alive.is_empty() {
        return Err(Failure::other(
            format!("other processes do units of {}: {}", run.display(), alive.join(", ")),
            "wait until they have ended, or do one more share with --unit",
        ));
    }
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::io("remove", &folder)(error)),
        _ => Ok(()),
    }
}

fn patience() -> Result<Duration, Failure> {
    let Ok(text) = std::env::var(PATIENCE_VARIABLE) else {
        return Ok(Duration::from_secs(PATIENCE));
    };
    text.parse().map(Duration::from_secs).map_err(|_| {
        Failure::other(
            format!("{PATIENCE_VARIABLE} is {text:?}"),
            "expected whole seconds that a unit waits for one that nobody does",
        )
    })
}

/// Takes a run's folder as soon as no other process makes its data. What a killed one left stays until the run is gathered, since others may
/// be writing.
pub fn wait_for(folder: &Path, listener: &dyn Listener) -> Result<RunLock, Failure> {
    let mut is_said = false;
    loop {
        match RunLock::acquire(folder) {
            Err(ligo_checkpoint::Error::InUse { .. }) if stop::requested() => return Err(Failure::Interrupted),
            Err(error @ ligo_checkpoint::Error::InUse { .. }) => {
                if !is_said {
                    listener.say(&format!("{error}; waiting until its data are there"));
                    is_said = true;
                }
                std::thread::sleep(TICK);
            }
            outcome => return Ok(outcome?),
        }
    }
}

fn lock_in_time(folder: &Path) -> Result<RunLock, Failure> {
    let began = Instant::now();
    loop {
        match RunLock::acquire(folder) {
            Err(ligo_checkpoint::Error::InUse { .. }) if began.elapsed() < MOMENT => std::thread::sleep(TICK),
            outcome => return Ok(outcome?),
        }
    }
}

fn is_held(folder: &Path) -> bool {
    folder.is_dir() && matches!(RunLock::acquire(folder), Err(ligo_checkpoint::Error::InUse { .. }))
}

fn mark_of(run: &Path, unit: &str, mark: &str) -> PathBuf {
    run.join(FOLDER).join("of").join(unit).join(mark)
}

impl Worker<'_> {
    fn run(self) -> Result<Vec<Failed>, Failure> {
        let mine = |i: &usize| match self.deal {
            Deal::Share(share, _) => share.with(*i) == share,
            Deal::Any => true,
        };
        let mut left: Vec<usize> = (0..self.units.len()).filter(mine).collect();
        let mut failed = Vec::new();
        let mut waiting = Waiting::default();
        while !left.is_empty() {
            if stop::requested() {
                return Err(Failure::Interrupted);
            }
            let mut waits_for = None;
            let mut ended = None;
            for (place, i) in left.iter().enumerate() {
                match self.standing(*i)? {
                    Standing::Done => ended = Some((place, None)),
                    Standing::Without(name) => ended = Some((place, Some(Failed::after(&self.units[*i], &name)))),
                    Standing::Ready(claim) => {
                        ended = Some((place, self.done(*i)?));
                        drop(claim);
                    }
                    Standing::Waits(on) => {
                        waits_for.get_or_insert((*i, on));
                        continue;
                    }
                    Standing::Taken => continue,
                }
                break;
            }
            match ended {
                Some((place, outcome)) => {
                    left.remove(place);
                    failed.extend(outcome);
                    waiting = Waiting::default();
                }
                None => self.wait(&mut waiting, waits_for)?,
            }
        }
        Ok(failed)
    }

    fn standing(&self, i: usize) -> Result<Standing, Failure> {
        let unit = &self.units[i];
        // Whether a share's own units are complete is found out by doing them.
        if matches!(self.deal, Deal::Any) && self.has_ended(&unit.name) {
            return Ok(Standing::Done);
        }
        for name in &unit.after {
            let Some(on) = self.units.iter().position(|other| other.name == *name) else {
                continue;
            };
            if self.is_marked(name, FAILED) {
                return Ok(Standing::Without(name.clone()));
            }
            if !self.is_marked(name, DONE) && !(self.is_complete)(&self.units[on]) {
                return Ok(Standing::Waits(on));
            }
        }
        let folder = self.run.join(FOLDER).join("of").join(&unit.name);
        match RunLock::acquire(folder) {
            Err(ligo_checkpoint::Error::InUse { .. }) => Ok(Standing::Taken),
            // Somebody may have done it since.
            Ok(_) if matches!(self.deal, Deal::Any) && self.has_ended(&unit.name) => Ok(Standing::Done),
            claim => Ok(Standing::Ready(claim?)),
        }
    }

    fn has_ended(&self, name: &str) -> bool {
        self.is_marked(name, DONE) || self.is_marked(name, FAILED)
    }

    /// Whether a unit ended so, since this process began.
    fn is_marked(&self, name: &str, mark: &str) -> bool {
        let Ok(found) = fs::metadata(mark_of(self.run, name, mark)) else {
            return false;
        };
        match self.deal {
            Deal::Any => true,
            Deal::Share(_, began) => found.modified().is_ok_and(|time| time >= began),
        }
    }

    /// Does a unit; how it failed, if it did.
    fn done(&self, i: usize) -> Result<Option<Failed>, Failure> {
        let unit = &self.units[i];
        let mark = |mark| mark_of(self.run, &unit.name, mark);
        for old in [DONE, FAILED] {
            let _ = fs::remove_file(mark(old));
        }
        match (self.work)(unit) {
            Ok(()) => write_whole(&mark(DONE), b"").map(|()| None),
            Err(failure) if failure.is_interruption() || stop::requested() => Err(failure),
            Err(failure) => {
                let failed = Failed {
                    unit: unit.name.clone(),
                    reason: failure.to_string(),
                    log: None,
                };
                self.listener.say(&failed.to_string());
                write_whole(&mark(FAILED), failed.reason.as_bytes())?;
                Ok(Some(failed))
            }
        }
    }

    fn wait(&self, waiting: &mut Waiting, waits_for: Option<(usize, usize)>) -> Result<(), Failure> {
        if let (Deal::Share(share, _), Some((i, on))) = (self.deal, waits_for) {
            let (unit, on_unit) = (&self.units[i].name, &self.units[on].name);
            if waiting.said != Some(on) {
                self.listener.say(&format!("{unit}: waiting for {on_unit}"));
                waiting.said = Some(on);
            }
            // Its own share is this process, which goes on with what it can.
            let is_done_by_somebody = is_held(&share_folder(share.with(on), self.run));
            if is_done_by_somebody {
                waiting.alone = None;
            } else if waiting.alone.get_or_insert_with(Instant::now).elapsed() >= self.patience {
                return Err(Failure::Waiting {
                    unit: unit.clone(),
                    on: on_unit.clone(),
                    share: share.with(on).to_string(),
                });
            }
        }
        std::thread::sleep(TICK);
        Ok(())
    }
}

/// What a process waits for.
#[derive(Debug, Default)]
struct Waiting {
    /// The unit of which it was said.
    said: Option<usize>,
    /// Since when nobody does that unit.
    alone: Option<Instant>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::Silent;

    fn units() -> Vec<Unit> {
        let recipe = crate::recipe::load("demo", &[])
            .unwrap()
            .comparing(&[], Some(2))
            .unwrap();
        crate::run::units(&recipe).unwrap()
    }

    fn worker<'a>(
        (units, run): (&'a [Unit], &'a Path),
        deal: Deal,
        is_complete: &'a dyn Fn(&Unit) -> bool,
        work: &'a dyn Fn(&Unit) -> Result<(), Failure>,
    ) -> Worker<'a> {
        Worker {
            units,
            run,
            is_complete,
            work,
            listener: &Silent,
            deal,
            patience: Duration::from_millis(300),
        }
    }

    #[test]
    fn all_units_are_done_once_and_none_before_those_that_it_waits_for() {
        let run = tempfile::tempdir().unwrap();
        let units = units();
        let done = Mutex::new(Vec::<String>::new());
        let work = |unit: &Unit| {
            let before = done.lock().unwrap().clone();
            assert!(unit.after.iter().all(|name| before.contains(name)), "{}", unit.name);
            std::thread::sleep(Duration::from_millis(5));
            done.lock().unwrap().push(unit.name.clone());
            Ok(())
        };
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let (units, run, work) = (&units, run.path(), &work);
                scope.spawn(move || {
                    let failed = worker((units, run), Deal::Any, &|_| false, work).run().unwrap();
                    assert!(failed.is_empty());
                });
            }
        });
        let mut names: Vec<String> = units.iter().map(|unit| unit.name.clone()).collect();
        let mut done = done.into_inner().unwrap();
        names.sort();
        done.sort();
        assert_eq!(done, names);
        assert!(failed(&units, run.path()).is_empty());
        forget(run.path()).unwrap();
        assert!(!run.path().join(FOLDER).exists());
    }

    #[test]
    fn what_fails_takes_along_what_waits_for_it_and_is_tried_once() {
        let run = tempfile::tempdir().unwrap();
        let units = units();
        let tries = AtomicUsize::new(0);
        let work = |unit: &Unit| match unit.name.as_str() {
            "small" => {
                tries.fetch_add(1, Ordering::Relaxed);
                Err(Failure::other("no disk", "buy one"))
            }
            name => panic!("{name} was done without the small model"),
        };
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let (units, run, work) = (&units, run.path(), &work);
                scope.spawn(move || {
                    let failed = worker((units, run), Deal::Any, &|_| false, work).run().unwrap();
                    assert!(failed.iter().any(|failed| failed.reason.contains("it needs small")));
                });
            }
        });
        assert_eq!(tries.into_inner(), 1);
        let failed = failed(&units, run.path());
        assert_eq!(
            (failed[0].unit.as_str(), failed[0].reason.as_str()),
            ("small", "no disk")
        );
    }

    #[test]
    fn a_share_waits_as_long_as_somebody_does_what_it_needs_and_no_longer() {
        let run = tempfile::tempdir().unwrap();
        let units = units();
        let share: Share = "2/2".parse().unwrap();
        let other = share.with(0);
        let began = SystemTime::now();
        let work = |_: &Unit| panic!("nothing can be done");
        let since = Instant::now();
        let holder = RunLock::acquire(share_folder(other, run.path())).unwrap();
        let outcome = std::thread::scope(|scope| {
            let (units, run) = (&units, run.path());
            let waiting = scope.spawn(move || worker((units, run), Deal::Share(share, began), &|_| false, &work).run());
            std::thread::sleep(Duration::from_millis(900));
            assert!(!waiting.is_finished());
            // While it lives, nobody gathers.
            let refused = forget(run).unwrap_err().to_string();
            assert!(refused.contains("1/2"), "{refused}");
            drop(holder);
            waiting.join().unwrap()
        });
        assert!(since.elapsed() >= Duration::from_millis(1200));
        let message = outcome.unwrap_err().to_string();
        assert!(
            message.contains("methods/") && message.contains("waits for small"),
            "{message}"
        );
    }
}
