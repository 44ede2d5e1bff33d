//! The price before the run: every recipe has one, it grows with the model, and what it rests on is said. What a run used afterwards
//! stands beside it.

use std::fs;

use ligo_cost::hardware::{Hardware, KNOWN, Precision};
use ligo_cost::plan::{Bill, Plan};
use ligo_experiment::Experiment;
use ligo_experiment::json::pretty;
use ligo_experiment::plan::{self, Asked};
use ligo_experiment::recipe::{self, BUILTIN, DataFacts, Recipe};
use ligo_train::TrainResult;

use crate::common::{self, Place, assert_says};

fn load(name: &str) -> Recipe {
    recipe::load(name, &["corpus.paths=[\"data\"]".into()]).unwrap()
}

fn priced(recipe: &Recipe, hardware: &str, asked: &Asked) -> Plan {
    let terms = plan::of_known(Hardware::by_name(hardware).unwrap(), asked).unwrap();
    plan::plan(recipe, &DataFacts::expected(recipe), terms).unwrap()
}

/// Every number of a plan, by its place.
fn numbers(value: &serde_json::Value, place: &str, found: &mut Vec<(String, f64)>) {
    match value {
        serde_json::Value::Object(fields) => fields
            .iter()
            .for_each(|(k, v)| numbers(v, &format!("{place}.{k}"), found)),
        serde_json::Value::Array(items) => items.iter().for_each(|v| numbers(v, place, found)),
        serde_json::Value::Number(number) => found.push((place.to_owned(), number.as_f64().unwrap())),
        _ => {}
    }
}

#[test]
fn every_recipe_has_a_price_on_all_hardware_and_the_larger_model_costs_more() {
    for (name, _) in BUILTIN {
        let recipe = load(name);
        for hardware in KNOWN {
            let plan = priced(&recipe, hardware.name, &Asked::default());
            let mut found = Vec::new();
            numbers(&serde_json::to_value(&plan).unwrap(), name, &mut found);
            assert!(found.len() > 50, "{name}: {found:?}");
            for (place, number) in found {
                let negative = place.contains("saving");
                assert!(number.is_finite() && (number >= 0.0 || negative), "{place}: {number}");
            }
            let small = plan.small_training.as_ref().unwrap();
            assert_eq!(plan.methods.len(), recipe.methods.len());
            for run in plan.methods.iter().chain([small]) {
                let whole = run.whole();
                assert!(
                    whole.cost.seconds > 0.0 && run.memory.total_bytes() > 1e5,
                    "{name}: {run:?}"
                );
                assert!(
                    whole.kwh.unwrap() > 0.0 && whole.kg_co2.unwrap() > 0.0,
                    "{name}: {run:?}"
                );
                assert_eq!(whole.usd.is_some(), hardware.usd_per_hour.is_some());
            }
            assert!(plan.large.parameters > plan.small.parameters, "{name}");
            assert!(
                plan.large.memory.total_bytes() > plan.small.memory.total_bytes(),
                "{name}"
            );
            let per_step = |bill: &Bill, steps: u64| bill.cost.seconds / steps as f64;
            let scratch = plan.methods.iter().find(|run| run.method == "scratch").unwrap();
            assert!(
                per_step(&scratch.training, scratch.steps) > per_step(&small.training, small.steps),
                "{name}"
            );
            let ligo = plan.methods.iter().find(|run| run.method == "ligo").unwrap();
            let operator = ligo.operator.unwrap();
            assert!(
                operator.cost.seconds > 0.0 && operator.cost.seconds < scratch.training.cost.seconds,
                "{name}"
            );
            assert!(
                ligo.expected.is_none()
                    || ligo.expected.as_ref().unwrap().bill.cost.seconds < scratch.training.cost.seconds
            );
            assert!(plan::text(&plan).lines().count() > 12);
        }
    }
}

