//! Models in files of PyTorch, and those that another library has wrapped: grown, inspected and taken as a start, or refused with what to do.

use std::fs;

use ligo_arch::{BertConfig, LlamaConfig, ModelConfig, Param};
use ligo_checkpoint::ModelDir;

use crate::common::{Place, assert_says};
use crate::torch::{archive, dict, tensor};

fn llama() -> ModelConfig {
    let mut config = LlamaConfig::new(40, 16, 2, 2, 32);
    config.max_position_embeddings = 64;
    ModelConfig::Llama(config)
}

/// The tensors of a model as its file holds them, and a buffer.
fn tensors(config: &ModelConfig) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let table = config.table();
    let values = ligo_growth::init::initial_values(&table, 0.05, 3).map(|(name, _, values)| (name, values));
    let values = values.collect();
    let params: Vec<Param<'_>> = table.params().filter(|p| p.spec.required).collect();
    let files = ligo_growth::files::to_files(&table, &params, &values).unwrap();
    let tensors = files
        .into_iter()
        .map(|(name, shape, values)| (name, shape, values.into_owned()));
    let buffer = (
        "model.layers.0.self_attn.rotary_emb.inv_freq".to_owned(),
        vec![4],
        vec![0.5; 4],
    );
    tensors.chain([buffer]).collect()
}

/// A file as `torch.save` writes it, of numbers of four bytes.
fn saved(tensors: &[(String, Vec<usize>, Vec<f32>)], kind: &str, prefix: &str) -> Vec<u8> {
    let named: Vec<String> = tensors.iter().map(|(name, ..)| format!("{prefix}{name}")).collect();
    let pickled = tensors
        .iter()
        .zip(&named)
        .enumerate()
        .map(|(key, ((_, shape, values), name))| {
            let shape: Vec<i64> = shape.iter().map(|size| *size as i64).collect();
            let strides: Vec<i64> = (0..shape.len()).map(|i| shape[i + 1..].iter().product()).collect();
            let stored = values.len() as i64;
            (
                name.as_str(),
                tensor(kind, &key.to_string(), stored, [&[0], &shape, &strides]),
            )
        });
    let pickle = dict(&pickled.collect::<Vec<_>>());
    let storages = tensors.iter().enumerate().map(|(key, (_, _, values))| {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        (format!("archive/data/{key}"), bytes)
    });
    let storages: Vec<(String, Vec<u8>)> = storages.collect();
    let mut entries: Vec<(&str, &[u8])> = vec![("archive/data.pkl", &pickle)];
    entries.extend(storages.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())));
    archive(&entries)
}

fn place(config: &ModelConfig, file: &str, content: &[u8]) -> Place {
    let place = Place::new();
    fs::create_dir_all(place.path("small")).unwrap();
    place.write("small/config.json", config.to_json().to_string());
    place.write(&format!("small/{file}"), content);
    place
}

const GROW: [&str; 9] = [
    "grow",
    "--small",
    "small",
    "--layers",
    "4",
    "--method",
    "stackbert",
    "--out",
    "large",
];

#[test]
fn a_pytorch_model_grows_as_its_safetensors_do() {
    let config = llama();
    let tensors = tensors(&config);
    for (prefix, said) in [
        ("", ""),
        ("module._orig_mod.", "`module._orig_mod.…`"),
        ("model.", "`model.…`"),
    ] {
        let place = place(&config, "pytorch_model.bin", &saved(&tensors, "Float", prefix));
        let text = place.shown(&GROW);
        assert_says(&text, &[said]);
        assert!(
            !text.contains("inv_freq") && !text.contains("pytorch_model.bin"),
            "{text}"
        );
        let grown = ModelDir::open(place.path("large")).unwrap();
        for (name, _, values) in tensors.iter().filter(|(name, ..)| !name.ends_with("inv_freq")) {
            assert_eq!(grown.read_f32(name).unwrap(), *values, "{name}");
            let third = name.replace("layers.1.", "layers.3.");
            assert_eq!(grown.read_f32(&third).unwrap(), *values, "{third}");
        }
        let text = place.shown(&["inspect", "small"]);
        assert_says(&text, &["Llama", "pytorch_model.bin", prefix]);
        assert!(!text.contains("NOT USABLE"), "{text}");
    }
}

#[test]
fn what_holds_code_or_no_weights_is_refused_with_what_to_do() {
    let config = llama();
    let code = dict(&[("a", b"cposix\nsystem\n(X\x04\0\0\0touctR".to_vec())]);
    let place_of = |content: &[u8]| place(&config, "pytorch_model.bin", content);
    let evil = place_of(&archive(&[("archive/data.pkl", &code)]));
    assert_says(
        &evil.refused(&GROW),
        &["pytorch_model.bin", "`posix.system`", "nothing was run"],
    );
    assert!(!evil.path("large").exists());

    let empty: Vec<_> = tensors(&config)
        .into_iter()
        .map(|(name, ..)| (name, vec![0], Vec::new()))
        .collect();
    let sharded = place_of(&saved(&empty, "Float", "module."));
    assert_says(&sharded.refused(&GROW), &["found [0]", "ZeRO", "zero_to_fp32.py"]);

    let quantized = place_of(&saved(&tensors(&config), "Int", ""));
    assert_says(&quantized.refused(&GROW), &["found I32", "quantized"]);

    let half = place(&config, "model.safetensors.incomplete", b"");
    assert_says(
        &half.refused(&GROW),
        &["model.safetensors.incomplete", "start it again"],
    );
}

#[test]
fn buffers_matter_in_no_family() {
    let config = ModelConfig::Bert(BertConfig::new(40, 16, 2, 2));
    let place = place(&config, "pytorch_model.bin", &saved(&tensors(&config), "Float", ""));
    let text = place.shown(&GROW);
    assert!(!text.contains("inv_freq"), "{text}");
}
