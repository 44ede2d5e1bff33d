//! DistilBERT: sizes, names and what files do not say.

use ligo_arch::{Axis, DistilBertConfig, ModelConfig, Resize, Size};
use serde_json::json;

#[test]
fn the_published_model_has_its_number_of_parameters() {
    let table = ModelConfig::DistilBert(DistilBertConfig::new(30_522, 768, 6, 12)).table();
    assert_eq!(table.num_parameters(), 66_985_530);
}

#[test]
fn what_a_file_leaves_out_is_what_the_reference_takes() {
    let json =
        json!({"model_type": "distilbert", "vocab_size": 9, "dim": 8, "n_layers": 1, "n_heads": 2, "hidden_dim": 12});
    let config = ModelConfig::from_json(&json).unwrap();
    assert_eq!(config.max_sequence_tokens(), 512);
    assert_eq!((config.norm_epsilon(), config.initializer_range()), (1e-12, 0.02));
    assert_eq!(config.with_norm_epsilon(0.5), config);
    let table = config.table();
    assert_eq!(table.ties()[0].0, "vocab_projector.weight");
    let norm = table.get("vocab_layer_norm.weight").unwrap();
    assert_eq!(norm.axes(), [Axis::HEAD_INPUT].as_slice());
}

#[test]
fn an_untied_decoder_reads_an_axis_of_its_own() {
    let config = DistilBertConfig {
        tie_word_embeddings: false,
        ..DistilBertConfig::new(9, 8, 1, 2)
    };
    let table = ModelConfig::DistilBert(config).table();
    let decoder = table.get("vocab_projector.weight").unwrap();
    assert_eq!(decoder.axes(), [Axis::VOCAB, Axis::DECODER].as_slice());
    assert!(table.repeat(Axis::HEAD_INPUT).is_none() && table.ties().is_empty());
}

#[test]
fn its_sizes_have_names_of_their_own() {
    let small = ModelConfig::DistilBert(DistilBertConfig::new(9, 8, 2, 2));
    let resize = Resize {
        layers: Some(Size::Times(2.0)),
        width: Some(Size::Times(1.5)),
        ..Resize::default()
    };
    let large = small.resized(&resize).unwrap().to_json();
    let sizes = ["n_layers", "dim", "n_heads", "hidden_dim"].map(|field| large[field].as_u64().unwrap());
    assert_eq!(sizes, [4, 12, 3, 48]);
}

#[test]
fn heads_that_do_not_divide_are_refused() {
    let config = ModelConfig::DistilBert(DistilBertConfig::new(9, 8, 1, 3));
    assert!(config.validate().is_err());
}
