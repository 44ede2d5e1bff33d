//! `ligo tokenize` and what reads its folder: nothing is mixed, nothing is lost, and damage is found before anything is trained on it.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use crate::common::{self, Place, assert_says, english, said};

const TOKENIZE: [&str; 7] = [
    "tokenize",
    "--data",
    "text.txt",
    "--vocab-size",
    "160",
    "--out",
    "corpus",
];
const MODEL: &str = r#"{"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 32, "max_position_embeddings": 16, "vocab_size": 160}"#;

fn train<'a>(start: [&'a str; 2], tokens: &'a str, out: &'a str) -> Vec<&'a str> {
    let settings = [
        "--set",
        "steps=4",
        "--set",
        "batch_size=2",
        "--set",
        "eval_batches=1",
        "--seq-len",
        "16",
    ];
    [&["train"][..], &start, &["--tokens", tokens, "--out", out], &settings].concat()
}

fn tokenized() -> Place {
    let place = Place::new();
    place.shown(&TOKENIZE);
    place.write("model.json", MODEL);
    place
}

#[test]
fn a_complete_store_survives_a_second_command_that_fails() {
    let place = tokenized();
    let before = place.files("corpus");
    place.write("bad.txt", b"fine\n\nnot fine: \xff\n");
    place.write("late.txt", [english().as_bytes(), b"not fine: \xff\n"].concat());
    let given = ["--tokenizer", "corpus/tokenizer"];
    // When the text is opened, when a tokenizer is trained, and when tokens are written.
    for (data, more, says) in [
        ("bad.txt", &given[..], "UTF-8"),
        ("text.txt", &["--vocab-size", "9"], "too small"),
        ("late.txt", &[], "UTF-8"),
        ("late.txt", &given, "UTF-8"),
    ] {
        let message = place.refused(&[&["tokenize", "--data", data, "--out", "corpus"], more].concat());
        assert_says(&message, &[says]);
        let mut after = place.files("corpus");
        after.retain(|path, _| !path.to_string_lossy().contains(".tokenizing"));
        assert_eq!(after, before, "{data}");
    }
    // Another text and another vocabulary take their places together.
    place.write("text.txt", english().to_uppercase() + "\n\nZebras.");
    let other: Vec<&str> = TOKENIZE.iter().map(|&a| if a == "160" { "150" } else { a }).collect();
    place.shown(&other);
    let after = place.files("corpus");
    assert_ne!(after, before);
    assert_eq!(
        after
            .keys()
            .map(|path| path.strip_prefix(place.path("corpus")).unwrap().to_owned())
            .collect::<Vec<_>>(),
        before
            .keys()
            .map(|path| path.strip_prefix(place.path("corpus")).unwrap().to_owned())
            .collect::<Vec<_>>(),
        "nothing else is left in the folder"
    );
}

#[test]
fn a_store_survives_a_second_command_that_is_killed_and_the_third_one_is_as_if_nothing_was() {
    let place = tokenized();
    let before = place.files("corpus/tokens");
    let whole = place.path("big.txt");
    fs::write(&whole, english().repeat(40)).unwrap();
    let second = [
        "tokenize",
        "--data",
        "big.txt",
        "--vocab-size",
        "160",
        "--out",
        "corpus",
    ];
    // The tokens of commands that had not begun to write, or were through.
    let mut left = Vec::new();
    for pause in [5, 20, 60, 120] {
        let mut child = place
            .command(&second)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(pause));
        let ended = child.try_wait().unwrap().is_some();
        child.kill().ok();
        child.wait().unwrap();
        if ended {
            break;
        }
        // Whatever moment it was: the tokens belong to the tokenizer beside them.
        place.shown(&train(["--model", "model.json"], "corpus", &format!("out-{pause}")));
        if !place.path("corpus/.tokenizing").exists() {
            left.push(place.files("corpus/tokens"));
        }
    }
    place.shown(&second);
    let resumed = place.files("corpus");
    place.shown(&["tokenize", "--data", "big.txt", "--vocab-size", "160", "--out", "fresh"]);
    let fresh = place.files("fresh");
    assert!(
        resumed.values().eq(fresh.values()),
        "the same to the byte, and nothing left over"
    );
    let whole = place.files("fresh/tokens");
    assert!(
        left.iter()
            .all(|tokens| *tokens == before || tokens.values().eq(whole.values()))
    );
}

