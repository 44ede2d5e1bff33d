//! What happens to one of the processes of a run ends it soon, with a message, and the same command goes on to the numbers of an undisturbed run:
//! with and without shares of the optimizer's moments.
#![cfg(all(unix, feature = "mpi"))]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{LIGO, Place, assert_says, said};
use crate::mpi::{TRAIN, ended_well, mpirun, numbers, to, weights, with_tokens};

/// Enough steps for somebody to come in between, with checkpoints on the way.
fn long<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let steps = [
        "--set",
        "steps=400",
        "--set",
        "checkpoint_every=10",
        "--set",
        "eval_every=0",
    ];
    to(&[&TRAIN[..TRAIN.len() - 1], &steps, more, &["--out"]].concat(), out)
}

/// The command on two ranks, each of which starts with these lines of a shell; its own number is in `$rank`.
fn mpirun_after(place: &Place, lines: &str, arguments: &[&str]) -> Option<Command> {
    let plain = mpirun(place, 2, arguments)?;
    place.write(
        "start.sh",
        format!("rank=$OMPI_COMM_WORLD_RANK\n{lines}\nexec \"$@\"\n"),
    );
    let mut command = Command::new("mpirun");
    for word in plain.get_args() {
        if word == LIGO {
            command.args(["bash", "start.sh"]);
        }
        command.arg(word);
    }
    command.current_dir(place.path(".")).stdin(Stdio::null());
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Some(command)
}

/// Waits until so many lines of numbers are there.
fn wait_for(metrics: &Path, lines: usize) {
    let started = Instant::now();
    while std::fs::read_to_string(metrics).map_or(0, |text| text.lines().count()) < lines {
        assert!(started.elapsed() < Duration::from_secs(120), "nothing was trained");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sends the second of two ranks a signal in the midst of the run, which must end within so many seconds with these words.
fn struck(signal: &str, patience: &str, limit: u64, words: &[&str]) {
    let place = with_tokens();
    place.shown(&long("one", &[]));
    for (out, more) in [("two", &[][..]), ("shared", &["--optimizer-sharding"])] {
        let arguments = long(out, more);
        let Some(mut command) = mpirun_after(&place, "echo $$ > pid-$rank", &arguments) else {
            return;
        };
        command.env("LIGO_RANK_PATIENCE", patience);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for(&place.path(out).join("metrics.jsonl"), 30);
        let id = std::fs::read_to_string(place.path("pid-1")).unwrap();
        let since = Instant::now();
        let sent = Command::new("kill").args([signal, id.trim()]).status().unwrap();
        assert!(sent.success());
        let output = child.wait_with_output().unwrap();
        let took = since.elapsed();
        println!("{signal} {out}: ended after {:.2} s", took.as_secs_f64());
        assert!(!output.status.success(), "{}", said(&output));
        assert!(took < Duration::from_secs(limit), "{took:?}: {}", said(&output));
        assert_says(&said(&output), words);
        assert!(!place.path(out).join("result.json").exists());
        let mut command = mpirun(&place, 2, &arguments).unwrap();
        ended_well(&command.output().unwrap());
        assert_eq!(numbers(&place.path(out)), numbers(&place.path("one")), "{out}");
        assert!(
            weights(&place.path(out).join("model")) == weights(&place.path("one/model")),
            "{out}"
        );
    }
}

#[test]
fn a_process_that_is_killed_ends_the_run_within_five_seconds() {
    struck("-KILL", "60", 5, &["signal 9"]);
}

#[test]
fn a_process_that_is_suspended_ends_the_run_when_patience_is_over() {
    struck(
        "-STOP",
        "4",
        13,
        &["rank 1 of 2 has not been heard of", "rank 0 ends the run"],
    );
}

#[test]
fn a_disk_that_is_full_ends_the_run_and_another_has_room() {
    let place = with_tokens();
    place.shown(&to(&TRAIN, "one"));
    for (out, more) in [("two", &[][..]), ("shared", &["--optimizer-sharding"])] {
        let arguments = to(&[&TRAIN[..TRAIN.len() - 1], more, &["--out"]].concat(), out);
        // No file of rank 0 may grow beyond 4 kB; without the signal a write beyond is an error. Messages go over sockets, not over files.
        let limit = "if [ $rank = 0 ]; then trap '' XFSZ; ulimit -f 8; fi";
        let Some(mut command) = mpirun_after(&place, limit, &arguments) else {
            return;
        };
        command.envs([("OMPI_MCA_btl", "tcp,self"), ("OMPI_MCA_btl_tcp_if_include", "lo")]);
        let since = Instant::now();
        let output = command.output().unwrap();
        assert!(since.elapsed() < Duration::from_secs(60), "{}", said(&output));
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert_says(&said(&output), &["checkpoints/step-12", "os error 27"]);
        assert!(!said(&output).contains("panicked"), "{}", said(&output));
        let mut command = mpirun(&place, 2, &arguments).unwrap();
        ended_well(&command.output().unwrap());
        assert_eq!(numbers(&place.path(out)), numbers(&place.path("one")), "{out}");
        assert!(
            weights(&place.path(out).join("model")) == weights(&place.path("one/model")),
            "{out}"
        );
    }
}
