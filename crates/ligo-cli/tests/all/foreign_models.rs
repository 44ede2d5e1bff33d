//! Models as other people have them: what growing keeps, names and refuses.

mod reading;

use std::collections::HashMap;
use std::fs;

use ligo_arch::{BertConfig, Gpt2Config, LlamaConfig, ModelConfig, Param};
use ligo_checkpoint::{AtomicDir, Declared, Dtype, ModelDir, ModelWriter};
use serde_json::{Value, json};

use crate::common::{self, Place, assert_says};

fn llama(layers: usize) -> ModelConfig {
    let mut config = LlamaConfig::new(40, 16, layers, 2, 32);
    config.max_position_embeddings = 64;
    ModelConfig::Llama(config)
}

fn gpt2(layers: usize) -> ModelConfig {
    let mut config = Gpt2Config::new(40, 16, layers, 2);
    config.n_positions = 32;
    ModelConfig::Gpt2(config)
}

/// A tensor of a file: name, dtype, shape, values or bytes.
struct Stored {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// The tensors of a model as its file holds them.
fn stored(config: &ModelConfig) -> Vec<Stored> {
    let table = config.table();
    let values: HashMap<String, Vec<f32>> = ligo_growth::init::initial_values(&table, 0.05, 3)
        .map(|(name, _, values)| (name, values))
        .collect();
    let params: Vec<Param<'_>> = table.params().filter(|p| values.contains_key(&p.name)).collect();
    let tensors = ligo_growth::files::to_files(&table, &params, &values).unwrap();
    let tensors = tensors.into_iter().map(|(name, shape, values)| Stored {
        name,
        dtype: Dtype::F32,
        shape,
        values: values.into_owned(),
    });
    tensors.collect()
}

fn bytes_of(tensor: &Stored) -> Vec<u8> {
    let values = tensor.values.iter();
    match tensor.dtype {
        Dtype::F32 => values.flat_map(|x| x.to_le_bytes()).collect(),
        Dtype::F64 => values.flat_map(|x| f64::from(*x).to_le_bytes()).collect(),
        Dtype::Bf16 => values.flat_map(|x| half::bf16::from_f32(*x).to_le_bytes()).collect(),
        Dtype::U8 => values.map(|x| *x as u8).collect(),
        other => panic!("{other}"),
    }
}

/// Writes a directory as it comes from the hub: without a manifest.
fn publish(place: &Place, name: &str, config: &Value, tensors: &[Stored]) {
    let _ = fs::remove_dir_all(place.path(name));
    let dir = AtomicDir::begin(place.path(name)).unwrap();
    let declared = |t: &Stored| Declared {
        name: t.name.clone(),
        dtype: t.dtype,
        shape: t.shape.clone(),
    };
    let mut writer = ModelWriter::new(&dir, tensors.iter().map(declared).collect(), u64::MAX).unwrap();
    for tensor in tensors {
        writer.write_bytes(&tensor.name, &bytes_of(tensor)).unwrap();
    }
    writer.finish().unwrap();
    dir.write("config.json", config.to_string().as_bytes()).unwrap();
    dir.commit().unwrap();
    fs::remove_file(place.path(name).join("manifest.json")).unwrap();
}

fn grow<'a>(method: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = [
        "grow",
        "--small",
        "small",
        "--large",
        "large.json",
        "--out",
        "grown",
        "--method",
    ];
    [&fixed[..], &[method], more].concat()
}

fn config(place: &Place, name: &str) -> Value {
    serde_json::from_slice(&fs::read(place.path(name).join("config.json")).unwrap()).unwrap()
}

fn grown(place: &Place) -> ModelDir {
    ModelDir::open(place.path("grown")).unwrap()
}

