//! Muon against PyTorch, and in runs that are interrupted.

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use ligo_growth::WeightSource;
use ligo_train::{
    Error, Muon, MuonScale, Objective, Optimizer, OptimizerConfig, OptimizerKind, ParamInfo, ParamStore, SavedPart,
    SavedState, TrainConfig,
};
use serde::Deserialize;

use crate::toy::{Toy, Watcher, bits, config, run, timeless};

type Numbers = HashMap<String, Vec<f32>>;

#[derive(Deserialize)]
struct Fixture {
    shapes: HashMap<String, Vec<usize>>,
    rates: Vec<f64>,
    clips: Vec<f64>,
    weight_decay: f64,
    start: Numbers,
    gradients: Vec<Numbers>,
    cases: HashMap<String, Case>,
}

#[derive(Deserialize)]
struct Case {
    momentum: f64,
    nesterov: bool,
    ns_steps: u32,
    steps: Vec<Numbers>,
    momentum_buffers: Numbers,
    bfloat16: Numbers,
}

impl Fixture {
    fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/muon/muon.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    fn store(&self) -> ParamStore {
        let mut names: Vec<&String> = self.shapes.keys().collect();
        names.sort();
        let params = names.into_iter().map(|name| {
            let info = ParamInfo {
                name: name.clone(),
                shape: self.shapes[name].clone(),
                decay: name != "bias",
            };
            (info, self.start[name].clone())
        });
        ParamStore::from_values(params, &Device::flex()).unwrap()
    }
}

fn is_matrix(name: &str) -> bool {
    ["tall", "wide", "square"].contains(&name)
}

fn tensor(values: &[f32]) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), &Device::flex())
}

/// The largest difference to what is expected, as a share of the largest number that is.
fn distance(store: &ParamStore, expected: &Numbers) -> f32 {
    let mut largest = 0.0_f32;
    for (info, values) in store.to_values().unwrap() {
        let wanted = &expected[&info.name];
        let scale = wanted.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let differences = values.iter().zip(wanted).map(|(x, y)| (x - y).abs() / scale);
        largest = differences.fold(largest, f32::max);
    }
    largest
}

#[test]
fn steps_equal_those_of_pytorch() {
    let fixture = Fixture::read();
    for (name, case) in &fixture.cases {
        let config = OptimizerConfig {
            kind: OptimizerKind::Muon,
            beta2: 0.98,
            weight_decay: fixture.weight_decay,
            muon: Muon {
                momentum: case.momentum,
                nesterov: case.nesterov,
                ns_steps: case.ns_steps,
                scale: serde_json::from_value(name.as_str().into()).unwrap(),
            },
            ..OptimizerConfig::default()
        };
        let mut store = fixture.store();
        let mut optimizer = Optimizer::new(config, &store).with_matrices(&store, 1.0, is_matrix);
        let schedule = fixture
            .rates
            .iter()
            .zip(&fixture.clips)
            .zip(&fixture.gradients)
            .zip(&case.steps);
        for (i, (((lr, clip), gradients), expected)) in schedule.enumerate() {
            let all = store
                .infos()
                .iter()
                .map(|info| Some(tensor(&gradients[&info.name])))
                .collect();
            optimizer.update(&mut store, all, *lr, *clip).unwrap();
            let off = distance(&store, expected);
            assert!(off < 5e-6, "{name}, step {i}: {off}");
        }
        // PyTorch rounds to bfloat16 on the way, which shows and is no other step.
        let off = distance(&store, &case.bfloat16);
        assert!((1e-6..2e-3).contains(&off), "{name}: {off}");
        for (param, first, second) in optimizer.to_moments(&store).unwrap() {
            match case.momentum_buffers.get(&param) {
                Some(expected) => {
                    assert!(second.is_empty(), "{param}");
                    assert!(first.iter().zip(expected).all(|(x, y)| (x - y).abs() < 1e-6), "{param}");
                }
                None => assert_eq!(second.len(), first.len(), "{param}"),
            }
        }
    }
}

