//! Growing that is killed goes on from the shards that it had, and two at once do not disturb each other.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use ligo_arch::{BertConfig, ModelConfig};
use ligo_checkpoint::{RunLock, WriteOptions, verify, write_model};

use crate::common::{self, Place, assert_says};

const SHARDS: usize = 10;

fn bert(hidden: usize, layers: usize, heads: usize) -> ModelConfig {
    ModelConfig::Bert(BertConfig::new(200, hidden, layers, heads))
}

/// A small model, and the configuration of one that takes ten shards of a megabyte.
fn place() -> Place {
    let place = Place::new();
    let small = bert(96, 3, 3);
    let table = small.table();
    let tensors = ligo_growth::init::initial_values(&table, 0.02, 1);
    let tensors = tensors.map(|(name, shape, values)| (name, shape, values.into()));
    write_model(place.path("small"), &small.to_json(), tensors, &WriteOptions::default()).unwrap();
    place.write("large.json", bert(128, 10, 4).to_json().to_string());
    place
}

fn grow(out: &str) -> Vec<&str> {
    let fixed = ["grow", "--small", "small", "--large", "large.json", "--method", "fpi"];
    [&fixed[..], &["--max-shard-mb", "1", "--out", out]].concat()
}

fn start(place: &Place, out: &str) -> Child {
    let mut command = place.command(&grow(out));
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Files by name.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                fs::read(&path).unwrap(),
            )
        })
        .collect()
}

fn hidden(place: &Place) -> Vec<String> {
    let names = fs::read_dir(place.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    names.filter(|name| name.starts_with('.')).collect()
}

/// How many shards the record of an unfinished model lists.
fn recorded(place: &Place, out: &str) -> usize {
    let record = fs::read_to_string(place.path(&format!(".{out}.progress")));
    record.map_or(0, |text| text.lines().count().saturating_sub(1))
}

/// Kills the program so often, each time somewhere else, and lets it finish then.
fn killed_and_finished(kills: u32) {
    let place = place();
    let begin = Instant::now();
    place.shown(&grow("whole"));
    let whole = begin.elapsed();
    let expected = content(&place.path("whole"));
    assert!(expected.len() >= SHARDS + 4, "{:?}", expected.keys());
    let (mut hit, mut kept) = (0, 0);
    for kill in 0..kills {
        let mut child = start(&place, "grown");
        // Spread over the program's life by a multiplier that meets no period of it.
        let share = f64::from((kill * 619) % 1000) / 1000.0;
        std::thread::sleep(whole.mul_f64(share));
        let was_running = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        let shards = recorded(&place, "grown");
        hit += u32::from(was_running);
        kept += shards;
        if place.path("grown").exists() {
            verify(place.path("grown")).unwrap();
            // The same command finds its work done, and tidies up; what the check found may be missing in the card.
            assert_says(&place.shown(&grow("grown")), &["already"]);
            assert_eq!(content(&place.path("grown")), expected, "kill {kill}");
            fs::remove_dir_all(place.path("grown")).unwrap();
        } else {
            let said = place.shown(&grow("grown"));
            if shards > 0 {
                assert_says(&said, &[&format!("{shards} shards were complete")]);
            }
            assert_eq!(content(&place.path("grown")), expected, "kill {kill}");
            fs::remove_dir_all(place.path("grown")).unwrap();
        }
        assert_eq!(hidden(&place), Vec::<String>::new(), "kill {kill}");
    }
    println!("{hit} of {kills} kills hit the program at work; {kept} shards were gone on with");
}

#[test]
fn what_is_killed_goes_on_and_ends_with_the_same_bytes() {
    killed_and_finished(5);
}

#[test]
#[ignore = "long"]
fn what_is_killed_anywhere_goes_on_and_ends_with_the_same_bytes() {
    killed_and_finished(25);
}

/// Waits until some shards are complete, and kills.
fn killed_after(place: &Place, shards: usize) {
    let mut child = start(place, "grown");
    let limit = Instant::now() + Duration::from_secs(120);
    while recorded(place, "grown") < shards && child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < limit, "no shards after two minutes");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn shards_of_another_model_are_not_gone_on_with() {
    let place = place();
    killed_after(&place, 3);
    if place.path("grown").exists() {
        // A machine that is faster than a poll: nothing to go on with.
        return;
    }
    let other = [&grow("grown")[..], &["--seed", "2"]].concat();
    let said = place.shown(&other);
    assert!(!said.contains("were complete"), "{said}");
    let whole = [&grow("whole")[..], &["--seed", "2"]].concat();
    place.shown(&whole);
    assert_eq!(content(&place.path("grown")), content(&place.path("whole")));
}

#[test]
fn of_three_at_once_one_grows_and_the_others_say_who_does() {
    let place = place();
    let children: Vec<Child> = (0..3).map(|_| start(&place, "grown")).collect();
    let numbers: Vec<String> = children.iter().map(|child| child.id().to_string()).collect();
    let mut grown = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            grown += 1;
        } else {
            let message = common::complaint(&output);
            assert_says(&message, &["grown is in use by process"]);
            let named = numbers
                .iter()
                .any(|number| message.contains(&format!("process {number}")));
            assert!(named || message.contains("(unknown)"), "{numbers:?}: {message}");
        }
    }
    // One that comes when another is ready finds the work done.
    assert!(grown >= 1);
    verify(place.path("grown")).unwrap();
    assert_eq!(hidden(&place), Vec::<String>::new());
}

#[test]
fn a_folder_that_is_locked_is_left_alone() {
    let place = place();
    let lock = RunLock::beside(place.path("grown")).unwrap();
    let message = place.refused(&grow("grown"));
    assert_says(&message, &["in use by process", &std::process::id().to_string()]);
    assert!(!place.path("grown").exists());
    drop(lock);
    place.shown(&grow("grown"));
}
