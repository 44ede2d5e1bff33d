use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::tensor::Device;
use ligo_arch::{CaitConfig, ModelConfig, Sides, Task, VitConfig, check_growable};
use ligo_models::Model;
use safetensors::SafeTensors;

use crate::common::images::{kinds, tiny_cait, tiny_vit};
use crate::fixtures::fixtures;

type Shapes = BTreeMap<String, Vec<usize>>;

fn read(folder: &Path) -> (serde_json::Value, ModelConfig, Shapes) {
    let json = serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap();
    let config = ModelConfig::from_json(&json).unwrap();
    let bytes = fs::read(folder.join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap().tensors();
    let shapes = tensors.into_iter().map(|(name, view)| (name, view.shape().to_vec()));
    (json, config, shapes.collect())
}

fn written(config: &ModelConfig, optional: impl Fn(&str) -> bool) -> Shapes {
    let table = config.table();
    let params = table.params().filter(|p| p.spec.required || optional(&p.name));
    let params: Vec<_> = params.collect();
    let tensors = table.file_tensors(&params);
    let count = tensors.len();
    let shapes: Shapes = tensors.into_iter().map(|t| (t.name, t.shape)).collect();
    assert_eq!(shapes.len(), count, "two tensors have one name");
    shapes
}

#[test]
fn the_tensors_of_a_file_are_those_of_the_reference_and_no_others() {
    for folder in fixtures("vit").into_iter().chain(fixtures("cait")) {
        let (_, config, shapes) = read(&folder);
        let found = written(&config, |name| shapes.contains_key(name));
        assert_eq!(found, shapes, "{}", folder.display());
    }
}

#[test]
fn a_configuration_is_written_as_it_was_read() {
    for folder in fixtures("vit") {
        let (json, config, _) = read(&folder);
        assert_eq!(config.to_json(), json, "{}", folder.display());
    }
    for folder in fixtures("cait") {
        let (json, config, _) = read(&folder);
        let written = config.to_json();
        assert_eq!(ModelConfig::from_json(&written).unwrap(), config);
        // Defaults are written out; what the file said stays.
        for (field, value) in json.as_object().unwrap() {
            assert_eq!(written.get(field), Some(value), "{field}");
        }
    }
}

#[test]
fn names_and_shapes_are_those_of_the_table() {
    let mut configs = kinds();
    configs.push(ModelConfig::Vit(VitConfig {
        qkv_bias: false,
        ..tiny_vit()
    }));
    configs.push(ModelConfig::Cait(CaitConfig {
        qkv_bias: false,
        ..tiny_cait()
    }));
    for config in configs {
        let table = config.table();
        let optional: Vec<_> = table.params().filter(|p| !p.spec.required).map(|p| p.name).collect();
        let optional: Vec<_> = optional.iter().map(String::as_str).collect();
        for asked in [&[][..], &optional] {
            let model = Model::skeleton_with(&config, asked, &Device::flex()).unwrap();
            let shapes = model.param_shapes();
            let count = shapes.len();
            let found: Shapes = shapes.into_iter().collect();
            assert_eq!(found.len(), count, "two parameters have one name");
            let expected = table
                .params()
                .filter(|p| p.spec.required || asked.contains(&p.name.as_str()));
            assert_eq!(found, expected.map(|p| (p.name, p.shape)).collect());
        }
    }
}

#[test]
fn published_models_have_the_published_number_of_parameters() {
    let count = |config: ModelConfig| config.table().num_parameters();
    let vit = |hidden, heads| count(ModelConfig::Vit(VitConfig::new(hidden, 12, heads, 1000)));
    let deit = |hidden, heads, teacher| count(ModelConfig::Vit(VitConfig::deit(hidden, 12, heads, 1000, teacher)));
    // DeiT-S and DeiT-B without distillation have the shape of a ViT.
    assert_eq!(vit(384, 6), 22_050_664);
    assert_eq!(vit(768, 12), 86_567_656);
    assert_eq!(deit(384, 6, false), 22_051_432);
    assert_eq!(deit(384, 6, true), 22_436_432);
    assert_eq!(deit(768, 12, true), 87_338_192);
    let cait = |hidden, heads, side| {
        count(ModelConfig::Cait(CaitConfig {
            image_size: Sides::Square(side),
            ..CaitConfig::new(hidden, 24, heads, 1000)
        }))
    };
    assert_eq!(cait(192, 4, 224), 11_956_264);
    assert_eq!(cait(288, 6, 384), 26_670_088);
    assert_eq!(cait(384, 8, 224), 46_916_200);
}

#[test]
fn the_position_grid_is_that_of_the_table() {
    for config in kinds() {
        let table = config.table();
        let grid = config.position_grid().unwrap();
        assert_eq!(grid.grid, [2, 3]);
        let [rows, width] = table.get(&grid.tensor).unwrap().shape[..] else {
            panic!("{} is no matrix", grid.tensor);
        };
        assert_eq!((rows, width), (grid.prefix + 6, 6));
        assert_eq!(config.sizes().tokens, Some(rows));
    }
}

#[test]
fn another_number_of_classes_changes_the_heads_alone() {
    for config in kinds() {
        let other = config.with_task(Task::ImageClassification { labels: 8 }).unwrap();
        assert_eq!(other.task(), Task::ImageClassification { labels: 8 });
        let (before, after) = (written(&config, |_| true), written(&other, |_| true));
        let changed: Vec<_> = before.iter().filter(|(name, shape)| after[*name] != **shape).collect();
        assert!(!changed.is_empty());
        for (name, _) in changed {
            assert!(name.contains("classifier") || name.starts_with("head."), "{name}");
            assert_eq!(after[name][0], 8);
        }
        assert!(config.with_task(Task::MaskedLm).is_err());
    }
}

#[test]
fn the_pairs_of_the_paper_can_grow_and_other_resolutions_cannot() {
    let deit = |hidden, heads| ModelConfig::Vit(VitConfig::deit(hidden, 12, heads, 1000, true)).table();
    check_growable(&deit(384, 6), &deit(768, 12)).unwrap();
    let cait = |hidden, heads, side| {
        let config = CaitConfig {
            image_size: Sides::Square(side),
            ..CaitConfig::new(hidden, 24, heads, 1000)
        };
        ModelConfig::Cait(config).table()
    };
    let (small, large) = (cait(288, 6, 224), cait(384, 8, 224));
    check_growable(&small, &large).unwrap();
    let local = ["query", "key", "value", "heads", "ffn"].into_iter();
    let local = local.chain(["class_query", "class_key", "class_value", "class_ffn"]);
    let found = large.layer_local_axes();
    assert!(local.clone().all(|name| found.iter().any(|axis| axis.name() == name)));
    assert_eq!(found.len(), local.count());
    let fault = check_growable(&cait(288, 6, 384), &large).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "position must be the same in both models: the small one has 576, the large one 196"
    );
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    let refused = |config: ModelConfig| config.validate().unwrap_err().to_string();
    let margin = VitConfig {
        patch_size: Sides::Each([2, 4]),
        ..tiny_vit()
    };
    assert_eq!(
        refused(ModelConfig::Vit(margin)),
        "patch_size = [2, 4] does not divide image_size = [4, 6]"
    );
    let heads = CaitConfig {
        num_attention_heads: 4,
        ..tiny_cait()
    };
    assert_eq!(
        refused(ModelConfig::Cait(heads)),
        "num_attention_heads = 4 does not divide hidden_size = 6"
    );
    let none = VitConfig::new(6, 2, 3, 0);
    assert_eq!(
        refused(ModelConfig::Vit(none)),
        "num_labels must be at least 1, found 0"
    );
    let mut two = tiny_cait();
    two.extra
        .insert("id2label".into(), serde_json::json!({"0": "a", "1": "b"}));
    assert_eq!(
        refused(ModelConfig::Cait(two)),
        "num_labels = 3 is not supported; supported: the number of entries of id2label"
    );
}
