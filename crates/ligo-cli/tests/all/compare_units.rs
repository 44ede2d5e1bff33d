//! A comparison whose runs are dealt out to jobs of an array, which know each other by files alone, is that of one process.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::common::{Place, assert_says, said};
use ligo_metrics::{Record, read};
use serde_json::Value;

const COMPARE: [&str; 8] = [
    "compare",
    "--recipe",
    "recipe.toml",
    "--data",
    "text.txt",
    "--methods",
    "scratch,ligo,stackbert",
    "--out",
];

fn compare<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&COMPARE[..], &[out], more].concat()
}

fn start(place: &Place, out: &str, unit: &str) -> Child {
    let mut command = place.command(&compare(out, &["--unit", unit]));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What the clock and the command line have no part in: weights, curves, losses, tables.
fn content(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    collect(root, root, &mut found);
    found
}

fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        if path.is_dir() {
            collect(root, &path, found);
        } else if !name.contains("tfevents") && !name.ends_with(".lock") {
            let content = match name.rsplit('/').next().unwrap() {
                "metrics.jsonl" => numbers(&path),
                "result.json" | "summary.json" | "state.json" | "operator.json" => timeless(&path),
                // Times, and hashes of files with times in them. All numbers of tables and pictures are in summary.json.
                "stage.json" | "provenance.json" | "report.html" | "manifest.json" | "plan.json" | "methods.csv" => {
                    Vec::new()
                }
                picture
                    if ["table.", "curves.", "savings."]
                        .iter()
                        .any(|kind| picture.starts_with(kind)) =>
                {
                    Vec::new()
                }
                _ => fs::read(&path).unwrap(),
            };
            found.insert(name, content);
        }
    }
}

fn numbers(path: &Path) -> Vec<u8> {
    let numbers = |record: Record| match record {
        Record::Train(r) => Some(format!("{} {} {}", r.step, r.loss, r.grad_norm)),
        Record::Eval(r) => Some(format!("{} {}", r.step, r.loss)),
        Record::Event(_) => None,
    };
    let lines: Vec<String> = read(path).unwrap().into_iter().filter_map(numbers).collect();
    lines.join("\n").into_bytes()
}

fn timeless(path: &Path) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    forget_times(&mut value);
    serde_json::to_vec(&value).unwrap()
}

fn forget_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| {
                let is_time = ["seconds", "provenance", "usage", "energy", "memory_bytes", "prediction"];
                !is_time.iter().any(|time| name.contains(time))
            });
            fields.values_mut().for_each(forget_times);
        }
        Value::Array(values) => values.iter_mut().for_each(forget_times),
        _ => {}
    }
}

/// A comparison of one process, in the folder that the same in many will have; then it is moved out of the way.
fn alone(place: &Place) -> BTreeMap<String, Vec<u8>> {
    place.shown(&compare("run", &[]));
    fs::rename(place.path("run"), place.path("alone")).unwrap();
    content(&place.path("alone"))
}

/// The comparison in `run` must differ from that of one process in nothing but what the clock has a part in.
fn assert_same(place: &Place, one: &BTreeMap<String, Vec<u8>>) {
    let run = content(&place.path("run"));
    assert_eq!(one.keys().collect::<Vec<_>>(), run.keys().collect::<Vec<_>>());
    for (name, content) in one {
        assert!(*content == run[name], "{name} differs");
    }
}

#[test]
fn shares_that_run_at_the_same_time_and_are_gathered_are_the_comparison_of_one_process() {
    let place = Place::new();
    let one = alone(&place);
    // All begin at once: the first makes the data, and the others wait for it and for the small model.
    let jobs: Vec<Child> = ["3/3", "2/3", "1/3"].map(|unit| start(&place, "run", unit)).into();
    for job in jobs {
        let output = job.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert_says(
            &said(&output),
            &["is complete; ", "without --unit makes table and report"],
        );
    }
    assert!(!place.path("run/summary.json").exists());
    let told = place.shown(&compare("run", &[]));
    assert_says(&told, &["complete, skipped", "saving"]);
    assert!(!place.path("run/.units").exists());
    assert_same(&place, &one);
}

#[test]
fn a_share_whose_forerunner_nobody_does_says_so_and_ends_with_its_own_code() {
    let place = Place::new();
    let mut command = place.command(&compare("run", &["--unit", "2/2"]));
    let output = command.env("LIGO_UNIT_PATIENCE", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert_says(
        &said(&output),
        &[
            "methods/",
            "waits for small",
            "which is not complete",
            "--unit 1/2",
            "LIGO_UNIT_PATIENCE",
        ],
    );
    // The other share, then the same again.
    place.shown(&compare("run", &["--unit", "1/2"]));
    place.shown(&compare("run", &["--unit", "2/2"]));
    place.shown(&compare("run", &[]));
    assert!(place.path("run/summary.json").exists() && !place.path("run/.units").exists());
}

#[test]
fn what_is_no_share_is_refused() {
    let place = Place::new();
    for (wrong, words) in [
        ("0/2", "expected K/N"),
        ("3/2", "expected K/N"),
        ("two", "expected K/N"),
    ] {
        let output = place.command(&compare("run", &["--unit", wrong])).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert_says(&said(&output), &[words]);
    }
    let output = place
        .command(&compare("run", &["--unit", "1/2", "--jobs", "2"]))
        .output()
        .unwrap();
    assert_says(&said(&output), &["cannot be used with"]);
}

#[test]
fn the_script_for_job_arrays_gives_each_task_its_share_and_asks_for_another_turn() {
    let place = Place::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/launch/ligo-array.sbatch");
    place.write(
        "ligo",
        "#!/bin/sh\necho \"$@\" \"threads=$RAYON_NUM_THREADS\"\nexit ${CODE:-0}\n",
    );
    place.write("scontrol", "#!/bin/sh\necho \"scontrol $@\"\n");
    for name in ["ligo", "scontrol"] {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(place.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let run = |code: &str, restarts: &str| {
        let mut command = std::process::Command::new("bash");
        command
            .arg(&script)
            .args(["compare", "--seeds", "3"])
            .current_dir(place.path("."));
        let path = format!("{}:{}", place.path(".").display(), std::env::var("PATH").unwrap());
        command.envs([
            ("PATH", path.as_str()),
            ("SLURM_ARRAY_TASK_ID", "5"),
            ("SLURM_ARRAY_TASK_MIN", "3"),
        ]);
        command.envs([
            ("SLURM_ARRAY_TASK_COUNT", "8"),
            ("SLURM_ARRAY_JOB_ID", "77"),
            ("SLURM_CPUS_PER_TASK", "4"),
        ]);
        let output = command
            .envs([("CODE", code), ("SLURM_RESTART_COUNT", restarts)])
            .output()
            .unwrap();
        (said(&output), output.status.code())
    };
    let (text, code) = run("0", "0");
    assert_eq!((text.trim(), code), ("compare --seeds 3 --unit 3/8 threads=4", Some(0)));
    for again in ["130", "3"] {
        assert_says(&run(again, "0").0, &["scontrol requeue 77_5"]);
        assert!(!run(again, "50").0.contains("scontrol"));
    }
    assert!(!run("1", "0").0.contains("scontrol"));
}
