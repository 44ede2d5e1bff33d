//! The learned map written out tensor by tensor under autodiff, to compare with.

use std::collections::HashMap;

use burn::tensor::{Device, Tensor, TensorData};
use ligo_arch::{ModelConfig, ParamSpec, ParamTable, Role};
use ligo_growth::{
    Coverage, DepthInit, FurtherInit, LigoConfig, LigoOperator, MemorySource, OperatorGraph, Sharing, Term,
    WeightSource, WidthInit, init,
};
use serde_json::{Value, json};

use super::weights;

pub type Tensors = HashMap<String, Tensor<1>>;

/// Pairs of small and large models: sizes that share no factor, heads, groups of heads, several stacks of layers.
pub fn pairs() -> Vec<(&'static str, ParamTable, ParamTable)> {
    let bert = json!({"model_type": "bert", "vocab_size": 23, "hidden_size": 6, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 11, "max_position_embeddings": 7, "type_vocab_size": 2});
    let gpt2 =
        json!({"model_type": "gpt2", "vocab_size": 23, "n_embd": 6, "n_layer": 3, "n_head": 2, "n_positions": 7});
    let llama = json!({"model_type": "llama", "vocab_size": 23, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 20, "tie_word_embeddings": true});
    let vit = json!({"model_type": "vit", "hidden_size": 6, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 10, "image_size": 8, "patch_size": 4, "num_labels": 3});
    let cait = with(&vit, &json!({"model_type": "cait", "depth_token_only": 1}));
    let wider = json!({"hidden_size": 9, "num_attention_heads": 3, "num_hidden_layers": 5, "intermediate_size": 17});
    let pair = |name, small: &Value, change: &Value| (name, table(small), table(&with(small, change)));
    vec![
        pair("bert", &bert, &wider),
        pair(
            "bert, same depth",
            &bert,
            &with(&wider, &json!({"num_hidden_layers": 2})),
        ),
        pair("bert, depth alone", &bert, &json!({"num_hidden_layers": 3})),
        pair(
            "bert, untied",
            &with(&bert, &json!({"tie_word_embeddings": false})),
            &wider,
        ),
        pair("gpt2", &gpt2, &json!({"n_embd": 9, "n_head": 3, "n_layer": 4})),
        pair(
            "llama",
            &llama,
            &json!({"hidden_size": 24, "num_attention_heads": 6, "num_key_value_heads": 3, "intermediate_size": 30, "num_hidden_layers": 3}),
        ),
        pair("vit", &vit, &wider),
        pair("cait", &cait, &with(&wider, &json!({"depth_token_only": 2}))),
    ]
}

fn with(base: &Value, change: &Value) -> Value {
    let mut merged = base.as_object().unwrap().clone();
    merged.extend(change.as_object().unwrap().clone());
    Value::Object(merged)
}

fn table(config: &Value) -> ParamTable {
    ModelConfig::from_json(config).unwrap().table()
}

/// Every kind of operator that the settings allow.
pub fn settings() -> Vec<LigoConfig> {
    let mut settings = Vec::new();
    for sharing in [Sharing::Shared, Sharing::PerSmallLayer, Sharing::PerLargeLayer] {
        let one = LigoConfig {
            sharing,
            width_init: WidthInit::Gaussian,
            width_noise: 0.3,
            depth_init: DepthInit::Rand,
            ..LigoConfig::default()
        };
        settings.push(one.clone());
        settings.push(LigoConfig {
            fixed_identity: true,
            ..one.clone()
        });
        settings.push(LigoConfig {
            fresh: 0.3,
            ..one.clone()
        });
        settings.push(LigoConfig {
            bias_depth: true,
            ..one.clone()
        });
        settings.push(LigoConfig {
            tune_width: false,
            ..one.clone()
        });
        settings.push(LigoConfig {
            tune_depth: false,
            ..one.clone()
        });
        settings.push(LigoConfig {
            tied: false,
            ..one.clone()
        });
        settings.push(LigoConfig {
            tune_small_model: true,
            tune_residual: true,
            residual_noise: 0.2,
            ..one.clone()
        });
        settings.push(LigoConfig {
            tune_small_model: true,
            tune_width: false,
            tune_depth: false,
            terms: 2,
            ..one.clone()
        });
        for tied in [true, false] {
            settings.push(LigoConfig {
                terms: 2,
                tied,
                ..one.clone()
            });
        }
        settings.push(LigoConfig {
            terms: 2,
            tied: false,
            further: FurtherInit::Above,
            depth_init: DepthInit::Own,
            fresh: 0.1,
            ..one
        });
    }
    settings
}