#[test]
fn the_papers_pair_is_priced_at_the_papers_saving() {
    let plan = priced(&load("bert-small-to-base"), "h100", &Asked::default());
    let [scratch, ligo, stackbert] = plan.methods.as_slice() else {
        panic!("{:?}", plan.methods);
    };
    // 400,000 steps of 15.07 TFLOP by ELECTRA's count.
    assert!((scratch.training.cost.flops.electra / 400e3 / 1.5068e13 - 1.0).abs() < 1e-3);
    for (run, flops, time) in [(ligo, 0.447, 0.407), (stackbert, 0.341, 0.333)] {
        let expected = run.expected.as_ref().unwrap();
        assert!(expected.same_pair && !expected.measured_here);
        assert!((expected.saving_flops - flops).abs() < 1e-9);
        assert!((expected.bill.cost.seconds / scratch.training.cost.seconds - (1.0 - time)).abs() < 1e-9);
        let small = plan.small_training.as_ref().unwrap().whole();
        let with_small = expected.with_small.as_ref().unwrap();
        assert!((with_small.cost.seconds - expected.bill.cost.seconds - small.cost.seconds).abs() < 1e-6);
    }
    // 109.5 M parameters: 438 MB of weights, four sets of gradients for a tree of 8 micro-batches, two of moments.
    let weights = 4.0 * plan.large.parameters as f64;
    assert!((weights / 438.1e6 - 1.0).abs() < 1e-3);
    let memory = plan.large.memory;
    assert_eq!(
        (memory.gradients_bytes, memory.moments_bytes),
        (4.0 * weights, 2.0 * weights)
    );
    // The large model's moments go, and what the large weights are made of comes.
    let learning = ligo.operator_memory.unwrap();
    assert_eq!(
        (learning.moments_bytes, learning.activations_bytes),
        (0.0, memory.activations_bytes)
    );
    assert!(learning.operator_bytes > 4.0 * plan.small.parameters as f64 && stackbert.operator_memory.is_none());
    let text = plan::text(&plan);
    assert_says(
        &text,
        &[
            "as published for BERT-Small → BERT-Base",
            "445 g/kWh",
            "$2.69 an hour",
            "1.8 % of a peak of 66.9 TFLOP/s",
            "measured by ligo through vulkan: a step of BERT (6, 512) with 32 × 128 tokens took 440 ms",
            "1.2 TFLOP/s in f32, 1.8 % of the peak (measured)",
        ],
    );
}

#[test]
fn a_share_that_nobody_measured_is_called_assumed_in_text_and_json() {
    let recipe = load("bert-small-to-base");
    for (hardware, asked, word) in [
        ("a100", Asked::default(), "assumed"),
        ("h100", Asked::default(), "measured"),
        (
            "h100",
            Asked {
                precision: Precision::Bf16,
                ..Asked::default()
            },
            "assumed",
        ),
        (
            "h100",
            Asked {
                utilization: Some(0.35),
                ..Asked::default()
            },
            "as asked",
        ),
    ] {
        let plan = priced(&recipe, hardware, &asked);
        let text = plan::text(&plan);
        assert_says(&text, &[&format!("of the peak ({word})")]);
        let json: serde_json::Value = serde_json::from_str(&pretty(&plan).unwrap()).unwrap();
        let known = json["rates"]["utilization_known"]["known"].as_str().unwrap();
        assert_eq!(known, if word == "as asked" { "given" } else { word });
        assert_eq!(json["rates"]["precision"], asked.precision.name());
    }
    // What was measured in another precision is no secret.
    let bf16 = Asked {
        precision: Precision::Bf16,
        ..Asked::default()
    };
    let text = plan::text(&priced(&recipe, "h100", &bf16));
    assert_says(
        &text,
        &[
            "nobody has timed ligo on it in bf16",
            "in f32 through vulkan it was measured, 1.2 TFLOP/s",
        ],
    );
}

