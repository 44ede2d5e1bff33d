//! Models, tokenizers and texts by their address on the hub, out of its cache; longer tables; the card and the check of a growth.

use std::fs;

use ligo_arch::{Axis, BertConfig, LlamaConfig, ModelConfig};
use ligo_checkpoint::{ModelDir, WriteOptions, write_model};
use ligo_experiment::Failure;
use ligo_experiment::recipe::{self, Recipe, RecipeError};

use crate::common::{Place, assert_says, complaint, fixture, said};

const VOCABULARY: usize = 300;
const SNAPSHOT: &str = "hub/models--o--tiny/snapshots/0123abc";

/// A place whose cache of the hub holds the model `o/tiny` with its tokenizer, and the text `o/words`.
fn place(config: &ModelConfig, kind: &str) -> Place {
    let place = Place::new();
    let size = VOCABULARY.to_string();
    let tokenize = [
        "tokenize",
        "--data",
        "text.txt",
        "--kind",
        kind,
        "--vocab-size",
        &size,
        "--out",
        "made",
    ];
    place.shown(&tokenize);
    let table = config.table();
    let tensors = ligo_growth::init::initial_values(&table, 0.05, 3);
    let tensors = tensors.map(|(name, shape, values)| (name, shape, values.into()));
    let folder = place.path(SNAPSHOT);
    fs::create_dir_all(folder.parent().unwrap()).unwrap();
    write_model(&folder, &config.to_json(), tensors, &WriteOptions::default()).unwrap();
    fs::remove_file(folder.join("manifest.json")).unwrap();
    for file in fs::read_dir(place.path("made/tokenizer")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    let generation = r#"{"eos_token_id": 299, "suppress_tokens": [5]}"#;
    fs::write(folder.join("generation_config.json"), generation).unwrap();
    fs::write(
        folder.join("README.md"),
        "---\nlicense: apache-2.0\nlanguage: en\n---\n# Tiny\n",
    )
    .unwrap();
    let refs = place.path("hub/models--o--tiny/refs");
    fs::create_dir_all(&refs).unwrap();
    fs::write(refs.join("main"), "0123abc").unwrap();
    let words = place.path("hub/datasets--o--words");
    let texts = words.join("snapshots/77");
    fs::create_dir_all(words.join("refs")).unwrap();
    fs::write(words.join("refs/main"), "77").unwrap();
    fs::create_dir_all(&texts).unwrap();
    fs::copy(place.path("text.txt"), texts.join("en.txt")).unwrap();
    fs::write(texts.join("infos.json"), "{}").unwrap();
    place
}

fn llama() -> ModelConfig {
    let mut config = LlamaConfig::new(VOCABULARY, 16, 2, 2, 32);
    config.max_position_embeddings = 64;
    ModelConfig::Llama(config)
}

fn bert() -> ModelConfig {
    let mut config = BertConfig::new(VOCABULARY, 16, 2, 2);
    config.max_position_embeddings = 32;
    ModelConfig::Bert(config)
}

fn shown(place: &Place, arguments: &[&str]) -> String {
    let mut command = place.command(arguments);
    command
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_HUB_CACHE", place.path("hub"));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}:\n{}", said(&output));
    said(&output)
}

fn refused(place: &Place, arguments: &[&str]) -> String {
    let mut command = place.command(arguments);
    command
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_HUB_CACHE", place.path("hub"));
    complaint(&command.output().unwrap())
}

