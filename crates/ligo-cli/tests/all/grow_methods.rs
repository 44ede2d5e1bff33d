//! Fixed operators on the command line: their settings, what they need, and what they refuse.

use std::fs;
use std::path::Path;

use ligo_checkpoint::ModelDir;
use serde_json::{Value, json};

use crate::common::{Place, assert_says, fixture};

/// A GPT-2 of width 32 and four heads.
fn small() -> String {
    fixture("gpt2/tied_4_heads").to_str().unwrap().to_owned()
}

fn config(folder: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&fs::read(folder.as_ref().join("config.json")).unwrap()).unwrap()
}

/// Writes the large model's configuration.
fn large(place: &Place, width: usize) {
    let mut json = config(small());
    json["n_embd"] = json!(width);
    json["n_head"] = json!(width / 8);
    place.write("large.json", json.to_string());
}

fn grow<'a>(small: &'a str, method: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec![
        "grow",
        "--small",
        small,
        "--large",
        "large.json",
        "--method",
        method,
        "--out",
        "grown",
    ];
    arguments.extend(more);
    arguments
}

#[test]
fn lemon_writes_the_epsilon_that_it_needs() {
    let (place, small) = (Place::new(), small());
    large(&place, 48);
    assert_says(&place.shown(&grow(&small, "lemon", &[])), &["by lemon"]);
    let (before, after) = (config(&small), config(place.path("grown")));
    let epsilon = |json: &Value| json["layer_norm_epsilon"].as_f64().unwrap();
    assert!(
        (epsilon(&after) - epsilon(&before) * 2.0 / 3.0).abs() < 1e-12,
        "{after}"
    );
    place.shown(&["verify", "grown"]);
}

#[test]
fn settings_of_a_method_are_set_on_the_command_line() {
    let (place, small) = (Place::new(), small());
    large(&place, 64);
    let values = |more: &[&str]| {
        let _ = fs::remove_dir_all(place.path("grown"));
        place.shown(&grow(&small, "hyper-cloning", more));
        ModelDir::open(place.path("grown"))
            .unwrap()
            .read_f32("transformer.h.0.mlp.c_fc.weight")
            .unwrap()
    };
    let symmetric = values(&[]);
    let noisy = values(&["--set", "form=noisy", "--set", "noise=0.2"]);
    assert_ne!(symmetric, noisy);
    assert_eq!(symmetric, values(&["--set", "form=symmetric"]));
    assert_eq!(symmetric, values(&["--set", "form=noisy", "--set", "noise=0.0"]));
    let wrong = place.refused(&grow(&small, "hyper-cloning", &["--set", "from=noisy"]));
    assert_says(&wrong, &["hyper-cloning", "no setting `from`", "form, noise"]);
    let wrong = place.refused(&grow(&small, "hyper-cloning", &["--set", "form=loud"]));
    assert_says(&wrong, &["hyper-cloning", "loud"]);
}

#[test]
fn a_method_that_cannot_grow_the_pair_names_those_that_can() {
    let (place, small) = (Place::new(), small());
    large(&place, 48);
    let refusal = place.refused(&grow(&small, "hyper-cloning", &[]));
    assert_says(&refusal, &["whole", "multiple", "fpi", "lemon", "or expansions can"]);
    assert!(!refusal.contains("zero-blocks"), "{refusal}");
    assert!(!place.path("grown").exists());
}

