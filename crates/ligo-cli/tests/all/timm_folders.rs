//! Folders as `timm` writes them go in and come out: `config.json` with an architecture and its arguments, tensors under `timm`'s names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{self, Place, assert_says};
use ligo_checkpoint::ModelDir;
use serde_json::{Value, json};

const FIXTURES: [&str; 5] = ["vit", "vit_oblong_no_qkv_bias", "deit", "deit_distilled", "cait"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/timm")
        .join(name)
}

fn read_config(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap()
}

fn shapes(folder: &Path) -> BTreeMap<String, Vec<usize>> {
    let dir = ModelDir::open(folder).unwrap();
    let shape = |name: &str| dir.info(name).unwrap().shape.clone();
    dir.names().map(|name| (name.to_owned(), shape(name))).collect()
}

fn grow(place: &Place, name: &str, sizes: &[&str]) -> String {
    let small = fixture(name).display().to_string();
    place.shown(&[&["grow", "--small", &small, "--out", "out", "--replace"], sizes].concat())
}

#[test]
fn what_timm_wrote_grows_to_the_same_function_in_its_own_form() {
    let place = Place::new();
    for name in FIXTURES {
        for sizes in [&["--layers", "2x"], &["--width", "2x"]] {
            let said = grow(&place, name, sizes);
            assert!(
                said.contains("computes what the small model does"),
                "{name}, {sizes:?}: {said}"
            );
            let (before, after) = (read_config(&fixture(name)), read_config(&place.path("out")));
            for kept in ["architecture", "num_classes", "global_pool", "pretrained_cfg"] {
                assert_eq!(before[kept], after[kept], "{name}: {kept}");
            }
            let (key, factor) = match sizes[0] {
                "--layers" => ("depth", 2),
                _ => ("embed_dim", 2),
            };
            let size = |config: &Value| config["model_args"][key].as_u64().unwrap();
            assert_eq!(size(&after), factor * size(&before), "{name}");
            assert_eq!(after["num_features"], after["model_args"]["embed_dim"]);
            assert!(after.get("model_type").is_none() && after.get("hidden_size").is_none());
            let [small, large] = [fixture(name), place.path("out")].map(|folder| shapes(&folder));
            assert!(small.keys().all(|tensor| large.contains_key(tensor)), "{name}");
            assert!(large.keys().all(|tensor| !tensor.starts_with("vit.")));
        }
    }
    let card = fs::read_to_string(place.path("out/README.md")).unwrap();
    assert_says(&card, &["library_name: timm", "timm.create_model("]);
}

#[test]
fn folders_of_timm_are_inspected_and_verified() {
    let place = Place::new();
    for name in FIXTURES {
        let folder = fixture(name).display().to_string();
        let told = place.shown(&["inspect", &folder]);
        assert!(!told.contains("NOT USABLE"), "{name}: {told}");
        let mut verify = place.command(&["verify", &folder]);
        let output = verify.env("LIGO_PYTHON", "no-such-python").output().unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
        assert_says(&common::said(&output), &["logits", "not compared with timm"]);
    }
}

#[test]
fn an_architecture_that_is_not_known_is_refused_by_name() {
    let place = Place::new();
    let folder = place.path("clip");
    common::copy_folder(&fixture("vit"), &folder);
    let mut config = read_config(&folder);
    config["architecture"] = json!("vit_base_patch16_clip_224");
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let refused = place.refused(&["grow", "--small", "clip", "--layers", "2x", "--out", "out"]);
    assert_says(&refused, &["vit_base_patch16_clip_224", "vit_base_patch16_224"]);
    // The weights of timm beside the configuration of transformers.
    fs::write(
        folder.join("config.json"),
        r#"{"model_type": "vit", "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 96,
            "image_size": 12, "patch_size": 4, "num_labels": 5}"#,
    )
    .unwrap();
    let refused = place.refused(&["grow", "--small", "clip", "--layers", "2x", "--out", "out"]);
    assert_says(&refused, &["config.json says ViT", "timm's ViT"]);
}

#[test]
fn larger_images_and_more_layers_are_said_where_timm_looks_for_them() {
    let place = Place::new();
    place.write("large.json", r#"{"num_hidden_layers": 4, "image_size": 16}"#);
    for name in ["vit", "deit_distilled", "cait"] {
        grow(&place, name, &["--large", "large.json", "--method", "zero-blocks"]);
        let config = read_config(&place.path("out"));
        assert_eq!(config["pretrained_cfg"]["input_size"], json!([3, 16, 16]), "{name}");
        assert_eq!(config["model_args"]["depth"], 4, "{name}");
        // Four by four patches, and the tokens in front of them.
        let rows = match name {
            "vit" => 17,
            "deit_distilled" => 18,
            _ => 16,
        };
        assert_eq!(shapes(&place.path("out"))["pos_embed"], [1, rows, 24], "{name}");
    }
}

/// A Python that has `timm`.
fn python() -> Option<String> {
    let named = std::env::var("LIGO_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&named)
        .args(["-c", "import torch, transformers, timm"])
        .output();
    let has = has.is_ok_and(|output| output.status.success());
    if !has {
        println!("SKIPPED: {named} has no torch, transformers and timm; LIGO_PYTHON names one that has");
    }
    has.then_some(named)
}

#[test]
fn timm_loads_what_is_written_with_no_missing_and_no_unexpected_key() {
    let Some(python) = python() else { return };
    let place = Place::new();
    for name in FIXTURES {
        grow(&place, name, &["--width", "2x", "--method", "hyper-cloning"]);
        let told = place.shown(&["verify", "out", "--python", &python, "--tolerance", "1e-5"]);
        assert_says(&told, &["timm finds no missing and no unexpected key"]);
        // As its own users load it.
        let load = "import sys, timm; timm.create_model('local-dir:' + sys.argv[1], pretrained=True)";
        let loaded = Command::new(&python)
            .args(["-c", load])
            .arg(place.path("out"))
            .output()
            .unwrap();
        assert!(
            loaded.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&loaded.stderr)
        );
    }
}
