//! Configurations and tokenizers that somebody or something has spoiled: each is read or refused, soon, and in little memory. `LIGO_SEED` draws
//! other ones.
#![cfg(unix)]

use std::fs;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{self, LIGO, Place, draws};

/// What a case may take on a machine that does other things too.
const SLOWEST: Duration = Duration::from_secs(10);
/// Of address space: 500 MB of data, the program, and the stacks and arenas of its threads.
const ADDRESS_SPACE_KB: usize = 1_500_000;

/// The program with little memory.
fn limited(place: &Place, arguments: &[&str]) -> (Output, Duration) {
    let mut command = Command::new("sh");
    let limit = format!("ulimit -v {ADDRESS_SPACE_KB}; exec \"$0\" \"$@\"");
    command
        .args(["-c", &limit, LIGO])
        .args(arguments)
        .args(["--device", "cpu"]);
    let start = Instant::now();
    let output = command.current_dir(place.path("")).output().unwrap();
    (output, start.elapsed())
}

/// What stands where something else should.
fn odd(draw: &mut impl FnMut(usize) -> usize) -> Value {
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(2),
        json!(3),
        json!(7),
        json!(64),
        json!(-1),
        json!(0.5),
        json!(2.5),
        json!(-0.0),
        json!(i32::MAX),
        json!(u32::MAX),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1_000_000),
        json!(1e18),
        json!(1e308),
        json!(-1e308),
        json!(5e-324),
        json!(""),
        json!("gelu"),
        json!("bert"),
        json!("\u{1b}[31m"),
        json!("x".repeat(100_000)),
        json!([]),
        json!({}),
        json!([[[[[[]]]]]]),
        json!([1, "2", null]),
        json!({"0": 1, "1": {"2": []}}),
        Value::Array(vec![json!(0); 50_000]),
    ];
    let i = draw(values.len());
    values[i].clone()
}

/// Every place in a value where another value could stand.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            let key = key.replace('~', "~0").replace('/', "~1");
            places(value, &format!("{path}/{key}"), found);
        }),
        // The first ones are like the others.
        Value::Array(values) => values
            .iter()
            .take(4)
            .enumerate()
            .for_each(|(i, value)| places(value, &format!("{path}/{i}"), found)),
        _ => {}
    }
}

/// A text with one to three faults.
fn spoiled(original: &Value, draw: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
    let mut value = original.clone();
    for _ in 0..=draw(3) {
        let mut found = Vec::new();
        places(&value, "", &mut found);
        let place = found.swap_remove(draw(found.len()));
        let parent = place.rfind('/').map(|end| &place[..end]);
        match (draw(5), parent.and_then(|parent| value.pointer_mut(parent))) {
            (0, Some(Value::Object(fields))) => {
                let key = place.rsplit('/').next().unwrap().replace("~1", "/").replace("~0", "~");
                fields.remove(&key);
            }
            (1, Some(Value::Object(fields))) => drop(fields.insert(format!("new{}", draw(9)), odd(draw))),
            _ => *value.pointer_mut(&place).unwrap() = odd(draw),
        }
    }
    let mut text = serde_json::to_vec(&value).unwrap();
    match draw(8) {
        0 => text.truncate(draw(text.len().max(1))),
        1 if !text.is_empty() => {
            let place = draw(text.len());
            text[place] ^= 1 << draw(8);
        }
        2 => text.extend("[".repeat(20_000).bytes()),
        _ => {}
    }
    text
}

#[derive(Default)]
struct Faults {
    told: Vec<String>,
    slowest: Duration,
}

impl Faults {
    /// Notes a case that ended otherwise than with success or a refusal.
    fn look(&mut self, about: &str, text: &[u8], (output, took): &(Output, Duration)) {
        self.slowest = self.slowest.max(*took);
        let said = common::said(output);
        let ended = matches!(output.status.code(), Some(0 | 1)) && !said.contains("panicked");
        if !ended || *took > SLOWEST || said.contains('\u{1b}') {
            let shown = String::from_utf8_lossy(&text[..text.len().min(2_000)]).into_owned();
            self.told
                .push(format!("{about}: {:?} in {took:?}\n{shown}\n{said}", output.status));
        }
    }