#[test]
fn other_assumptions_change_the_bill_as_they_say() {
    let recipe = load("gpt2-base-to-medium");
    let usual = priced(&recipe, "a100", &Asked::default());
    let asked = Asked {
        precision: Precision::Bf16,
        utilization: Some(0.7),
        usd_per_hour: Some(2.78),
        grams_co2_per_kwh: Some(44.5),
        pue: Some(1.0),
        watts: Some(200.0),
    };
    let other = priced(&recipe, "a100", &asked);
    let bill = |plan: &Plan| plan.methods[0].whole();
    let (usual, other) = (bill(&usual), bill(&other));
    let close = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
    // 16 times the peak and twice the share.
    close(usual.cost.seconds / other.cost.seconds, 32.0);
    close(usual.usd.unwrap() / other.usd.unwrap(), 32.0 / 2.0);
    close(usual.kwh.unwrap() / other.kwh.unwrap(), 32.0 * 2.0 * 1.54);
    close(usual.kg_co2.unwrap() / other.kg_co2.unwrap(), 32.0 * 2.0 * 1.54 * 10.0);
}

#[test]
fn what_is_trained_in_another_way_is_another_method() {
    let mut recipe = load("ablation-training");
    let methods = recipe.methods.iter().filter(|m| m.name == "stackbert").cloned();
    recipe.methods = methods.collect();
    let plan = priced(&recipe, "h100", &Asked::default());
    let expected: Vec<(&str, bool)> = plan
        .methods
        .iter()
        .map(|run| (run.label.as_str(), run.expected.is_some()))
        .collect();
    assert_eq!(
        expected,
        [
            ("StackBERT", true),
            ("StackBERT + sub-models", false),
            ("StackBERT + token dropping", false)
        ]
    );
}

#[test]
fn a_method_that_nobody_measured_has_a_price_and_no_saving() {
    let compared = ["ligo".into(), "lemon".into()];
    let experiment = Experiment::comparing(&load("llama-mini"), &compared, Some(2)).unwrap();
    let recipe = experiment.recipe();
    let plan = priced(recipe, "m3", &Asked::default());
    assert!(plan.methods.iter().all(|run| run.expected.is_none()));
    let text = plan::text(&plan);
    assert_says(
        &text,
        &[
            "No savings are published for: LiGO, LEMON",
            "LiGO, each of 2",
            "no price is known",
        ],
    );
}

#[test]
fn memory_that_is_not_there_is_said() {
    let recipe = load("bert-small-to-large");
    let recipe = Experiment::comparing(&recipe, &[], None).unwrap().recipe().clone();
    let mut large = recipe.clone();
    large.large.train.batch_size = 4096;
    assert_says(
        &plan::text(&priced(&large, "rtx4090", &Asked::default())),
        &["does not fit: 24.0 GB"],
    );
    assert!(!plan::text(&priced(&recipe, "h100", &Asked::default())).contains("does not fit"));
}

#[test]
fn the_command_reads_no_data_and_prints_text_json_or_csv() {
    let place = Place::new();
    fs::remove_file(place.path("text.txt")).unwrap();
    let arguments = ["plan", "--recipe", "recipe.toml", "--hardware", "h100"];
    let text = place.shown(&arguments);
    assert_says(
        &text,
        &[
            "tiny on NVIDIA H100",
            "BERT (2, 24)",
            "scratch",
            "LiGO",
            "its operator",
            "all together",
            "CO₂",
        ],
    );
    let json = place.shown(&[arguments.as_slice(), &["--json", "--quiet"]].concat());
    let plan: Plan = serde_json::from_str(&json).unwrap();
    assert_eq!((plan.recipe.as_str(), plan.methods.len()), ("tiny", 2));
    let csv = place.shown(&[arguments.as_slice(), &["--csv"]].concat());
    let columns: Vec<usize> = csv.lines().map(|line| line.split(',').count()).collect();
    assert_eq!(columns, [columns[0]; 4], "{csv}");
    // Nothing is written.
    assert_eq!(fs::read_dir(place.path("")).unwrap().count(), 1);
}

