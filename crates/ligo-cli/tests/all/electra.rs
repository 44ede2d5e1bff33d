//! Training an ELECTRA: its generator is a masked language model, its discriminator learns from a generator beside it, which is not here.

use crate::common::{Place, assert_says};
use serde_json::json;

/// `ligo train` for two steps with a tiny model of this class.
fn train(place: &Place, class: &str) -> Vec<&'static str> {
    let model = json!({"model_type": "electra", "architectures": [class], "vocab_size": 300, "embedding_size": 12, "hidden_size": 16,
        "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 16});
    place.write("model.json", model.to_string());
    let steps = ["--set", "steps=2", "--set", "batch_size=2"];
    let train = [
        "train",
        "--model",
        "model.json",
        "--tokens",
        "data",
        "--seq-len",
        "8",
        "--out",
        "run",
    ];
    [&train[..], &steps].concat()
}

#[test]
fn a_generator_trains_and_a_discriminator_is_told_what_it_lacks() {
    let place = Place::new();
    place.shown(&["tokenize", "--data", "text.txt", "--vocab-size", "300", "--out", "data"]);
    let refused = place.refused(&train(&place, "ElectraForPreTraining"));
    assert_says(&refused, &["replaced tokens", "ElectraForMaskedLM"]);
    place.shown(&train(&place, "ElectraForMaskedLM"));
    assert_says(&place.shown(&["inspect", "run/model"]), &["ELECTRA", "vocabulary 300"]);
}
