//! Every `-mini` recipe for a few steps: small model, operator, growth and training of the large one, for every family.

use crate::common::{Place, assert_says, repository};

const SHORT: [&str; 13] = [
    "small.train.steps=3",
    "small.train.eval_every=0",
    "small.train.eval_batches=2",
    "small.train.schedule.warmup_steps=0",
    "large.train.steps=3",
    "large.train.eval_every=0",
    "large.train.eval_batches=2",
    "large.train.schedule.warmup_steps=0",
    "operator.train.steps=2",
    "operator.train.eval_batches=2",
    "small.train.batch_size=4",
    "large.train.batch_size=4",
    "operator.train.batch_size=4",
];

/// CIFAR's records: a label and 3 × 32 × 32 bytes. The label is the brightness of the picture.
fn records(count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for i in 0..count {
        let label = i % 3;
        bytes.push(label as u8);
        bytes.extend((0..3072).map(|j| (label * 80 + (i * 7 + j * 13) % 40) as u8));
    }
    bytes
}

fn road(recipe: &str, more: &[&str]) {
    let place = Place::new();
    std::fs::create_dir(place.path("pictures")).unwrap();
    place.write("pictures/train.bin", records(60));
    place.write("pictures/valid.bin", records(12));
    place.write("pictures/classes.txt", "dark\ngray\nbright\n");
    let mut arguments = vec!["run", "--recipe", recipe, "--out", "run"];
    for setting in SHORT.iter().chain(more) {
        arguments.extend(["--set", setting]);
    }
    let is_text = !["vit-mini", "deit-mini", "cait-mini"].contains(&recipe);
    arguments.extend(["--data", if is_text { "text.txt" } else { "pictures" }]);
    let said = place.shown(&arguments);
    assert_says(&said, &["LiGO", "StackBERT", "direct copy"]);
    for model in ["small", "methods/ligo", "methods/scratch"] {
        let folder = format!("run/{model}/model");
        let verified = place.shown(&["verify", &folder]);
        assert_says(&verified, &["logits"]);
        let tokenizer = if is_text {
            "tokenizer.json"
        } else {
            "preprocessor_config.json"
        };
        assert!(
            place.path(&folder).join(tokenizer).is_file(),
            "{folder} lacks {tokenizer}"
        );
    }
    // A second time there is nothing left to do.
    assert_says(
        &place.shown(&arguments),
        &["ligo: complete, skipped", "scratch: complete, skipped"],
    );
}

const FEW_WORDS: [&str; 2] = ["tokenizer.vocab_size=300", "data.seq_len=16"];

/// Every recipe that is made for a CPU has a test here.
#[test]
fn no_small_recipe_is_left_out() {
    let recipes = repository().join("assets/recipes");
    let names = std::fs::read_dir(recipes).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        path.file_stem().unwrap().to_string_lossy().into_owned()
    });
    let mut small: Vec<String> = names
        .filter(|name| name == "demo" || name.ends_with("-mini") || name.ends_with("-micro"))
        .collect();
    small.sort();
    let tested = [
        "bert-micro",
        "bert-mini",
        "cait-mini",
        "deit-mini",
        "demo",
        "gpt2-mini",
        "llama-mini",
        "roberta-mini",
        "vit-mini",
    ];
    assert_eq!(small, tested);
}

#[test]
fn bert_takes_the_whole_road() {
    road("bert-mini", &FEW_WORDS);
}

#[test]
fn bert_of_characters_takes_it_with_three_seeds() {
    road("bert-micro", &[]);
}

#[test]
fn the_demo_takes_it_on_other_text() {
    road("demo", &[]);
}

#[test]
fn roberta_takes_the_whole_road() {
    road("roberta-mini", &[]);
}

#[test]
fn gpt2_takes_the_whole_road() {
    road("gpt2-mini", &FEW_WORDS);
}

#[test]
fn gpt2_takes_it_within_documents() {
    road("gpt2-mini", &[FEW_WORDS[0], FEW_WORDS[1], "data.stay_in_document=true"]);
}

#[test]
fn llama_takes_the_whole_road() {
    road("llama-mini", &FEW_WORDS);
}

#[test]
fn vit_takes_the_whole_road() {
    road("vit-mini", &[]);
}

#[test]
fn deit_takes_the_whole_road_with_its_own_augmentation() {
    road("deit-mini", &["data.augmentation.preset=deit"]);
}

#[test]
fn cait_takes_the_whole_road() {
    road("cait-mini", &[]);
}

#[test]
fn a_model_of_images_is_not_trained_on_text_nor_the_other_way_round() {
    let place = Place::new();
    let refused = place.refused(&["run", "--recipe", "vit-mini", "--data", "text.txt", "--out", "run"]);
    assert_says(&refused, &["text.txt"]);
    let refused = place.refused(&[
        "run",
        "--recipe",
        "gpt2-mini",
        "--data",
        "text.txt",
        "--out",
        "other",
        "--set",
        "small.model.model_type=vit",
        "--set",
        "large.model.model_type=vit",
    ]);
    assert_says(&refused, &["n_embd", "unknown key"]);
}

#[test]
fn an_unknown_family_comes_with_the_nearest_name() {
    let place = Place::new();
    let refused = place.refused(&[
        "run",
        "--recipe",
        "gpt2-mini",
        "--data",
        "text.txt",
        "--out",
        "run",
        "--set",
        "small.model.model_type=gpt3",
    ]);
    assert_says(&refused, &["small.model.model_type", "gpt3", "did you mean `gpt2`?"]);
}
