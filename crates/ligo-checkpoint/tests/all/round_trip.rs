//! What is written comes back, also through the reference implementation.

use std::path::Path;

use ligo_checkpoint::{
    AtomicDir, Card, Declared, Disk, Dtype, Error, ModelDir, ModelWriter, TensorSpec, WriteOptions, copy_tokenizer,
    latest_valid, prune, recover_all, state, verify, write_model,
};
use safetensors::SafeTensors;
use serde_json::json;

use crate::support::{self, save_step, tensors};

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// All tensors of a directory as the `safetensors` crate reads them.
fn reference(dir: &Path) -> Vec<(String, Vec<usize>, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "safetensors") {
            let bytes = std::fs::read(path).unwrap();
            let file = SafeTensors::deserialize(&bytes).unwrap();
            all.extend(
                file.iter()
                    .map(|(name, view)| (name.to_string(), view.shape().to_vec(), view.data().to_vec())),
            );
        }
    }
    all.sort();
    all
}

#[test]
fn one_file_and_shards_hold_the_same_tensors_as_the_reference_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let expected: Vec<_> = tensors(7, 50)
        .into_iter()
        .map(|(name, shape, values)| {
            (
                name,
                shape,
                values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>(),
            )
        })
        .collect();
    for (name, max_shard_bytes, files) in [("one", u64::MAX, 1), ("two", 400, 2), ("each", 1, 3)] {
        let target = folder.path().join(name);
        let options = WriteOptions {
            max_shard_bytes,
            ..Default::default()
        };
        write_model(&target, &json!({"model_type": "x"}), tensors(7, 50), &options).unwrap();
        assert_eq!(reference(&target), expected);
        let model = ModelDir::open(&target).unwrap();
        assert_eq!(model.files().len(), files);
        assert_eq!(model.config().unwrap(), &json!({"model_type": "x"}));
        for (name, shape, values) in tensors(7, 50) {
            assert_eq!(model.info(&name).unwrap().shape, shape);
            assert_eq!(bits(&model.read_f32(&name).unwrap()), bits(&values));
        }
        verify(&target).unwrap();
    }
    let index = std::fs::read_to_string(folder.path().join("two/model.safetensors.index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    assert_eq!(index["metadata"]["total_size"], 600);
    assert_eq!(
        index["weight_map"]["layer.2.weight"],
        "model-00002-of-00002.safetensors"
    );
}

#[test]
fn writing_what_was_read_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let options = WriteOptions {
        max_shard_bytes: 400,
        ..Default::default()
    };
    write_model(&first, &json!({"a": 1.5}), tensors(3, 50), &options).unwrap();
    let model = ModelDir::open(&first).unwrap();
    let read = model.names().map(|name| {
        (
            name.to_string(),
            model.info(name).unwrap().shape.clone(),
            model.read_f32(name).unwrap().into(),
        )
    });
    let copy = write_model(&second, model.config().unwrap(), read, &options).unwrap();
    assert_eq!(copy, ligo_checkpoint::Manifest::read(&first).unwrap());
}

