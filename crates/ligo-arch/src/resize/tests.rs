#![allow(clippy::unwrap_used)]
use serde_json::json;

use super::*;

fn config(more: Value) -> ModelConfig {
    let mut json = json!({"vocab_size": 50, "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 8, "intermediate_size": 172,
        "max_position_embeddings": 32});
    json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ModelConfig::from_json(&json).unwrap()
}

fn resize(layers: &str, width: &str, heads: &str, ffn: &str) -> Resize {
    let size = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
    Resize {
        layers: size(layers),
        width: size(width),
        heads: size(heads),
        ffn: size(ffn),
        ..Resize::default()
    }
}

fn rows(vocab: &str, multiple: usize, positions: &str) -> Resize {
    let size = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
    Resize {
        vocab: size(vocab),
        vocab_multiple: (multiple > 0).then_some(multiple),
        positions: size(positions),
        ..Resize::default()
    }
}

#[test]
fn vocabulary_and_positions_grow_and_padding_keeps_its_rows() {
    let sizes = |config: &ModelConfig, resize: &Resize| {
        let larger = config.resized(resize).unwrap();
        let rows = (larger.table().size(Axis::VOCAB), larger.table().size(Axis::POSITION));
        assert_eq!(config.with_rows_of(&larger).unwrap(), larger);
        (rows, larger.max_sequence_tokens())
    };
    let bert = config(json!({"model_type": "bert"}));
    assert_eq!(sizes(&bert, &rows("60", 0, "2x")), ((60, 64), 64));
    assert_eq!(sizes(&bert, &rows("", 16, "")), ((64, 32), 32));
    assert_eq!(sizes(&bert, &rows("2x", 64, "")), ((128, 32), 32));
    // Two rows are for padding.
    let roberta = config(json!({"model_type": "roberta", "max_position_embeddings": 34}));
    assert_eq!(roberta.position_prefix(), 2);
    assert_eq!(sizes(&roberta, &rows("", 0, "2x")), ((50, 66), 64));
    for model_type in ["xlm-roberta", "camembert"] {
        let kin = config(json!({"model_type": model_type, "max_position_embeddings": 35, "pad_token_id": 2}));
        assert_eq!(kin.position_prefix(), 3);
        assert_eq!(sizes(&kin, &rows("", 0, "2x")), ((50, 67), 64));
    }
    let distilbert =
        config(json!({"model_type": "distilbert", "dim": 64, "n_layers": 2, "n_heads": 8, "hidden_dim": 64}));
    assert_eq!(sizes(&distilbert, &rows("", 0, "2x")), ((50, 64), 64));
    // Two rows are there for no position, and files do not count them.
    let opt = config(json!({"model_type": "opt", "ffn_dim": 172}));
    assert_eq!((opt.position_prefix(), opt.table().size(Axis::POSITION)), (2, 34));
    assert_eq!(sizes(&opt, &rows("60", 0, "2x")), ((60, 66), 64));
    assert_eq!(
        opt.resized(&rows("", 0, "2x")).unwrap().to_json()["max_position_embeddings"],
        64
    );
    // Rotated heads have no table.
    let llama = config(json!({"model_type": "llama"}));
    assert_eq!(sizes(&llama, &rows("", 0, "128")), ((50, 0), 128));
    for (asked, says) in [
        (rows("40", 0, ""), "vocab: 40 is less than the 50"),
        (rows("", 0, "8"), "positions: 8 is less than the 32"),
    ] {
        let fault = bert.resized(&asked).unwrap_err().to_string();
        assert!(fault.contains(says), "{fault}");
    }
    let vit = ModelConfig::example("vit").unwrap();
    assert!(vit.resized(&rows("2x", 0, "")).is_err() && vit.resized(&rows("", 0, "2x")).is_err());
}

fn sizes(config: &ModelConfig) -> [usize; 5] {
    let sizes = config.sizes();
    [sizes.layers, sizes.hidden, sizes.heads, sizes.key_value, sizes.ffn]
}

