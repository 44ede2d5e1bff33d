//! Any call that changes the disk may fail, in every command that writes: it ends with a message that names a file, or with the right results,
//! and the same command on a healthy disk ends with the bytes of a run that nothing happened to. `LIGO_SEED` draws other calls.
//!
//! A library that stands before the C library makes calls fail, see `common/failing_calls.rs`. It is compiled here with the `rustc` that
//! compiles everything else.
#![cfg(target_os = "linux")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::jobs::{Job, beside, bytes, clear, inputs, jobs};
use crate::common::{self, Place, draws};

/// The library, or nothing where there is no compiler.
fn library(folder: &Path) -> Option<PathBuf> {
    let (source, library) = (folder.join("failing_calls.rs"), folder.join("libfailing_calls.so"));
    fs::write(&source, include_str!("failing_disk/failing_calls.rs")).unwrap();
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--edition", "2024", "-O", "--crate-type", "cdylib", "-o"])
        .args([&library, &source])
        .output()
        .ok()?;
    assert!(output.status.success(), "{}", common::said(&output));
    Some(library)
}

/// A command on a disk that may fail.
struct Disk<'a> {
    place: &'a Place,
    library: &'a Path,
}

impl Disk<'_> {
    /// Runs a job whose calls are written down.
    fn watched(&self, job: &Job, log: &Path) -> Vec<String> {
        let mut command = self.command(job);
        let output = command.env("LIGO_FAIL_LOG", log).output().unwrap();
        assert!(
            output.status.success(),
            "{:?}: {}",
            job.arguments,
            common::said(&output)
        );
        let text = fs::read_to_string(log).unwrap();
        fs::remove_file(log).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Runs a job of which a call fails, and all that follow it where that is asked for.
    fn failing(&self, job: &Job, at: usize, forever: bool) -> Output {
        let mut command = self.command(job);
        command.env("LIGO_FAIL_AT", at.to_string());
        if forever {
            command.env("LIGO_FAIL_FOREVER", "1");
        }
        command.output().unwrap()
    }

    fn command(&self, job: &Job) -> Command {
        let mut command = self.place.command(&job.arguments);
        command
            .env("LD_PRELOAD", self.library)
            .env("LIGO_FAIL_UNDER", self.place.path("out").parent().unwrap());
        command
    }
}

/// Runs every job with one call of `every` failing, or with `count` drawn ones.
fn failures(count: Option<usize>) {
    let tools = tempfile::tempdir().unwrap();
    let Some(library) = library(tools.path()) else {
        println!("SKIPPED: there is no rustc to compile the failing calls with");
        return;
    };
    let place = inputs();
    let disk = Disk {
        place: &place,
        library: &library,
    };
    let root = place.path("out").parent().unwrap().to_owned();
    let before = beside(&root);
    let mut draw = draws(17);
    let mut faults = Vec::new();
    let mut tried = 0;
    for job in jobs() {
        let calls = disk.watched(&job, &tools.path().join("calls.log"));
        let (expected, files, around) = (bytes(&place, &job), place.listing("out"), beside(&root));
        faults.extend(
            unsynced(&calls)
                .into_iter()
                .map(|fault| format!("{}: {fault}", job.arguments[0])),
        );
        clear(&place, &before);
        let numbers: Vec<usize> = match count {
            Some(count) => (0..count).map(|_| 1 + draw(calls.len())).collect(),
            None => (1..=calls.len()).collect(),
        };
        for at in numbers {
            tried += 1;
            let forever = draw(2) == 0;
            let about = format!(
                "{}: call {at} of {}, `{}`, forever: {forever}",
                job.arguments[0],
                calls.len(),
                calls[at - 1]
            );
            let output = disk.failing(&job, at, forever);
            let said = common::said(&output);
            match output.status.code() {
                Some(0) if bytes(&place, &job) == expected => {}
                Some(1) if said.contains('/') && !said.contains("panicked") => {}
                code => faults.push(format!("{about}: {code:?}\n{said}")),
            }
            let output = place.command(&job.arguments).output().unwrap();
            let again = common::said(&output);
            if !output.status.success() || again.contains("panicked") {
                faults.push(format!("{about}: does not go on\n{said}\n{again}"));
            } else if bytes(&place, &job) != expected {
                faults.push(format!("{about}: other results\n{said}\n{again}"));
            } else if place.listing("out") != files || beside(&root) != around {
                let (found, found_around) = (place.listing("out"), beside(&root));
                let more: Vec<_> = found
                    .symmetric_difference(&files)
                    .chain(found_around.symmetric_difference(&around))
                    .collect();
                faults.push(format!("{about}: left behind or missing: {more:?}"));
            }
            clear(&place, &before);
        }
    }
    println!("{tried} failed calls");
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n\n"));
}

/// Records of a run, which no result is read from.
fn is_a_record(path: &str) -> bool {
    let ends = [".lock", "metrics.jsonl", ".html", ".svg", ".png", ".csv", ".md"];
    path.contains("/tensorboard/") || ends.iter().any(|end| path.ends_with(end))
}

/// What is given its name before it is on the disk, or never gets there.
fn unsynced(calls: &[String]) -> BTreeSet<String> {
    let mut faults = BTreeSet::new();
    // Files with bytes that are not forced to the disk, and folders with a new name that is not.
    let mut waiting: BTreeMap<String, Option<String>> = BTreeMap::new();
    let parent = |path: &str| {
        Path::new(path)
            .parent()
            .map(|p| p.display().to_string())
            .unwrap_or_default()
    };
    for call in calls {
        let parts: Vec<&str> = call.split('\t').collect();
        match parts[..] {
            [
                "write" | "writev" | "pwrite64" | "copy_file_range" | "sendfile64" | "ftruncate64",
                path,
            ] => {
                waiting.insert(path.to_owned(), None);
            }
            ["fsync" | "fdatasync", path] => drop(waiting.remove(path)),
            ["unlink" | "rmdir", path] => drop(waiting.remove(path)),
            ["rename", from, to] => {
                let inside = format!("{from}/");
                let moved: Vec<String> = waiting
                    .keys()
                    .filter(|path| *path == from || path.starts_with(&inside))
                    .cloned()
                    .collect();
                for path in moved {
                    waiting.remove(&path);
                    if !is_a_record(&path) {
                        faults.insert(format!("{path} is renamed before it is on the disk"));
                    }
                }
                waiting.insert(parent(to), Some(to.to_owned()));
            }
            _ => {}
        }
    }
    for (path, name) in waiting {
        match name {
            // What is moved aside to be removed need not be remembered.
            Some(name) if Path::new(&name).exists() => {
                faults.insert(format!("{name} is never forced to the disk, as a name in its folder"));
            }
            None if !is_a_record(&path) => drop(faults.insert(format!("{path} is never forced to the disk"))),
            _ => {}
        }
    }
    faults
}

#[test]
fn a_call_that_fails_is_told_and_costs_nothing() {
    failures(Some(4));
}

#[test]
#[ignore = "takes an hour: cargo xtask test --long failing_disk"]
fn every_call_that_fails_is_told_and_costs_nothing() {
    failures(None);
}