#[test]
fn mixed_dtypes_are_stored_aligned_and_pass_through_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let dir = AtomicDir::begin(folder.path().join("mixed")).unwrap();
    let declare = |name: &str, dtype, shape: &[usize]| Declared {
        name: name.into(),
        dtype,
        shape: shape.to_vec(),
    };
    let declared = vec![
        declare("half", Dtype::F16, &[3]),
        declare("brain", Dtype::Bf16, &[1]),
        declare("mask", Dtype::Bool, &[1]),
        declare("single", Dtype::F32, &[2, 1]),
        declare("ids", Dtype::I64, &[1]),
        declare("empty", Dtype::F32, &[0, 4]),
        declare("scalar", Dtype::F64, &[]),
    ];
    let mut writer = ModelWriter::new(&dir, declared, u64::MAX).unwrap();
    writer.write_f32("half", &[1.0, -2.0, 0.333]).unwrap();
    writer.write_f32("brain", &[3.0]).unwrap();
    writer.write_bytes("mask", &[1]).unwrap();
    writer.write_f32("single", &[f32::NAN, f32::NEG_INFINITY]).unwrap();
    writer.write_bytes("ids", &7i64.to_le_bytes()).unwrap();
    writer.write_f32("empty", &[]).unwrap();
    writer.write_bytes("scalar", &0.1f64.to_le_bytes()).unwrap();
    writer.finish().unwrap();
    dir.commit().unwrap();

    let model = ModelDir::open(folder.path().join("mixed")).unwrap();
    assert_eq!(model.read_f32("half").unwrap(), [1.0, -2.0, 0.333_007_8]);
    assert_eq!(model.read_f32("brain").unwrap(), [3.0]);
    assert_eq!(model.read_f32("single").unwrap()[1], f32::NEG_INFINITY);
    assert_eq!(model.read_f32("scalar").unwrap(), [0.1]);
    assert_eq!(model.read_f32("empty").unwrap(), [0.0; 0]);
    assert_eq!(model.read_bytes("ids").unwrap(), 7i64.to_le_bytes());
    assert!(matches!(
        model.read_f32("ids"),
        Err(Error::NotFloat { found: Dtype::I64, .. })
    ));
    for info in model.files()[0].tensors() {
        assert_eq!(info.range.start % info.dtype.bits().div_ceil(8), 0, "{}", info.name);
    }
    assert_eq!(reference(&folder.path().join("mixed")).len(), 7);
}

#[test]
fn a_model_without_tensors_is_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("none");
    write_model(&target, &json!({}), [], &WriteOptions::default()).unwrap();
    assert_eq!(ModelDir::open(&target).unwrap().names().len(), 0);
}

#[test]
fn old_layer_norm_names_and_missing_prefixes_are_aliases() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("old");
    let old = ["embeddings.LayerNorm.gamma", "embeddings.LayerNorm.beta", "gamma"];
    let named = old.map(|name| (name.to_string(), vec![1], vec![1.0].into()));
    write_model(&target, &json!({}), named, &WriteOptions::default()).unwrap();

    let model = ModelDir::open(target.join("model.safetensors")).unwrap();
    assert_eq!(
        model.names().collect::<Vec<_>>(),
        ["embeddings.LayerNorm.bias", "embeddings.LayerNorm.weight", "gamma"]
    );
    assert_eq!(
        model.info("embeddings.LayerNorm.bias").unwrap().name,
        "embeddings.LayerNorm.beta"
    );
    assert!(matches!(model.config(), Err(Error::NoConfig { .. })));
    let model = model.with_aliases(|name| Some(format!("bert.{name}"))).unwrap();
    assert_eq!(model.read_f32("bert.embeddings.LayerNorm.weight").unwrap(), [1.0]);
    assert!(matches!(model.read_f32("gamma"), Err(Error::NoTensor { .. })));
    let clash = model.with_aliases(|_| Some("same".into())).unwrap_err();
    assert!(matches!(clash, Error::AliasClash { tensor, .. } if tensor == "same"));
}

#[test]
fn everything_that_does_not_fit_the_table_is_reported_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    write_model(&target, &json!({}), tensors(1, 4), &WriteOptions::default()).unwrap();
    let model = ModelDir::open(&target).unwrap();
    let fits = [
        TensorSpec::new("layer.0.weight", [4]),
        TensorSpec::new("tied", [9]).optional(),
    ];
    let report = model.check(&fits).unwrap();
    assert_eq!((report.absent, report.extra.len()), (vec!["tied".to_string()], 2));
    assert!(matches!(model.check_exact(&fits), Err(Error::Mismatch { .. })));

    let table = [
        TensorSpec::new("layer.0.weight", [2, 2]),
        TensorSpec::new("layer.1.weight", [4]),
        TensorSpec::new("head.weight", [4, 3]),
        TensorSpec::new("head.bias", [3]),
    ];
    let message = model.check(&table).unwrap_err().to_string();
    let expected = "does not fit its architecture: 2 missing, 1 misshapen, 0 of a wrong dtype, 1 extra
  missing   head.weight [4, 3]
  missing   head.bias [3]
  misshapen layer.0.weight: expected [2, 2], found [4]
  extra     layer.2.weight";
    assert!(message.ends_with(expected), "{message}");
}

