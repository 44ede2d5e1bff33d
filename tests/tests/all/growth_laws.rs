//! The laws of growth on whole models: what is grown from a directory is what the theory says, when it computes as well.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};
use ligo_arch::{BertConfig, ModelConfig};
use ligo_checkpoint::{Dtype, ModelDir};
use ligo_growth::stream::{GrowOptions, grow_directory};
use ligo_growth::{
    CloningConfig, DepthInit, Growth, LigoConfig, LinearMap, OperatorInfo, OperatorSpec, Sharing, WidthInit,
    load_operator, save_operator,
};
use ligo_models::{Model, TextFeatures};
use ligo_pretrained::{load_model, open_model};

use crate::repository::root;

const WORDS: &str = "bert.embeddings.word_embeddings.weight";
const DECODER: &str = "cls.predictions.decoder.weight";

fn fixture(name: &str) -> PathBuf {
    root().join("tests/fixtures/bert").join(name)
}

fn fixtures() -> Vec<String> {
    let entries = fs::read_dir(fixture("")).unwrap().map(|e| e.unwrap().path());
    let models = entries.filter(|path| path.join("config.json").is_file());
    let mut names: Vec<String> = models
        .map(|p| p.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert!(names.len() >= 8, "only {} fixtures", names.len());
    names
}

fn bert(config: &ModelConfig) -> BertConfig {
    let ModelConfig::Bert(bert) = config.clone() else {
        panic!("{} is no BERT", config.model_type());
    };
    bert
}

/// Grows a model directory with `spec`.
fn grow(small: &Path, large: &ModelConfig, spec: &OperatorSpec, target: &Path) {
    let config = open_model(small).unwrap().config;
    let device = Device::flex();
    let map = spec
        .build(&config.table(), &large.table(), &device, large.initializer_range(), 5)
        .unwrap();
    grow_with(&map, small, large, target);
}

fn grow_with(map: &LinearMap, small: &Path, large: &ModelConfig, target: &Path) {
    let ligo_pretrained::Source {
        config,
        dir: mut source,
        ..
    } = open_model(small).unwrap();
    let options = GrowOptions {
        dtype: Some(Dtype::F32),
        ..GrowOptions::default()
    };
    let device = Device::flex();
    grow_directory(
        map,
        &mut source,
        &config,
        large,
        target,
        &options,
        &device,
        &mut |_, _| true,
    )
    .unwrap();
}

/// A fixture whose LayerNorm has next to no ε: √(σ² + ε) does not scale with the residual stream, everything else does.
fn without_epsilon(name: &str, folder: &Path) -> PathBuf {
    let copy = folder.join(format!("{name}-small"));
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
    let json = fs::read(copy.join("config.json")).unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    json["layer_norm_eps"] = 1e-12.into();
    fs::write(copy.join("config.json"), json.to_string()).unwrap();
    copy
}

/// The same model with every width and the number of heads doubled, in the dtype that it is grown in.
fn doubled(config: &ModelConfig) -> ModelConfig {
    let mut small = bert(config);
    if let Some(dtype) = small.extra.get_mut("dtype") {
        *dtype = "float32".into();
    }
    ModelConfig::Bert(BertConfig {
        hidden_size: 2 * small.hidden_size,
        intermediate_size: 2 * small.intermediate_size,
        num_attention_heads: 2 * small.num_attention_heads,
        ..small
    })
}

/// Three more layers and half as much width again, heads of the same size.
fn widened(config: &ModelConfig, heads: usize) -> ModelConfig {
    let small = bert(config);
    ModelConfig::Bert(BertConfig {
        hidden_size: small.head_dim() * heads,
        intermediate_size: small.intermediate_size + 10,
        num_attention_heads: heads,
        num_hidden_layers: small.num_hidden_layers + 3,
        ..small
    })
}

/// Logits of three padded sequences with both token types.
fn logits(model: &Model, config: &ModelConfig) -> Vec<f32> {
    let config = bert(config);
    let device = Device::flex();
    let (rows, columns) = (3, config.max_position_embeddings.min(12));
    let ints = |value: &dyn Fn(usize) -> usize| -> Tensor<2, Int> {
        let values: Vec<i32> = (0..rows * columns).map(|i| value(i) as i32).collect();
        Tensor::from_data(TensorData::new(values, [rows, columns]), &device)
    };
    let ids = ints(&|i| (7 * i + 3) % config.vocab_size);
    let types = ints(&|i| (i / 4) % config.type_vocab_size);
    let mask = ints(&|i| usize::from(i % columns < columns - 2 * (i / columns))).float();
    let features = TextFeatures {
        input_ids: ids,
        token_type_ids: Some(types),
        attention_mask: Some(mask),
    };
    let logits = model.logits(&features.into()).unwrap();
    logits.try_into_vec_as::<f32>().unwrap()
}

/// Largest difference of two lists of logits, as a share of the largest logit.
fn distance(small: &[f32], large: &[f32]) -> f32 {
    assert_eq!(small.len(), large.len());
    let scale = small.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let differences = small.iter().zip(large).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |m, d| if d > m || d.is_nan() { d } else { m }) / scale
}

