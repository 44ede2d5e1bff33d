//! Checkpoints go in and come out unharmed: every model that the reference libraries wrote, read and written by the program.

use std::fs;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use ligo_checkpoint::{Dtype, ModelDir};

use crate::common::{Place, fixture};

/// Models whose files hold something under another name, or more than the model needs; what is written of them has the
/// same values, in another file.
const OTHER_FILE: [&str; 11] = [
    // Decoder biases of which `transformers` uses one.
    "bert/untied_3_heads",
    "roberta/untied_3_heads",
    "xlm_roberta/untied_two_types",
    "roberta/relu_padding_without_mask",
    "albert/untied",
    // Older names, buffers, no prefix.
    "bert/pretraining_legacy_names",
    "gpt2/bare_with_buffers",
    "gpt_neox/as_published",
    "llama/older_names",
    "opt/bare",
    // A prefix that files of its class do not have.
    "bare_bert/prefixed",
];

/// Those of them that have no name in common with what is written.
const RENAMED: [&str; 3] = ["gpt2/bare_with_buffers", "opt/bare", "bare_bert/prefixed"];

fn fixtures() -> Vec<(String, PathBuf)> {
    let root = fixture("");
    let mut found = Vec::new();
    for family in fs::read_dir(root)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_dir())
    {
        for model in fs::read_dir(&family).unwrap().map(|e| e.unwrap().path()) {
            if model.join("config.json").is_file() && model.join("reference.safetensors").is_file() {
                let part = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
                found.push((format!("{}/{}", part(&family), part(&model)), model));
            }
        }
    }
    assert!(found.len() >= 48, "only {} fixtures", found.len());
    found.sort();
    found
}

/// Grows a model to its own size, where the map is the identity.
fn copy(place: &Place, from: &Path, to: &str, more: &[&str]) {
    let config = from.join("config.json");
    let (from, config) = (from.to_str().unwrap(), config.to_str().unwrap());
    let arguments = [
        "grow",
        "--small",
        from,
        "--large",
        config,
        "--method",
        "direct-copy",
        "--out",
        to,
        "--replace",
    ];
    place.shown(&[&arguments[..], more].concat());
}

#[test]
fn every_file_comes_back_byte_for_byte() {
    let place = Place::new();
    for (name, model) in fixtures() {
        copy(&place, &model, "copy", &[]);
        let single = model.join("model.safetensors");
        // timm's files say nothing of their format in the header, ours do.
        let other = OTHER_FILE.contains(&name.as_str()) || name.starts_with("timm/");
        if single.is_file() && !other {
            let written = fs::read(place.path("copy/model.safetensors")).unwrap();
            assert!(written == fs::read(single).unwrap(), "{name} came back as another file");
            continue;
        }
        // Twice: what was written once no longer changes.
        copy(&place, &place.path("copy"), "again", &[]);
        let read = |folder: &str| fs::read(place.path(folder).join("model.safetensors")).unwrap();
        assert!(read("copy") == read("again"), "{name} changes each time");
        let (before, after) = (
            ModelDir::open(&model).unwrap(),
            ModelDir::open(place.path("copy")).unwrap(),
        );
        let shared: Vec<&str> = after.names().filter(|n| before.contains(n)).collect();
        assert!(!shared.is_empty() || RENAMED.contains(&name.as_str()), "{name}");
        for tensor in shared
            .into_iter()
            .filter(|n| !n.ends_with("decoder.bias") && !n.ends_with("predictions.bias") && *n != "lm_head.bias")
        {
            assert_eq!(
                before.read_bytes(tensor).unwrap(),
                after.read_bytes(tensor).unwrap(),
                "{name}: {tensor}"
            );
        }
    }
}

#[test]
fn every_family_is_written_in_the_dtype_that_was_asked_for_and_keeps_it() {
    let place = Place::new();
    let (mut families, mut last) = (0, String::new());
    for (name, model) in fixtures() {
        let family = name.split('/').next().unwrap().to_owned();
        let exact = ModelDir::open(&model).unwrap();
        let single = exact.names().all(|n| exact.info(n).unwrap().dtype == Dtype::F32);
        // timm keeps no dtype in its configuration.
        if family == last || family == "timm" || !single {
            continue;
        }
        (families, last) = (families + 1, family);
        // One family by one dtype, the next one by the other: what is written has nothing to do with a family.
        let (flag, dtype, named) = match families % 2 {
            0 => ("bf16", Dtype::Bf16, "bfloat16"),
            _ => ("f16", Dtype::F16, "float16"),
        };
        copy(&place, &model, "half", &["--dtype", flag]);
        let half = ModelDir::open(place.path("half")).unwrap();
        // `transformers` converts weights to the dtype that it finds there.
        let says = |key: &str| half.config().unwrap().get(key).is_some_and(|dtype| *dtype == named);
        assert!(says("dtype") || says("torch_dtype"), "{name}");
        for tensor in half.names().filter(|n| exact.contains(n)) {
            assert_eq!(half.info(tensor).unwrap().dtype, dtype, "{name}: {tensor}");
            let rounded = |x: &f32| match dtype {
                Dtype::F16 => f16::from_f32(*x).to_f32(),
                _ => bf16::from_f32(*x).to_f32(),
            };
            let expected: Vec<f32> = exact.read_f32(tensor).unwrap().iter().map(rounded).collect();
            assert_eq!(half.read_f32(tensor).unwrap(), expected, "{name}: {tensor}");
        }
        // Without a wish the dtype stays, and shards with an index hold the same tensors.
        copy(&place, &place.path("half"), "same", &[]);
        let read = |folder: &str| fs::read(place.path(folder).join("model.safetensors")).unwrap();
        assert!(
            read("half") == read("same"),
            "{name} in {flag} came back as another file"
        );
        assert!(
            place.shown(&["verify", "half"]).contains("logits"),
            "{name} in {flag} cannot be used"
        );
    }
    assert!(families >= 10, "only {families} families");
}

#[test]
fn shards_hold_the_same_tensors() {
    let place = Place::new();
    let (_, model) = fixtures()
        .into_iter()
        .find(|(name, _)| name == "llama/all_heads_untied")
        .unwrap();
    // A model that is larger than one megabyte.
    let config = fs::read_to_string(model.join("config.json")).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&config).unwrap();
    json["intermediate_size"] = 4000.into();
    place.write("large.json", json.to_string());
    let model = model.to_str().unwrap();
    let grow = [
        "grow",
        "--small",
        model,
        "--large",
        "large.json",
        "--method",
        "zero-pad",
        "--out",
    ];
    place.shown(&[&grow[..], &["whole"]].concat());
    place.shown(&[&grow[..], &["shards", "--max-shard-mb", "1"]].concat());
    let (whole, shards) = ["whole", "shards"]
        .map(|f| ModelDir::open(place.path(f)).unwrap())
        .into();
    assert!(place.path("shards/model.safetensors.index.json").is_file());
    assert!(shards.files().len() > 1);
    assert!(whole.names().eq(shards.names()));
    for name in whole.names() {
        assert_eq!(
            whole.read_bytes(name).unwrap(),
            shards.read_bytes(name).unwrap(),
            "{name}"
        );
    }
}
