//! ALBERT's table: groups of layers that run several times, tables that are always projected, and what is refused.

use ligo_arch::{Error, ModelConfig, Resize, Size};
use serde_json::{Value, json};

fn read(changes: &Value) -> Result<ModelConfig, Error> {
    let mut json = json!({"model_type": "albert", "vocab_size": 9, "embedding_size": 6, "hidden_size": 8, "num_hidden_layers": 4,
        "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": 6});
    json.as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    ModelConfig::from_json(&json)
}

fn config(changes: &Value) -> ModelConfig {
    read(changes).unwrap()
}

fn shape(model: &ModelConfig, name: &str) -> Option<Vec<usize>> {
    model.table().get(name).map(|param| param.shape)
}

#[test]
fn parameters_are_those_of_the_groups_however_often_they_run() {
    let model = config(&json!({"num_hidden_groups": 2, "inner_group_num": 2}));
    let layers = "albert.encoder.albert_layer_groups";
    for (name, expected) in [
        (format!("{layers}.1.albert_layers.1.attention.query.weight"), vec![8, 8]),
        (format!("{layers}.0.albert_layers.0.ffn.weight"), vec![12, 8]),
        ("albert.encoder.embedding_hidden_mapping_in.weight".into(), vec![8, 6]),
        ("predictions.dense.weight".into(), vec![6, 8]),
        ("predictions.LayerNorm.bias".into(), vec![6]),
        ("albert.pooler.weight".into(), vec![8, 8]),
        ("sop_classifier.classifier.bias".into(), vec![2]),
    ] {
        assert_eq!(shape(&model, &name), Some(expected), "{name}");
    }
    assert_eq!(shape(&model, &format!("{layers}.2.albert_layers.0.ffn.weight")), None);
    let table = model.table();
    assert_eq!((table.depth("groups"), table.runs("groups")), (2, 4));
    assert_eq!(model.sizes().layers, 8);
    let deeper = config(&json!({"num_hidden_groups": 2, "inner_group_num": 2, "num_hidden_layers": 9}));
    assert_eq!(deeper.table().num_parameters(), table.num_parameters());
}

#[test]
fn layers_take_turns_as_in_transformers() {
    let ModelConfig::Albert(model) = config(&json!({"num_hidden_layers": 5, "num_hidden_groups": 2})) else {
        panic!("an ALBERT")
    };
    // int(i / 2.5)
    let groups: Vec<usize> = (0..5).map(|layer| model.group_of(layer)).collect();
    assert_eq!(groups, [0, 0, 0, 1, 1]);
}

#[test]
fn more_layers_are_more_runs_where_they_are_shared_and_groups_where_not() {
    let twice = Resize {
        layers: Some(Size::Times(2.0)),
        ..Resize::default()
    };
    let sizes = |groups: usize| {
        let small = config(&json!({"num_hidden_groups": groups, "inner_group_num": 2}));
        let large = small.resized(&twice).unwrap().to_json();
        (large["num_hidden_layers"].clone(), large["num_hidden_groups"].clone())
    };
    assert_eq!(sizes(1), (json!(8), json!(1)));
    assert_eq!(sizes(2), (json!(8), json!(2)));
    assert_eq!(sizes(4), (json!(8), json!(8)));
    // Tables are projected, so that they stay, also where they happen to be as wide.
    let wide = Resize {
        width: Some(Size::Times(2.0)),
        ..Resize::default()
    };
    let square = config(&json!({"embedding_size": 8})).resized(&wide).unwrap();
    assert_eq!(square.to_json()["embedding_size"], 8);
}

#[test]
fn what_is_not_computed_is_refused() {
    for (changes, said) in [
        (json!({"num_hidden_groups": 5}), "num_hidden_groups"),
        (json!({"num_hidden_groups": 0}), "num_hidden_groups"),
        (json!({"inner_group_num": 9999999}), "inner_group_num"),
        (
            json!({"architectures": ["AlbertForSequenceClassification"]}),
            "architectures",
        ),
        (json!({"num_attention_heads": 3}), "num_attention_heads"),
    ] {
        let message = read(&changes).unwrap_err().to_string();
        assert!(message.contains(said), "{message}");
    }
}