#[test]
fn what_is_not_asked_for_follows_the_width_or_stays() {
    let bert = config(json!({"model_type": "bert", "hidden_act": "relu"}));
    let with = |a, b, c, d| sizes(&bert.resized(&resize(a, b, c, d)).unwrap());
    assert_eq!(with("", "", "", ""), [4, 64, 8, 64, 172]);
    assert_eq!(with("2x", "", "", ""), [8, 64, 8, 64, 172]);
    assert_eq!(with("6", "1.5x", "", ""), [6, 96, 12, 96, 258]);
    assert_eq!(with("", "96", "4", "300"), [4, 96, 4, 96, 300]);
    assert_eq!(with("", "", "", "2x"), [4, 64, 8, 64, 344]);
    let larger = bert.resized(&resize("2x", "", "", "")).unwrap().to_json();
    assert_eq!(larger["hidden_act"], "relu");
}

#[test]
fn groups_and_heads_keep_their_sizes() {
    let grouped = config(json!({"model_type": "llama", "num_key_value_heads": 2}));
    let with = |width: &str| grouped.resized(&resize("", width, "", ""));
    assert_eq!(sizes(&with("2x").unwrap()), [4, 128, 16, 32, 344]);
    let fault = with("1.25x").unwrap_err().to_string();
    assert!(
        fault.contains("10 query heads") && fault.contains("8 and 12"),
        "{fault}"
    );
    let fault = with("70").unwrap_err().to_string();
    assert!(fault.contains("64 and 96"), "{fault}");
    // Heads with a width of their own.
    let wide = config(json!({"model_type": "qwen3", "head_dim": 16, "num_key_value_heads": 4}));
    let larger = wide.resized(&resize("", "2x", "", "")).unwrap();
    assert_eq!(sizes(&larger), [4, 128, 16, 128, 344]);
    assert_eq!(larger.table().size(Axis::QUERY), 256);
    // As many as query heads where the file says none.
    let plain = config(json!({"model_type": "llama"}));
    assert_eq!(
        sizes(&plain.resized(&resize("", "2x", "", "")).unwrap()),
        [4, 128, 16, 128, 344]
    );
}

#[test]
fn gpt2_has_names_of_its_own_and_neurons_that_follow_the_width() {
    let json =
        json!({"model_type": "gpt2", "vocab_size": 50, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 16});
    let gpt2 = ModelConfig::from_json(&json).unwrap();
    let larger = gpt2.resized(&resize("3x", "64", "", "")).unwrap();
    assert_eq!(sizes(&larger), [6, 64, 8, 64, 256]);
    assert!(larger.to_json()["n_inner"].is_null());
    let more = gpt2.resized(&resize("", "", "", "200")).unwrap();
    assert_eq!(more.to_json()["n_inner"], 200);
}

#[test]
fn an_opts_token_table_is_widened_where_nothing_projects() {
    let opt = |words: usize| {
        config(json!({"model_type": "opt", "ffn_dim": 256, "word_embed_proj_dim": words}))
            .resized(&resize("", "2x", "", ""))
            .unwrap()
    };
    assert_eq!(sizes(&opt(64)), [4, 128, 16, 128, 512]);
    assert_eq!(opt(64).to_json()["word_embed_proj_dim"], 128);
    assert_eq!(opt(48).to_json()["word_embed_proj_dim"], 48);
}

#[test]
fn sizes_that_do_not_come_out_are_refused() {
    let bert = config(json!({"model_type": "bert"}));
    for (asked, says) in [
        (resize("1.1x", "", "", ""), "layers: 1.1x of 4 is no whole number"),
        (resize("0", "", "", ""), "layers: 0 is less than the 4 that there are"),
        (resize("", "0.5x", "", ""), "width: 32 is less than the 64"),
        (resize("", "", "5", ""), "5 heads do not divide a width of 64"),
        (resize("", "", "2x", ""), "heads of this model grow with its width"),
        (resize("", "", "", "1.001x"), "ffn"),
    ] {
        let fault = bert.resized(&asked).unwrap_err().to_string();
        assert!(fault.contains(says), "{fault}");
    }
    for text in ["", "x", "-1x", "0x", "infx", "1.5", "two"] {
        assert!(text.parse::<Size>().is_err(), "{text}");
    }
}
