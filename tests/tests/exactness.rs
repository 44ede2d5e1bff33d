//! Which growth keeps the function of which family, as theory promises (and how far the others are off).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::collections::HashMap;

use burn::tensor::{Device, Int, Tensor, TensorData};
use ligo_arch::{Init, ModelConfig, ParamTable, Role};
use ligo_growth::{CloningConfig, Error, MemorySource, OperatorSpec, init, stream};
use ligo_models::{Features, Model, TextFeatures};
use serde_json::{Value, json};

/// Largest difference of a logit, relative to the largest logit, that rounding in f32 explains.
const EXACT: f32 = 1e-5;

/// A pair of one family: `(name, small, twice as wide, twice as deep, whether layers normalise their input)`.
struct Family {
    name: &'static str,
    small: Value,
    wide: Value,
    deep: Value,
    pre_norm: bool,
}

fn with(base: &Value, changes: Value) -> Value {
    let mut changed = base.clone();
    for (key, value) in changes.as_object().unwrap() {
        changed[key] = value.clone();
    }
    changed
}

fn family(name: &'static str, small: Value, wide: Value, deep: Value, pre_norm: bool) -> Family {
    Family {
        name,
        wide: with(&small, wide),
        deep: with(&small, deep),
        small,
        pre_norm,
    }
}

fn families() -> Vec<Family> {
    let bert = json!({"model_type": "bert", "vocab_size": 23, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 12, "max_position_embeddings": 16, "type_vocab_size": 2});
    let wide_bert = json!({"hidden_size": 16, "num_attention_heads": 4, "intermediate_size": 24});
    let deep = json!({"num_hidden_layers": 4});
    let roberta = with(
        &bert,
        json!({"model_type": "roberta", "architectures": ["RobertaForMaskedLM"], "type_vocab_size": 1}),
    );
    let gpt2 =
        json!({"model_type": "gpt2", "vocab_size": 23, "n_embd": 8, "n_layer": 2, "n_head": 2, "n_positions": 16});
    let llama = json!({"model_type": "llama", "vocab_size": 23, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 20, "tie_word_embeddings": true});
    let wide_llama =
        json!({"hidden_size": 32, "num_attention_heads": 8, "num_key_value_heads": 4, "intermediate_size": 40});
    let vit = json!({"model_type": "vit", "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
        "image_size": 8, "patch_size": 4, "num_labels": 3});
    let wide_vit = json!({"hidden_size": 16, "num_attention_heads": 4, "intermediate_size": 24});
    let deit = with(
        &vit,
        json!({"model_type": "deit", "architectures": ["DeiTForImageClassificationWithTeacher"]}),
    );
    let cait = with(&vit, json!({"model_type": "cait", "depth_token_only": 1}));
    vec![
        family("bert", bert.clone(), wide_bert.clone(), deep.clone(), false),
        family(
            "bert, untied",
            with(&bert, json!({"tie_word_embeddings": false})),
            wide_bert.clone(),
            deep.clone(),
            false,
        ),
        family("roberta", roberta, wide_bert, deep.clone(), false),
        family(
            "gpt2",
            gpt2,
            json!({"n_embd": 16, "n_head": 4}),
            json!({"n_layer": 4}),
            true,
        ),
        family(
            "llama, grouped, tied",
            llama.clone(),
            wide_llama.clone(),
            deep.clone(),
            true,
        ),
        family(
            "mistral, untied",
            with(&llama, json!({"model_type": "mistral", "tie_word_embeddings": false})),
            wide_llama.clone(),
            deep.clone(),
            true,
        ),
        family(
            "qwen2",
            with(&llama, json!({"model_type": "qwen2"})),
            wide_llama,
            deep.clone(),
            true,
        ),
        family("vit", vit, wide_vit.clone(), deep.clone(), true),
        family("deit", deit, wide_vit.clone(), deep.clone(), true),
        family(
            "cait",
            cait,
            wide_vit,
            json!({"num_hidden_layers": 4, "depth_token_only": 2}),
            true,
        ),
    ]
}

type Weights = HashMap<String, Vec<f32>>;

/// Values at which every part of the function counts: gains near 1, everything else well away from 0.
fn weights(table: &ParamTable) -> Weights {
    let required = table.params().filter(|p| p.spec.required);
    let values = required.map(|p| {
        let noise = init::normal(&mut init::rng(3, &p.name), 1.0, p.num_elements());
        let (mean, std) = match (p.spec.role, p.spec.init) {
            // LayerScale: as large as a gain, or the layers would hardly count.
            (Role::NormWeight, _) | (_, Some(Init::Constant(_))) => (1.0, 0.2),
            (Role::Bias | Role::NormBias, _) => (0.0, 0.2),
            _ => (0.0, 0.4),
        };
        (p.name, noise.into_iter().map(|n| mean + std * n).collect())
    });
    values.collect()
}

fn features(config: &ModelConfig, device: &Device) -> Features {
    if let Some([channels, height, width]) = config.image_shape() {
        let shape = [2, channels, height, width];
        let pixels = init::normal(&mut init::rng(5, "pixels"), 1.0, shape.iter().product());
        return Features::Images(Tensor::from_data(TensorData::new(pixels, shape), device));
    }
    let ids: Vec<i64> = (0..24)
        .map(|i| 3 + (7 * i) % (config.vocab_size() as i64 - 3))
        .collect();
    let mask: Vec<f32> = (0..24).map(|i| if i < 20 { 1.0 } else { 0.0 }).collect();
    let features = TextFeatures {
        attention_mask: Some(Tensor::from_data(TensorData::new(mask, [2, 12]), device)),
        ..TextFeatures::new(Tensor::<2, Int>::from_data(TensorData::new(ids, [2, 12]), device))
    };
    features.into()
}

