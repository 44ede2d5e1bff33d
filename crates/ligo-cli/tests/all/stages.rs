//! One stage at a time: each command reads what the one before it wrote.

use ligo_checkpoint::ModelDir;

use crate::common::{self, Place, assert_says};

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
    let (_, command) = common::TOKENIZE.split_last().unwrap();
    place.shown(&[command, &["data"][..]].concat());
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
    // The small model can teach, beside anything that a setting of training asks for.
    let taught = |out: &'static str, more: &[&'static str]| {
        let fixed = [
            "train",
            "--init",
            "start",
            "--tokens",
            "data",
            "--seq-len",
            "16",
            "--set",
            "steps=4",
            "--out",
            out,
        ];
        [&fixed, more].concat()
    };
    let teacher = ["--teacher", "small/model", "--set", "layer_drop.max_rate=0.5"];
    assert_says(&place.shown(&taught("taught", &teacher)), &["taught/model"]);
    let weights = |run: &str| std::fs::read(place.path(run).join("model/model.safetensors")).unwrap();
    assert_ne!(weights("taught"), weights("large"));
    let alone = ["--set", "distillation.share=0.5"];
    assert_says(&place.refused(&taught("no", &alone)), &["distillation needs a teacher"]);
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
    place.write("pictures/classes.txt", "dark\ngray\nbright\n");
    let images = place.shown(&["images", "--data", "pictures", "--size", "16", "--out", "data"]);
    assert_says(&images, &["40 images of 3 classes", "9 images"]);
    // The number of classes comes with the images, and their names.
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
    let json = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(place.path("large/model").join(name)).unwrap()).unwrap()
    };
    assert_eq!(json("config.json")["id2label"]["2"], "bright");
    assert_eq!(json("preprocessor_config.json")["size"]["shortest_edge"], 16);
    assert_says(
        &place.refused(&["train", "--init", "start", "--images", "pictures", "--out", "no"]),
        &["pictures/images", "ligo images"],
    );
}

#[test]
fn a_method_of_several_stages_grows_from_one_to_the_next() {
    let place = Place::new();
    let stages = "name = \"gradual\"\noperator = { kind = \"ligo\" }\nstages = [{ model = { num_hidden_layers = 2 }, share = 0.25 }, {}]";
    let deeper = common::RECIPE.replace("num_hidden_layers = 2", "num_hidden_layers = 4");
    place.write("recipe.toml", format!("{deeper}\n[[methods]]\n{stages}\n"));
    let run = common::COMPARE;
    let said = place.shown(&run);
    assert_says(
        &said,
        &[
            "gradual, stage 1 of 2: validation loss",
            "after 5 steps",
            "gradual, stage 2 of 2",
            "after 15 steps",
        ],
    );
    let depth = |folder: &str| {
        let config = std::fs::read_to_string(place.path(folder).join("config.json")).unwrap();
        let config: serde_json::Value = serde_json::from_str(&config).unwrap();
        config["num_hidden_layers"].as_u64().unwrap()
    };
    assert_eq!(depth("run/methods/gradual/stage-1/model"), 2);
    assert_eq!(depth("run/methods/gradual/model"), 4);
    let summary = std::fs::read_to_string(place.path("run/summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    let methods = summary["methods"].as_array().unwrap();
    let gradual = methods.iter().find(|m| m["name"] == "gradual").unwrap();
    assert_eq!(gradual["steps"], 20);
    let steps: Vec<u64> = gradual["curve"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["step"].as_u64().unwrap())
        .collect();
    assert!(steps.is_sorted_by(|a, b| a < b) && steps.contains(&5), "{steps:?}");
    // Its first steps are those of a smaller model, and cheaper.
    let scratch = methods.iter().find(|m| m["name"] == "scratch").unwrap();
    assert!(gradual["cost"]["flops_exact"].as_f64() < scratch["cost"]["flops_exact"].as_f64());
    // More methods and seeds later find what there is.
    let more = place.shown(&[&run[..], &["--methods", "gradual,stackbert", "--seeds", "2"]].concat());
    assert_says(
        &more,
        &[
            "gradual, stage 2 of 2: complete, skipped",
            "stackbert-seed4",
            "gradual-seed4",
        ],
    );
    // A last stage that is not the large model, and shares that leave nothing.
    for (bad, part) in [
        (
            "stages=[{share=0.5},{model={num_hidden_layers=3}}]",
            "the last stage trains the large model",
        ),
        ("stages=[{share=1.0},{}]", "every share but the last"),
        ("stages=[{share=0.5,model={num_hidden_layers=9}},{}]", "layers of"),
    ] {
        let recipe = format!("{deeper}\n[[methods]]\nname = \"gradual\"\noperator = {{ kind = \"ligo\" }}\n{bad}\n");
        place.write("bad.toml", recipe);
        let refused = place.refused(&["compare", "--recipe", "bad.toml", "--data", "text.txt", "--out", "bad"]);
        assert_says(&refused, &[part]);
    }
}

#[test]
fn tokenizing_goes_on_where_a_fault_in_the_text_ended_it() {
    let place = Place::new();
    let words: Vec<String> = (0..500).map(|i| format!("w{i}")).collect();
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from);
    place.write("vocab.txt", [&special[..], &words].concat().join("\n"));
    // More than one piece of what is tokenized at once.
    let document = |d: usize| {
        (0..400)
            .map(|i| words[(d * 31 + i * 7) % 500].as_str())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let many: Vec<String> = (0..5_000).map(document).collect();
    place.write("a.txt", many.join("\n\n"));
    place.write("b.txt", b"w1 w2\n\n\xff\n");
    place.write("v.txt", "w3 w4 w5\n");
    let tokenize = |out| {
        let arguments = [
            "tokenize",
            "--data",
            "a.txt",
            "b.txt",
            "--valid",
            "v.txt",
            "--tokenizer",
            "vocab.txt",
            "--out",
            out,
        ];
        place.command(&arguments).output().unwrap()
    };
    assert_says(&common::complaint(&tokenize("tokens")), &["b.txt", "not UTF-8"]);
    place.write("b.txt", "w1 w2\n");
    for (out, begun) in [("tokens", true), ("whole", false)] {
        let output = tokenize(out);
        let said = common::said(&output);
        assert!(output.status.success(), "{said}");
        assert_eq!(
            said.contains("/.tokenizing/tokens/train` was begun earlier: continuing behind its"),
            begun,
            "{said}"
        );
    }
    assert!(
        place
            .files("tokens/tokens")
            .into_values()
            .eq(place.files("whole/tokens").into_values())
    );
}