#[test]
fn a_model_of_the_hub_grows_in_one_line_and_its_card_says_what_it_is() {
    let place = place(&llama(), "gpt2");
    let grow = ["grow", "--small", "hf://o/tiny", "--layers", "2x", "--out", "bigger"];
    let told = shown(&place, &[&grow[..], &["--text", "hf://datasets/o/words"]].concat());
    assert_says(
        &told,
        &[
            "hf://o/tiny: taken from the cache: HF_HUB_OFFLINE is set",
            "zero-blocks",
            "computes what the small model does",
            "starts at the small model's loss: 5.7",
            "grew o/tiny into bigger by zero-blocks: 14800 → 19984 parameters",
        ],
    );
    let card = fs::read_to_string(place.path("bigger/README.md")).unwrap();
    assert_says(
        &card,
        &[
            "license: apache-2.0\nlanguage: en\nbase_model: \"o/tiny\"\n",
            "# tiny, grown and not yet trained",
            "* Layers: 4 from 2",
            "* Checked: computes what the small model does",
            "| loss of this model | 5.7",
            "LlamaForCausalLM.from_pretrained",
            "ligo grow --small hf://o/tiny --layers 2x --out DIR --text hf://datasets/o/words",
        ],
    );
    // What is hashed is as it was written, and the tokenizer came along.
    assert_says(&shown(&place, &["inspect", "bigger"]), &["all hashes hold"]);
    assert!(place.path("bigger/tokenizer.json").exists());

    // The folders of the cache do as well as the address.
    for folder in ["hub/models--o--tiny", SNAPSHOT] {
        let again = [
            "grow",
            "--small",
            folder,
            "--layers",
            "2x",
            "--out",
            "again",
            "--replace",
        ];
        shown(&place, &again);
        let weights = |name: &str| fs::read(place.path(name).join("model.safetensors")).unwrap();
        assert!(weights("again") == weights("bigger"), "{folder}");
        let card = fs::read_to_string(place.path("again/README.md")).unwrap();
        assert_says(&card, &["base_model: \"o/tiny\""]);
    }
    let sent = shown(&place, &["push", "bigger", "me/bigger", "--dry-run"]);
    assert_says(&sent, &["model.safetensors", "would go to me/bigger"]);
    assert_says(&refused(&place, &["push", "bigger", "me/bigger"]), &["HF_HUB_OFFLINE"]);
    assert_says(&refused(&place, &["push", "hub", "me/bigger"]), &["hub"]);
}

#[test]
fn an_address_stands_wherever_a_model_or_tokenizer_may() {
    let place = place(&llama(), "gpt2");
    let tokenize = [
        "tokenize",
        "--data",
        "hf://datasets/o/words",
        "--tokenizer",
        "hf://o/tiny",
        "--out",
        "text",
    ];
    assert_says(&shown(&place, &tokenize), &["vocabulary 300"]);
    let settings = [
        "--tokens",
        "text",
        "--seq-len",
        "16",
        "--set",
        "steps=2",
        "--set",
        "batch_size=2",
    ];
    let train = ["train", "--init", "hf://o/tiny", "--out", "trained"];
    assert_says(&shown(&place, &[&train[..], &settings].concat()), &["validation loss"]);
    let card = fs::read_to_string(place.path("trained/model/README.md")).unwrap();
    assert_says(
        &card,
        &[
            "license: apache-2.0",
            "base_model: \"o/tiny\"",
            "| validation loss | 5.",
            "| steps | 2 |",
            "LlamaForCausalLM",
        ],
    );
    let fresh = ["train", "--model", "hf://o/tiny", "--out", "fresh"];
    assert_says(&shown(&place, &[&fresh[..], &settings].concat()), &["validation loss"]);
    place.write("large.json", r#"{"num_hidden_layers": 4}"#);
    let learn = [
        "learn",
        "--small",
        "hf://o/tiny",
        "--large",
        "large.json",
        "--out",
        "operator",
    ];
    shown(&place, &[&learn[..], &settings].concat());
    assert_says(&shown(&place, &["inspect", "hf://o/tiny"]), &["Llama, 2 layers"]);
    assert_says(&shown(&place, &["verify", "hf://o/tiny"]), &["parameters"]);
    let config = [
        "grow",
        "--small",
        "hf://o/tiny",
        "--large",
        "hf://o/tiny",
        "--method",
        "stackbert",
        "--out",
        "same",
    ];
    shown(&place, &config);
    for wrong in ["hf://o/other", "hf://o/tiny@v2"] {
        let grow = ["grow", "--small", wrong, "--layers", "2x", "--out", "none"];
        assert_says(&refused(&place, &grow), &[wrong, "is not in the cache"]);
    }
}

#[test]
fn vocabulary_and_positions_grow_with_the_rest_and_keep_what_is_computed() {
    let place = place(&bert(), "word-piece");
    fn grow<'a>(more: &[&'a str]) -> Vec<&'a str> {
        let fixed = ["grow", "--small", SNAPSHOT, "--out", "bigger", "--replace"];
        [&fixed[..], more].concat()
    }
    let told = shown(
        &place,
        &grow(&[
            "--pad-vocab-to",
            "64",
            "--positions",
            "2x",
            "--width",
            "2x",
            "--method",
            "hyper-cloning",
        ]),
    );
    assert_says(&told, &["computes what the small model does"]);
    let read = |model: &str, name: &str| ModelDir::open(place.path(model)).unwrap().read_f32(name).unwrap();
    let config = ModelDir::open(place.path("bigger")).unwrap().config().unwrap().clone();
    let config = ModelConfig::from_json(&config).unwrap();
    assert_eq!((config.vocab_size(), config.max_sequence_tokens()), (320, 64));
    assert_eq!(config.table().size(Axis::HIDDEN), 32);

    // Nothing else grows: old rows are as they were, and new ones follow their rule.
    for (rule, mean) in [("mean", true), ("fresh", false)] {
        let told = shown(
            &place,
            &grow(&["--vocab", "310", "--positions", "48", "--new-tokens", rule]),
        );
        assert_says(&told, &["computes what the small model does"]);
        let words = "bert.embeddings.word_embeddings.weight";
        let (old, new) = (read(SNAPSHOT, words), read("bigger", words));
        assert_eq!((new.len(), &new[..old.len()]), (310 * 16, &old[..]));
        let column = old.iter().step_by(16).map(|x| f64::from(*x)).sum::<f64>() / 300.0;
        assert_eq!((f64::from(new[305 * 16]) - column).abs() < 1e-6, mean);
        let bias = read("bigger", "cls.predictions.bias");
        assert_eq!(bias.len(), 310);
        let places = "bert.embeddings.position_embeddings.weight";
        let (old, new) = (read(SNAPSHOT, places), read("bigger", places));
        assert_eq!((new.len(), &new[32 * 16..]), (48 * 16, &old[..16 * 16]));
    }
    let stretched = grow(&["--positions", "2x", "--new-positions", "interpolate"]);
    assert_says(&shown(&place, &stretched), &["computes something else"]);
    for (wrong, says) in [
        (["--vocab", "200"].as_slice(), "vocab: 200 is less than the 300"),
        (&["--positions", "8"], "positions: 8 is less than the 32"),
        (&["--pad-vocab-to", "0"], "multiple of 0"),
    ] {
        assert_says(&refused(&place, &grow(wrong)), &[says]);
    }
}