fn logits(config: &ModelConfig, weights: &Weights) -> Vec<f32> {
    let device = Device::flex();
    let tensors = weights.iter().map(|(name, values)| {
        let data = TensorData::new(values.clone(), [values.len()]);
        (name.clone(), Tensor::<1>::from_data(data, &device))
    });
    let model = Model::skeleton(config, &device)
        .unwrap()
        .install_map(tensors.collect())
        .unwrap();
    let logits = model.logits(&features(config, &device)).unwrap();
    logits.try_into_vec_as::<f32>().unwrap()
}

fn grow(spec: &OperatorSpec, small: &ModelConfig, large: &ModelConfig, weights: &Weights) -> Result<Weights, Error> {
    let device = Device::flex();
    let (small, large) = (small.table(), large.table());
    let map = spec.build(&small, &large, &device, 0.02, 1)?;
    let mut source = MemorySource::new(weights.iter().map(|(n, v)| (n.clone(), vec![v.len()], v.clone())));
    let mut grown = Weights::new();
    stream::grow_each(&map, &small, &large, &mut source, &device, &mut |param, values| {
        grown.insert(param.name.clone(), values);
        Ok(())
    })?;
    Ok(grown)
}

/// How far the grown model's logits are from the small one's, as a share of the largest.
fn gap(spec: &OperatorSpec, small: &Value, large: &Value) -> f32 {
    let (small, large) = (
        ModelConfig::from_json(small).unwrap(),
        ModelConfig::from_json(large).unwrap(),
    );
    let weights = weights(&small.table());
    let before = logits(&small, &weights);
    let after = logits(&large, &grow(spec, &small, &large, &weights).unwrap());
    assert_eq!(before.len(), after.len());
    let scale = before.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let differences = before.iter().zip(&after).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |m, d| if d > m || d.is_nan() { d } else { m }) / scale
}

#[test]
fn doubling_every_width_by_hyper_cloning_is_exact_on_every_family() {
    for family in families() {
        let gap = gap(&OperatorSpec::HyperCloning(CloningConfig::default()), &family.small, &family.wide);
        println!("hyper-cloning, width x2, {}: {gap:e}", family.name);
        assert!(gap <= EXACT, "{}: {gap:e}", family.name);
    }
}

#[test]
fn layers_without_effect_are_exact_where_layers_normalise_their_input_and_only_there() {
    for family in families() {
        let gap = gap(&OperatorSpec::ZeroBlocks, &family.small, &family.deep);
        println!("zero-blocks, depth x2, {}: {gap:e}", family.name);
        // A post-norm layer normalises again what a block without effect passes on.
        assert_eq!(gap <= EXACT, family.pre_norm, "{}: {gap:e}", family.name);
    }
}

#[test]
fn both_at_once_are_exact_where_layers_normalise_their_input() {
    for family in families().iter().filter(|f| f.pre_norm) {
        let mut both = family.wide.clone();
        for (key, value) in family.deep.as_object().unwrap() {
            if family.small[key] != *value {
                both[key] = value.clone();
            }
        }
        let gap = gap(&OperatorSpec::HyperCloning(CloningConfig::default()), &family.small, &both);
        println!("hyper-cloning, width and depth x2, {}: {gap:e}", family.name);
        assert!(gap <= EXACT, "{}: {gap:e}", family.name);
    }
}

#[test]
fn copies_that_are_not_exact_are_seen_not_to_be() {
    for family in families() {
        for spec in [OperatorSpec::DirectCopy, OperatorSpec::ZeroPad] {
            let gap = gap(&spec, &family.small, &family.wide);
            println!("{}, width x2, {}: {gap:.3}", spec.name(), family.name);
            assert!(gap > 100.0 * EXACT, "{} on {}: {gap:e}", spec.name(), family.name);
        }
    }
}

#[test]
fn hyper_cloning_says_so_when_a_width_is_no_whole_multiple() {
    let small = &families()[0].small;
    let large = with(
        small,
        json!({"hidden_size": 12, "num_attention_heads": 3, "intermediate_size": 18}),
    );
    let (small, large) = (
        ModelConfig::from_json(small).unwrap(),
        ModelConfig::from_json(&large).unwrap(),
    );
    let error = grow(&OperatorSpec::HyperCloning(CloningConfig::default()), &small, &large, &weights(&small.table())).unwrap_err();
    assert!(
        matches!(&error, Error::CannotGrow { operator: "hyper-cloning", reason, .. } if reason.contains("whole multiple")),
        "{error}"
    );
}

#[test]
fn zero_blocks_says_so_when_a_width_grows() {
    let family = &families()[3];
    let (small, wide) = (
        ModelConfig::from_json(&family.small).unwrap(),
        ModelConfig::from_json(&family.wide).unwrap(),
    );
    let error = grow(&OperatorSpec::ZeroBlocks, &small, &wide, &weights(&small.table())).unwrap_err();
    assert!(
        matches!(
            error,
            Error::CannotGrow {
                operator: "zero-blocks",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn query_heads_grow_by_whole_groups() {
    let small = json!({"model_type": "llama", "vocab_size": 23, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 20});
    let large = with(&small, json!({"hidden_size": 32, "num_attention_heads": 8}));
    let (small, large) = (
        ModelConfig::from_json(&small).unwrap(),
        ModelConfig::from_json(&large).unwrap(),
    );
    let error = ligo_arch::check_growable(&small.table(), &large.table()).unwrap_err();
    assert_eq!(error, ligo_arch::Error::HeadsPerGroup { small: 2, large: 4 });
}