#[test]
fn two_at_once_the_second_says_who_holds_the_lock() {
    let place = tokenized();
    let lock = ligo_checkpoint::RunLock::acquire(place.path("corpus")).unwrap();
    let message = place.refused(&TOKENIZE);
    assert_says(&message, &["corpus", &std::process::id().to_string()]);
    drop(lock);
    place.shown(&TOKENIZE);
}

#[test]
fn what_was_killed_between_two_renames_is_finished_by_whoever_comes_next() {
    let place = tokenized();
    place.write("text.txt", english().to_uppercase() + "\n\nZebras.");
    place.shown(&["tokenize", "--data", "text.txt", "--vocab-size", "150", "--out", "new"]);
    // The new tokenizer is in its place, the new tokens are not.
    fs::create_dir_all(place.path("corpus/.replaced")).unwrap();
    fs::create_dir_all(place.path("corpus/.tokenized")).unwrap();
    fs::rename(place.path("corpus/tokenizer"), place.path("corpus/.replaced/tokenizer")).unwrap();
    fs::rename(place.path("new/tokenizer"), place.path("corpus/tokenizer")).unwrap();
    fs::rename(place.path("new/tokens"), place.path("corpus/.tokenized/tokens")).unwrap();
    place.shown(&train(["--model", "model.json"], "corpus", "out"));
    assert!(!place.path("corpus/.tokenized").exists() && !place.path("corpus/.replaced").exists());
}

#[test]
fn tokens_of_another_tokenizer_are_refused() {
    let place = tokenized();
    place.shown(&[
        "tokenize",
        "--data",
        "text.txt",
        "--vocab-size",
        "150",
        "--out",
        "other",
    ]);
    place.write(
        "upper.txt",
        english().replace("captain", "zebra").replace("river", "quagga"),
    );
    // Equal sizes, other tokens.
    place.shown(&[
        "tokenize",
        "--data",
        "upper.txt",
        "--vocab-size",
        "160",
        "--out",
        "equal",
    ]);
    place.shown(&train(["--model", "model.json"], "corpus", "small"));
    let message = place.refused(&train(["--init", "small/model"], "equal", "large"));
    assert_says(
        &message,
        &["small/model", "another tokenizer", "ligo tokenize --tokenizer"],
    );
    place.shown(&train(["--init", "small/model"], "corpus", "large"));
    // A tokenizer beside tokens that it did not make.
    fs::remove_dir_all(place.path("corpus/tokenizer")).unwrap();
    fs::rename(place.path("other/tokenizer"), place.path("corpus/tokenizer")).unwrap();
    let message = place.refused(&train(["--model", "model.json"], "corpus", "mixed"));
    assert_says(&message, &["corpus/tokens", "another tokenizer", "remove"]);
}

#[test]
fn damage_anywhere_in_a_store_is_found_before_training() {
    let place = tokenized();
    for file in [
        "train/tokens.bin",
        "train/store.json",
        "valid/tokens.bin",
        "valid/store.json",
    ] {
        let path = place.path("corpus/tokens").join(file);
        let good = fs::read(&path).unwrap();
        // Some bit in every stretch of the file, and its end cut off.
        for part in 0..8 {
            let mut bad = good.clone();
            let at = good.len() * part / 8 + 1;
            bad[at] ^= 1 << part;
            if part == 7 {
                bad.truncate(good.len() - 1);
            }
            fs::write(&path, &bad).unwrap();
            let message = place.refused(&train(["--model", "model.json"], "corpus", "damaged"));
            assert_says(&message, &[file, "remove corpus/tokens"]);
        }
        fs::write(&path, good).unwrap();
    }
    fs::remove_dir_all(place.path("corpus/tokens/train")).unwrap();
    let message = place.refused(&train(["--model", "model.json"], "corpus", "damaged"));
    assert_says(&message, &["train", "remove corpus/tokens"]);
    // What the message says to do works.
    fs::remove_dir_all(place.path("corpus/tokens")).unwrap();
    place.shown(&TOKENIZE);
    place.shown(&train(["--model", "model.json"], "corpus", "damaged"));
}