#[test]
fn a_model_grows_by_factors_and_says_what_it_computes() {
    let place = Place::new();
    let grow = |model: &str, sizes: &[&str], out: &str| {
        let model = fixture(model);
        let arguments = [&["grow", "--small", model.to_str().unwrap()], sizes, &["--out", out]].concat();
        place.shown(&arguments)
    };
    let said = grow("llama/qwen3", &["--layers", "2x", "--width", "2x"], "twice");
    assert_says(
        &said,
        &[
            "by HyperCloning (hyper-cloning)",
            "so do",
            "computes what the small model does",
        ],
    );
    assert_says(&place.shown(&["inspect", "twice"]), &["4 layers, hidden 64, 8 heads"]);
    let said = grow("gpt_neox/pythia", &["--layers", "0-1,0-1"], "stacked");
    assert_says(
        &said,
        &["by layers", "computes something else than the small model", "train it"],
    );
    let said = grow("bert/tied_4_heads", &["--width", "1.5x", "--no-check"], "wide");
    assert_says(
        &said,
        &["no fixed method keeps what this model computes", "by stackbert"],
    );
    assert!(!said.contains("computes something else"), "{said}");

    let model = fixture("llama/qwen3");
    let model = model.to_str().unwrap();
    for (sizes, says) in [
        (&[][..], "nothing says how large the model is to be"),
        (&["--width", "1.3x"], "width: 1.3x of 32 is no whole number"),
        (&["--layers", "1"], "layers"),
        (
            &["--layers", "0,1", "--method", "stackbert"],
            "a list of --layers is a method of its own",
        ),
    ] {
        let arguments = [&["grow", "--small", model], sizes, &["--out", "no"]].concat();
        assert_says(&place.refused(&arguments), &[says]);
        assert!(!place.path("no").exists());
    }
}

#[test]
fn layers_keep_their_windows_and_a_wider_gemma_computes_what_the_small_one_does() {
    let place = Place::new();
    let grow = |model: &str, sizes: &[&str], out: &str| {
        let model = fixture(model);
        let arguments = [&["grow", "--small", model.to_str().unwrap()], sizes, &["--out", out]].concat();
        place.shown(&arguments)
    };
    let types = |folder: &str| {
        let config = fs::read(place.path(folder).join("config.json")).unwrap();
        let config: Value = serde_json::from_slice(&config).unwrap();
        let types = config["layer_types"].as_array().unwrap().iter();
        types
            .map(|kind| kind.as_str().unwrap() == "sliding_attention")
            .collect::<Vec<_>>()
    };
    for model in [
        "gemma/gemma",
        "gemma/gemma2",
        "gemma/gemma3",
        "gemma/gemma3_older_names",
    ] {
        let out = model.replace('/', "-");
        let said = grow(model, &["--layers", "2x", "--width", "2x"], &out);
        assert_says(&said, &["by HyperCloning", "computes what the small model does"]);
        assert_says(&place.shown(&["verify", &out]), &["logits"]);
    }
    // Sliding, sliding, full, sliding; each layer twice.
    assert_eq!(
        types("gemma-gemma3"),
        [true, true, true, true, false, false, true, true]
    );
    grow("gemma/gemma3", &["--layers", "2,2,0,3,1"], "listed");
    assert_eq!(types("listed"), [false, false, true, true, true]);
    let list = ["--layers", "2x", "--method", "stackbert"];
    grow("llama/qwen3_layer_types", &list, "stacked");
    assert_eq!(types("stacked"), [true, false, true, true, false, true]);

    // A file that says otherwise.
    let mut file: Value =
        serde_json::from_slice(&fs::read(fixture("llama/qwen3_layer_types/config.json")).unwrap()).unwrap();
    file["num_hidden_layers"] = 4.into();
    file["layer_types"] = vec!["full_attention"; 4].into();
    place.write("other.json", file.to_string());
    let said = grow(
        "llama/qwen3_layer_types",
        &["--large", "other.json", "--method", "zero-blocks"],
        "other",
    );
    assert_says(
        &said,
        &[
            "each layer is of the kind of the one it comes from",
            "computes what the small model does",
        ],
    );
    file.as_object_mut().unwrap().remove("layer_types");
    place.write("without.json", file.to_string());
    let said = grow(
        "llama/qwen3_layer_types",
        &["--large", "without.json", "--method", "zero-blocks"],
        "without",
    );
    assert_says(&said, &["computes what the small model does"]);
    assert_eq!(types("without"), types("other"));
}
