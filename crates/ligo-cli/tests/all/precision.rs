//! The precision of products: refused where the device lacks it, told in the results, and no part of what an f32 run is called.

use std::fs;

use ligo_cost::plan::Plan;

use crate::common::{self, Place, assert_says};

#[test]
fn a_precision_that_the_cpu_lacks_is_refused_before_anything_is_written() {
    let place = Place::new();
    let model = r#"{"model_type": "bert", "vocab_size": 128, "hidden_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 1, "intermediate_size": 64, "max_position_embeddings": 32}"#;
    place.write("model.json", model);
    let recipe = ["--recipe", "recipe.toml", "--data", "text.txt", "--out", "run"];
    let run = |command: &str, more: &[&'static str]| place.refused(&[&[command], recipe.as_slice(), more].concat());
    for message in [
        run("run", &["--precision", "bf16"]),
        run("run", &["--set", "precision=bf16"]),
        run("run", &["--set", "operator.train.precision=bf16"]),
        run("compare", &["--precision", "bf16"]),
        run("compare", &["--precision", "bf16", "--jobs", "2"]),
        place.refused(&[
            "train",
            "--model",
            "model.json",
            "--tokens",
            "none",
            "--out",
            "run",
            "--precision",
            "bf16",
        ]),
        place.refused(&[
            "train",
            "--model",
            "model.json",
            "--tokens",
            "none",
            "--out",
            "run",
            "--set",
            "precision=bf16",
        ]),
    ] {
        assert_says(
            &message,
            &[
                "precision bf16 is asked for",
                "computes in f32 only",
                "`ligo devices` lists",
            ],
        );
        assert!(!place.path("run").exists(), "{message}");
    }
    assert_says(&run("run", &["--precision", "tf32"]), &["precision tf32"]);
}

#[test]
fn an_unknown_precision_is_told_with_those_that_there_are() {
    let place = Place::new();
    let output = place
        .command(&["run", "--recipe", "recipe.toml", "--precision", "fp8"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_says(&common::said(&output), &["f32, tf32, bf16"]);
    let message = place.refused(&[
        "run",
        "--recipe",
        "recipe.toml",
        "--data",
        "text.txt",
        "--set",
        "precision=fp8",
    ]);
    assert_says(&message, &["precision", "f32, tf32, bf16", "fp8"]);
}

#[test]
fn a_run_in_f32_is_the_same_run_whether_it_says_so_or_not() {
    let place = Place::new();
    let plain = ["run", "--recipe", "recipe.toml", "--data", "text.txt", "--out", "run"];
    place.shown(&plain);
    let before = place.files("run/methods");
    let again = place.shown(&[plain.as_slice(), &["--precision", "f32"]].concat());
    assert_says(&again, &["complete, skipped"]);
    assert!(place.files("run/methods") == before, "something was computed again");
    let read = |name: &str| fs::read_to_string(place.path("run").join(name)).unwrap();
    assert!(!read("recipe.toml").contains("precision"));
    assert_says(&read("provenance.json"), &[r#""precision": "f32""#]);
    assert_says(&read("report.html"), &["precision of products"]);
    let plan: Plan = serde_json::from_str(&read("plan.json")).unwrap();
    assert_eq!(plan.rates.precision.name(), "f32");
}

#[test]
fn a_plan_takes_the_precision_of_the_recipe_unless_another_is_asked_for() {
    let place = Place::new();
    let recipe = format!("precision = \"bf16\"\n{}", common::RECIPE);
    place.write("bf16.toml", recipe);
    let plan = |more: &[&'static str]| -> Plan {
        let arguments = [
            "plan",
            "--recipe",
            "bf16.toml",
            "--hardware",
            "a100",
            "--json",
            "--quiet",
        ];
        serde_json::from_str(&place.shown(&[arguments.as_slice(), more].concat())).unwrap()
    };
    let own = plan(&[]);
    assert_eq!((own.rates.precision.name(), own.rates.peak_flops), ("bf16", 312e12));
    let asked = plan(&["--precision", "f32"]);
    assert_eq!((asked.rates.precision.name(), asked.rates.peak_flops), ("f32", 19.5e12));
}
