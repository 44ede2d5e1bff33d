//! Bad input gets a clear error and loses nothing: the program as a user starts it, on everything that can be wrong.

use std::fs;
use std::sync::Arc;

use ligo_checkpoint::RunLock;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::common::{self, LIGO, Place, assert_says};

const RUN: [&str; 5] = ["run", "--recipe", "recipe.toml", "--out", "run"];

fn with<'a>(arguments: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [arguments, more].concat()
}

// The text.

#[test]
fn text_that_cannot_be_used_is_named() {
    let place = Place::new();
    place.write("empty.txt", "");
    place.write("latin1.txt", b"caf\xe9 au lait\n");
    place.write("image.png", "no text");
    place.write("broken.jsonl", "{\"text\": \"one\"}\n{\"text\": \n");
    place.write("keys.jsonl", "{\"body\": \"one\"}\n");
    for (data, parts) in [
        ("empty.txt", ["the corpus is empty", "empty.txt"].as_slice()),
        ("latin1.txt", &["latin1.txt", "is not UTF-8", "offset 3"]),
        ("image.png", &["image.png", ".txt, .jsonl"]),
        ("broken.jsonl", &["broken.jsonl", "line 2"]),
        ("keys.jsonl", &["keys.jsonl", "line 1", "`text`", "`body`"]),
        ("nowhere", &["nowhere", "No such file"]),
    ] {
        assert_says(&place.refused(&with(&RUN, &["--data", data])), parts);
        let tokenize = ["tokenize", "--data", data, "--out", "tokens", "--vocab-size", "100"];
        assert_says(&place.refused(&tokenize), parts);
        assert!(!place.path("tokens/tokens/train").exists(), "{data} left tokens");
        let _ = fs::remove_dir_all(place.path("run"));
    }
}