fn exact_doubling() -> LigoConfig {
    LigoConfig {
        width_init: WidthInit::Isometric,
        depth_noise: 0.0,
        ..LigoConfig::default()
    }
}

#[test]
fn the_isometric_doubling_computes_what_the_small_model_computes() {
    let folder = tempfile::tempdir().unwrap();
    let mut ties = Vec::new();
    for name in fixtures() {
        let small = without_epsilon(&name, folder.path());
        let loaded = load_model(&small, &Device::flex()).unwrap();
        let before = logits(&loaded.model, &loaded.config);
        let large = doubled(&loaded.config);
        ties.push(bert(&large).tie_word_embeddings);

        let target = folder.path().join(format!("{name}-isometric"));
        grow(&small, &large, &OperatorSpec::Ligo(exact_doubling()), &target);
        let grown = load_model(&target, &Device::flex()).unwrap();
        assert_eq!(grown.config, large);
        let change = distance(&before, &logits(&grown.model, &large));
        println!("{name}: isometric {change:e}");
        assert!(change <= 1e-5, "{name}: logits moved by {change:e} of their scale");

        // Otherwise the test would pass whatever is compared.
        let target = folder.path().join(format!("{name}-rand"));
        grow(&small, &large, &OperatorSpec::Ligo(LigoConfig::default()), &target);
        let grown = load_model(&target, &Device::flex()).unwrap();
        let change = distance(&before, &logits(&grown.model, &large));
        assert!(change > 1e-2, "{name}: `rand` moved logits by {change:e} only");
    }
    assert!(
        ties.contains(&true) && ties.contains(&false),
        "tied and untied decoders: {ties:?}"
    );
}

/// Every operator that takes any widths, with the three ways to share width matrices.
fn every_operator(layers: usize) -> Vec<OperatorSpec> {
    let named = OperatorSpec::NAMES.map(|name| OperatorSpec::from_name(name).unwrap());
    let bert = ModelConfig::Bert(BertConfig::new(50, 8, 1, 1)).table();
    let takes_any = |spec: &OperatorSpec| spec.facts().takes(Growth::Widened).holds(&bert);
    let named = named.into_iter().filter(takes_any);
    let list = OperatorSpec::Layers {
        layers: (0..layers).map(|i| usize::from(i > 2)).collect(),
    };
    let ligo = [Sharing::PerSmallLayer, Sharing::PerLargeLayer].map(|sharing| {
        OperatorSpec::Ligo(LigoConfig {
            sharing,
            width_init: WidthInit::Gaussian,
            depth_init: DepthInit::Rand,
            fixed_identity: true,
            ..LigoConfig::default()
        })
    });
    named.chain([list]).chain(ligo).collect()
}

#[test]
fn tied_embeddings_stay_tied_whatever_the_operator() {
    let folder = tempfile::tempdir().unwrap();
    let small = fixture("tied_4_heads");
    let config = open_model(&small).unwrap().config;
    let large = widened(&config, 6);
    let tie = (DECODER.to_owned(), WORDS.to_owned());
    assert!(large.table().ties().contains(&tie));
    for (i, spec) in every_operator(large.table().depth("encoder")).iter().enumerate() {
        let target = folder.path().join(i.to_string());
        grow(&small, &large, spec, &target);
        let dir = ModelDir::open(&target).unwrap();
        assert!(
            !dir.contains(DECODER),
            "{spec:?} wrote a decoder beside the table it is tied to"
        );
        let grown = load_model(&target, &Device::flex()).unwrap();
        assert!(bert(&grown.config).tie_word_embeddings);

        // A token without a vector has its bias as its logit, if the decoder is the grown table.
        let (token, width) = (1, bert(&large).hidden_size);
        let vocab = bert(&large).vocab_size;
        let bias = dir.read_f32("cls.predictions.bias").unwrap();
        let erased = grown.model.install::<ligo_pretrained::LoadError>(&mut |name, _| {
            let mut values = dir.read_f32(name)?;
            if name == WORDS {
                values[token * width..][..width].fill(0.0);
            }
            let count = [values.len()];
            Ok(Tensor::from_data(TensorData::new(values, count), &Device::flex()))
        });
        for row in logits(&erased.unwrap(), &large).chunks(vocab) {
            assert_eq!(row[token], bias[token], "{spec:?}");
            assert_ne!(row[token + 1], bias[token + 1], "{spec:?}");
        }
    }
}

