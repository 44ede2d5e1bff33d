//! One run on many processes: the commands that train, as `mpirun` starts them, beside one process.
#![cfg(all(unix, feature = "mpi"))]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use ligo_metrics::{Record, read};
use serde_json::Value;

use crate::common::{LIGO, Place, assert_says, repository, said};

/// `ligo` with these arguments, on so many ranks; `None` where there is no `mpirun`.
pub(crate) fn mpirun(place: &Place, ranks: usize, arguments: &[&str]) -> Option<Command> {
    let found = Command::new("mpirun")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if found.is_err() {
        eprintln!("SKIPPED: there is no mpirun, so nothing is said of runs of many processes");
        return None;
    }
    let mut command = Command::new("mpirun");
    command.args(["-n", &ranks.to_string(), LIGO]);
    command.args(arguments).args(["--device", "cpu"]);
    on_this_machine(&mut command, place);
    Some(command)
}

pub(crate) fn on_this_machine(command: &mut Command, place: &Place) {
    command.current_dir(place.path("."));
    // Tests run as root in containers, on fewer cores than ranks.
    command.envs([
        ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
        ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
        ("OMPI_MCA_rmaps_base_oversubscribe", "1"),
        ("OMPI_MCA_btl_vader_single_copy_mechanism", "none"),
        ("OMPI_MCA_btl_base_warn_component_unused", "0"),
        ("OMPI_MCA_mpi_yield_when_idle", "1"),
        ("RAYON_NUM_THREADS", "1"),
    ]);
    command.stdin(Stdio::null());
}

pub(crate) fn with_tokens() -> Place {
    Place::with_tokens(160, [16, 1], [24, 2])
}

/// Trains a small model on 4 micro-batches a step.
pub(crate) const TRAIN: [&str; 16] = [
    "train",
    "--model",
    "small.json",
    "--tokens",
    "data",
    "--seq-len",
    "16",
    "--set",
    "steps=12",
    "--set",
    "accumulation=4",
    "--set",
    "batch_size=2",
    "--set",
    "eval_every=5",
    "--out",
];

pub(crate) fn to<'a>(arguments: &[&'a str], out: &'a str) -> Vec<&'a str> {
    [arguments, &[out]].concat()
}

/// Steps, losses and norms, as bits.
pub(crate) fn numbers(run: &Path) -> Vec<(u64, u64, u64)> {
    let numbers = |record: Record| match record {
        Record::Train(r) => Some((r.step, r.loss.to_bits(), r.grad_norm.to_bits())),
        Record::Eval(r) => Some((r.step, r.loss.to_bits(), 0)),
        Record::Event(_) => None,
    };
    let records = read(run.join("metrics.jsonl")).unwrap();
    records.into_iter().filter_map(numbers).collect()
}

pub(crate) fn weights(model: &Path) -> Vec<u8> {
    std::fs::read(model.join("model.safetensors")).unwrap()
}

pub(crate) fn ended_well(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", said(output));
    said(output)
}

#[test]
fn a_model_that_many_ranks_train_is_that_of_one_to_the_byte() {
    let place = with_tokens();
    place.shown(&to(&TRAIN, "one"));
    for ranks in [2, 4] {
        let out = format!("on-{ranks}");
        let Some(mut command) = mpirun(&place, ranks, &to(&TRAIN, &out)) else {
            return;
        };
        let shown = ended_well(&command.output().unwrap());
        // Rank 0 alone speaks.
        assert_eq!(shown.matches("; model in").count(), 1, "{shown}");
        assert_says(
            &shown,
            &[&format!("{ranks} ranks share the 4 micro-batches of each step")],
        );
        assert_eq!(numbers(&place.path(&out)), numbers(&place.path("one")));
        assert!(weights(&place.path(&format!("{out}/model"))) == weights(&place.path("one/model")));
        assert_eq!(place.listing(&out), place.listing("one"));
    }
    // What is complete is not done again, whoever asks.
    let Some(mut command) = mpirun(&place, 2, &to(&TRAIN, "one")) else {
        return;
    };
    assert_says(&ended_well(&command.output().unwrap()), &["complete, skipped"]);
}

