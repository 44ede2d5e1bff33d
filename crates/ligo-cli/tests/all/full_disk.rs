//! A disk that is full: every command that writes ends with a message and exit code 1, and on a disk with room the same command ends with the
//! bytes of a run that nothing happened to. Tried with a limit on the size of files, with a small file system where the machine lets one be
//! mounted, and with `/dev/full`.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::jobs::{beside, bytes, clear, inputs, jobs};
use crate::common::{LIGO, copy_folder, said};

/// Blocks of 512 bytes that a file may have, from nothing to more than the largest one has.
const LIMITS: [u32; 8] = [0, 1, 2, 8, 24, 64, 160, 400];

/// Runs every job with these limits; returns how many met theirs.
fn limited(limits: &[u32]) -> usize {
    let place = inputs();
    let root = place.path("out").parent().unwrap().to_owned();
    let before = beside(&root);
    let (mut stopped, mut faults) = (0, Vec::new());
    for job in jobs() {
        place.shown(&job.arguments);
        let (expected, files) = (bytes(&place, &job), place.listing("out"));
        clear(&place, &before);
        for limit in limits {
            // Without the signal a write beyond the limit is an error, as on a full disk.
            let script = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" \"$@\"");
            let output = Command::new("bash")
                .args(["-c", &script, LIGO])
                .args(&job.arguments)
                .args(["--device", "cpu"])
                .current_dir(&root)
                .output()
                .unwrap();
            let told = said(&output);
            let about = format!("{} with {limit} blocks", job.arguments[0]);
            match output.status.code() {
                Some(1) if told.contains('/') && !told.contains("panicked") => stopped += 1,
                Some(0) if bytes(&place, &job) == expected => {}
                code => faults.push(format!("{about}: {code:?}\n{told}")),
            }
            let output = place.command(&job.arguments).output().unwrap();
            if !output.status.success() || bytes(&place, &job) != expected || place.listing("out") != files {
                faults.push(format!(
                    "{about}: does not go on as if nothing had been\n{told}\n{}",
                    said(&output)
                ));
            }
            clear(&place, &before);
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n\n"));
    stopped
}

#[test]
fn files_that_may_not_grow_are_told_and_cost_nothing() {
    let stopped = limited(&[1, 64]);
    assert!(stopped >= 6, "{stopped} commands met the limit");
}

#[test]
#[ignore = "takes a minute: cargo xtask test --long full_disk"]
fn files_of_many_sizes_that_may_not_grow_are_told_and_cost_nothing() {
    let stopped = limited(&LIMITS);
    assert!(stopped >= 20, "{stopped} commands met the limit");
}

/// Runs a script where `folder` is a file system of so many kilobytes; nothing where that may not be.
fn on_a_small_disk(folder: &Path, kilobytes: usize, script: &str) -> Option<std::process::Output> {
    let mount = format!("mount -t tmpfs -o size={kilobytes}k none '{}'", folder.display());
    let within = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
        command.output()
    };
    match within(&format!("{mount} && df '{}'", folder.display())) {
        Ok(output) if output.status.success() => Some(within(&format!("{mount} && {script}")).unwrap()),
        Ok(output) => {
            println!("SKIPPED: no file system can be mounted here: {}", said(&output).trim());
            None
        }
        Err(error) => {
            println!("SKIPPED: no unshare: {error}");
            None
        }
    }
}

#[test]
fn a_small_disk_that_fills_up_keeps_the_last_checkpoint_and_goes_on_from_it() {
    let place = inputs();
    let train = jobs().swap_remove(1);
    assert_eq!(train.arguments[0], "train");
    place.shown(&train.arguments);
    let expected = bytes(&place, &train);
    fs::rename(place.path("out"), place.path("whole")).unwrap();
    let disk = place.path("disk");
    fs::create_dir(&disk).unwrap();
    let root = place.path("");
    for input in ["data", "small.json"] {
        let from = root.join(input);
        match from.is_dir() {
            true => copy_folder(&from, &root.join("inputs").join(input)),
            false => drop(fs::copy(&from, root.join("inputs").join(input)).unwrap()),
        }
    }
    let mut stopped = 0;
    // What the whole run takes is some 900 kB; a checkpoint about 300.
    for kilobytes in [40, 200, 400, 700, 1_000] {
        let kept = root.join(format!("kept{kilobytes}"));
        let command = format!("'{}' {} --device cpu", LIGO, train.arguments.join(" "));
        let script = format!(
            "cd '{}' && cp -r '{}'/. . && {command}; code=$?; cp -r out '{}'; exit $code",
            disk.display(),
            root.join("inputs").display(),
            kept.display()
        );
        let Some(output) = on_a_small_disk(&disk, kilobytes + 200, &script) else {
            return;
        };
        let told = said(&output);
        assert!(!told.contains("panicked"), "{kilobytes} kB: {told}");
        if output.status.code() != Some(0) {
            stopped += 1;
        }
        // What was on it is copied to where there is room, and the same command goes on.
        if kept.exists() {
            fs::rename(&kept, place.path("out")).unwrap();
        }
        place.shown(&train.arguments);
        assert!(
            bytes(&place, &train) == expected,
            "{kilobytes} kB: other results\n{told}"
        );
        fs::remove_dir_all(place.path("out")).unwrap();
    }
    assert!(stopped >= 1, "every disk was large enough");
}

#[test]
fn output_that_nobody_takes_is_told_and_does_not_panic() {
    let place = inputs();
    for arguments in [
        &["inspect", "model"][..],
        &["plan", "--recipe", "recipe.toml"],
        &["grow", "--small", "model", "--layers", "2x", "--out", "grown"],
        &["devices", "--no-measure"],
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = place.command(arguments).stdout(full).output().unwrap();
        let told = said(&output);
        assert!(!told.contains("panicked"), "{arguments:?}: {told}");
        assert!(
            matches!(output.status.code(), Some(0 | 1)),
            "{arguments:?}: {:?}",
            output.status
        );
    }
}