    fn none(self, count: usize) {
        println!("{count} cases, the slowest took {:?}", self.slowest);
        assert!(
            self.told.is_empty(),
            "{} of {count}:\n{}",
            self.told.len(),
            self.told.join("\n\n")
        );
    }
}

fn configurations(count: usize) {
    let place = Place::new();
    let tokenize = ["tokenize", "--data", "text.txt", "--vocab-size", "200", "--out", "data"];
    place.shown(&tokenize);
    let families = [
        "bert",
        "roberta",
        "distilbert",
        "albert",
        "electra",
        "modernbert",
        "gpt2",
        "opt",
        "llama",
        "mistral",
        "mixtral",
        "qwen2",
        "qwen3_moe",
        "smollm3",
        "phi3",
        "olmo2",
        "vit",
        "deit",
        "cait",
    ];
    let small = json!({"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64,
        "max_position_embeddings": 16, "vocab_size": 200});
    place.write("small.json", small.to_string());
    place.shown(&common::TRAIN_A_STEP);
    common::copy_folder(&place.path("trained/model"), &place.path("model"));
    let own: Value = serde_json::from_slice(&fs::read(place.path("model/config.json")).unwrap()).unwrap();
    // Without its manifest it is a model from elsewhere, whose hashes nobody knows.
    for entry in fs::read_dir(place.path("model")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().contains("manifest") {
            fs::remove_file(path).unwrap();
        }
    }
    let mut draw = draws(23);
    let mut faults = Faults::default();
    for _ in 0..count {
        if draw(2) == 0 {
            let text = spoiled(&own, &mut draw);
            place.write("model/config.json", &text);
            faults.look("inspect", &text, &limited(&place, &["inspect", "model"]));
        } else {
            let family = families[draw(families.len())];
            let config = ligo_arch::ModelConfig::example(family).unwrap().to_json();
            let text = spoiled(&config, &mut draw);
            place.write("large.json", &text);
            let grow = [
                "grow",
                "--small",
                "trained/model",
                "--large",
                "large.json",
                "--method",
                "stackbert",
                "--out",
                "grown",
            ];
            faults.look("grow", &text, &limited(&place, &grow));
            let _ = fs::remove_dir_all(place.path("grown"));
        }
    }
    faults.none(count);
}

fn tokenizers(count: usize) {
    let place = Place::new();
    place.shown(&["tokenize", "--data", "text.txt", "--vocab-size", "200", "--out", "data"]);
    let original: Value =
        serde_json::from_slice(&fs::read(place.path("data/tokenizer/tokenizer.json")).unwrap()).unwrap();
    let mut draw = draws(29);
    let mut faults = Faults::default();
    for _ in 0..count {
        let text = spoiled(&original, &mut draw);
        place.write("tokenizer.json", &text);
        let tokenize = [
            "tokenize",
            "--data",
            "text.txt",
            "--tokenizer",
            "tokenizer.json",
            "--out",
            "out",
        ];
        faults.look("tokenize", &text, &limited(&place, &tokenize));
        let _ = fs::remove_dir_all(place.path("out"));
    }
    faults.none(count);
}

#[test]
fn spoiled_configurations_are_read_or_refused() {
    configurations(150);
}

#[test]
fn spoiled_tokenizers_are_read_or_refused() {
    tokenizers(60);
}

#[test]
#[ignore = "takes a minute: cargo xtask test --long fuzzed"]
fn two_thousand_spoiled_configurations_are_read_or_refused() {
    configurations(2000);
}

#[test]
#[ignore = "takes a minute: cargo xtask test --long fuzzed"]
fn five_hundred_spoiled_tokenizers_are_read_or_refused() {
    tokenizers(500);
}
