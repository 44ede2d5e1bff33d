//! ModernBERT's parameters and what its files say.

use ligo_arch::{Axis, LayerType, ModelConfig, ModernBertConfig, Resize, Size, check_growable};
use serde_json::{Value, json};

fn base() -> Value {
    json!({"model_type": "modernbert", "vocab_size": 11, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 4, "num_attention_heads": 2})
}

fn read(more: Value) -> Result<ModelConfig, ligo_arch::Error> {
    let mut json = base();
    json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ModelConfig::from_json(&json)
}

#[test]
fn the_published_model_has_as_many_parameters_as_the_reference_counts() {
    let published = ModernBertConfig::new(50_368, 768, 22, 12, 1152);
    assert_eq!(ModelConfig::ModernBert(published).table().num_parameters(), 149_655_232);
}

#[test]
fn all_layers_but_the_first_normalize_what_attention_reads() {
    let table = read(json!({})).unwrap().table();
    let named = |part: &str| {
        let names = table.params().map(|param| param.name);
        names.filter(|name| name.contains(part)).collect::<Vec<_>>()
    };
    let layers = [1, 2, 3].map(|layer| format!("model.layers.{layer}.attn_norm.weight"));
    assert_eq!(named("attn_norm"), layers);
    assert_eq!(named("mlp_norm").len(), 4);
    assert!(table.normalizes_ends() && !table.has_shifts());
    let norm = table
        .specs()
        .iter()
        .find(|spec| spec.template.contains("attn_norm"))
        .unwrap();
    assert_eq!([0, 1].map(|layer| table.has_in(norm, layer)), [false, true]);
    // A model of one layer has no such norm at all. That of further layers has no source, which is for operators to fill.
    let one = read(json!({"num_hidden_layers": 1})).unwrap();
    assert!(one.table().params().all(|param| !param.name.contains("attn_norm")));
    check_growable(&one.table(), &table).unwrap();
}

#[test]
fn files_fuse_queries_keys_and_values_and_neurons_with_their_gates() {
    let table = read(json!({})).unwrap().table();
    let place = |name: &str| {
        let (file, shape, part) = table.file_part(&table.get(name).unwrap());
        (file, shape, part.slice.offset)
    };
    let fused = "model.layers.2.attn.Wqkv.weight".to_owned();
    assert_eq!(place("model.layers.2.attn.value.weight"), (fused, vec![24, 8], 16));
    let gated = "model.layers.2.mlp.Wi.weight".to_owned();
    assert_eq!(place("model.layers.2.mlp.neurons.weight"), (gated, vec![24, 8], 12));
    assert_eq!(place("model.layers.2.mlp.out.weight").0, "model.layers.2.mlp.Wo.weight");
    assert_eq!(table.size(Axis::HEAD_INPUT), 8);
}

#[test]
fn every_third_layer_sees_all_unless_a_file_says_otherwise() {
    let full = |config: &ModelConfig| {
        let types = config.layer_types().unwrap();
        types.iter().map(|kind| *kind == LayerType::Full).collect::<Vec<_>>()
    };
    assert_eq!(full(&read(json!({})).unwrap()), [true, false, false, true]);
    let every_other = read(json!({"global_attn_every_n_layers": 2})).unwrap();
    assert_eq!(full(&every_other), [true, false, true, false]);
    let listed =
        read(json!({"layer_types": ["sliding_attention", "full_attention", "full_attention", "full_attention"]}));
    assert_eq!(full(&listed.unwrap()), [false, true, true, true]);
    let deeper = Resize {
        layers: Some(Size::Exactly(6)),
        ..Resize::default()
    };
    let deeper = every_other.resized(&deeper).unwrap();
    assert_eq!(full(&deeper), [true, false, true, false, true, false]);
}

#[test]
fn rotations_differ_by_the_type_of_layer_in_files_of_either_age() {
    let second = |config: &ModelConfig, kind| {
        let ModelConfig::ModernBert(c) = config else {
            unreachable!()
        };
        c.rotation(kind).frequencies[1]
    };
    let older = read(json!({"global_rope_theta": 90_000.0, "local_rope_theta": 400.0})).unwrap();
    let newer = read(
        json!({"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 90_000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 400.0}}}),
    );
    let newer = newer.unwrap();
    for (kind, base) in [(LayerType::Full, 90_000.0_f32), (LayerType::Sliding, 400.0)] {
        let expected = 1.0 / base.sqrt();
        for config in [&older, &newer] {
            assert!((second(config, kind) - expected).abs() < 1e-6);
        }
    }
    assert_eq!(older.changes_to(&newer), []);
    let usual = read(json!({})).unwrap();
    assert!(
        older
            .changes_to(&usual)
            .iter()
            .any(|change| change.field == "local_rope_theta")
    );
}

#[test]
fn what_is_no_modernbert_is_refused() {
    for (more, reason) in [
        (json!({"num_attention_heads": 3}), "num_attention_heads = 3"),
        (json!({"num_attention_heads": 8}), "even number"),
        (json!({"global_attn_every_n_layers": 0}), "global_attn_every_n_layers"),
        (
            json!({"layer_types": ["full_attention", "sliding_attention"]}),
            "layer_types",
        ),
        (json!({"rope_parameters": {"rope_theta": 5.0}}), "rope_parameters"),
        (json!({"rope_parameters": {"full_attention": 5}}), "rope_parameters"),
        (json!({"norm_eps": 0.0}), "norm_eps"),
    ] {
        let error = read(more.clone()).unwrap_err().to_string();
        assert!(error.contains(reason), "{more}: {error}");
    }
}
