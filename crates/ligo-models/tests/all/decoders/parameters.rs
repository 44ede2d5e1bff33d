use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use ligo_arch::{LlamaConfig, ModelConfig, check_growable};
use ligo_models::Model;
use safetensors::SafeTensors;

use crate::common::decoders::{kinds, tiny_llama};
use crate::fixtures;

type Shapes = BTreeMap<String, Vec<usize>>;

fn fixtures() -> impl Iterator<Item = PathBuf> {
    ["gpt2", "llama", "moe"].into_iter().flat_map(fixtures::fixtures)
}

fn read(folder: &Path) -> (serde_json::Value, ModelConfig, Shapes) {
    let json = serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap();
    let config = ModelConfig::from_json(&json).unwrap();
    (json, config, shapes(folder))
}

/// Those of all tensors, in one file or in shards.
fn shapes(folder: &Path) -> Shapes {
    let mut shapes = Shapes::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if name.starts_with("model") && name.ends_with(".safetensors") {
            let bytes = fs::read(&path).unwrap();
            let tensors = SafeTensors::deserialize(&bytes).unwrap().tensors();
            shapes.extend(tensors.into_iter().map(|(name, view)| (name, view.shape().to_vec())));
        }
    }
    shapes
}

#[test]
fn the_tensors_of_a_file_are_those_of_the_reference_and_no_others() {
    for folder in fixtures() {
        let (_, config, mut shapes) = read(&folder);
        let table = config.table();
        let params: Vec<_> = table.params().collect();
        let tensors = table.file_tensors(&params);
        let bare = folder.ends_with("bare_with_buffers");
        let tensors = tensors.into_iter().map(|t| {
            let prefix = table.base_prefix().filter(|_| bare).unwrap_or_default();
            (t.name.strip_prefix(prefix).unwrap().to_string(), t.shape)
        });
        let buffers = shapes.keys().filter(|name| table.is_buffer(name)).count();
        let stored = folder.ends_with("bare_with_buffers") || folder.ends_with("older_names");
        assert_eq!(buffers > 0, stored, "{}", folder.display());
        shapes.retain(|name, _| !table.is_buffer(name));
        assert_eq!(tensors.collect::<Shapes>(), shapes, "{}", folder.display());
    }
}

#[test]
fn what_a_configuration_says_is_written_as_it_was_read() {
    for folder in fixtures() {
        let (json, config, _) = read(&folder);
        let written = config.to_json();
        assert_eq!(ModelConfig::from_json(&written).unwrap(), config);
        // Defaults may be written out, and a field that is null may be left out.
        for (field, value) in json.as_object().unwrap() {
            let found = written.get(field).unwrap_or(&serde_json::Value::Null);
            assert_eq!(found, value, "{}: {field}", folder.display());
        }
    }
}

#[test]
fn names_and_shapes_are_those_of_the_table() {
    for config in kinds() {
        let shapes = Model::skeleton(&config, &Device::flex()).unwrap().param_shapes();
        let count = shapes.len();
        let found: Shapes = shapes.into_iter().collect();
        assert_eq!(found.len(), count, "two parameters have one name");
        let table = config.table();
        assert_eq!(found, table.params().map(|p| (p.name, p.shape)).collect());
    }
}

#[test]
fn a_skeleton_allocates_nothing() {
    // 2^26 token vectors of 2^20 numbers: no machine could hold them.
    let config = ModelConfig::Llama(LlamaConfig::new(1 << 26, 1 << 20, 3, 1 << 14, 1 << 22));
    let skeleton = Model::skeleton(&config, &Device::flex().autodiff()).unwrap();
    assert_eq!(skeleton.clone().param_shapes().len(), 2 + 3 * 9 + 1);
}

#[test]
fn heads_grow_by_whole_groups() {
    let table = |heads, groups| {
        let config = LlamaConfig {
            num_attention_heads: heads,
            num_key_value_heads: Some(groups),
            ..tiny_llama()
        };
        ModelConfig::Llama(config).table()
    };
    assert_eq!(check_growable(&table(4, 2), &table(8, 4)), Ok(()));
    // Whole multiples of a group are for the operators to take or refuse.
    assert_eq!(check_growable(&table(4, 2), &table(8, 2)), Ok(()));
    let fault = check_growable(&table(4, 2), &table(6, 2)).unwrap_err();
    assert!(fault.to_string().contains("heads grow by whole groups"), "{fault}");
}
