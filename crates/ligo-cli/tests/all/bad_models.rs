//! Models that are damaged or do not fit, and pairs that do not grow: a clear error, and nothing is left behind.

use std::fs;

use ligo_arch::{BertConfig, ModelConfig};
use ligo_checkpoint::{WriteOptions, write_model};

use crate::common::{Place, assert_says, copy_folder, fixture};

type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

fn bert(hidden: usize, layers: usize, heads: usize) -> ModelConfig {
    ModelConfig::Bert(BertConfig::new(30, hidden, layers, heads))
}

/// A small model, untrained, in `small`.
fn small(place: &Place, change: impl FnOnce(&mut Tensors)) {
    let config = bert(8, 1, 2);
    let mut tensors: Tensors = ligo_growth::init::initial_values(&config.table(), 0.02, 1).collect();
    change(&mut tensors);
    let tensors = tensors
        .into_iter()
        .map(|(name, shape, values)| (name, shape, values.into()));
    write_model(
        place.path("small"),
        &config.to_json(),
        tensors,
        &WriteOptions::default(),
    )
    .unwrap();
}

/// A folder with a small model, the configuration of a larger one, and an earlier result in `grown`.
fn place_to_grow(change: impl FnOnce(&mut Tensors)) -> Place {
    let place = Place::new();
    small(&place, |_| {});
    place.write("large.json", bert(12, 2, 3).to_json().to_string());
    place.shown(&GROW);
    fs::remove_dir_all(place.path("small")).unwrap();
    small(&place, change);
    place
}

const GROW: [&str; 9] = [
    "grow",
    "--small",
    "small",
    "--large",
    "large.json",
    "--method",
    "stackbert",
    "--out",
    "grown",
];

/// Growing is refused, and what was grown before is still there.
fn refused_to_grow(place: &Place, parts: &[&str]) {
    let before = place.files("grown");
    assert_says(&place.refused(&GROW), parts);
    assert!(place.files("grown") == before, "the earlier model was touched");
    assert_no_leftovers(place);
}

/// No half-written folder stays behind.
fn assert_no_leftovers(place: &Place) {
    for entry in fs::read_dir(place.path("")).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(!name.to_string_lossy().contains("partial"), "{name:?} stayed behind");
    }
}

#[test]
fn a_truncated_or_altered_weights_file_is_named() {
    let place = place_to_grow(|_| {});
    let file = place.path("small/model.safetensors");
    let whole = fs::read(&file).unwrap();
    for damage in ["truncated", "flipped"] {
        for manifest in [true, false] {
            let mut bytes = whole.clone();
            match damage {
                "truncated" => bytes.truncate(whole.len() / 2),
                // In the header; without a manifest nothing can notice a bit among the weights.
                _ => bytes[9] ^= 1,
            }
            fs::write(&file, bytes).unwrap();
            if !manifest {
                fs::remove_file(place.path("small/manifest.json")).unwrap();
            }
            refused_to_grow(&place, &["small/model.safetensors"]);
        }
        fs::remove_dir_all(place.path("small")).unwrap();
        small(&place, |_| {});
    }
    let mut bytes = whole.clone();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    refused_to_grow(&place, &["small/model.safetensors", "sha256", "expected", "found"]);
}

#[test]
fn all_missing_and_misshapen_tensors_are_named_at_once() {
    let place = place_to_grow(|tensors| {
        tensors.retain(|(name, ..)| !name.ends_with("key.bias") && name != "cls.predictions.bias");
        let query = tensors.iter_mut().find(|(name, ..)| name.ends_with("query.weight"));
        let query = query.unwrap();
        (query.1, query.2) = (vec![4, 8], vec![0.0; 32]);
    });
    let parts = ["key.bias", "cls.predictions.bias", "query.weight", "[4, 8]", "[8, 8]"];
    refused_to_grow(&place, &parts);
}