/// `Σ_t Σ_j depth_t[i, j] · Out_t · W_small[j] · In_tᵀ` plus what the map is added to, for every required tensor; `current` holds the learned
/// matrices, tracked or not.
pub fn grow(operator: &LigoOperator, current: &Tensors, seed: u64, device: &Device) -> Tensors {
    let map = operator.map(&|name| current.get(name).cloned(), device);
    let (small, large) = (operator.small(), operator.large());
    let mut source = Learned {
        current,
        source: weights(small, seed),
    };
    let mut grown = Tensors::new();
    for param in large.params().filter(|p| p.spec.required) {
        let spec = param.spec;
        let mut sum: Option<Tensor<2>> = None;
        for term in map.terms.iter().filter(|term| covers(term, spec)) {
            let biases = operator.config().bias_depth && matches!(spec.role, Role::Bias | Role::NormBias);
            let depths = if biases { &term.bias_depth } else { &term.depth };
            let depth = spec.stack.map(|stack| &depths[&(stack, spec.module)]);
            let layers = spec.stack.map_or(1, |stack| small.depth(stack));
            let mixed = |widened: &dyn Fn(usize, Tensor<2>) -> Tensor<2>, source: &mut Learned<'_>| {
                let mut mixed: Option<Tensor<2>> = None;
                for j in 0..layers {
                    let mut part = widened(j, load(small, spec, spec.stack.map(|_| j), source, device));
                    if let (Some(depth), Some(i)) = (depth, param.layer) {
                        part = part * depth.clone().slice([i..i + 1, j..j + 1]);
                    }
                    mixed = Some(mixed.map_or(part.clone(), |sum| sum + part));
                }
                mixed.unwrap()
            };
            let layer = param.layer.unwrap_or(0);
            let grown = match operator.config().sharing {
                Sharing::PerLargeLayer => widen(term, spec, mixed(&|_, w| w, &mut source), layer),
                _ => mixed(&|j, w| widen(term, spec, w, j), &mut source),
            };
            sum = Some(sum.map_or(grown.clone(), |sum| sum + grown));
        }
        let sum = sum.unwrap().reshape([param.num_elements()]);
        let mut tensor = sum + added(operator, &param, device);
        if let Some(residual) = current.get(&format!("residual.{}", param.name)) {
            tensor = tensor + residual.clone();
        }
        grown.insert(param.name.clone(), tensor);
    }
    grown
}

/// The small model, or what is learned in the place of its tensors.
struct Learned<'a> {
    current: &'a Tensors,
    source: MemorySource,
}

/// The fresh values below the map, where there are some.
fn added(operator: &LigoOperator, param: &ligo_arch::Param<'_>, device: &Device) -> Tensor<1> {
    let mut zeros = MemorySource::new(operator.small().params().map(|p| {
        let zeros = vec![0.0; p.num_elements()];
        (p.name, p.shape, zeros)
    }));
    let mut map = operator.initial_map(&Device::flex()).unwrap();
    map.residual.clear();
    let values = map.grow_values(operator.small(), param, &mut zeros, &Device::flex());
    Tensor::from_data(TensorData::new(values.unwrap(), [param.num_elements()]), device)
}

fn covers(term: &Term, spec: &ParamSpec) -> bool {
    let output = if is_lookup(spec) {
        spec.axes.last()
    } else {
        spec.axes.first()
    };
    match term.coverage {
        Coverage::Whole => true,
        _ => term.out.get(*output.unwrap(), 0).is_some(),
    }
}

fn is_lookup(spec: &ParamSpec) -> bool {
    matches!(spec.role, Role::Embedding | Role::Token)
}

fn widen(term: &Term, spec: &ParamSpec, weight: Tensor<2>, layer: usize) -> Tensor<2> {
    let columns = match &term.input {
        Some(input) if !is_lookup(spec) => input,
        _ => &term.out,
    };
    let weight = match term.out.get(spec.axes[0], layer) {
        Some(out) => out.clone().matmul(weight),
        None => weight,
    };
    match spec.axes.get(1).and_then(|axis| columns.get(*axis, layer)) {
        Some(input) => weight.matmul(input.clone().transpose()),
        None => weight,
    }
}