#[test]
fn a_given_small_model_is_not_trained_and_decides_the_vocabulary() {
    let place = Place::new();
    place.shown(&["run", "--recipe", "recipe.toml", "--data", "text.txt", "--out", "run"]);
    let json = place.shown(&[
        "plan",
        "--recipe",
        "recipe.toml",
        "--hardware",
        "a100",
        "--small",
        "run/small/model",
        "--json",
        "--quiet",
    ]);
    let plan: Plan = serde_json::from_str(&json).unwrap();
    assert_eq!(plan.small_training, None);
    let config = fs::read_to_string(place.path("run/small/model/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_says(
        &plan.assumptions[0],
        &[&format!("a vocabulary of {} words", config["vocab_size"])],
    );
}

#[test]
fn this_machine_is_measured_with_steps_of_every_kind_of_data() {
    let place = Place::new();
    for (recipe, model) in [("recipe.toml", "BERT"), ("gpt2-mini", "GPT-2"), ("vit-mini", "ViT")] {
        let small = ["--set", "large.train.batch_size=2"];
        let arguments = [&["plan", "--recipe", recipe, "--json", "--quiet"], small.as_slice()].concat();
        let plan: Plan = serde_json::from_str(&place.shown(&arguments)).unwrap();
        assert!(plan.large.name.starts_with(model), "{}", plan.large.name);
        let share = plan.rates.utilization;
        assert!(share > 0.0 && share.is_finite(), "{recipe}: {share}");
        assert!(plan.rates.watts.unwrap() > 0.0);
        assert_says(
            &plan.assumptions[1],
            &["the share was measured in", "steps of the large model with"],
        );
    }
}

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["plan", "--recipe", "recipe.toml"], more].concat()
}

#[test]
fn wrong_options_are_told_with_the_right_ones() {
    let place = Place::new();
    let message = place.refused(&with(&["--hardware", "h10"]));
    assert_says(
        &message,
        &["`h10`", "did you mean `h100`?", "h100, a100, rtx4090, m3, this"],
    );
    assert!(!place.refused(&with(&["--hardware", "abacus"])).contains("did you mean"));
    assert_says(
        &place.refused(&with(&["--hardware", "m3", "--precision", "tf32"])),
        &["Apple M3", "has no tf32 mode"],
    );
    assert_says(&place.refused(&with(&["--precision", "bf16"])), &["computes in f32"]);
    for (option, value, right) in [
        ("--utilization", "1.5", "up to 1"),
        ("--pue", "0.9", "at least 1"),
        ("--price-per-hour", "-1", "at least 0"),
        ("--precision", "f16", "f32, tf32, bf16"),
    ] {
        let argument = format!("{option}={value}");
        let output = place.command(&with(&[&argument])).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert_says(&common::said(&output), &[right]);
    }
}

