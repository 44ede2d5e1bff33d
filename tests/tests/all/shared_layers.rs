//! Layers that share their parameters (ALBERT): what widening and running them more often does.

use crate::common::{Weights, distance, logits, operators, source, tensors, values, weights};
use burn::tensor::Device;
use ligo_arch::ModelConfig;
use ligo_growth::{Error, Growth, OperatorSpec, stream};
use serde_json::{Value, json};

fn albert(changes: &Value) -> ModelConfig {
    let mut json = json!({"model_type": "albert", "vocab_size": 23, "embedding_size": 6, "hidden_size": 8, "num_hidden_layers": 3,
        "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": 16});
    json.as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    ModelConfig::from_json(&json).unwrap()
}

/// How far the grown model's logits are from the small one's, as a share of the largest.
fn gap(spec: &OperatorSpec, small: &ModelConfig, large: &ModelConfig) -> Result<f64, Error> {
    let device = Device::flex();
    let large = spec.adjust(small, large);
    let (table, larger) = (small.table(), large.table());
    let map = spec.build(&table, &larger, &device, 0.4, 1)?;
    let (known, mut grown) = (weights(&table), Weights::new());
    let mut keep = |param: &ligo_arch::Param<'_>, values: Vec<f32>| {
        grown.insert(param.name.clone(), values);
        Ok(())
    };
    stream::grow_each(&map, &table, &larger, &mut source(&known), &device, &mut keep)?;
    let before = values(logits(small, tensors(&known, &device), &device));
    let after = values(logits(&large, tensors(&grown, &device), &device));
    Ok(distance(&before, &after))
}

#[test]
fn shared_layers_widen_as_others_do() {
    let mut exact = 0;
    for shared in [
        json!({}),
        json!({"num_hidden_layers": 5, "num_hidden_groups": 2}),
        json!({"inner_group_num": 2}),
    ] {
        let small = albert(&shared);
        assert!(small.table().shares_layers());
        for (growth, sizes) in [
            (Growth::Inner, json!({"intermediate_size": 18})),
            (
                Growth::Doubled,
                json!({"hidden_size": 16, "num_attention_heads": 4, "intermediate_size": 24}),
            ),
            (
                Growth::Widened,
                json!({"hidden_size": 12, "num_attention_heads": 3, "intermediate_size": 18}),
            ),
        ] {
            let mut changes = shared.clone();
            changes
                .as_object_mut()
                .unwrap()
                .extend(sizes.as_object().unwrap().clone());
            let large = albert(&changes);
            for spec in operators() {
                let keeps = spec.facts().keeps(growth);
                if !keeps.holds_between(&small.table(), &large.table()) {
                    continue;
                }
                let gap = gap(&spec, &small, &large).unwrap();
                println!("{}, {growth:?}, {shared}: {gap:.1e}", spec.name());
                assert!(gap < 1e-5, "{}, {growth:?}, {shared}: {gap:e}", spec.name());
                exact += 1;
            }
        }
    }
    assert!(exact > 15, "only {exact} cases are exact");
}

#[test]
fn running_more_often_adds_no_parameter_and_is_another_function() {
    let (small, large) = (albert(&json!({})), albert(&json!({"num_hidden_layers": 6})));
    let (table, larger) = (small.table(), large.table());
    assert_eq!(table.num_parameters(), larger.num_parameters());
    assert_eq!((table.runs("groups"), larger.runs("groups")), (3, 6));
    for spec in operators() {
        let keeps = spec.facts().keeps(Growth::Layers);
        assert!(!keeps.holds_between(&table, &larger), "{}", spec.name());
    }
    let gap = gap(&OperatorSpec::Stackbert, &small, &large).unwrap();
    assert!(gap > 1e-3, "{gap:e}");
    // And it cannot run less often.
    assert!(matches!(
        ligo_arch::check_growable(&larger, &table),
        Err(ligo_arch::Error::Shrinks { small: 6, large: 3, .. })
    ));
}