#[test]
fn another_tokenizer_takes_the_embeddings_of_its_tokens_along() {
    let place = place(&llama(), "gpt2");
    let tokenize = [
        "tokenize",
        "--data",
        "text.txt",
        "--kind",
        "gpt2",
        "--vocab-size",
        "290",
        "--out",
        "new",
    ];
    shown(&place, &tokenize);
    let grow = [
        "grow",
        "--small",
        SNAPSHOT,
        "--tokenizer",
        "new/tokenizer",
        "--pad-vocab-to",
        "32",
        "--out",
        "bigger",
    ];
    let told = shown(&place, &grow);
    assert_says(&told, &["of 290 tokens", "they read other tokens"]);
    let config = ModelDir::open(place.path("bigger")).unwrap().config().unwrap().clone();
    assert_eq!(config["vocab_size"], 320);
    let id = |folder: &str, token: &str| -> usize {
        let text = fs::read_to_string(place.path(folder).join("tokenizer.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        json["model"]["vocab"][token].as_u64().unwrap() as usize
    };
    assert_says(&told, &["left out", "suppress_tokens"]);
    let generation = fs::read_to_string(place.path("bigger/generation_config.json")).unwrap();
    let end = id("new/tokenizer", "<|endoftext|>");
    assert!(generation.contains(&format!("\"eos_token_id\": {end}")), "{generation}");
    assert!(!generation.contains("suppress_tokens"), "{generation}");
    // The tokenizer is the new one, and its tokens have the rows that they had.
    assert_eq!(
        fs::read(place.path("bigger/tokenizer.json")).unwrap(),
        fs::read(place.path("new/tokenizer/tokenizer.json")).unwrap()
    );
    for tensor in ["model.embed_tokens.weight", "lm_head.weight"] {
        let row = |model: &str, token: &str| {
            let values = ModelDir::open(place.path(model)).unwrap().read_f32(tensor).unwrap();
            values[id(model, token) * 16..][..16].to_vec()
        };
        for token in ["a", "Ġthe"] {
            assert_eq!(row("bigger", token), row(SNAPSHOT, token), "{tensor} of {token}");
        }
    }
    let grow = ["grow", "--small", SNAPSHOT, "--tokenizer", "text.txt", "--out", "none"];
    assert_says(&refused(&place, &grow), &["text.txt"]);
    assert!(!place.path("none").exists());
}

#[test]
fn what_lies_beside_the_weights_follows_tokens_and_positions() {
    let place = place(&llama(), "gpt2");
    let settings = place.path(SNAPSHOT).join("tokenizer_config.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&settings).unwrap()).unwrap();
    json["model_max_length"] = 64.into();
    fs::write(&settings, json.to_string()).unwrap();
    // Positions alone, which no tensor of a rotated model shows.
    shown(
        &place,
        &["grow", "--small", SNAPSHOT, "--positions", "2x", "--out", "longer"],
    );
    let read =
        |file: &str| -> serde_json::Value { serde_json::from_slice(&fs::read(place.path(file)).unwrap()).unwrap() };
    assert_eq!(read("longer/config.json")["max_position_embeddings"], 128);
    assert_eq!(read("longer/tokenizer_config.json")["model_max_length"], 128);
    assert!(read("longer/generation_config.json")["suppress_tokens"].is_array());

    // A vocabulary alone says nothing of its kind to transformers, which would take that of the model's family.
    let words = place.path("words");
    fs::create_dir(&words).unwrap();
    let tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "a", "and", "of"];
    fs::write(words.join("vocab.txt"), tokens.join("\n")).unwrap();
    shown(
        &place,
        &["grow", "--small", SNAPSHOT, "--tokenizer", "words", "--out", "other"],
    );
    assert_eq!(read("other/tokenizer_config.json")["tokenizer_class"], "BertTokenizer");
    assert!(place.path("other/tokenizer.json").exists());
    assert_eq!(read("other/config.json")["vocab_size"], tokens.len());

    place.write("hi.txt", "hello there");
    let grow = [
        "grow", "--small", SNAPSHOT, "--layers", "2x", "--text", "hi.txt", "--out", "none",
    ];
    assert_says(&refused(&place, &grow), &["hi.txt", "tokens", "longer text"]);
    assert_says(&refused(&place, &["inspect", "o/tiny"]), &["hf://o/tiny"]);
    assert!(!place.path("none").exists());
}

#[test]
fn a_recipe_for_another_family_than_the_small_models_names_those_that_fit() {
    let place = Place::new();
    let small = fixture("bert/tied_4_heads");
    for command in ["plan", "run"] {
        let data: &[&str] = if command == "run" { &["--data", "text.txt"] } else { &[] };
        let arguments = [
            &[command, "--small", small.to_str().unwrap(), "--recipe", "gpt2-mini"],
            data,
        ]
        .concat();
        let refused = place.refused(&arguments);
        assert_says(
            &refused,
            &[
                "cannot grow a `bert` model into a `gpt2` model",
                "take a recipe for bert:",
                "bert-mini",
            ],
        );
        // A bare name of the hub is known as one.
        let arguments = [&[command, "--small", "owner/name", "--recipe", "bert-mini"], data].concat();
        assert_says(
            &place.refused(&arguments),
            &["there is no folder owner/name", "hf://owner/name"],
        );
    }
}

#[test]
fn a_small_model_of_the_hub_is_fetched_by_who_asks_and_a_failure_keeps_its_help() {
    let address = "small.path=\"hf://o/m\"".to_owned();
    let given = [address.clone()];
    // Nobody asks the hub: a fault of this key.
    match recipe::load("demo", &given) {
        Err(RecipeError::Faults { faults, .. }) => assert_eq!(faults[0].key, "small.path", "{faults:?}"),
        other => panic!("{other:?}"),
    }
    let failed = recipe::load_with("demo", &given, |_| Err(Failure::other("not fetched", "come again")));
    assert!(
        matches!(&failed, Err(Failure::Other { help: Some(help), .. }) if help == "come again"),
        "{failed:?}"
    );
    let put = recipe::load_with("demo", &given, |recipe: &mut Recipe| -> Result<(), Failure> {
        recipe.small.path = None;
        Ok(())
    });
    assert!(put.is_ok_and(|recipe| recipe.small.path.is_none()));
    // A text with faults is not worth it, and they are told alone.
    let faulty = [address, "seeed=1".to_owned()];
    let refused = recipe::load_with("demo", &faulty, |_| -> Result<(), RecipeError> { panic!("asked") });
    match refused {
        Err(RecipeError::Faults { faults, .. }) => assert_eq!(faults.len(), 1, "{faults:?}"),
        other => panic!("{other:?}"),
    }
}