#[test]
fn a_whole_comparison_runs_on_ranks() {
    let place = Place::new();
    let run = |out: &'static str| {
        [
            "run",
            "--recipe",
            "recipe.toml",
            "--data",
            "text.txt",
            "--set",
            "small.train.accumulation=2",
            "--set",
            "large.train.accumulation=2",
            "--set",
            "operator.train.accumulation=2",
            "--out",
            out,
        ]
    };
    place.shown(&run("one"));
    let Some(mut command) = mpirun(&place, 2, &run("two")) else {
        return;
    };
    ended_well(&command.output().unwrap());
    assert!(weights(&place.path("two/small/model")) == weights(&place.path("one/small/model")));
    assert!(weights(&place.path("two/methods/scratch/model")) == weights(&place.path("one/methods/scratch/model")));
    // Sums of an operator's gradients round differently.
    let loss = |out: &str| {
        let text = std::fs::read(place.path(&format!("{out}/methods/ligo/learn/result.json"))).unwrap();
        let result: Value = serde_json::from_slice(&text).unwrap();
        result["curve"].as_array().unwrap().last().unwrap()["loss"]
            .as_f64()
            .unwrap()
    };
    assert!(
        (loss("one") - loss("two")).abs() < 1e-4,
        "{} {}",
        loss("one"),
        loss("two")
    );
    assert_eq!(place.listing("two"), place.listing("one"));
}

#[test]
fn a_comparison_on_ranks_does_a_run_on_each_and_is_that_of_one_process() {
    let place = Place::new();
    // Nothing is shared, so any number of micro-batches will do.
    let compare = |out: &'static str| {
        let methods = ["--methods", "scratch,ligo,stackbert", "--out", out];
        // Ranks look five times a second what there is to do. Units of a few milliseconds would all be done by the one that did the small model.
        let steps = ["--set", "small.train.steps=300", "--set", "large.train.steps=400"];
        [
            &["compare", "--recipe", "recipe.toml", "--data", "text.txt"],
            &steps[..],
            &methods[..],
        ]
        .concat()
    };
    place.shown(&compare("one"));
    let Some(mut command) = mpirun(&place, 3, &compare("three")) else {
        return;
    };
    let shown = ended_well(&command.output().unwrap());
    assert_says(&shown, &["3 ranks, a unit of its own each", "saving"]);
    // Which rank comes first to what is anybody's guess.
    assert!(shown.contains("rank 1: ") || shown.contains("rank 2: "), "{shown}");
    for method in ["scratch", "ligo", "stackbert"] {
        let of = |out: &str| place.path(&format!("{out}/methods/{method}"));
        assert!(
            weights(&of("three").join("model")) == weights(&of("one").join("model")),
            "{method}"
        );
        assert_eq!(numbers(&of("three")), numbers(&of("one")));
    }
    assert_eq!(place.listing("three"), place.listing("one"));
    // One that cannot be done is told with its reason, and the others are done.
    std::fs::create_dir_all(place.path("bad/methods")).unwrap();
    place.write("bad/recipe.toml", std::fs::read(place.path("one/recipe.toml")).unwrap());
    place.write("bad/methods/stackbert", "in the way");
    let Some(mut command) = mpirun(&place, 2, &compare("bad")) else {
        return;
    };
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_says(&said(&output), &["methods/stackbert: ", "is a file"]);
    assert!(weights(&place.path("bad/methods/ligo/model")) == weights(&place.path("one/methods/ligo/model")));
}

#[test]
fn schedules_teachers_and_new_weights_are_known_to_all_ranks() {
    let place = with_tokens();
    place.shown(&to(&TRAIN, "small"));
    place.shown(&[
        "grow",
        "--small",
        "small/model",
        "--large",
        "large.json",
        "--method",
        "stackbert",
        "--out",
        "start",
    ]);
    let train = [
        "train",
        "--init",
        "start",
        "--teacher",
        "small/model",
        "--tokens",
        "data",
        "--seq-len",
        "16",
        "--set",
        "steps=6",
        "--set",
        "accumulation=2",
        "--set",
        "batch_size=2",
        "--set",
        "layer_drop.max_rate=0.5",
        "--out",
    ];
    place.shown(&to(&train, "one"));
    let Some(mut command) = mpirun(&place, 2, &to(&train, "two")) else {
        return;
    };
    ended_well(&command.output().unwrap());
    assert!(weights(&place.path("two/model")) == weights(&place.path("one/model")));
}

