#![allow(clippy::unwrap_used)]
use super::*;
use crate::{ModelConfig, Param, Resize, Size};

/// A file as timm's `push_to_hf_hub` writes it.
fn vit() -> Value {
    json!({
        "architecture": "vit_tiny_patch16_224", "num_classes": 7, "num_features": 48, "global_pool": "token",
        "model_args": {"embed_dim": 48, "depth": 2},
        "pretrained_cfg": {"tag": "x", "custom_load": false, "input_size": [3, 32, 32], "fixed_input_size": true, "num_classes": 7,
            "interpolation": "bicubic", "crop_pct": 0.9, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
    })
}

fn read(json: &Value) -> ModelConfig {
    ModelConfig::from_json(json).unwrap()
}

fn names(config: &ModelConfig) -> Vec<(String, Vec<usize>)> {
    let table = config.table();
    let params: Vec<Param<'_>> = table.params().collect();
    let tensors = table.written_tensors(&params).into_iter();
    tensors.map(|tensor| (tensor.name, tensor.shape)).collect()
}

#[test]
fn sizes_come_from_arguments_and_from_the_name_of_the_architecture() {
    let ModelConfig::Vit(config) = read(&vit()) else {
        panic!("a ViT")
    };
    assert_eq!((config.hidden_size, config.num_hidden_layers), (48, 2));
    assert_eq!((config.num_attention_heads, config.intermediate_size), (3, 192));
    assert_eq!((config.image_size, config.labels()), (Sides::Square(32), 7));
    assert_eq!(config.layer_norm_eps, 1e-6);
    let plain = json!({"architecture": "vit_giant_patch14_224", "num_classes": 10});
    let sizes = read(&plain).sizes();
    assert_eq!((sizes.layers, sizes.hidden, sizes.ffn), (40, 1408, 6144));
}

#[test]
fn what_is_read_is_written_as_it_was() {
    let cait = json!({"architecture": "cait_xxs24_224", "num_classes": 3, "num_features": 192,
        "model_args": {"depth": 2, "mlp_ratio_token_only": 2.0, "init_values": 0.5, "act_layer": null}, "pretrained_cfg": {"input_size": [3, 224, 224],
        "fixed_input_size": true, "classifier": "head"}});
    // Older files have no `pretrained_cfg`.
    let older = json!({"architecture": "deit_tiny_distilled_patch16_224", "num_classes": 5, "num_features": 192, "input_size": [3, 224, 224],
        "fixed_input_size": true, "first_conv": "patch_embed.proj"});
    for file in [vit(), cait, older] {
        let config = read(&file);
        assert_eq!(config.to_file(), file);
        assert_eq!(read(&config.to_json()), config);
        assert!(config.is_of_timm() && config.architecture().is_none());
    }
}

#[test]
fn a_larger_model_says_its_sizes_in_the_arguments() {
    let large = Resize {
        layers: Some(Size::Exactly(4)),
        width: Some(Size::Exactly(64)),
        heads: Some(Size::Exactly(4)),
        ffn: Some(Size::Exactly(201)),
        ..Resize::default()
    };
    let config = read(&vit()).resized(&large).unwrap();
    let file = config.to_file();
    assert_eq!(file["model_args"]["embed_dim"], 64);
    assert_eq!(file["model_args"]["depth"], 4);
    assert_eq!(file["model_args"]["num_heads"], 4);
    assert_eq!((64.0 * file["model_args"]["mlp_ratio"].as_f64().unwrap()) as usize, 201);
    assert_eq!(file["num_features"], 64);
    assert_eq!(file["pretrained_cfg"], vit()["pretrained_cfg"]);
    assert_eq!(read(&file).sizes(), config.sizes());
}

#[test]
fn every_ratio_gives_its_neurons_back() {
    for width in [3, 7, 48, 192, 1408] {
        for neurons in [1, 5, 100, 201, 769, 6143] {
            let file =
                json!({"architecture": "vit_tiny_patch16_224", "model_args": {"embed_dim": width, "num_heads": 1}});
            let mut config = read(&file).to_json();
            config["intermediate_size"] = json!(neurons);
            assert_eq!(read(&read(&config).to_file()).sizes().ffn, neurons);
        }
    }
}

#[test]
fn tensors_are_called_and_shaped_as_in_timm() {
    let found = names(&read(&vit()));
    let layer = |i: usize| {
        [
            ("attn.proj.bias", vec![48]),
            ("attn.proj.weight", vec![48, 48]),
            ("attn.qkv.bias", vec![144]),
            ("attn.qkv.weight", vec![144, 48]),
            ("mlp.fc1.bias", vec![192]),
            ("mlp.fc1.weight", vec![192, 48]),
            ("mlp.fc2.bias", vec![48]),
            ("mlp.fc2.weight", vec![48, 192]),
            ("norm1.bias", vec![48]),
            ("norm1.weight", vec![48]),
            ("norm2.bias", vec![48]),
            ("norm2.weight", vec![48]),
        ]
        .map(|(name, shape)| (format!("blocks.{i}.{name}"), shape))
    };
    let mut expected: Vec<(String, Vec<usize>)> = layer(0).into_iter().chain(layer(1)).collect();
    expected.extend(
        [
            ("cls_token", vec![1, 1, 48]),
            ("head.bias", vec![7]),
            ("head.weight", vec![7, 48]),
            ("norm.bias", vec![48]),
            ("norm.weight", vec![48]),
            ("patch_embed.proj.bias", vec![48]),
            ("patch_embed.proj.weight", vec![48, 3, 16, 16]),
            ("pos_embed", vec![1, 5, 48]),
        ]
        .map(|(name, shape)| (name.to_owned(), shape)),
    );
    assert_eq!(found, expected);
    let distilled = json!({"architecture": "deit_tiny_distilled_patch16_224", "num_classes": 2});
    let found = names(&read(&distilled));
    for (name, shape) in [
        ("dist_token", vec![1, 1, 192]),
        ("head_dist.weight", vec![2, 192]),
        ("pos_embed", vec![1, 198, 192]),
    ] {
        assert!(found.contains(&(name.to_owned(), shape)), "{name}");
    }
}

#[test]
fn other_classes_and_images_are_written_where_timm_looks_for_them() {
    let config = read(&vit());
    let other = config
        .with_task(crate::Task::ImageClassification { labels: 3 })
        .unwrap()
        .with_class_names(&["a".into(), "b".into(), "c".into()]);
    let file = other.to_file();
    assert_eq!(
        (&file["num_classes"], &file["pretrained_cfg"]["num_classes"]),
        (&json!(3), &json!(3))
    );
    assert_eq!(file["label_names"], json!(["a", "b", "c"]));
    let mut wanted = config.to_json();
    wanted["image_size"] = json!(48);
    let wanted = read(&wanted);
    let file = config.at_resolution_of(&wanted).unwrap().to_file();
    assert_eq!(file["pretrained_cfg"]["input_size"], json!([3, 48, 48]));
    assert_eq!(read(&file).image_shape(), Some([3, 48, 48]));
}

#[test]
fn what_would_compute_something_else_is_refused() {
    let refused = |path: &str, value: Value| {
        let mut file = vit();
        *file.pointer_mut(path).unwrap() = value;
        ModelConfig::from_json(&file).unwrap_err().to_string()
    };
    let argument = |name: &str, value: Value| refused("/model_args", json!({ name: value }));
    for (message, said) in [
        (
            refused("/architecture", json!("vit_base_patch16_clip_224")),
            "vit_base_patch16_224",
        ),
        (refused("/global_pool", json!("avg")), "global_pool"),
        (refused("/num_classes", json!(0)), "without a head"),
        (refused("/num_classes", json!("many")), "a whole number"),
        (refused("/pretrained_cfg/input_size", json!([3, 4])), "input_size"),
        (argument("reg_tokens", json!(4)), "reg_tokens = 4"),
        (argument("init_values", json!(1e-5)), "init_values"),
        (argument("qk_norm", json!(true)), "qk_norm"),
        (argument("unheard_of", json!(1)), "unheard_of"),
        (argument("act_layer", json!("mish")), "act_layer"),
        (argument("mlp_ratio", json!(-1.0)), "mlp_ratio"),
        (argument("num_heads", json!(5)), "does not divide"),
        (argument("proj_drop_rate", json!(0.1)), "proj_drop_rate"),
    ] {
        assert!(message.contains(said), "{message}");
    }
    // What a value that changes nothing says is no fault.
    let mut file = vit();
    file["model_args"]["reg_tokens"] = json!(0);
    file["model_args"]["class_token"] = json!(true);
    file["model_args"]["init_values"] = Value::Null;
    assert_eq!(read(&file).to_file(), file);
    let mut config = read(&vit()).to_json();
    config["layer_norm_eps"] = json!(1e-5);
    let error = ModelConfig::from_json(&config).unwrap_err();
    assert!(matches!(
        error,
        Error::Unsupported {
            field: "layer_norm_eps",
            ..
        }
    ));
}