#[test]
fn what_the_large_configuration_leaves_out_is_as_in_the_small_model() {
    let place = Place::new();
    let mut json = llama(2).to_json();
    json["rope_parameters"] = json!({"rope_type": "default", "rope_theta": 500_000.0});
    json["rms_norm_eps"] = json!(1e-3);
    json["attention_bias"] = json!(true);
    json["pad_token_id"] = json!(7);
    json["dtype"] = json!("float32");
    json["vendor_field"] = json!({"kept": [1, 2]});
    let small = ModelConfig::from_json(&json).unwrap();
    publish(&place, "small", &json, &stored(&small));
    let sizes = [
        "model_type",
        "hidden_size",
        "intermediate_size",
        "num_attention_heads",
        "num_key_value_heads",
    ];
    let mut large: Value = sizes
        .iter()
        .map(|key| ((*key).to_owned(), json[*key].clone()))
        .collect();
    large["num_hidden_layers"] = json!(4);
    place.write("large.json", large.to_string());
    place.shown(&grow("zero-blocks", &[]));
    let after = config(&place, "grown");
    for (field, value) in json.as_object().unwrap() {
        let expected = if field == "num_hidden_layers" { &json!(4) } else { value };
        assert_eq!(&after[field], expected, "{field}");
    }
    assert!(grown(&place).contains("model.layers.3.self_attn.q_proj.bias"));
    place.shown(&["verify", "grown"]);
}

#[test]
fn a_change_of_the_function_is_refused_unless_it_is_asked_for() {
    let place = Place::new();
    publish(&place, "small", &llama(2).to_json(), &stored(&llama(2)));
    let mut large = json!({"num_hidden_layers": 4, "rope_theta": 500_000.0, "rms_norm_eps": 1e-3});
    place.write("large.json", large.to_string());
    let message = place.refused(&grow("zero-blocks", &[]));
    let named = [
        "rope_theta: 10000.0 → 500000.0",
        "rms_norm_eps: 1e-6 → 0.001",
        "change rope_theta,rms_norm_eps",
    ];
    assert_says(&message, &named);
    assert!(!place.path("grown").exists());
    let message = place.refused(&grow("zero-blocks", &["--allow-change", "rope_theta"]));
    assert_says(&message, &["rms_norm_eps: 1e-6"]);
    assert!(!message.contains("rope_theta:"), "{message}");
    let said = place.shown(&grow("zero-blocks", &["--allow-change", "rope_theta,rms_norm_eps"]));
    assert_says(&said, &["changed as asked: rope_theta"]);
    let after = ModelConfig::from_json(&config(&place, "grown")).unwrap();
    let ModelConfig::Llama(after) = after else { panic!() };
    assert!(
        (after.rope_base() - 500_000.0).abs() < 1e-9 && after.rms_norm_eps == 1e-3,
        "{after:?}"
    );
    // `ligo learn` asks the same before it looks at any text.
    large["rms_norm_eps"] = json!(1e-6);
    place.write("large.json", large.to_string());
    place.shown(&common::TOKENIZE);
    assert_says(
        &place.refused(&common::LEARN),
        &["rope_theta: 10000.0", "change rope_theta"],
    );
}