/// A parquet file with a number and a text in each row.
fn parquet(place: &Place, name: &str, rows: &[String]) {
    let schema = "message schema { required int64 id; required binary body (utf8); }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let file = fs::File::create(place.path(name)).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let ids: Vec<i64> = (0..rows.len() as i64).collect();
    let texts: Vec<ByteArray> = rows.iter().map(|text| ByteArray::from(text.as_str())).collect();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&ids, None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn a_parquet_without_the_text_column_lists_those_that_it_has() {
    let place = Place::new();
    let rows: Vec<String> = common::english().split("\n\n").map(String::from).collect();
    parquet(&place, "a.parquet", &rows);
    let columns = ["a.parquet", "`text`", "`id`", "`body`"];
    assert_says(&place.refused(&with(&RUN, &["--data", "a.parquet"])), &columns);
    let tokenize = [
        "tokenize",
        "--data",
        "a.parquet",
        "--out",
        "tokens",
        "--vocab-size",
        "100",
    ];
    assert_says(&place.refused(&tokenize), &columns);
    let with_column = |name| {
        place
            .command(&with(&tokenize, &["--text-column", name]))
            .output()
            .unwrap()
    };
    assert_says(&common::complaint(&with_column("id")), &["a.parquet", "`id`", "`body`"]);
    let tokenized = with_column("body");
    assert!(tokenized.status.success(), "{}", common::said(&tokenized));
    // The start that failed does not stand in the way.
    place.shown(&with(
        &RUN,
        &["--data", "a.parquet", "--set", "corpus.text_column=body"],
    ));
}

#[test]
fn an_address_on_the_hub_that_is_not_cached_is_refused_offline_before_a_folder_is_taken() {
    let place = Place::new();
    for (arguments, parts) in [
        (
            ["--data", "hf://datasets/o/texts"].as_slice(),
            ["`hf://datasets/o/texts`", "HF_HUB_OFFLINE"],
        ),
        (
            &["--data", "text.txt", "--tokenizer", "hf://o/m"],
            ["`hf://o/m`", "HF_HUB_OFFLINE"],
        ),
        (
            &["--data", "text.txt", "--small", "hf://o/m"],
            ["`hf://o/m`", "HF_HUB_OFFLINE"],
        ),
        (&["--data", "hf://datasets/o"], ["`hf://datasets/o`", "expected"]),
    ] {
        let mut command = place.command(&with(&RUN, arguments));
        command
            .env("HF_HUB_OFFLINE", "1")
            .env("HF_HUB_CACHE", place.path("hub"));
        assert_says(&common::complaint(&command.output().unwrap()), &parts);
        assert!(!place.path("run").exists(), "{arguments:?} took a folder");
    }
}

#[test]
fn a_corpus_smaller_than_a_batch_is_told_from_an_empty_one() {
    let place = Place::new();
    let recipe = common::RECIPE.replacen("batch_size = 4", "batch_size = 100000", 1);
    place.write("recipe.toml", recipe);
    let message = place.refused(&with(&RUN, &["--data", "text.txt"]));
    assert_says(&message, &["too small", "100000 sequences", "tokens, found"]);
    // Nothing was trained, so the corrected command may have the folder.
    let corrected = with(&RUN, &["--data", "text.txt", "--set", "small.train.batch_size=4"]);
    assert_says(&place.shown(&corrected), &["tokens: complete, skipped", "saving"]);
}

// Model directories.

// Recipes.

#[test]
fn every_fault_of_a_recipe_is_listed_with_the_nearest_key() {
    let place = Place::new();
    let recipe = common::RECIPE
        .replace("vocab_size", "vocab_sise")
        .replace("eval_every", "eval_evry")
        .replace("name = \"ligo\"", "name = \"lgio\"")
        .replace("seq_len = 16", "seq_len = \"long\"");
    place.write("recipe.toml", recipe);
    let message = place.refused(&with(&RUN, &["--data", "text.txt"]));
    let parts = [
        "recipe.toml has 5 faults",
        "tokenizer.vocab_sise: unknown key; did you mean `vocab_size`?",
        "small.train.eval_evry: unknown key; did you mean `eval_every`?",
        "large.train.eval_evry",
        "data.seq_len",
        "did you mean `ligo`?",
    ];
    assert_says(&message, &parts);
    assert!(
        !place.path("run").exists(),
        "a folder was made for a recipe that cannot run"
    );
}

#[test]
fn a_recipe_that_contradicts_itself_is_refused_before_any_work() {
    let place = Place::new();
    for (set, parts) in [
        (
            "large.model.num_attention_heads=5",
            ["num_attention_heads = 5", "hidden_size = 24"].as_slice(),
        ),
        ("large.model.num_hidden_layers=0", &["num_hidden_layers"]),
        ("small.model.hidden_size=48", &["smaller than the small one"]),
        (
            "small.train.batch_size=0",
            &["small.train", "batch_size must be at least 1"],
        ),
        ("data.mask_probability=2", &["data.mask_probability", "between 0 and 1"]),
        ("small.train.stepps=3", &["did you mean `steps`?"]),
        (
            "large.train.accumulation=9223372036854775807",
            &["large.train", "accumulation must be at most"],
        ),
        ("data.seq_len=9223372036854775807", &["data.seq_len", "at most 1048576"]),
        ("name=\"a\\nb\"", &["name: must be a folder name"]),
        ("seed", &["--set seed", "KEY=VALUE"]),
    ] {
        let message = place.refused(&with(&RUN, &["--data", "text.txt", "--set", set]));
        assert_says(&message, parts);
        assert!(!place.path("run").exists(), "{set}");
    }
}

#[test]
fn an_unknown_recipe_comes_with_the_nearest_one() {
    let place = Place::new();
    let message = place.refused(&["run", "--recipe", "demmo"]);
    assert_says(&message, &["demmo", "did you mean `demo`?", "bert-mini"]);
    place.write("recipe.toml", "name = ");
    let message = place.refused(&RUN);
    assert_says(&message, &["recipe.toml is not TOML"]);
}

#[test]
fn wrong_arguments_end_with_two() {
    let place = Place::new();
    for arguments in [
        ["run", "--recipee", "demo"].as_slice(),
        &["grow"],
        &["--device", "tpu", "run"],
    ] {
        let output = place.command(arguments).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            common::said(&output)
        );
    }
}

// Folders.

#[test]
fn a_folder_in_use_or_of_another_recipe_is_left_alone() {
    let place = Place::new();
    let run = with(&RUN, &["--data", "text.txt"]);
    place.shown(&run);
    let before = place.files("run");
    assert!(before.len() > 40, "{} files", before.len());

    let lock = RunLock::acquire(place.path("run")).unwrap();
    let message = place.refused(&run);
    let holder = std::process::id().to_string();
    assert_says(&message, &["run is in use by process", &holder]);
    drop(lock);

    let message = place.refused(&with(&run, &["--set", "large.train.steps=30"]));
    assert_says(&message, &["other settings", "--out"]);
    assert!(
        place.files("run") == before,
        "a refused run changed files of the one before"
    );
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_named_with_the_file_and_a_later_run_goes_on() {
    let place = Place::new();
    let run = with(&RUN, &["--data", "text.txt"]);
    // Tokens and the small model's weights fit, a checkpoint with its moments does not.
    let limited = |kilobytes: usize| {
        let script = format!(
            "trap '' XFSZ; ulimit -f {}; exec {LIGO} {} --device cpu",
            2 * kilobytes,
            run.join(" ")
        );
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &script]).current_dir(place.path(""));
        common::complaint(&shell.output().unwrap())
    };
    assert_says(
        &limited(64),
        &["cannot write", "run/small/checkpoints", "bytes", "File too large"],
    );
    assert_says(&limited(2), &["cannot write", "File too large"]);
    let tokens = place.files("run/tokens");
    let said = place.shown(&run);
    assert_says(&said, &["tokens: complete, skipped", "saving"]);
    assert!(place.files("run/tokens") == tokens);
    let names: Vec<_> = place.files("run").into_keys().collect();
    let partial = names.iter().find(|name| name.to_string_lossy().contains("partial"));
    assert_eq!(partial, None, "half of a folder stayed behind");
}

