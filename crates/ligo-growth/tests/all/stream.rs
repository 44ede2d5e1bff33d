//! From directory to directory: what is kept, what is refused, and what an interrupted call leaves to the next one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::tensor::Device;
use ligo_arch::{Gpt2Config, ModelConfig, Param};
use ligo_checkpoint::{AtomicDir, Declared, Dtype, ModelDir, ModelWriter};
use ligo_growth::stream::{GrowOptions, Grown, grow_directory};
use ligo_growth::{Error, OperatorSpec, files};
use serde_json::json;

fn gpt2(width: usize, layers: usize) -> ModelConfig {
    let mut config = Gpt2Config::new(40, width, layers, width / 8);
    config.n_positions = 32;
    ModelConfig::Gpt2(config)
}

/// A small model with one tensor in another dtype, one beyond the table, and a mask.
fn small(path: &Path, weight: f32) -> ModelConfig {
    let config = gpt2(16, 1);
    let table = config.table();
    let values = ligo_growth::init::initial_values(&table, 0.05, 3).map(|(name, _, values)| (name, values));
    let mut values: std::collections::HashMap<String, Vec<f32>> = values.collect();
    values.get_mut("transformer.ln_f.weight").unwrap()[1] = weight;
    let params: Vec<Param<'_>> = table.params().collect();
    let mut tensors = files::to_files(&table, &params, &values).unwrap();
    tensors.push(("score.weight".into(), vec![2, 16], vec![0.5; 32].into()));
    tensors.push((
        "transformer.h.0.attn.masked_bias".into(),
        vec![1],
        vec![f32::NEG_INFINITY].into(),
    ));
    let dir = AtomicDir::begin(path).unwrap();
    let declared = tensors.iter().map(|(name, shape, _)| Declared {
        name: name.clone(),
        dtype: if name.contains("wpe") { Dtype::Bf16 } else { Dtype::F32 },
        shape: shape.clone(),
    });
    let mut writer = ModelWriter::new(&dir, declared.collect(), u64::MAX).unwrap();
    for (name, _, values) in &tensors {
        writer.write_f32(name, values).unwrap();
    }
    writer.write_config(&config.to_json()).unwrap();
    writer.finish().unwrap();
    dir.write("generation_config.json", b"{}").unwrap();
    dir.commit().unwrap();
    config
}

fn options() -> GrowOptions {
    GrowOptions {
        identity: Some(json!("stackbert")),
        max_shard_bytes: Some(4000),
        keep_existing: true,
        ..GrowOptions::default()
    }
}

/// Grows `small` into `target`, stopping before a tensor where asked to.
fn grow(
    folder: &Path,
    large: &ModelConfig,
    target: &str,
    options: &GrowOptions,
    stop: Option<usize>,
) -> Result<Grown, Error> {
    let config = gpt2(16, 1);
    let map = OperatorSpec::Stackbert.build(&config.table(), &large.table(), &Device::flex(), 0.02, 1)?;
    let dir = ModelDir::open(folder.join("small"))?;
    let mut source = files::with_params(dir, &config.table());
    let target = folder.join(target);
    let mut progress = |done: usize, _: usize| stop.is_none_or(|stop| done < stop);
    let device = Device::flex();
    grow_directory(
        &map,
        &mut source,
        &config,
        large,
        &target,
        options,
        &device,
        &mut progress,
    )
}

fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    entries.map(|path| (named(&path), fs::read(&path).unwrap())).collect()
}