#[test]
fn a_shard_outside_the_folder_is_not_opened() {
    let place = place_to_grow(|_| {});
    fs::remove_dir_all(place.path("small")).unwrap();
    copy_folder(&fixture("bert/sharded"), &place.path("small"));
    let index = place.path("small/model.safetensors.index.json");
    let text = fs::read_to_string(&index).unwrap();
    // The file exists, so only its place can be the reason.
    fs::copy(
        place.path("small/model-00001-of-00003.safetensors"),
        place.path("outside.safetensors"),
    )
    .unwrap();
    let outside = text.replace("model-00001-of-00003.safetensors", "../outside.safetensors");
    fs::write(&index, outside).unwrap();
    refused_to_grow(&place, &["index.json", "../outside.safetensors", "inside this folder"]);

    fs::write(&index, text.replace("model-00002-of", "model-00007-of")).unwrap();
    refused_to_grow(&place, &["index.json", "model-00007-of-", "does not exist"]);
}

#[test]
fn a_configuration_that_cannot_be_is_refused() {
    let place = place_to_grow(|_| {});
    fs::remove_file(place.path("small/manifest.json")).unwrap();
    let good = bert(8, 1, 2).to_json();
    let changed = |key: &str, value: serde_json::Value| {
        let mut json = good.clone();
        json[key] = value;
        json.to_string()
    };
    for (config, parts) in [
        (
            changed("model_type", "bart".into()),
            ["\"bart\"", "known ones are: bert"].as_slice(),
        ),
        (
            changed("num_attention_heads", 3.into()),
            &["num_attention_heads = 3", "hidden_size = 8"],
        ),
        (changed("num_hidden_layers", 0.into()), &["num_hidden_layers", "0"]),
        ("{".into(), &["config.json", "line 1"]),
    ] {
        place.write("small/config.json", config);
        refused_to_grow(&place, &[parts, &["small"]].concat());
    }
    fs::remove_file(place.path("small/config.json")).unwrap();
    refused_to_grow(&place, &["small", "config.json", "found none"]);
}

#[test]
fn a_pair_that_does_not_grow_is_refused() {
    let place = place_to_grow(|_| {});
    for (large, parts) in [
        (bert(4, 2, 1), ["smaller than the small one", "ffn is 16"].as_slice()),
        (bert(12, 1, 5), &["num_attention_heads = 5", "hidden_size = 12"]),
    ] {
        place.write("large.json", large.to_json().to_string());
        refused_to_grow(&place, parts);
    }
    place.write("large.json", "not JSON");
    refused_to_grow(&place, &["large.json", "is not JSON", "config.json"]);
}

#[test]
fn an_unknown_method_comes_with_the_nearest_one() {
    let place = place_to_grow(|_| {});
    let before = place.files("grown");
    let message = place.refused(&[
        "grow",
        "--small",
        "small",
        "--large",
        "large.json",
        "--method",
        "stackbret",
        "--out",
        "grown",
    ]);
    assert_says(&message, &["stackbret", "did you mean `stackbert`"]);
    let message = place.refused(&[
        "grow",
        "--small",
        "small",
        "--large",
        "large.json",
        "--layers",
        "0,1",
        "--out",
        "grown",
    ]);
    assert_says(&message, &["layer 1 is asked for", "layers 0 to 0"]);
    assert!(place.files("grown") == before);
}

#[test]
fn weights_that_are_not_numbers_are_refused() {
    let place = Place::new();
    place.shown(&["run", "--recipe", "recipe.toml", "--out", "run", "--data", "text.txt"]);
    let before = place.files("run");

    let dir = ligo_checkpoint::ModelDir::open(place.path("run/small/model")).unwrap();
    let tensors = dir.names().map(|name| {
        let mut values = dir.read_f32(name).unwrap();
        if name.ends_with("key.weight") {
            values[5] = f32::NAN;
        }
        let shape = dir.info(name).unwrap().shape.clone();
        (name.to_owned(), shape, values.into())
    });
    let tensors: Vec<_> = tensors.collect();
    let config = dir.config().unwrap();
    write_model(place.path("small"), config, tensors, &WriteOptions::default()).unwrap();
    let message = place.refused(&[
        "run",
        "--recipe",
        "recipe.toml",
        "--data",
        "text.txt",
        "--tokenizer",
        "run/tokenizer",
        "--small",
        "small",
        "--out",
        "other",
    ]);
    assert_says(&message, &["NaN", "small"]);
    assert!(place.files("run") == before);
}
