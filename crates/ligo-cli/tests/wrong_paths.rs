//! Paths of a wrong kind, sizes and names that mean nothing: each is told as what it is, once, and nothing is written.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::path::Path;

use common::{Place, assert_says, copy_folder, said};

/// A tokenized text in `data`, and a small model in `model`.
fn place() -> Place {
    let place = Place::new();
    place.write(
        "small.json",
        r#"{"model_type": "bert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128,
            "max_position_embeddings": 16, "vocab_size": 160}"#,
    );
    place.shown(&["tokenize", "--data", "text.txt", "--vocab-size", "160", "--out", "data"]);
    place.shown(&train(&["--model", "small.json", "--out", "trained"]));
    fs::rename(place.path("trained/model"), place.path("model")).unwrap();
    place
}

fn train<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let settings = ["--set", "steps=2", "--set", "batch_size=4"];
    [&["train", "--tokens", "data", "--seq-len", "16"], &settings[..], more].concat()
}

/// Names of what lies in the folder.
fn names(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.path("")).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_path_of_another_kind_is_told_with_what_was_meant() {
    let place = place();
    place.write("notes", "mine");
    let before = names(&place);
    let grow = |more: &[&'static str]| [&["grow", "--layers", "2x"], more].concat();
    for (arguments, parts) in [
        (
            grow(&["--small", "model/config.json", "--out", "o"]),
            vec!["model/config.json is a file, expected a model's folder: pass model"],
        ),
        (
            grow(&["--small", "notes", "--out", "o"]),
            vec!["notes is a file, expected a model's folder"],
        ),
        (
            vec![
                "grow",
                "--small",
                "model",
                "--large",
                "model",
                "--method",
                "stackbert",
                "--out",
                "o",
            ],
            vec![
                "model is a folder, expected a Hugging Face config.json",
                "pass model/config.json",
            ],
        ),
        (
            train(&["--model", "data", "--out", "o"]),
            vec!["data is a folder", "there is no config.json in it"],
        ),
        (
            grow(&["--small", "model", "--out", "notes"]),
            vec!["notes is a file, expected a folder"],
        ),
        (
            grow(&["--small", "model", "--out", "notes/x"]),
            vec!["notes is a file, expected a folder"],
        ),
        (
            vec!["tokenize", "--data", "text.txt", "--out", "notes"],
            vec!["notes is a file, expected a folder"],
        ),
        (
            train(&["--init", "model", "--out", "notes"]),
            vec!["notes is a file, expected a folder"],
        ),
        (
            vec!["run", "--recipe", "recipe.toml", "--data", "text.txt", "--out", "notes"],
            vec!["notes is a file, expected a folder"],
        ),
        (
            grow(&["--small", "model", "--out", "model/larger"]),
            vec!["is inside of model, which is read"],
        ),
        (
            grow(&["--small", "model", "--out", "model/../model/new/larger"]),
            vec!["is inside of model, which is read"],
        ),
    ] {
        assert_says(&place.refused(&arguments), &parts);
        assert_eq!(names(&place), before, "{arguments:?}");
    }
    assert!(!place.path("model/larger").exists() && !place.path("model/new").exists());
}

#[test]
fn tokens_are_not_written_where_the_text_lies() {
    let place = Place::new();
    fs::create_dir(place.path("texts")).unwrap();
    fs::rename(place.path("text.txt"), place.path("texts/a.txt")).unwrap();
    let refused = place.refused(&["tokenize", "--data", "texts", "--out", "./texts/"]);
    assert_says(&refused, &["--out ./texts/ is what is read", "choose another folder"]);
    assert_eq!(place.files("texts").len(), 1);
    place.shown(&[
        "tokenize",
        "--data",
        "texts",
        "--vocab-size",
        "160",
        "--out",
        "texts/tokens",
    ]);
}

#[test]
fn a_vocabulary_that_the_text_does_not_fill_is_told() {
    let place = Place::new();
    place.write("short.txt", "one two three\n\nfour five six\n\n".repeat(20));
    let told = place.shown(&[
        "tokenize",
        "--data",
        "short.txt",
        "--vocab-size",
        "5000",
        "--out",
        "data",
    ]);
    assert_says(&told, &["not the 5000 that were asked for: this text gives no more"]);
    let told = place.shown(&[
        "tokenize",
        "--data",
        "text.txt",
        "--vocab-size",
        "100",
        "--out",
        "other",
    ]);
    assert!(!told.contains("asked for"), "{told}");
}

#[test]
fn sizes_that_change_nothing_are_refused_and_names_of_methods_have_no_case() {
    let place = place();
    let grow = |more: &[&'static str]| [&["grow", "--small", "model", "--out", "o"], more].concat();
    for sizes in [
        &["--width", "1x"][..],
        &["--layers", "2"],
        &["--layers", "1x", "--width", "32"],
    ] {
        assert_says(&place.refused(&grow(sizes)), &["with these sizes nothing grows"]);
        assert!(!place.path("o").exists());
    }
    assert_says(
        &place.refused(&grow(&["--layers", "2x", "--method", "LEMMON"])),
        &["did you mean `lemon`?"],
    );
    let told = place.shown(&grow(&["--layers", "2x", "--method", "LEMON"]));
    assert_says(&told, &["by lemon"]);
}

#[test]
fn a_fault_is_told_once_and_in_words() {
    let place = Place::new();
    place.shown(&["tokenize", "--data", "text.txt", "--vocab-size", "160", "--out", "data"]);
    for (field, value, words) in [
        ("hidden_size", "\"wide\"", "expected a whole number of 0 or more"),
        ("hidden_size", "-3", "expected a whole number of 0 or more"),
        ("hidden_dropout_prob", "[1]", "expected a number"),
    ] {
        place.write("bad.json", format!(r#"{{"model_type": "bert", "{field}": {value}}}"#));
        let output = place
            .command(&train(&["--model", "bad.json", "--out", "o"]))
            .output()
            .unwrap();
        let told = common::complaint(&output);
        assert_says(&told, &["bad.json", field, words]);
        assert_eq!(told.matches(field).count(), 1, "{told}");
    }
    let told = place.refused(&["tokenize", "--data", "nothing.txt", "--out", "o"]);
    assert_eq!(told.matches("No such file").count(), 1, "{told}");
    let steps = [
        "run",
        "--recipe",
        "recipe.toml",
        "--data",
        "text.txt",
        "--out",
        "o",
        "--set",
        "small.train.steps=-1",
    ];
    let told = place.refused(&steps);
    assert!(told.contains("whole number") && !told.contains("u64"), "{told}");
}

#[test]
fn training_takes_what_lies_beside_the_weights_along() {
    let place = place();
    place.write("model/generation_config.json", r#"{"temperature": 0.6}"#);
    fs::remove_file(place.path("model/manifest.json")).unwrap();
    place.shown(&train(&["--init", "model", "--out", "on"]));
    let kept = |folder: &str| fs::read_to_string(place.path(folder).join("generation_config.json")).unwrap();
    assert_eq!(kept("on/model"), r#"{"temperature": 0.6}"#);
    // Also where the model was grown in between.
    let recipe = common::RECIPE.replace("[small.model]\nhidden_size = 16", "[small.model]\nhidden_size = 32");
    let recipe = recipe.replace("num_hidden_layers = 1\n", "num_hidden_layers = 2\n");
    let recipe = recipe.replace(
        "hidden_size = 24\nnum_hidden_layers = 2\nnum_attention_heads = 3",
        "num_hidden_layers = 4",
    );
    place.write("recipe.toml", recipe.replace("name = \"ligo\"", "name = \"stackbert\""));
    let run = [
        "run",
        "--recipe",
        "recipe.toml",
        "--data",
        "text.txt",
        "--small",
        "model",
        "--out",
        "run",
    ];
    place.shown(&run);
    assert_eq!(kept("run/methods/stackbert/model"), r#"{"temperature": 0.6}"#);
}

#[cfg(unix)]
#[test]
fn a_model_is_inspected_through_the_links_of_a_hub_cache() {
    let place = place();
    let snapshot = place.path("models--me--small/snapshots/abc");
    let blobs = place.path("models--me--small/blobs");
    copy_folder(&place.path("model"), &blobs);
    fs::create_dir_all(&snapshot).unwrap();
    for entry in fs::read_dir(&blobs).unwrap() {
        let name = entry.unwrap().file_name();
        std::os::unix::fs::symlink(Path::new("../../blobs").join(&name), snapshot.join(&name)).unwrap();
    }
    // As hubs add them.
    fs::write(snapshot.join(".gitattributes"), "*.safetensors filter=lfs").unwrap();
    let told = place.shown(&["inspect", "models--me--small/snapshots/abc"]);
    assert_says(&told, &["all hashes hold"]);
    let file = blobs.join("config.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replace("\"num_attention_heads\": 2", "\"num_attention_heads\": 4"),
    )
    .unwrap();
    let output = place
        .command(&["inspect", "models--me--small/snapshots/abc"])
        .output()
        .unwrap();
    assert_says(&said(&output), &["DAMAGED", "config.json"]);
}
