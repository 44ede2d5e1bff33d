//! ELECTRA's table under either head, how its tables follow the width, and what is refused.

use ligo_arch::{Axis, Error, ModelConfig, Resize, Size, Task};
use serde_json::{Value, json};

fn read(changes: &Value) -> Result<ModelConfig, Error> {
    let mut json = json!({"model_type": "electra", "vocab_size": 9, "embedding_size": 8, "hidden_size": 8, "num_hidden_layers": 1,
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

const GENERATOR: &str = r#"{"architectures": ["ElectraForMaskedLM"]}"#;

fn generator(embedding: usize, tied: bool) -> ModelConfig {
    let mut fields: Value = serde_json::from_str(GENERATOR).unwrap();
    fields["embedding_size"] = embedding.into();
    fields["tie_word_embeddings"] = tied.into();
    config(&fields)
}

#[test]
fn the_discriminator_says_one_number_of_each_token() {
    let model = config(&json!({"embedding_size": 6}));
    assert_eq!(model.task(), Task::ReplacedTokens);
    assert_eq!(model.architecture().unwrap(), "ElectraForPreTraining");
    for (name, expected) in [
        ("electra.embeddings.word_embeddings.weight", vec![9, 6]),
        ("electra.embeddings.LayerNorm.bias", vec![6]),
        ("electra.embeddings_project.weight", vec![8, 6]),
        ("electra.encoder.layer.0.attention.self.query.weight", vec![8, 8]),
        ("discriminator_predictions.dense.weight", vec![8, 8]),
        ("discriminator_predictions.dense_prediction.weight", vec![1, 8]),
    ] {
        assert_eq!(shape(&model, name), Some(expected), "{name}");
    }
    assert_eq!(shape(&config(&json!({})), "electra.embeddings_project.weight"), None);
}

#[test]
fn the_generator_decodes_with_its_token_table() {
    let (own, projected) = (generator(8, true), generator(6, true));
    assert_eq!(own.task(), Task::MaskedLm);
    assert_eq!(shape(&own, "generator_predictions.dense.weight"), Some(vec![8, 8]));
    assert_eq!(
        shape(&projected, "generator_predictions.dense.weight"),
        Some(vec![6, 8])
    );
    assert_eq!(shape(&own, "generator_lm_head.weight"), None);
    assert_eq!(
        shape(&generator(6, false), "generator_lm_head.weight"),
        Some(vec![9, 6])
    );
    // Where nothing projects, the normalization in front of a tied decoder follows the residual stream.
    let table = own.table();
    let norm = table.get("generator_predictions.LayerNorm.weight").unwrap();
    assert_eq!(norm.axes(), [Axis::HEAD_INPUT]);
    assert_eq!(table.unit(Axis::HEAD).set, "hidden");
    assert_eq!(config(&json!({})).table().unit(Axis::HEAD).set, "head");
}

#[test]
fn one_head_is_changed_for_the_other() {
    let generator = config(&json!({})).with_task(Task::MaskedLm).unwrap();
    assert_eq!(generator.architecture().unwrap(), "ElectraForMaskedLM");
    let back = generator.with_task(Task::ReplacedTokens).unwrap();
    assert_eq!(back.task(), Task::ReplacedTokens);
    assert!(generator.with_task(Task::CausalLm).is_err());
}

#[test]
fn tables_follow_the_width_where_nothing_projects() {
    let twice = Resize {
        width: Some(Size::Times(2.0)),
        ..Resize::default()
    };
    let wide = |embedding: usize| {
        let model = config(&json!({ "embedding_size": embedding })).resized(&twice).unwrap();
        model.to_json()["embedding_size"].clone()
    };
    assert_eq!((wide(8), wide(6)), (json!(16), json!(6)));
}

#[test]
fn what_is_not_computed_is_refused() {
    for (changes, said) in [
        (
            json!({"architectures": ["ElectraForSequenceClassification"]}),
            "architectures",
        ),
        (json!({"embedding_size": 0}), "embedding_size"),
        (
            json!({"position_embedding_type": "relative_key"}),
            "position_embedding_type",
        ),
        (json!({"is_decoder": true}), "is_decoder"),
        (json!({"num_attention_heads": 3}), "num_attention_heads"),
        (json!({"initializer_range": -1.0}), "initializer_range"),
    ] {
        let message = read(&changes).unwrap_err().to_string();
        assert!(message.contains(said), "{message}");
    }
}