#[test]
fn a_run_whose_tokens_are_damaged_names_the_remedy_and_it_works() {
    let place = Place::new();
    let run = ["run", "--recipe", "recipe.toml", "--data", "text.txt", "--out", "run"];
    let plain = place.shown(&run);
    let result = place.files("run/methods");
    let path = place.path("run/tokens/train/tokens.bin");
    let mut bytes = fs::read(&path).unwrap();
    bytes[101] ^= 4;
    fs::write(&path, bytes).unwrap();
    let message = place.refused(&run);
    assert_says(&message, &["tokens.bin", "damaged", "remove run/tokens"]);
    fs::remove_dir_all(place.path("run/tokens")).unwrap();
    let again = place.shown(&run);
    assert!(again.contains("skipped"), "{again}\n{plain}");
    assert_eq!(place.files("run/methods"), result, "nothing was trained anew");
}

#[test]
fn what_plays_which_part_and_what_is_left_out_is_said() {
    let place = Place::new();
    fs::create_dir_all(place.path("texts/test")).unwrap();
    for name in ["train.txt", "val.txt", "test/a.txt", "notes.md", "info.json"] {
        fs::write(place.path("texts").join(name), english()).unwrap();
    }
    let said_here = place.shown(&["tokenize", "--data", "texts", "--vocab-size", "160", "--out", "corpus"]);
    assert_says(
        &said_here,
        &[
            "to train on 1 file(s): texts/train.txt",
            "to validate on 1 file(s): texts/val.txt",
            "left out: 1 file(s): texts/test/a.txt: test text",
            "left out: 1 file(s): texts/notes.md",
            "left out: 1 file(s): texts/info.json",
        ],
    );
    let empty = place.refused(&[
        "tokenize",
        "--data",
        "texts/test",
        "--out",
        "corpus",
        "--text-column",
        "x",
        "--valid",
        "texts/notes.md",
    ]);
    assert_says(&empty, &["notes.md"]);
}

#[test]
fn text_as_people_have_it_is_tokenized() {
    let place = Place::new();
    // One document, of lines; the same by line; one of its own, divided by the tokenizer's own end token.
    let lines = english().replace("\n\n", "\n");
    place.write("lines.txt", &lines);
    let one = place.shown(&["tokenize", "--data", "lines.txt", "--vocab-size", "160", "--out", "one"]);
    assert_says(&one, &["in 1 documents", "--documents line"]);
    let line = [
        "tokenize",
        "--data",
        "lines.txt",
        "--documents",
        "line",
        "--vocab-size",
        "160",
        "--out",
        "line",
    ];
    let by_line = place.shown(&line);
    assert!(
        !by_line.contains("in 1 documents") && !by_line.contains("--documents line"),
        "{by_line}"
    );
    let stories = english().replace("\n\n", "\n\nAnd more.\n<|endoftext|>\n");
    place.write("stories.txt", stories);
    let gpt2 = [
        "tokenize",
        "--data",
        "stories.txt",
        "--kind",
        "gpt2",
        "--vocab-size",
        "400",
        "--out",
        "gpt2",
    ];
    place.shown(&gpt2);
    let documents = ["train", "valid"].map(|part| {
        let store = ligo_data::TokenStore::open(&place.path("gpt2/tokens").join(part)).unwrap();
        let first: Vec<u32> = store.read(0, 400).collect();
        let tokenizer = ligo_data::Tokenizer::open(&place.path("gpt2/tokenizer")).unwrap();
        let text = tokenizer.decode(&first).unwrap();
        assert!(text.contains("\n\nAnd more."), "{text}");
        store.info().documents
    });
    assert_eq!(documents.iter().sum::<u64>(), 300);
    // Odd lines of JSONL.
    let jsonl: String = english()
        .split("\n\n")
        .filter(|text| !text.is_empty())
        .map(|text| format!("{{\"text\": \"{text}\", \"score\": NaN}}\n"))
        .collect();
    place.write("a.jsonl", jsonl + "{\"text\": null}\n{\"id\": 1}\n");
    let json = ["tokenize", "--data", "a.jsonl", "--vocab-size", "160", "--out", "json"];
    assert_says(&place.refused(&json), &["line 301", "corpus.missing_text"]);
    let skipped = place.shown(&[&json[..], &["--missing-text", "skip"]].concat());
    assert_eq!(skipped.matches("2 lines or rows have no text").count(), 1, "{skipped}");
    // In a recipe, too.
    let mut recipe = common::RECIPE.to_owned();
    recipe.push_str("\n[corpus]\ndocuments = \"line\"\n");
    place.write("recipe.toml", recipe);
    let output = place
        .command(&["run", "--recipe", "recipe.toml", "--data", "lines.txt", "--out", "run"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let store = ligo_data::TokenStore::open(&place.path("run/tokens/train")).unwrap();
    assert!(store.info().documents > 200);
}
