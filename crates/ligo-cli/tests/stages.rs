//! One stage at a time: each command reads what the one before it wrote.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Place, assert_says};
use ligo_checkpoint::ModelDir;

/// Small model, operator, start and large model, from data in `data`.
fn road(place: &Place, kind: &str, more: &[&str]) {
    let common = [
        "--set",
        "steps=4",
        "--set",
        "batch_size=4",
        "--set",
        "schedule.warmup_steps=0",
        "--set",
        "eval_batches=2",
    ];
    let with = |first: &[&str]| {
        let data = [kind, "data"];
        place.shown(&[first, &data, &common, more].concat())
    };
    assert_says(
        &with(&["train", "--model", "small.json", "--out", "small"]),
        &["validation loss", "small/model"],
    );
    assert_says(
        &with(&[
            "learn",
            "--small",
            "small/model",
            "--large",
            "large.json",
            "--out",
            "operator",
        ]),
        &["ligo inspect"],
    );
    place.shown(&[
        "grow",
        "--small",
        "small/model",
        "--operator",
        "operator",
        "--out",
        "start",
    ]);
    with(&["train", "--init", "start", "--out", "large"]);
    assert_says(&place.shown(&["verify", "large/model"]), &["logits"]);
    let names = |folder: &str| -> Vec<String> {
        let dir = ModelDir::open(place.path(folder)).unwrap();
        dir.names().map(String::from).collect()
    };
    assert_eq!(names("start"), names("large/model"));
}

#[test]
fn text_to_a_grown_masked_model() {
    let place = Place::new();
    place.shown(&[
        "tokenize",
        "--data",
        "text.txt",
        "--vocab-size",
        "200",
        "--valid-fraction",
        "0.3",
        "--out",
        "data",
    ]);
    let config = |hidden: usize, layers: usize| {
        format!(
            r#"{{"model_type": "bert", "hidden_size": {hidden}, "num_hidden_layers": {layers}, "num_attention_heads": 2,
                "intermediate_size": {}, "max_position_embeddings": 16}}"#,
            4 * hidden
        )
    };
    place.write("small.json", config(16, 1));
    place.write("large.json", config(24, 2));
    road(&place, "--tokens", &["--seq-len", "16"]);
    // What the model cannot read is said before any work.
    let too_long = [
        "train",
        "--model",
        "small.json",
        "--tokens",
        "data",
        "--seq-len",
        "32",
        "--out",
        "no",
    ];
    assert_says(&place.refused(&too_long), &["at most 16 tokens", "--seq-len 16"]);
}

#[test]
fn pictures_to_a_grown_model_of_images() {
    let place = Place::new();
    std::fs::create_dir(place.path("pictures")).unwrap();
    // CIFAR's records: a label and 3 × 32 × 32 bytes.
    let record =
        |i: usize| std::iter::once((i % 3) as u8).chain((0..3072).map(move |j| (i % 3 * 80 + (i * 7 + j) % 40) as u8));
    place.write("pictures/train.bin", (0..40).flat_map(record).collect::<Vec<u8>>());
    place.write("pictures/valid.bin", (0..9).flat_map(record).collect::<Vec<u8>>());
    place.write("pictures/classes.txt", "dark\ngrey\nbright\n");
    let images = place.shown(&["images", "--data", "pictures", "--size", "16", "--out", "data"]);
    assert_says(&images, &["40 images of 3 classes", "9 images"]);
    // The number of classes comes with the images.
    let config = |hidden: usize, layers: usize| {
        format!(
            r#"{{"model_type": "vit", "hidden_size": {hidden}, "num_hidden_layers": {layers}, "num_attention_heads": 2,
                "intermediate_size": {}, "image_size": 16, "patch_size": 8, "num_channels": 3}}"#,
            4 * hidden
        )
    };
    place.write("small.json", config(16, 1));
    place.write("large.json", config(24, 2));
    road(&place, "--images", &["--augmentation", "light"]);
    let head = ModelDir::open(place.path("large/model")).unwrap();
    assert_eq!(head.info("classifier.weight").unwrap().shape, [3, 24]);
    assert_says(
        &place.refused(&["train", "--init", "start", "--images", "pictures", "--out", "no"]),
        &["pictures/images", "ligo images"],
    );
}