#[test]
fn stopped_before_any_tensor_it_goes_on_and_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    small(&folder.path().join("small"), 1.0);
    let large = gpt2(16, 3);
    let whole = grow(folder.path(), &large, "whole", &options(), None).unwrap();
    assert_eq!((whole.resumed, whole.was_there), (0, false));
    let expected = content(&folder.path().join("whole"));
    let shards = expected.keys().filter(|name| name.ends_with(".safetensors")).count();
    assert!(shards > 8, "{shards}");
    let mut resumed = 0;
    for stop in (1..=40).step_by(2) {
        let target = format!("stopped-{stop}");
        let first = grow(folder.path(), &large, &target, &options(), Some(stop));
        if first.is_ok() {
            break;
        }
        assert!(matches!(first, Err(Error::Interrupted)));
        assert!(!folder.path().join(&target).exists());
        let second = grow(folder.path(), &large, &target, &options(), None).unwrap();
        resumed += second.resumed;
        assert_eq!(content(&folder.path().join(&target)), expected, "stopped at {stop}");
    }
    assert!(resumed > shards / 2, "{resumed}");
    let hidden = content_names(folder.path());
    assert!(hidden.is_empty(), "{hidden:?}");
}

fn content_names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    names.filter(|name| name.starts_with('.')).collect()
}

#[test]
fn a_model_stays_unless_it_was_grown_from_the_same() {
    let folder = tempfile::tempdir().unwrap();
    small(&folder.path().join("small"), 1.0);
    let large = gpt2(16, 2);
    grow(folder.path(), &large, "grown", &options(), None).unwrap();
    let before = content(&folder.path().join("grown"));
    assert!(
        grow(folder.path(), &large, "grown", &options(), None)
            .unwrap()
            .was_there
    );
    // The small model's content counts, and not its name.
    small(&folder.path().join("small"), 2.0);
    let refused = grow(folder.path(), &large, "grown", &options(), None);
    assert!(matches!(refused, Err(Error::Exists { .. })), "{refused:?}");
    assert_eq!(content(&folder.path().join("grown")), before);
    let replacing = GrowOptions {
        keep_existing: false,
        ..options()
    };
    assert!(
        !grow(folder.path(), &large, "grown", &replacing, None)
            .unwrap()
            .was_there
    );
    assert_ne!(content(&folder.path().join("grown")), before);
}

#[test]
fn dtypes_side_files_and_tensors_beyond_the_table_are_kept_or_named() {
    let folder = tempfile::tempdir().unwrap();
    small(&folder.path().join("small"), 1.0);
    let grown = grow(folder.path(), &gpt2(16, 2), "deeper", &options(), None).unwrap();
    assert_eq!(
        (grown.carried, grown.left_out),
        (vec!["score.weight".to_owned()], Vec::new())
    );
    assert_eq!(grown.side_files.copied, ["generation_config.json"]);
    let deeper = ModelDir::open(folder.path().join("deeper")).unwrap();
    assert_eq!(deeper.read_f32("score.weight").unwrap(), [0.5; 32]);
    for name in deeper.names() {
        let expected = if name.contains("wpe") { Dtype::Bf16 } else { Dtype::F32 };
        assert_eq!(deeper.info(name).unwrap().dtype, expected, "{name}");
        assert!(!name.ends_with("masked_bias"), "{name}");
    }
    let grown = grow(folder.path(), &gpt2(24, 1), "wider", &options(), None).unwrap();
    assert_eq!(
        (grown.carried, grown.left_out),
        (Vec::new(), vec!["score.weight".to_owned()])
    );
    let wider = ModelDir::open(folder.path().join("wider")).unwrap();
    assert_eq!(wider.config().unwrap()["architectures"], json!(["GPT2LMHeadModel"]));
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_name_and_masks_may_be() {
    for bad in [f32::NAN, f32::INFINITY] {
        let folder = tempfile::tempdir().unwrap();
        small(&folder.path().join("small"), bad);
        let large = gpt2(16, 2);
        let error = grow(folder.path(), &large, "grown", &options(), None).unwrap_err();
        let named = "`transformer.ln_f.weight` (1 of its values)";
        assert!(error.to_string().contains(named), "{error}");
        assert!(!folder.path().join("grown").exists());
        let allowed = GrowOptions {
            allow_not_finite: true,
            ..options()
        };
        grow(folder.path(), &large, "grown", &allowed, None).unwrap();
    }
}
