//! Gemma, Gemma 2 and Gemma 3: sizes, layers, what files hold, what is refused.

use serde_json::{Value, json};

use ligo_arch::{Error, GemmaConfig, LayerType, ModelConfig, Resize, Size};

fn base(model_type: &str) -> Value {
    json!({
        "model_type": model_type, "vocab_size": 11, "hidden_size": 12, "intermediate_size": 20,
        "num_hidden_layers": 7, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 4
    })
}

fn with(model_type: &str, changes: Value) -> Result<GemmaConfig, Error> {
    let mut json = base(model_type);
    for (field, value) in changes.as_object().unwrap() {
        json[field] = value.clone();
    }
    match ModelConfig::from_json(&json)? {
        ModelConfig::Gemma(config) => Ok(config),
        other => panic!("{other:?}"),
    }
}

fn windows(config: &GemmaConfig) -> Vec<Option<usize>> {
    config.layers().map(|(window, _)| window).collect()
}

#[test]
fn gemma_2b_and_gemma_2_2b_have_their_numbers_of_parameters() {
    let count = |json: Value| ModelConfig::from_json(&json).unwrap().table().num_parameters();
    // google/gemma-2b.
    let gemma = json!({
        "model_type": "gemma", "vocab_size": 256_000, "hidden_size": 2048, "intermediate_size": 16_384, "num_hidden_layers": 18,
        "num_attention_heads": 8, "num_key_value_heads": 1, "head_dim": 256, "hidden_act": "gelu", "hidden_activation": null
    });
    assert_eq!(count(gemma), 2_506_172_416);
    // google/gemma-2-2b: what is left out is `Gemma2Config`'s.
    let second = json!({
        "model_type": "gemma2", "vocab_size": 256_000, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
        "num_attention_heads": 8
    });
    assert_eq!(count(second), 2_614_341_888);
    // google/gemma-3-1b-it.
    let third = json!({
        "model_type": "gemma3_text", "vocab_size": 262_144, "hidden_size": 1152, "intermediate_size": 6912, "num_hidden_layers": 26,
        "num_attention_heads": 4, "num_key_value_heads": 1
    });
    assert_eq!(count(third), 999_885_952);
}

#[test]
fn what_a_file_leaves_out_is_what_the_reference_takes() {
    let gemma2 = with("gemma2", json!({})).unwrap();
    assert_eq!((gemma2.score_cap(), gemma2.logit_cap()), (Some(50.0), Some(30.0)));
    assert_eq!(gemma2.score_scale(), 1.0 / 16.0);
    let window = Some(4096);
    assert_eq!(windows(&gemma2), [window, None, window, None, window, None, window]);
    let gemma3 = with("gemma3_text", json!({})).unwrap();
    assert_eq!((gemma3.score_cap(), gemma3.logit_cap()), (None, None));
    assert_eq!(windows(&gemma3), [window, window, window, window, window, None, window]);
    let gemma = with("gemma", json!({"sliding_window": 3})).unwrap();
    assert_eq!((gemma.score_cap(), gemma.logit_cap()), (None, None));
    assert_eq!((gemma.score_scale(), windows(&gemma)), (0.5, vec![None; 7]));
    let none = with(
        "gemma2",
        json!({"attn_logit_softcapping": null, "final_logit_softcapping": null}),
    )
    .unwrap();
    assert_eq!((none.score_cap(), none.logit_cap()), (None, None));
    let back = ModelConfig::Gemma(none).to_json();
    // Else the reference's defaults would stand for them.
    assert!(back["attn_logit_softcapping"].is_null() && back.get("attn_logit_softcapping").is_some());
    assert_eq!(back["query_pre_attn_scalar"], json!(256));
}

#[test]
fn types_of_layers_are_read_from_files_of_either_age() {
    let older = with("gemma3_text", json!({"sliding_window_pattern": 3, "sliding_window": 5})).unwrap();
    let own = Some(5);
    assert_eq!(windows(&older), [own, own, None, own, own, None, own]);
    let mut types = vec!["full_attention"; 7];
    types[4] = "sliding_attention";
    let listed = with("gemma2", json!({"layer_types": types, "sliding_window": 5})).unwrap();
    assert_eq!(windows(&listed), [None, None, None, None, own, None, None]);
}