#[test]
fn class_and_dtype_are_written_where_no_file_names_them() {
    let place = Place::new();
    let mut json = gpt2(1).to_json();
    json.as_object_mut().unwrap().remove("architectures");
    publish(&place, "small", &json, &stored(&gpt2(1)));
    place.write("large.json", r#"{"n_layer": 2}"#);
    place.shown(&grow("stackbert", &["--dtype", "bf16"]));
    let after = config(&place, "grown");
    assert_eq!(after["architectures"], json!(["GPT2LMHeadModel"]));
    assert_eq!(after["dtype"], "bfloat16");
}

#[test]
fn each_tensor_keeps_its_dtype_and_buffers_decide_nothing() {
    let place = Place::new();
    place.write("large.json", r#"{"num_hidden_layers": 4}"#);
    let mut tensors = stored(&llama(2));
    for tensor in &mut tensors {
        if tensor.name.contains("embed") {
            tensor.dtype = Dtype::Bf16;
        }
    }
    publish(&place, "small", &llama(2).to_json(), &tensors);
    place.shown(&grow("zero-blocks", &[]));
    let model = grown(&place);
    for name in model.names() {
        let expected = if name.contains("embed") {
            Dtype::Bf16
        } else {
            Dtype::F32
        };
        assert_eq!(model.info(name).unwrap().dtype, expected, "{name}");
    }
    // One that is narrower would round the others when the model is read.
    assert_eq!(config(&place, "grown")["dtype"], "float32");

    let place = Place::new();
    place.write("large.json", r#"{"n_layer": 2}"#);
    let mut tensors = stored(&gpt2(1));
    tensors.insert(
        0,
        Stored {
            name: "transformer.h.0.attn.bias".into(),
            dtype: Dtype::U8,
            shape: vec![1, 1, 32, 32],
            values: vec![1.0; 1024],
        },
    );
    publish(&place, "small", &gpt2(1).to_json(), &tensors);
    place.shown(&grow("stackbert", &[]));
    let model = grown(&place);
    assert!(model.names().all(|name| model.info(name).unwrap().dtype == Dtype::F32));
}

#[test]
fn numbers_of_64_bits_become_32_and_it_is_said() {
    let place = Place::new();
    place.write("large.json", r#"{"num_hidden_layers": 4}"#);
    let mut tensors = stored(&llama(2));
    tensors.iter_mut().for_each(|tensor| tensor.dtype = Dtype::F64);
    let mut json = llama(2).to_json();
    json["dtype"] = json!("float64");
    publish(&place, "small", &json, &tensors);
    assert_says(&place.shown(&grow("zero-blocks", &[])), &["float64", "float32"]);
    let model = grown(&place);
    assert!(model.names().all(|name| model.info(name).unwrap().dtype == Dtype::F32));
    assert_eq!(config(&place, "grown")["dtype"], "float32");
}

fn score(rows: usize, columns: usize) -> Stored {
    Stored {
        name: "score.weight".into(),
        dtype: Dtype::F32,
        shape: vec![rows, columns],
        values: (0..rows * columns).map(|i| i as f32).collect(),
    }
}

#[test]
fn a_head_that_does_not_grow_is_taken_over_or_named() {
    let place = Place::new();
    let mut json = gpt2(1).to_json();
    json["architectures"] = json!(["GPT2ForSequenceClassification"]);
    json["id2label"] = json!({"0": "bad", "1": "good"});
    let mut tensors = stored(&gpt2(1));
    tensors.push(score(2, 16));
    publish(&place, "small", &json, &tensors);
    place.write("large.json", r#"{"n_layer": 2}"#);
    assert_says(&place.shown(&grow("stackbert", &[])), &["taken over", "score.weight"]);
    let expected = score(2, 16).values;
    assert_eq!(grown(&place).read_f32("score.weight").unwrap(), expected);
    let after = config(&place, "grown");
    assert_eq!(after["architectures"], json["architectures"]);
    assert_eq!(after["id2label"], json["id2label"]);
    // Where the width grows, the head has no place in the large model.
    place.write("large.json", r#"{"n_layer": 2, "n_embd": 32, "n_head": 4}"#);
    let said = place.shown(&grow("stackbert", &["--replace"]));
    assert_says(
        &said,
        &[
            "left out",
            "score.weight",
            "the head of a GPT2ForSequenceClassification does not grow: what is written is a GPT2LMHeadModel",
        ],
    );
    assert!(!grown(&place).contains("score.weight"));
    assert_eq!(config(&place, "grown")["architectures"], json!(["GPT2LMHeadModel"]));
}

#[test]
fn side_files_travel() {
    let place = Place::new();
    publish(&place, "small", &llama(2).to_json(), &stored(&llama(2)));
    place.write("large.json", r#"{"num_hidden_layers": 4}"#);
    let files = [
        (
            "generation_config.json",
            r#"{"eos_token_id": [1, 2], "temperature": 0.6}"#,
        ),
        ("chat_template.jinja", "{{ messages }}"),
        ("added_tokens.json", "{}"),
        ("tokenizer.model", "x"),
        ("tokenizer_config.json", "{}"),
        ("special_tokens_map.json", "{}"),
        ("LICENSE", "free"),
    ];
    for (name, content) in files {
        place.write(&format!("small/{name}"), content);
    }
    place.write("small/pytorch_model.bin", "weights of before");
    assert_says(
        &place.shown(&grow("zero-blocks", &[])),
        &["stayed behind: pytorch_model.bin"],
    );
    for (name, content) in files {
        assert_eq!(
            fs::read_to_string(place.path("grown").join(name)).unwrap(),
            content,
            "{name}"
        );
    }
    ligo_checkpoint::verify(place.path("grown")).unwrap();
    // Another chat template makes another model of it.
    place.write("small/chat_template.jinja", "{{ other }}");
    assert_says(&place.refused(&grow("zero-blocks", &[])), &["--replace"]);
}

#[test]
fn a_model_is_replaced_only_when_asked_and_what_is_read_never() {
    let place = Place::new();
    publish(&place, "small", &llama(1).to_json(), &stored(&llama(1)));
    place.write("large.json", r#"{"num_hidden_layers": 2}"#);
    place.shown(&grow("zero-blocks", &[]));
    let before = place.files("grown");
    // The same again is nothing to do.
    assert_says(&place.shown(&grow("zero-blocks", &[])), &["already"]);
    let message = place.refused(&grow("stackbert", &[]));
    assert_says(&message, &["grown exists already", "--replace"]);
    assert!(place.files("grown") == before);
    place.shown(&grow("stackbert", &["--replace"]));
    assert!(place.files("grown") != before);
    // Neither the small model, nor a folder that holds it, nor one that holds the configuration.
    let source = place.files("grown");
    let over = [
        "grow",
        "--large",
        "large.json",
        "--method",
        "stackbert",
        "--replace",
        "--small",
        "grown",
        "--out",
    ];
    for out in ["grown", ".", "./grown/../grown"] {
        assert_says(
            &place.refused(&[&over[..], &[out]].concat()),
            &["would replace grown, which is read"],
        );
    }
    assert!(place.files("grown") == source);
    // Somebody else's folder, whatever is asked.
    fs::create_dir(place.path("photos")).unwrap();
    place.write("photos/cat.png", "a cat");
    let photos = [
        "grow",
        "--large",
        "large.json",
        "--method",
        "stackbert",
        "--replace",
        "--small",
        "small",
        "--out",
        "photos",
    ];
    place.refused(&photos);
    assert_eq!(fs::read(place.path("photos/cat.png")).unwrap(), b"a cat");
}

#[test]
fn a_learned_operator_is_given_or_its_lack_is_said_aloud() {
    let place = Place::new();
    publish(&place, "small", &llama(1).to_json(), &stored(&llama(1)));
    place.write("large.json", r#"{"num_hidden_layers": 2}"#);
    assert_says(&place.refused(&grow("ligo", &[])), &["--operator", "--unlearned"]);
    assert!(!place.path("grown").exists());
    assert_says(&place.shown(&grow("ligo", &["--unlearned"])), &["by ligo, not learned"]);
    let card = fs::read_to_string(place.path("grown/README.md")).unwrap();
    assert!(card.contains("not learned"), "{card}");
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_tensor_unless_asked_for() {
    for bad in [f32::NAN, f32::NEG_INFINITY] {
        let place = Place::new();
        let mut tensors = stored(&llama(1));
        let norm = tensors.iter_mut().find(|t| t.name == "model.norm.weight").unwrap();
        norm.values[2] = bad;
        publish(&place, "small", &llama(1).to_json(), &tensors);
        place.write("large.json", r#"{"num_hidden_layers": 2}"#);
        let message = place.refused(&grow("zero-blocks", &[]));
        assert_says(
            &message,
            &["`model.norm.weight` (1 of its values)", "--allow-not-finite"],
        );
        assert!(!place.path("grown").exists());
        assert_says(&place.refused(&["inspect", "small"]), &["model.norm.weight"]);
        place.shown(&grow("zero-blocks", &["--allow-not-finite"]));
    }
}