#[cfg(target_os = "linux")]
#[test]
fn memory_that_is_refused_is_told_with_what_is_saved() {
    let place = Place::new();
    // One activation of the large model is four gigabytes, of which nothing is ever touched.
    let more = [
        "--data",
        "text.txt",
        "--set",
        "large.model.intermediate_size=160000",
        "--set",
        "large.train.batch_size=400",
        "--set",
        "corpus.valid_fraction=0.5",
        "--set",
        "methods=[{name=\"scratch\"}]",
    ];
    let arguments: Vec<String> = with(&RUN, &more).iter().map(|part| format!("'{part}'")).collect();
    let script = format!("ulimit -v 3000000; exec {LIGO} {} --device cpu", arguments.join(" "));
    let mut shell = std::process::Command::new("sh");
    let output = shell
        .args(["-c", &script])
        .current_dir(place.path(""))
        .output()
        .unwrap();
    let said = common::said(&output);
    assert_eq!(output.status.code(), None, "ended by itself: {said}");
    assert_says(
        &said,
        &[
            "there is no memory left",
            "last checkpoint",
            "batch_size",
            "data.seq_len",
        ],
    );
    // What was done before is there, and the corrected command goes on with it.
    assert!(place.path("run/small/stage.json").is_file());
}

// Numbers.

#[test]
fn a_step_that_is_not_finite_ends_the_run_with_its_number() {
    let place = Place::new();
    let run = with(&RUN, &["--data", "text.txt"]);
    let message = place.refused(&with(&run, &["--set", "small.train.schedule.peak_lr=1e30"]));
    assert_says(&message, &["step", "loss NaN", "weights and optimizer are as before"]);
}

// Images.

/// Class folders with so many pictures each, in `pictures/`.
fn class_folders(place: &Place, classes: &[&str], count: u8) {
    for (c, class) in classes.iter().enumerate() {
        fs::create_dir_all(place.path(&format!("pictures/{class}"))).unwrap();
        for i in 0..count {
            let color = |x: u32, y: u32| image::Rgb([(80 * c) as u8 + i, (x * 3) as u8, (y * 3) as u8]);
            let picture = image::RgbImage::from_fn(40, 36, color);
            picture.save(place.path(&format!("pictures/{class}/{i}.jpg"))).unwrap();
        }
    }
}

const PICTURES: [&str; 7] = ["run", "--recipe", "vit-mini", "--out", "run", "--data", "pictures"];

#[test]
fn a_corrupt_picture_is_named_and_fatal_or_counted_and_left_out() {
    let place = Place::new();
    class_folders(&place, &["cat", "dog"], 60);
    let broken = place.path("pictures/dog/17.jpg");
    let whole = fs::read(&broken).unwrap();
    fs::write(&broken, &whole[..whole.len() / 3]).unwrap();
    assert_says(&place.refused(&PICTURES), &["dog/17.jpg", "damaged_images"]);
    let short = [
        "corpus.damaged_images=skip",
        "corpus.valid_fraction=0.2",
        "small.train.steps=2",
        "small.train.batch_size=4",
        "small.train.eval_every=0",
        "small.train.eval_batches=2",
        "small.train.schedule.warmup_steps=0",
        "large.train.steps=2",
        "large.train.batch_size=4",
        "large.train.eval_every=0",
        "large.train.eval_batches=2",
        "large.train.schedule.warmup_steps=0",
        "methods=[{name=\"scratch\"}]",
    ];
    let set = short.into_iter().flat_map(|setting| ["--set", setting]);
    let said = place.shown(&PICTURES.into_iter().chain(set).collect::<Vec<_>>());
    assert_says(
        &said,
        &[
            "dog/17.jpg is left out",
            "1 of 120 could not be decoded and are left out",
        ],
    );
}

#[test]
fn a_folder_with_one_class_and_one_with_none_are_refused() {
    let place = Place::new();
    class_folders(&place, &["cat"], 3);
    assert_says(&place.refused(&PICTURES), &["only one class, `cat`"]);
    fs::remove_dir_all(place.path("pictures")).unwrap();
    fs::create_dir(place.path("pictures")).unwrap();
    assert_says(&place.refused(&PICTURES), &["pictures"]);
}