#[test]
fn layers_of_a_gemma_3_rotate_by_their_type() {
    let fastest =
        |config: &GemmaConfig| [LayerType::Full, LayerType::Sliding].map(|kind| config.rotation(kind).frequencies[1]);
    let close = |found: [f32; 2], expected: [f64; 2]| {
        for (found, expected) in found.into_iter().zip(expected) {
            assert!(
                (f64::from(found) / expected - 1.0).abs() < 1e-6,
                "{found} is not {expected}"
            );
        }
    };
    close(fastest(&with("gemma3_text", json!({})).unwrap()), [1e-3, 1e-2]);
    let older = json!({"rope_theta": 400.0, "rope_local_base_freq": 25.0, "rope_scaling": {"rope_type": "linear", "factor": 2.0}});
    close(fastest(&with("gemma3_text", older).unwrap()), [0.025, 0.2]);
    let newer = json!({"rope_parameters": {
        "full_attention": {"rope_type": "linear", "rope_theta": 400.0, "factor": 5.0}, "sliding_attention": {"rope_theta": 25.0}
    }});
    close(fastest(&with("gemma3_text", newer).unwrap()), [0.01, 0.2]);
    close(
        fastest(&with("gemma2", json!({"rope_theta": 400.0})).unwrap()),
        [0.05, 0.05],
    );
}

#[test]
fn gains_are_stored_less_one_and_what_depends_on_the_width_is_said() {
    let table = ModelConfig::Gemma(with("gemma3_text", json!({})).unwrap()).table();
    for param in table.params() {
        let (_, _, part) = table.file_part(&param);
        assert_eq!(
            part.slice.from_one,
            param.name.ends_with("norm.weight"),
            "{}",
            param.name
        );
        let root = 12f64.sqrt();
        let expected = match param.name.as_str() {
            "model.embed_tokens.weight" => root,
            "model.norm.weight" => 1.0 / root,
            _ => 1.0,
        };
        assert_eq!(param.spec.times, expected, "{}", param.name);
    }
    let untied = with("gemma", json!({"tie_word_embeddings": false})).unwrap();
    let table = ModelConfig::Gemma(untied).table();
    assert_eq!(table.get("model.norm.weight").unwrap().spec.times, 1.0);
}

#[test]
fn a_deeper_gemma_has_the_types_of_the_layers_it_is_stacked_from() {
    let small = ModelConfig::Gemma(
        with(
            "gemma3_text",
            json!({"num_hidden_layers": 3, "sliding_window_pattern": 3}),
        )
        .unwrap(),
    );
    let deeper = small
        .resized(&Resize {
            layers: Some(Size::Exactly(5)),
            ..Resize::default()
        })
        .unwrap();
    use LayerType::{Full, Sliding};
    assert_eq!(
        deeper.layer_types().unwrap(),
        [Sliding, Sliding, Full, Sliding, Sliding]
    );
    assert_eq!(ModelConfig::from_json(&deeper.to_json()).unwrap(), deeper);
}

#[test]
fn what_cannot_be_is_refused() {
    for (model_type, changes, says) in [
        (
            "gemma",
            json!({"num_key_value_heads": 4}),
            "num_key_value_heads = 4 does not divide",
        ),
        ("gemma", json!({"head_dim": 5}), "heads have 5 dimensions"),
        ("gemma", json!({"hidden_act": "silu"}), "hidden_act"),
        ("gemma2", json!({"hidden_activation": "gelu"}), "hidden_activation"),
        ("gemma2", json!({"hidden_size": 13}), "does not divide hidden_size"),
        ("gemma2", json!({"sliding_window": null}), "sliding_window is null"),
        ("gemma2", json!({"sliding_window": 0}), "sliding_window"),
        (
            "gemma2",
            json!({"attn_logit_softcapping": 0.0}),
            "attn_logit_softcapping",
        ),
        (
            "gemma2",
            json!({"final_logit_softcapping": -1.0}),
            "final_logit_softcapping",
        ),
        ("gemma2", json!({"query_pre_attn_scalar": 0}), "query_pre_attn_scalar"),
        (
            "gemma3_text",
            json!({"sliding_window_pattern": 0}),
            "sliding_window_pattern",
        ),
        (
            "gemma3_text",
            json!({"layer_types": ["linear_attention"]}),
            "layer_types",
        ),
        (
            "gemma3_text",
            json!({"use_bidirectional_attention": true}),
            "use_bidirectional_attention",
        ),
        (
            "gemma3_text",
            json!({"rope_parameters": {"rope_theta": 1e4}}),
            "rope_parameters",
        ),
        (
            "gemma3_text",
            json!({"rope_parameters": {"full_attention": 3}}),
            "rope_parameters",
        ),
        (
            "gemma3_text",
            json!({"rope_parameters": {"full_attention": {"rope_type": "odd"}}}),
            "rope_type",
        ),
    ] {
        let fault = with(model_type, changes.clone()).unwrap_err().to_string();
        assert!(fault.contains(says), "{changes}: {fault}");
    }
    let named = ModelConfig::Gemma(GemmaConfig {
        model_type: "gemma9".into(),
        ..GemmaConfig::new(9, 8, 1, 1, 8)
    });
    assert!(matches!(named.validate(), Err(Error::UnknownModelType { .. })));
}
