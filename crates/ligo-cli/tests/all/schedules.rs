//! Methods that are more than an operator, through the program.

use std::fs;
use std::path::Path;

use ligo_checkpoint::ModelDir;
use ligo_cost::plan::Plan;
use ligo_report::summary::Summary;

use crate::common::{self, Place, assert_says};

/// The common pair, as deep as it must be to have quarters.
fn deep(place: &Place) {
    let recipe = common::RECIPE.replace("num_hidden_layers = 2", "num_hidden_layers = 4");
    let methods = recipe.find("[[methods]]").unwrap();
    place.write(
        "recipe.toml",
        format!("{}\n[[methods]]\nname = \"scratch\"\n", &recipe[..methods]),
    );
}

fn compare<'a>(methods: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&common::COMPARE, &["--methods", methods][..], more].concat()
}

fn layers(model: &Path) -> usize {
    let dir = ModelDir::open(model).unwrap();
    let config = dir.config().unwrap();
    config["num_hidden_layers"].as_u64().unwrap() as usize
}

#[test]
fn every_preset_runs_from_the_same_small_model() {
    let place = Place::new();
    deep(&place);
    let presets = ligo_experiment::recipe::PRESETS.map(|preset| preset.name);
    let methods = presets.join(",");
    let more = [
        "--set",
        "methods=[{name=\"scratch\"}, {name=\"select\", select={lag_steps=5, candidates=[\"stackbert\", \"ligo\"]}}]",
    ];
    let said = place.shown(&compare(&methods, &more));
    let summary = Summary::read(place.path("run/summary.json")).unwrap();
    assert_eq!(summary.methods.len(), 1 + presets.len());
    let of = |name: &str| summary.methods.iter().find(|m| m.id == name).unwrap();
    let scratch = of("scratch");
    // What each would cost was known before: what it leaves out, its teacher and the candidates that it loses. Only how many tokens
    // are masked shows in the batches, and the exact count takes those.
    let plan: Plan = serde_json::from_slice(&fs::read(place.path("run/plan.json")).unwrap()).unwrap();
    assert_eq!(plan.methods.len(), summary.methods.len());
    for planned in &plan.methods {
        let method = of(&planned.id);
        let (expected, found) = (planned.whole().cost.flops, (method.cost + method.operator_cost).flops);
        let ratios = [found.exact / expected.exact, found.electra / expected.electra];
        let tolerances = [0.05, 1e-9];
        assert!(
            ratios
                .iter()
                .zip(tolerances)
                .all(|(r, tolerance)| (r - 1.0).abs() < tolerance),
            "{}: {ratios:?}",
            planned.id
        );
    }
    for method in &summary.methods {
        // All stages together are as long as one run.
        assert_eq!(method.steps, 20, "{}", method.name);
        assert!(method.loss_final.is_finite());
        let costs = method.curve.iter().map(|p| p.cost.flops.exact);
        assert!(costs.is_sorted(), "{}", method.name);
    }
    // What leaves layers, tokens or gradients out is cheaper than scratch; a teacher and lost candidates are dearer.
    for name in [
        "mslt",
        "bert2bert",
        "stackbert-progressive",
        "staged",
        "midas",
        "zero-one",
        "ligo-token-drop",
        "ligo-staged",
    ] {
        assert!(of(name).cost.flops.exact < 0.99 * scratch.cost.flops.exact, "{name}");
        assert!(
            of(name).cost.flops.electra < 0.99 * scratch.cost.flops.electra,
            "{name}"
        );
    }
    for name in ["ki", "select"] {
        assert!(of(name).cost.flops.exact > 1.01 * scratch.cost.flops.exact, "{name}");
        assert!(
            of(name).cost.flops.electra > 1.01 * scratch.cost.flops.electra,
            "{name}"
        );
    }
    assert!(of("select").curve[0].cost.flops.exact > 0.0);
    assert_says(&said, &["select: ", "after 5 steps (stackbert "]);

    // Stages of growing depth, each in a folder of its own.
    for (method, depths) in [
        ("mslt", &[1, 2, 3, 4, 4][..]),
        ("stackbert-progressive", &[1, 2, 4]),
        ("staged", &[2, 4]),
        ("midas", &[1, 2, 3, 4]),
        ("zero-one", &[1, 4]),
    ] {
        let folder = place.path("run/methods").join(method);
        let found: Vec<usize> = (1..depths.len())
            .map(|stage| layers(&folder.join(format!("stage-{stage}/model"))))
            .chain([layers(&folder.join("model"))])
            .collect();
        assert_eq!(found, depths, "{method}");
    }

    // Frozen layers of a stage of MSLT are those that it started from.
    let stage = place.path("run/methods/mslt/stage-2");
    let value = |model: &str, name: &str| ModelDir::open(stage.join(model)).unwrap().read_f32(name).unwrap();
    let weight = |layer: usize| format!("bert.encoder.layer.{layer}.output.dense.weight");
    assert_eq!(value("start", &weight(0)), value("start", &weight(1)));
    assert_eq!(value("start", &weight(0)), value("model", &weight(0)));
    assert_ne!(value("start", &weight(1)), value("model", &weight(1)));
    let words = "bert.embeddings.word_embeddings.weight";
    assert_eq!(value("start", words), value("model", words));

    // One learning rate over all stages: a stage begins where the one before ended.
    let rates = |folder: &str| -> Vec<f64> {
        let text = fs::read_to_string(place.path("run/methods").join(folder).join("metrics.jsonl")).unwrap();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter_map(|line| line["lr"].as_f64()).collect()
    };
    let staged = [rates("staged/stage-1"), rates("staged")].concat();
    assert_eq!(staged, rates("scratch"));

    // Kept moments bring the number of updates along that they have seen.
    let updates = |folder: &str, step: u64| {
        let state = place
            .path("run/methods")
            .join(folder)
            .join(format!("checkpoints/step-{step}/state.json"));
        let state: serde_json::Value = serde_json::from_slice(&fs::read(state).unwrap()).unwrap();
        state["optimizer_updates"].as_u64().unwrap()
    };
    for (folder, step, expected) in [
        ("stackbert-moments", 20, 40),
        ("stackbert-rewarm", 20, 40),
        ("ligo-moments", 20, 40),
        ("staged/stage-1", 5, 5),
        ("staged", 15, 20),
        ("stackbert-progressive", 13, 13),
    ] {
        assert_eq!(updates(folder, step), expected, "{folder}");
    }
    assert_ne!(of("stackbert-moments").loss_final, of("stackbert-rewarm").loss_final);

    // The chosen operator is the one with the lowest loss.
    let choice = fs::read(place.path("run/methods/select/choice.json")).unwrap();
    let choice: serde_json::Value = serde_json::from_slice(&choice).unwrap();
    let tried = choice["tried"].as_array().unwrap();
    let loss = |candidate: &serde_json::Value| candidate["loss"].as_f64().unwrap();
    let best = tried.iter().min_by(|a, b| loss(a).total_cmp(&loss(b))).unwrap();
    assert_eq!((tried.len(), &best["operator"]), (2, &choice["chosen"]));

    // Nothing of it runs twice.
    let again = place.shown(&compare(&methods, &more));
    for method in ["mslt, stage 2 of 5", "ki", "select, trying ligo", "select"] {
        assert_says(&again, &[&format!("{method}: complete, skipped")]);
    }
}

