//! Paths of a wrong kind, sizes and names that mean nothing: each is told as what it is, once, and nothing is written.

use std::fs;
use std::path::Path;

use crate::common::{self, Place, assert_says, copy_folder, said};

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
        #[cfg(unix)]
        (
            grow(&["--small", "model", "--out", "/dev/null"]),
            vec!["/dev/null is a device or a pipe, expected a folder"],
        ),
        #[cfg(unix)]
        (
            vec!["tokenize", "--data", "text.txt", "--out", "/dev/null"],
            vec!["/dev/null is a device or a pipe, expected a folder"],
        ),
        #[cfg(unix)]
        (
            train(&["--init", "model", "--out", "/dev/null"]),
            vec!["/dev/null is a device or a pipe, expected a folder"],
        ),
        #[cfg(unix)]
        (
            vec![
                "run",
                "--recipe",
                "recipe.toml",
                "--data",
                "text.txt",
                "--out",
                "/dev/null",
            ],
            vec!["/dev/null is a device or a pipe, expected a folder"],
        ),
        (
            vec!["inspect", "model/config.json"],
            vec!["model/config.json is a file of JSON", "pass model"],
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

#[test]
fn options_without_effect_are_refused_with_the_reason() {
    let place = place();
    place.shown(&[
        "grow",
        "--small",
        "model",
        "--layers",
        "2x",
        "--method",
        "zero-blocks",
        "--out",
        "deeper",
    ]);
    fs::copy(place.path("deeper/config.json"), place.path("deep.json")).unwrap();
    place.shown(&[
        "learn",
        "--small",
        "model",
        "--large",
        "deep.json",
        "--tokens",
        "data",
        "--seq-len",
        "16",
        "--set",
        "steps=1",
        "--set",
        "batch_size=4",
        "--operator",
        "tune_small_model=true",
        "--operator",
        "tune_residual=true",
        "--out",
        "operator",
    ]);
    // What was learned along with the matrices is no matrix.
    let inspected = place.shown(&["inspect", "operator"]);
    let titles: Vec<&str> = inspected.lines().filter_map(|line| line.split("  ").next()).collect();
    for title in ["matrices", "small model", "added"] {
        assert!(titles.contains(&title), "{title}: {inspected}");
    }
    let before = names(&place);
    let layers = ["--layers", "2x"];
    for (arguments, parts) in [
        (
            &["--layers", "2x", "--new-tokens", "fresh"][..],
            ["--new-tokens would change nothing", "--pad-vocab-to"],
        ),
        (
            &["--layers", "2x", "--new-positions", "repeat"],
            ["--new-positions would change nothing", "--positions"],
        ),
        (
            &["--layers", "2x", "--method", "stackbert", "--unlearned"],
            ["--unlearned would change nothing", "is not learned"],
        ),
        (
            &["--layers", "2x", "--allow-change", "hidden_act"],
            ["--large", "required"],
        ),
        (
            &["--large", "deep.json", "--allow-change", "hidden_act"],
            ["--allow-change hidden_act", "nothing but sizes"],
        ),
        (
            &["--operator", "operator", "--seed", "3"],
            ["--seed", "cannot be used with"],
        ),
        (
            &["--operator", "operator", "--large", "deep.json"],
            ["--large", "cannot be used with"],
        ),
        (
            &["--operator", "operator", "--new-tokens", "mean"],
            ["--new-tokens would change nothing", "--vocab"],
        ),
        (&["--vocab", "160"], ["with these sizes nothing grows", "ask for more"]),
        (
            &["--pad-vocab-to", "32"],
            ["with these sizes nothing grows", "ask for more"],
        ),
    ] {
        let grow = [&["grow", "--small", "model", "--out", "o"], arguments].concat();
        let output = place.command(&grow).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert_says(&said(&output), &parts);
        assert_eq!(names(&place), before, "{arguments:?}");
    }
    // With what they are for they are taken.
    let tokens = [
        "--vocab",
        "170",
        "--new-tokens",
        "fresh",
        "--positions",
        "20",
        "--new-positions",
        "repeat",
        "--seed",
        "3",
    ];
    place.shown(&[&["grow", "--small", "model", "--out", "o"][..], &layers, &tokens].concat());
    place.shown(&["grow", "--small", "model", "--operator", "operator", "--out", "learned"]);
}

#[test]
fn a_file_with_another_vocabulary_or_other_positions_names_the_option_for_it() {
    let place = place();
    let config = fs::read_to_string(place.path("model/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    for (field, asked, parts) in [
        (
            "vocab_size",
            200,
            [
                "a vocab of 200, and the small model has 160",
                "ligo grow --small SMALL --vocab 200",
            ],
        ),
        ("max_position_embeddings", 32, ["a position of 32", "--positions 32"]),
        ("vocab_size", 100, ["a vocab of 100", "no table becomes shorter"]),
    ] {
        let mut larger = config.clone();
        larger["num_hidden_layers"] = 4.into();
        larger[field] = asked.into();
        place.write("larger.json", larger.to_string());
        let refused = place.refused(&[
            "grow",
            "--small",
            "model",
            "--large",
            "larger.json",
            "--method",
            "stackbert",
            "--out",
            "o",
        ]);
        assert_says(&refused, &parts);
        let refused = place.refused(&[
            "learn",
            "--small",
            "model",
            "--large",
            "larger.json",
            "--tokens",
            "data",
            "--seq-len",
            "16",
            "--out",
            "o",
        ]);
        assert_says(&refused, &parts);
    }
}

#[test]
fn a_card_whose_header_cannot_be_read_is_told_wherever_a_model_is_made_of_it() {
    let place = place();
    place.write("model/README.md", "---\nlanguage: en\nlicense:mit\n---\n# A model\n");
    let grown = place.shown(&["grow", "--small", "model", "--layers", "2x", "--out", "deeper"]);
    let trained = place.shown(&train(&["--init", "model", "--out", "further"]));
    for told in [grown, trained] {
        assert_says(
            &told,
            &[
                "model/README.md: line 3 of its header is no YAML",
                "`license:mit`",
                "license and language",
            ],
        );
    }
    let card = fs::read_to_string(place.path("deeper/README.md")).unwrap();
    assert!(card.contains("language: en\n") && !card.contains("license"), "{card}");
}
