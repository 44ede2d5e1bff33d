//! Killed at any moment, every command goes on: the same command again ends with the bytes of a run that nobody killed, and nothing else is
//! left behind. `LIGO_SEED` draws other moments.
#![cfg(unix)]

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::common::jobs::{beside, bytes, clear, inputs, jobs};
use crate::common::{self, draws};

fn kills(count: usize) {
    let place = inputs();
    let root = place.path("out").parent().unwrap().to_owned();
    let before = beside(&root);
    let mut draw = draws(11);
    let mut faults = Vec::new();
    for job in jobs() {
        let start = Instant::now();
        place.shown(&job.arguments);
        let whole = start.elapsed();
        let (expected, files, around) = (bytes(&place, &job), place.listing("out"), beside(&root));
        assert!(
            expected.iter().any(Option::is_some),
            "{:?} wrote none of {:?}",
            job.arguments,
            job.results
        );
        clear(&place, &before);
        for _ in 0..count.div_ceil(jobs().len()) {
            let after = whole.mul_f64(draw(1100) as f64 / 1000.0);
            let mut command = place.command(&job.arguments);
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(after.max(Duration::from_micros(200)));
            child.kill().unwrap();
            child.wait().unwrap();
            let output = place.command(&job.arguments).output().unwrap();
            let said = common::said(&output);
            let about = format!("{} killed after {after:?} of {whole:?}", job.arguments.join(" "));
            if !output.status.success() || said.contains("panicked") {
                faults.push(format!("{about}: {:?}\n{said}", output.status));
            } else if bytes(&place, &job) != expected {
                faults.push(format!("{about}: other results\n{said}"));
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
    println!("{} kills", jobs().len() * count.div_ceil(jobs().len()));
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n\n"));
}

#[test]
fn a_killed_command_goes_on() {
    kills(15);
}

#[test]
#[ignore = "takes minutes: cargo xtask test --long kills"]
fn five_hundred_killed_commands_go_on() {
    kills(500);
}