fn load(
    small: &ParamTable,
    spec: &ParamSpec,
    layer: Option<usize>,
    source: &mut Learned<'_>,
    device: &Device,
) -> Tensor<2> {
    let param = small.param(spec, layer);
    let shape = [param.shape[0], param.shape.get(1).copied().unwrap_or(1)];
    if let Some(learned) = source.current.get(&format!("small.{}", param.name)) {
        return learned.clone().reshape(shape);
    }
    let values = source.source.values(&param.name).unwrap().into_owned();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// What is learned, with its starting values.
pub fn starts(graph: &OperatorGraph, device: &Device) -> Tensors {
    let learned = graph.operator().tensors().iter().filter(|t| t.trainable);
    let matrices = learned.map(|t| (t.name.clone(), t.values.clone()));
    let along = graph.along().unwrap().into_iter();
    let all = matrices.chain(along.map(|(name, _, values)| (name, values)));
    all.map(|(name, values)| {
        let data = TensorData::new(values.clone(), [values.len()]);
        (name, Tensor::from_data(data, device))
    })
    .collect()
}

/// Leaves of autodiff.
pub fn tracked(tensors: &Tensors) -> Tensors {
    let tracked = tensors.iter();
    tracked
        .map(|(name, x)| (name.clone(), x.clone().autodiff().require_grad()))
        .collect()
}

/// A smooth function of every grown tensor, so that each entry of the operator matters.
pub fn loss(grown: &Tensors) -> Tensor<1> {
    let mut names: Vec<&String> = grown.keys().collect();
    names.sort();
    let terms = names.into_iter().map(|name| {
        let x = grown[name].clone();
        let count = x.dims()[0];
        let weights = init::normal(&mut init::rng(5, name), 1.0, count);
        let weights = Tensor::<1>::from_data(TensorData::new(weights, [count]), &x.device());
        (x * 0.1).tanh().mul(weights).sum()
    });
    terms.reduce(|a, b| a + b).unwrap()
}

/// The gradients by what is learned as autodiff finds them.
pub fn autodiff_gradients(graph: &OperatorGraph, seed: u64, device: &Device) -> Tensors {
    let current = tracked(&starts(graph, device));
    let grown = grow(graph.operator(), &current, seed, &device.clone().autodiff());
    let gradients = loss(&grown).backward();
    let found = current.into_iter();
    found
        .filter_map(|(name, x)| Some((name, x.grad(&gradients)?.without_autodiff())))
        .collect()
}

/// The gradients by the learned matrices, pulled back from those by the grown tensors.
pub fn pulled_gradients(graph: &OperatorGraph, current: &Tensors) -> Tensors {
    let (grown, record) = graph.grow_recorded(&|name| current.get(name).cloned()).unwrap();
    let leaves = tracked(&grown);
    let gradients = loss(&leaves).backward();
    graph.pull_back(record, &mut |name| leaves[name].grad(&gradients))
}

/// Compares growth and gradients of every pair and every kind of operator with the map written out; returns how many matrices.
pub fn compare_with_autodiff(tolerance: f64, device: &Device) -> usize {
    let mut compared = 0;
    for (name, small, large) in pairs() {
        for config in settings() {
            let operator = LigoOperator::new(&small, &large, &config, 11).unwrap();
            let what = format!("{name}, {config:?}");
            let graph = OperatorGraph::new(operator.clone(), &mut weights(&small, 2), device).unwrap();
            let current = starts(&graph, device);

            let expected = grow(&operator, &current, 2, device);
            let found = graph.grow(&|name| current.get(name).cloned()).unwrap();
            assert_close(&what, &found, &expected, tolerance);

            if current.is_empty() {
                continue;
            }
            let expected = autodiff_gradients(&graph, 2, device);
            let found = pulled_gradients(&graph, &current);
            assert_close(&what, &found, &expected, tolerance);
            compared += found.len();
        }
    }
    compared
}

/// Equal names, and values that differ by at most `tolerance` of the largest of their tensor.
fn assert_close(what: &str, found: &Tensors, expected: &Tensors, tolerance: f64) {
    let names = |tensors: &Tensors| {
        let mut names: Vec<String> = tensors.keys().cloned().collect();
        names.sort();
        names
    };
    assert_eq!(names(found), names(expected), "{what}");
    for (name, expected) in expected {
        let [found, expected] =
            [&found[name], expected].map(|x| x.clone().into_data().iter::<f64>().collect::<Vec<_>>());
        assert_eq!(found.len(), expected.len(), "{what}: {name}");
        let scale = expected.iter().fold(1e-3f64, |m, x| m.max(x.abs()));
        for (found, expected) in found.iter().zip(&expected) {
            let error = (found - expected).abs() / scale;
            assert!(
                error <= tolerance,
                "{what}: {name}: {found} against {expected}, {error:e}"
            );
        }
    }
}
