//! What can be read of them, and what is refused at once.

use super::*;

#[test]
fn valid_checkpoints_with_an_odd_index_are_used() {
    let place = Place::new();
    let tensors = stored(&llama(1));
    publish(&place, "small", &llama(1).to_json(), &tensors);
    let whole = place.shown(&["verify", "small"]);
    let digest = |text: &str| text.lines().find(|line| line.starts_with("logits")).unwrap().to_owned();
    // The same in shards, with an index that names a buffer that nobody stored, and lacks a norm.
    place.write("same.json", llama(1).to_json().to_string());
    let copy = [
        "grow",
        "--small",
        "small",
        "--large",
        "same.json",
        "--method",
        "direct-copy",
    ];
    place.shown(&[&copy[..], &["--max-shard-mb", "0", "--out", "odd"]].concat());
    fs::remove_file(place.path("odd/manifest.json")).unwrap();
    let path = place.path("odd/model.safetensors.index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let map = index["weight_map"].as_object_mut().unwrap();
    let norm = map.remove("model.norm.weight").unwrap();
    map.insert("model.layers.0.self_attn.rotary_emb.inv_freq".into(), norm);
    fs::write(&path, index.to_string()).unwrap();
    assert_eq!(digest(&place.shown(&["verify", "odd"])), digest(&whole));
}

#[test]
fn other_names_of_activations_compute_the_same() {
    let place = Place::new();
    let config = ModelConfig::Bert(BertConfig::new(40, 16, 1, 2));
    let tensors = stored(&config);
    let logits = |act: &str| {
        let mut json = config.to_json();
        json["hidden_act"] = json!(act);
        publish(&place, act, &json, &tensors);
        let said = place.shown(&["verify", act]);
        said.lines().find(|line| line.starts_with("logits")).unwrap().to_owned()
    };
    assert_eq!(logits("gelu_python"), logits("gelu"));
    assert_eq!(logits("gelu_fast"), logits("gelu_new"));
    assert_eq!(logits("swish"), logits("silu"));
    assert_ne!(logits("quick_gelu"), logits("silu"));
}

#[test]
fn files_that_cannot_be_a_configuration_are_refused_at_once() {
    let place = Place::new();
    publish(&place, "small", &llama(1).to_json(), &stored(&llama(1)));
    fs::File::create(place.path("huge.json"))
        .unwrap()
        .set_len(96 << 20)
        .unwrap();
    let with = |large| {
        let mut arguments = grow("zero-blocks", &[]);
        arguments[4] = large;
        place.refused(&arguments)
    };
    assert_says(&with("huge.json"), &["huge.json", "bytes"]);
    assert_says(&with("."), &[". is a folder, expected a Hugging Face config.json"]);
    if cfg!(unix) {
        assert_says(&with("/dev/zero"), &["/dev/zero is not a regular file"]);
    }
    for (field, value) in [
        ("num_hidden_layers", json!(i32::MAX)),
        ("intermediate_size", json!(i64::MAX)),
        ("attention_dropout", json!(2.5)),
        ("rms_norm_eps", json!(1e308)),
        ("initializer_range", json!(-1)),
        ("tie_word_embeddings", Value::Null),
    ] {
        place.write("large.json", json!({"num_hidden_layers": 2, field: value}).to_string());
        assert_says(
            &place.refused(&grow("zero-blocks", &["--allow-change", field])),
            &["large.json", field],
        );
    }
}

#[test]
fn a_flipped_bit_of_the_configuration_is_named_by_every_reader() {
    let place = Place::new();
    publish(&place, "source", &llama(1).to_json(), &stored(&llama(1)));
    place.write("large.json", r#"{"num_hidden_layers": 2}"#);
    let grow_from = |small: &'static str, out: &'static str| {
        [
            "grow",
            "--small",
            small,
            "--large",
            "large.json",
            "--method",
            "stackbert",
            "--out",
            out,
        ]
    };
    place.shown(&grow_from("source", "small"));
    let path = place.path("small/config.json");
    let text = fs::read_to_string(&path).unwrap();
    let flipped = text.replace("\"num_attention_heads\": 2", "\"num_attention_heads\": 4");
    assert_ne!(text, flipped);
    // The file may be as wide or as deep as before: only its hash tells.
    fs::write(&path, flipped).unwrap();
    place.shown(&common::TOKENIZE);
    let train = ["train", "--init", "small", "--tokens", "tokens", "--out", "trained"];
    for arguments in [
        &["verify", "small"][..],
        &["inspect", "small"],
        &grow_from("small", "grown"),
        &common::LEARN,
        &train,
    ] {
        assert_says(&place.refused(arguments), &["small/config.json", "sha256"]);
    }
}

#[cfg(unix)]
#[test]
fn a_link_is_not_followed_out_of_the_small_models_folder() {
    let place = Place::new();
    publish(&place, "small", &llama(1).to_json(), &stored(&llama(1)));
    place.write("large.json", r#"{"num_hidden_layers": 2}"#);
    place.write("secret", "key");
    std::os::unix::fs::symlink(place.path("secret"), place.path("small/tokenizer.json")).unwrap();
    let told = place.shown(&grow("stackbert", &[]));
    assert_says(&told, &["files that stayed behind: tokenizer.json"]);
    assert!(place.path("grown").is_dir() && !place.path("grown/tokenizer.json").exists());
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    use std::process::Stdio;
    let place = Place::new();
    publish(&place, "small", &llama(1).to_json(), &stored(&llama(1)));
    for command in ["verify", "inspect"] {
        let mut child = place.command(&[command, "small"]);
        let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Closed before the first line.
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{command}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