#[test]
fn unknown_methods_are_refused_with_the_nearest_of_all_names() {
    let place = Place::new();
    assert_says(
        &place.refused(&compare("mstl", &[])),
        &["unknown method `mstl`", "did you mean `mslt`?"],
    );
    assert_says(
        &place.refused(&compare("stakbert-progressive", &[])),
        &["did you mean `stackbert-progressive`?"],
    );
    let said = place.refused(&compare("something-else-entirely", &[]));
    assert_says(&said, &["known ones are", "interpose", "mslt", "zero-one"]);
}

#[test]
fn what_cannot_work_is_said_before_anything_is_trained() {
    let place = Place::new();
    // 16 to 24 is no whole multiple.
    let said = place.refused(&compare("hyper-cloning", &[]));
    assert_says(&said, &["hyper-cloning", "stackbert, ", " can"]);
    // Two layers have no middle.
    let said = place.refused(&compare("ligo-token-drop", &[]));
    assert_says(&said, &["ligo-token-drop", "found 1 to 1 of 2"]);
    // More steps to choose than to train.
    assert_says(
        &place.refused(&compare("select", &[])),
        &["lag_steps", "20 steps", "found 100"],
    );
    let candidates = "methods=[{name=\"select\", select={lag_steps=5, candidates=[\"stackbrt\"]}}]";
    let said = place.refused(&compare("select", &["--set", candidates]));
    assert_says(&said, &["select.candidates[0]", "did you mean `stackbert`?"]);
    let learned = "methods=[{name=\"select\", select={lag_steps=5, candidates=[\"ligo\"]}}]";
    let said = place.refused(&compare("select", &["--set", learned]));
    assert_says(&said, &["at least one candidate that is not learned"]);
    let said = place.refused(&compare("scratch", &["--set", "operator.train.layer_drop={}"]));
    assert_says(&said, &["operator.train", "layer_drop is for training the large model"]);
    let said = place.refused(&compare("scratch", &["--set", "small.train.distillation={}"]));
    assert_says(&said, &["small.train", "distillation is for training the large model"]);
    assert!(!place.path("run").exists());
}

#[test]
fn the_state_of_a_given_small_model_is_there_or_is_missed_before_training() {
    let place = Place::new();
    place.shown(&compare("stackbert", &[]));
    // A model that a run left has its checkpoint beside it.
    let small = [
        "--small",
        "run/small/model",
        "--tokenizer",
        "run/small/model",
        "--out",
        "other",
    ];
    let with_small = |methods: &'static str, small: &[&'static str]| {
        let fixed = [
            "compare",
            "--recipe",
            "recipe.toml",
            "--data",
            "text.txt",
            "--methods",
            methods,
        ];
        [&fixed, small].concat()
    };
    place.shown(&with_small("ligo-moments,stackbert-rewarm", &small));
    let learned = fs::read(place.path("other/methods/ligo-moments/model/model.safetensors")).unwrap();
    assert!(!learned.is_empty());

    // One that stands alone has none, and its moments are asked for before anything runs.
    let alone = place.path("alone");
    fs::create_dir(&alone).unwrap();
    for file in fs::read_dir(place.path("run/small/model")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), alone.join(file.file_name())).unwrap();
    }
    let small = ["--small", "alone", "--tokenizer", "alone", "--out", "third"];
    let said = place.refused(&with_small("stackbert-moments", &small));
    assert_says(
        &said,
        &[
            "stackbert-moments",
            "keep_moments needs the optimizer's state",
            "no valid checkpoint",
        ],
    );
    assert!(!place.path("third").exists());
    // Without them it is as good as any.
    place.shown(&with_small("stackbert", &small));
}