#[test]
fn the_writer_refuses_what_was_not_declared() {
    let folder = tempfile::tempdir().unwrap();
    let dir = AtomicDir::begin(folder.path().join("model")).unwrap();
    let declare = |name: &str, dtype| Declared {
        name: name.into(),
        dtype,
        shape: vec![2],
    };
    let twice = vec![declare("a", Dtype::F32), declare("a", Dtype::F32)];
    assert!(matches!(
        ModelWriter::new(&dir, twice, 1),
        Err(Error::DuplicateTensor { .. })
    ));
    for name in ["", "a\nb", "__metadata__"] {
        let result = ModelWriter::new(&dir, vec![declare(name, Dtype::F32)], 1);
        assert!(matches!(result, Err(Error::TensorName { .. })), "{name:?}");
    }
    let declared = vec![declare("a", Dtype::F16), declare("b", Dtype::I64)];
    let mut writer = ModelWriter::new(&dir, declared, u64::MAX).unwrap();
    assert!(
        matches!(writer.write_f32("b", &[0.0; 2]), Err(Error::WriteOrder { expected: Some(name), .. }) if name == "a")
    );
    assert!(matches!(
        writer.write_f32("a", &[0.0; 3]),
        Err(Error::PayloadLength {
            expected: 2,
            found: 3,
            ..
        })
    ));
    assert!(matches!(
        writer.write_f32("a", &[0.0, 1e6]),
        Err(Error::Overflow { element: 1, .. })
    ));
    writer.write_f32("a", &[0.0; 2]).unwrap();
    assert!(matches!(
        writer.write_f32("b", &[0.0; 2]),
        Err(Error::NotWritable { found: Dtype::I64, .. })
    ));
    assert!(matches!(writer.finish(), Err(Error::Unfinished { missing: 1, first, .. }) if first == "b"));
    drop(dir);
    assert_eq!(support::hidden(folder.path()), Vec::<String>::new());
}

#[test]
fn a_model_that_does_not_fit_on_the_disk_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let dir = AtomicDir::begin(folder.path().join("model")).unwrap();
    let huge = Declared {
        name: "huge".into(),
        dtype: Dtype::F32,
        shape: vec![1 << 30, 1 << 28],
    };
    let error = ModelWriter::new(&dir, vec![huge], u64::MAX).unwrap_err();
    assert!(
        matches!(error, Error::NoSpace { needed, .. } if needed > 1 << 60),
        "{error}"
    );
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_state_keeps_the_bits_of_tensors_and_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let dir = AtomicDir::begin(folder.path().join("step-1")).unwrap();
    let patterns = [0u32, 0x8000_0000, 1, 0x7fc1_2345, 0x7f80_0001, 0xff80_0000, 0x3eaa_aaab];
    let values: Vec<f32> = patterns.iter().map(|&bits| f32::from_bits(bits)).collect();
    let floats: Vec<f64> = (1..2000u64)
        .map(|i| 1.0 / i as f64 * 10f64.powi((i % 600) as i32 - 300))
        .collect();
    let json =
        json!({"step": u64::MAX, "negative": i64::MIN, "zero": -0.0, "floats": floats, "text": "\u{0}ü", "none": null});
    state::write(&dir, "state.safetensors", &json, [("m".into(), vec![7], values.into())]).unwrap();
    dir.commit().unwrap();
    let read = state::read(folder.path().join("step-1/state.safetensors")).unwrap();
    assert_eq!(read.json.to_string(), json.to_string());
    assert_eq!(read.json, json);
    assert_eq!(bits(&read.tensors["m"].values), patterns);

    let dir = AtomicDir::begin(folder.path().join("step-2")).unwrap();
    let refused = state::write(&dir, "state.safetensors", &json!([{"$f64": 1}]), []);
    assert!(matches!(refused, Err(Error::Json { .. })));
    let model = folder.path().join("model");
    write_model(&model, &json!({}), [], &WriteOptions::default()).unwrap();
    assert!(matches!(
        state::read(model.join("model.safetensors")),
        Err(Error::Json { .. })
    ));
}