#[test]
fn a_step_is_orthogonal_whatever_the_size_of_the_gradient() {
    let info = ParamInfo {
        name: "matrix".into(),
        shape: vec![4, 3],
        decay: false,
    };
    let gradient: Vec<f32> = (0..12).map(|i| ((i * i) as f32 * 1.7).sin()).collect();
    let step = |scale: f64, iterations: u32| -> Vec<f32> {
        let mut store = ParamStore::from_values([(info.clone(), vec![0.0; 12])], &Device::flex()).unwrap();
        let config = OptimizerConfig {
            kind: OptimizerKind::Muon,
            muon: Muon {
                ns_steps: iterations,
                scale: MuonScale::Original,
                ..Muon::default()
            },
            ..OptimizerConfig::default()
        };
        let mut optimizer = Optimizer::new(config, &store).with_matrices(&store, 1.0, |_| true);
        optimizer
            .update(&mut store, vec![Some(tensor(&gradient))], -1.0, scale)
            .unwrap();
        let ratio = (4.0_f32 / 3.0).sqrt();
        store.to_values().unwrap()[0].1.iter().map(|x| x / ratio).collect()
    };
    // A power of two changes no bit of a mantissa.
    let (one, large) = (step(1.0, 5), step(1024.0, 5));
    assert_eq!(one, large);
    // Singular values near 1: XᵀX is near the identity, and its trace is that of three of them.
    let gram = |i: usize, j: usize| -> f32 { (0..4).map(|row| one[3 * row + i] * one[3 * row + j]).sum() };
    for i in 0..3 {
        for j in 0..3 {
            let expected = f32::from(u8::from(i == j));
            assert!((gram(i, j) - expected).abs() < 0.5, "{i} {j}: {}", gram(i, j));
        }
    }
    // Of no gradient nothing is made: no number is divided by zero.
    let zeros = vec![0.0; 12];
    let mut store = ParamStore::from_values([(info.clone(), zeros.clone())], &Device::flex()).unwrap();
    let config = OptimizerConfig {
        kind: OptimizerKind::Muon,
        ..OptimizerConfig::default()
    };
    let mut optimizer = Optimizer::new(config, &store).with_matrices(&store, 1.0, |_| true);
    optimizer
        .update(&mut store, vec![Some(tensor(&zeros))], 0.1, 1.0)
        .unwrap();
    assert_eq!(store.to_values().unwrap()[0].1, zeros);
}

fn with_muon() -> TrainConfig {
    let mut config = config();
    config.optimizer.kind = OptimizerKind::Muon;
    config
}

#[test]
fn layers_get_muon_and_all_else_adamw_and_stopping_changes_no_bit() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let dir = toy.folder.path();
    let whole_dir = dir.join("whole");
    let mut whole = toy.trainer(&with_muon(), &loader, &toy.objective, &whole_dir);
    let whole_result = run(&mut whole, &mut Watcher::default()).unwrap();
    let mut adamw = toy.trainer(&config(), &loader, &toy.objective, &dir.join("adamw"));
    run(&mut adamw, &mut Watcher::default()).unwrap();
    assert_ne!(bits(&whole).0, bits(&adamw).0);
    assert!(whole_result.curve.last().unwrap().loss < whole_result.curve[0].loss);

    let saved = SavedState::open(&whole_dir).unwrap().unwrap();
    assert!(saved.has_moments());
    let (mut matrices, mut others) = (0, 0);
    for info in whole.store().infos() {
        let in_layer = info.name.contains(".layer.") && info.shape.len() == 2;
        assert_eq!(toy.objective.is_matrix(&info.name), in_layer, "{}", info.name);
        assert!(saved.source(SavedPart::FirstMoments).has(&info.name));
        assert_eq!(
            saved.source(SavedPart::SecondMoments).has(&info.name),
            !in_layer,
            "{}",
            info.name
        );
        *(if in_layer { &mut matrices } else { &mut others }) += info.num_elements();
    }
    // Two layers of four projections and two matrices of the feed-forward network.
    assert_eq!(matrices, 2 * (4 * 16 * 16 + 2 * 16 * 64));
    let kept = with_muon().numbers_kept(&toy.model.table());
    let expected = 2.0 - matrices as f64 / (matrices + others) as f64;
    assert!((kept - expected).abs() < 1e-12, "{kept} is not {expected}");
    drop(saved);

    for stop in [1, 7, 8, 19] {
        let run_dir = dir.join(format!("stopped-{stop}"));
        let mut first = toy.trainer(&with_muon(), &loader, &toy.objective, &run_dir);
        run(&mut first, &mut Watcher::stopping_after(stop)).unwrap();
        drop(first);
        let mut second = toy.trainer(&with_muon(), &loader, &toy.objective, &run_dir);
        let result = run(&mut second, &mut Watcher::default()).unwrap();
        assert_eq!(timeless(&result), timeless(&whole_result), "stopped at {stop}");
        assert_eq!(bits(&second), bits(&whole), "stopped at {stop}");
    }
    // A checkpoint of the one rule is none of the other's.
    let mut other = toy.trainer(&config(), &loader, &toy.objective, &whole_dir);
    let error = run(&mut other, &mut Watcher::default()).unwrap_err();
    assert!(
        matches!(error, Error::OtherRun { .. }) && error.to_string().contains("muon"),
        "{error}"
    );
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    for (muon, part) in [
        (
            Muon {
                momentum: 1.0,
                ..Muon::default()
            },
            "optimizer.muon.momentum",
        ),
        (
            Muon {
                ns_steps: 0,
                ..Muon::default()
            },
            "optimizer.muon.ns_steps must be 1 to 99",
        ),
        (
            Muon {
                ns_steps: 100,
                ..Muon::default()
            },
            "optimizer.muon.ns_steps must be 1 to 99",
        ),
    ] {
        let mut config = with_muon();
        config.optimizer.muon = muon;
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    // Whoever asks for nothing new writes what was written before.
    let written = serde_json::to_value(OptimizerConfig::default()).unwrap();
    assert_eq!(written.as_object().unwrap().len(), 5, "{written}");
}