#[test]
fn pooler_and_next_sentence_head_are_grown_with_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let small = fixture("pretraining_legacy_names");
    let config = open_model(&small).unwrap().config;
    let large = widened(&config, 6);
    let table = large.table();
    for (i, spec) in every_operator(table.depth("encoder")).iter().enumerate() {
        let target = folder.path().join(i.to_string());
        grow(&small, &large, spec, &target);
        // Optional tensors included, and nothing beyond the table: no old names, no buffers.
        let dir = ModelDir::open(&target).unwrap();
        let found: HashMap<&str, &[usize]> = dir
            .names()
            .map(|name| (name, dir.info(name).unwrap().shape.as_slice()))
            .collect();
        let params: Vec<_> = table.params().collect();
        assert!(params.iter().any(|p| p.name == "bert.pooler.dense.weight"));
        assert_eq!(found.len(), params.len(), "{spec:?}");
        for param in &params {
            assert_eq!(found[param.name.as_str()], param.shape, "{spec:?}: {}", param.name);
        }
        assert_eq!(found["cls.seq_relationship.weight"], [2, 48]);
        let optional = open_model(&target).unwrap().optional;
        assert_eq!(optional.len(), 4, "{spec:?}: {optional:?}");
    }
}

#[test]
fn a_saved_operator_grows_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let small = fixture("sharded");
    let config = open_model(&small).unwrap().config;
    let large = widened(&config, 6);
    for (i, spec) in every_operator(large.table().depth("encoder")).iter().enumerate() {
        let path = |what: &str| folder.path().join(format!("{i}-{what}"));
        let map = spec.build(&config.table(), &large.table(), &device, 0.02, 11).unwrap();
        let info = OperatorInfo::new(spec.clone(), &config, &large, serde_json::json!({"seed": 11}));
        save_operator(&path("operator"), &map, info).unwrap();
        let (loaded, info) = load_operator(&path("operator"), &device).unwrap();
        assert_eq!(info.operator, *spec);
        assert_eq!(info.large().unwrap(), large);

        grow_with(&map, &small, &large, &path("before"));
        grow_with(&loaded, &small, &large, &path("after"));
        let bytes = |what: &str| fs::read(path(what).join("model.safetensors")).unwrap();
        assert!(
            bytes("before") == bytes("after"),
            "{spec:?} grows otherwise after a round trip"
        );
    }
}

#[test]
fn an_exact_operator_is_saved_with_what_no_other_matrix_says() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let small = fixture("sharded");
    let config = open_model(&small).unwrap().config;
    let small_bert = bert(&config);
    let double = ModelConfig::Bert(BertConfig {
        hidden_size: 2 * small_bert.hidden_size,
        num_attention_heads: 2 * small_bert.num_attention_heads,
        intermediate_size: 2 * small_bert.intermediate_size,
        ..small_bert
    });
    let map = OperatorSpec::HyperCloning(CloningConfig::default())
        .build(&config.table(), &double.table(), &device, 0.02, 1)
        .unwrap();
    let info = OperatorInfo::new(
        OperatorSpec::HyperCloning(CloningConfig::default()),
        &config,
        &double,
        serde_json::Value::Null,
    );
    let path = |what: &str| folder.path().join(what);
    save_operator(&path("operator"), &map, info).unwrap();
    let (loaded, _) = load_operator(&path("operator"), &device).unwrap();
    grow_with(&map, &small, &double, &path("before"));
    grow_with(&loaded, &small, &double, &path("after"));
    let weights = |what: &str| fs::read(path(what).join("model.safetensors")).unwrap();
    assert_eq!(weights("before"), weights("after"));
    // The tied decoder reads each channel twice: what it reads is halved, which no other matrix says.
    let device_model = |dir: &Path| load_model(dir, &device).unwrap();
    let (a, b) = (device_model(&small), device_model(&path("after")));
    let difference = distance(&logits(&a.model, &a.config), &logits(&b.model, &a.config));
    assert!(difference < 1e-5, "{difference:e}");
}