#[test]
fn tokenizer_files_and_the_card_go_with_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    std::fs::create_dir(&from).unwrap();
    std::fs::write(from.join("vocab.txt"), "[PAD]\n").unwrap();
    std::fs::write(from.join("tokenizer.json"), "{}").unwrap();
    std::fs::write(from.join("secret.txt"), "stays").unwrap();
    let card = Card {
        title: "grown".into(),
        method: Some("LiGO".into()),
        ..Default::default()
    };
    let options = WriteOptions {
        tokenizer_from: Some(from.clone()),
        card: Some(card),
        ..Default::default()
    };
    let manifest = write_model(&to, &json!({}), tensors(1, 2), &options).unwrap();
    let files: Vec<_> = manifest.files().keys().map(String::as_str).collect();
    assert_eq!(
        files,
        ["config.json", "model.safetensors", "tokenizer.json", "vocab.txt"]
    );
    assert_eq!(std::fs::read(to.join("vocab.txt")).unwrap(), b"[PAD]\n");
    let dir = AtomicDir::begin(folder.path().join("again")).unwrap();
    assert_eq!(copy_tokenizer(&to, &dir).unwrap(), ["tokenizer.json", "vocab.txt"]);
}

#[test]
fn files_in_subfolders_belong_to_the_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("run");
    let dir = AtomicDir::begin(&target).unwrap();
    std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
    std::fs::write(dir.path().join("a/b/deep.txt"), "deep").unwrap();
    dir.write("top.txt", b"top").unwrap();
    for name in ["", "..", "a/b", "manifest.json"] {
        assert!(matches!(dir.write(name, b""), Err(Error::FileName { .. })), "{name:?}");
    }
    dir.commit().unwrap();
    verify(&target).unwrap();
    std::fs::write(target.join("a/b/deep.txt"), "dee!").unwrap();
    assert!(matches!(verify(&target), Err(Error::FileHash { path, .. }) if path.ends_with("a/b/deep.txt")));
}

#[test]
fn a_folder_that_somebody_else_made_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("mine");
    std::fs::create_dir(&target).unwrap();
    AtomicDir::begin(&target).unwrap().commit().unwrap();
    std::fs::remove_file(target.join("manifest.json")).unwrap();
    std::fs::write(target.join("thesis.txt"), "years of work").unwrap();
    assert!(matches!(AtomicDir::begin(&target), Err(Error::NotOurs { .. })));
    assert!(matches!(
        AtomicDir::begin(target.join("thesis.txt")),
        Err(Error::NotOurs { .. })
    ));
    assert!(matches!(AtomicDir::begin(".."), Err(Error::FileName { .. })));
    assert_eq!(std::fs::read(target.join("thesis.txt")).unwrap(), b"years of work");
}

#[test]
fn pruning_keeps_the_newest_checkpoints() {
    let run = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    for step in [5, 10, 100, 20] {
        save_step(&disk, run.path(), step, 4).unwrap();
    }
    std::fs::create_dir(run.path().join("step-final")).unwrap();
    let removed = prune(&disk, run.path(), "step-", 2).unwrap();
    assert_eq!(removed.iter().map(|step| step.number).collect::<Vec<_>>(), [10, 5]);
    assert_eq!(latest_valid(run.path(), "step-").unwrap().step.unwrap().number, 100);
    assert!(prune(&disk, run.path(), "step-", 0).unwrap().len() == 1);
    assert!(latest_valid(run.path().join("absent"), "step-").unwrap().step.is_none());
    assert!(recover_all(run.path().join("absent")).unwrap().is_empty());
}

#[test]
fn a_configuration_that_names_a_dtype_names_the_one_that_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    let read = || ModelDir::open(&target).unwrap().config().unwrap().clone();
    for (dtype, name) in [
        (Dtype::Bf16, "bfloat16"),
        (Dtype::F16, "float16"),
        (Dtype::F32, "float32"),
    ] {
        let options = WriteOptions {
            dtype,
            ..Default::default()
        };
        for key in ["dtype", "torch_dtype"] {
            let config = json!({"model_type": "x", key: "auto", "other": {key: "auto"}});
            write_model(&target, &config, tensors(7, 50), &options).unwrap();
            assert_eq!(read(), json!({"model_type": "x", key: name, "other": {key: "auto"}}));
        }
        for config in [json!({"model_type": "x"}), json!({"dtype": null})] {
            write_model(&target, &config, tensors(7, 50), &options).unwrap();
            assert_eq!(read(), config);
        }
    }
}