#[test]
fn many_devices_are_priced_with_what_their_gradients_cost() {
    let place = Place::new();
    let plan = |more: &[&str]| {
        let fixed = [
            "plan",
            "--recipe",
            "bert-small-to-base",
            "--hardware",
            "h100",
            "--ranks",
            "16",
        ];
        place.shown(&[&fixed, more].concat())
    };
    let fast = plan(&["--network", "400gbit"]);
    assert_says(
        &fast,
        &[
            "training the large model: 8 micro-batches a step",
            "learning the operator: 8 micro-batches a step",
        ],
    );
    // 1, 2, 4 and 8 divide 8 micro-batches, 16 does not.
    let rows = |text: &str| -> Vec<f64> {
        let training = text.split("learning the operator").next().unwrap();
        let lines = training
            .lines()
            .filter(|line| line.contains(" %") && line.contains(" ms") && line.contains(" GB"));
        lines
            .map(|line| line.split_whitespace().nth(5).unwrap().parse().unwrap())
            .collect()
    };
    let gains = rows(&fast);
    assert_eq!(gains.len(), 4, "{fast}");
    assert!(
        gains[0] == 1.0 && gains.windows(2).all(|pair| pair[1] > pair[0]),
        "{gains:?}"
    );
    // A slow network between machines of one device makes more of them useless, and it is said from which number on.
    let slow = plan(&["--network", "1gbit", "--per-machine", "1"]);
    assert!(rows(&slow)[3] < gains[3] / 2.0, "{slow}");
    assert_says(&slow, &["From 4 on it does not pay", "It pays for all of them"]);
    // Shares of the moments leave more memory on each device.
    let memory = |text: &str| -> Vec<f64> {
        let training = text.split("learning the operator").next().unwrap();
        let rows = training
            .lines()
            .filter(|line| line.contains(" %") && line.contains(" GB"));
        rows.map(|line| line.split_whitespace().rev().nth(1).unwrap().parse().unwrap())
            .collect()
    };
    let (plain, shared) = (
        memory(&fast),
        memory(&plan(&["--network", "400gbit", "--optimizer-sharding"])),
    );
    assert_eq!((plain.len(), shared.len()), (4, 4), "{fast}");
    assert!(
        plain[0] == shared[0] && plain.iter().zip(&shared).skip(1).all(|(a, b)| b < a),
        "{plain:?} {shared:?}"
    );
    let wrong = place
        .command(&["plan", "--ranks", "8", "--network", "fast"])
        .output()
        .unwrap();
    assert_says(&common::said(&wrong), &["for example 100gbit"]);
}

#[test]
fn a_run_leaves_its_plan_and_what_it_used() {
    let place = Place::new();
    let run = ["run", "--recipe", "recipe.toml", "--data", "text.txt", "--out", "run"];
    place.shown(&run);
    let read = |name: &str| fs::read(place.path("run").join(name)).unwrap();
    let text = read("plan.json");
    let plan: Plan = serde_json::from_slice(&text).unwrap();
    let ids: Vec<&str> = plan.methods.iter().map(|run| run.id.as_str()).collect();
    assert_eq!(ids, ["scratch", "ligo"]);
    for planned in plan.small_training.iter().chain(&plan.methods) {
        let folder = match planned.id.as_str() {
            "small" => "small".to_owned(),
            id => format!("methods/{id}"),
        };
        let result: TrainResult = serde_json::from_slice(&read(&format!("{folder}/result.json"))).unwrap();
        assert_eq!(result.steps, planned.steps);
        // What is counted is the same before and after, but for the tokens that were masked, of which the plan knows the share; the
        // vocabulary was known when the plan was written.
        let (found, expected) = (result.cost.flops, planned.training.cost.flops);
        assert!((found.exact / expected.exact - 1.0).abs() < 0.05);
        assert!((found.electra / expected.electra - 1.0).abs() < 1e-12);
        let joules = result.energy_joules.unwrap();
        assert!(joules > 0.0 && joules.is_finite());
        #[cfg(target_os = "linux")]
        assert!(result.peak_memory_bytes.unwrap() as f64 > planned.memory.total_bytes());
    }
    // A second run adds nothing to predict; one with another method does.
    place.shown(&run);
    assert!(read("plan.json") == text, "the plan was written again");
    let recipe = format!("{}\n[[methods]]\nname = \"stackbert\"\n", common::RECIPE);
    place.write("recipe.toml", recipe);
    place.shown(&run);
    let plan: Plan = serde_json::from_slice(&read("plan.json")).unwrap();
    assert_eq!(plan.methods.len(), 3);
    // A number in it that is another one does not reach a table.
    let text = String::from_utf8(read("plan.json")).unwrap();
    let damaged = text.replacen("\"steps\": 20", "\"steps\": 21", 1);
    assert_ne!(damaged, text);
    fs::write(place.path("run/plan.json"), damaged).unwrap();
    assert_says(&place.shown(&run), &["plan.json is damaged; it is made again"]);
    let again: Plan = serde_json::from_slice(&read("plan.json")).unwrap();
    let steps = |plan: &Plan| plan.methods.iter().map(|run| run.steps).collect::<Vec<_>>();
    assert_eq!(steps(&again), steps(&plan));
}