#[test]
fn a_stop_saves_and_another_number_of_ranks_goes_on() {
    let place = with_tokens();
    let long = [
        &TRAIN[..TRAIN.len() - 1],
        &["--set", "steps=150", "--set", "eval_every=0", "--out"],
    ]
    .concat();
    place.shown(&to(&long, "one"));
    if mpirun(&place, 4, &[]).is_none() {
        return;
    }
    let mut command = Command::new(repository().join("assets/launch/ligo-mpirun"));
    command.arg("4").args(to(&long, "many")).args(["--device", "cpu"]);
    on_this_machine(&mut command, &place);
    command.env("LIGO", LIGO);
    let started = Instant::now();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let metrics = place.path("many/metrics.jsonl");
    while std::fs::read_to_string(&metrics).map_or(0, |text| text.lines().count()) < 20 {
        assert!(started.elapsed() < Duration::from_secs(120), "nothing was trained");
        std::thread::sleep(Duration::from_millis(20));
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let shown = said(&output);
    assert_eq!(output.status.code(), Some(130), "{shown}");
    assert_says(&shown, &["everything so far is saved"]);
    assert!(!place.path("many/result.json").exists());
    let Some(mut command) = mpirun(&place, 2, &to(&long, "many")) else {
        return;
    };
    ended_well(&command.output().unwrap());
    assert_eq!(numbers(&place.path("many")), numbers(&place.path("one")));
    assert!(weights(&place.path("many/model")) == weights(&place.path("one/model")));
}

#[test]
fn ranks_that_keep_shares_of_the_moments_write_what_one_writes() {
    let place = with_tokens();
    place.shown(&to(&TRAIN, "one"));
    let sharded = |out: &'static str| [&["train", "--optimizer-sharding"], &to(&TRAIN[1..], out)[..]].concat();
    let Some(mut command) = mpirun(&place, 4, &sharded("four")) else {
        return;
    };
    let shown = ended_well(&command.output().unwrap());
    assert_says(
        &shown,
        &["micro-batches of each step, and the moments of the optimizer"],
    );
    assert_eq!(numbers(&place.path("four")), numbers(&place.path("one")));
    assert!(weights(&place.path("four/model")) == weights(&place.path("one/model")));
    assert_eq!(place.listing("four"), place.listing("one"));
    let state = |out: &str| std::fs::read(place.path(&format!("{out}/checkpoints/step-12/state.safetensors"))).unwrap();
    assert!(state("four") == state("one"));
    // Whoever asks, and however, it is the same run.
    let Some(mut command) = mpirun(&place, 2, &sharded("one")) else {
        return;
    };
    assert_says(&ended_well(&command.output().unwrap()), &["complete, skipped"]);
    // One process has nobody to share with, and says so.
    assert_says(
        &place.shown(&sharded("four")),
        &["changes nothing where one process trains"],
    );
}

#[test]
fn what_cannot_be_shared_is_said_once_and_nothing_is_left_running() {
    let place = with_tokens();
    let Some(mut command) = mpirun(&place, 3, &to(&TRAIN, "uneven")) else {
        return;
    };
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let words: Vec<String> = said(&output)
        .split(|c: char| c.is_whitespace() || c == '│')
        .map(str::to_owned)
        .collect();
    let words = words
        .into_iter()
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    assert_eq!(
        words.matches("cannot be shared out evenly to 3 ranks").count(),
        1,
        "{words}"
    );
    assert_says(&words, &["start 1 or 2 or 4 ranks"]);
    // A recipe is refused before anything is made of it.
    let run = [
        "run",
        "--recipe",
        "recipe.toml",
        "--data",
        "text.txt",
        "--set",
        "small.train.accumulation=2",
        "--out",
        "run",
    ];
    let Some(mut command) = mpirun(&place, 2, &run) else {
        return;
    };
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_says(
        &said(&output),
        &["large.train.accumulation", "operator.train.accumulation"],
    );
    assert!(!place.path("run").exists());
    // A slip in the arguments is told once, too.
    let Some(mut command) = mpirun(&place, 2, &["train", "--out", "x", "--stesp", "3"]) else {
        return;
    };
    let output = command.output().unwrap();
    assert_eq!(
        said(&output).matches("unexpected argument").count(),
        1,
        "{}",
        said(&output)
    );
}

#[test]
fn a_rank_without_a_device_ends_all_and_says_who_it_is() {
    let place = with_tokens();
    let Some(plain) = mpirun(&place, 2, &to(&TRAIN, "out")) else {
        return;
    };
    // The last word is the device.
    let script = "if [ \"$OMPI_COMM_WORLD_RANK\" = 1 ]; then set -- \"${@:1:$(($#-1))}\" gpu:99; fi\nexec \"$@\"\n";
    place.write("start.sh", script);
    let mut command = Command::new("mpirun");
    for word in plain.get_args() {
        if word == LIGO {
            command.args(["bash", "start.sh"]);
        }
        command.arg(word);
    }
    command.current_dir(place.path(".")).stdin(Stdio::null());
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{}", said(&output));
    assert_says(&said(&output), &["rank 1: "]);
    assert!(!place.path("out/result.json").exists());
}
