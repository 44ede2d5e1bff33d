//! Files of PyTorch: what torch itself wrote, what is made here to deceive, and thousands that are damaged.

use std::fs;
use std::path::{Path, PathBuf};

use ligo_checkpoint::{Dtype, Error, ModelDir, TensorFile};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::torch::{archive, dict, tensor, text};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/torch")
        .join(name)
}

fn file(pickle: &[u8], storages: &[(&str, &[u8])]) -> Result<TensorFile, Error> {
    let named: Vec<String> = storages.iter().map(|(key, _)| format!("m/data/{key}")).collect();
    let mut entries: Vec<(&str, &[u8])> = vec![("m/data.pkl", pickle)];
    entries.extend(
        named
            .iter()
            .zip(storages)
            .map(|(name, (_, content))| (name.as_str(), *content)),
    );
    TensorFile::from_bytes("m.bin", archive(&entries))
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn tensors_are_those_that_torch_saved() {
    for (name, prefix) in [("plain.bin", ""), ("nested.bin", "module.")] {
        let file = TensorFile::open(fixture(name)).unwrap();
        let read = |name: &str| file.read_f32(&format!("{prefix}{name}")).unwrap();
        let whole: Vec<f32> = (0..12u8).map(f32::from).collect();
        assert_eq!(read("whole"), whole);
        assert_eq!(read("transposed"), [0., 4., 8., 1., 5., 9., 2., 6., 10., 3., 7., 11.]);
        assert_eq!(read("rows"), whole[4..]);
        assert_eq!(read("columns"), [1., 2., 5., 6., 9., 10.]);
        assert_eq!(read("parameter"), [0.5, -0.25]);
        assert_eq!((read("half"), read("brain")), (vec![1., -2., 0.5], vec![1., -2., 0.5]));
        assert_eq!(
            (read("double"), read("scalar"), read("empty")),
            (vec![0.1], vec![7.], vec![])
        );
        let info = |name: &str| file.info(&format!("{prefix}{name}")).unwrap();
        assert_eq!(info("transposed").shape, [4, 3]);
        assert_eq!(info("scalar").shape, [0usize; 0]);
        assert_eq!(info("numbers").dtype, Dtype::I64);
        assert_eq!(file.tensors().len(), 12);
    }
    let linear = TensorFile::open(fixture("linear.bin")).unwrap();
    assert_eq!(linear.info("weight").unwrap().shape, [2, 3]);
}

#[test]
fn what_is_no_dictionary_of_tensors_is_refused_by_name() {
    let legacy = TensorFile::open(fixture("legacy.bin")).unwrap_err();
    assert!(matches!(legacy, Error::PytorchBin { .. }), "{legacy}");
    assert!(legacy.to_string().contains("before 1.6"), "{legacy}");
    let module = TensorFile::open(fixture("module.bin")).unwrap_err();
    assert!(
        module.to_string().contains("`torch.nn.modules.linear.Linear`"),
        "{module}"
    );
    let evil = dict(&[("a", b"cposix\nsystem\n(X\x04\0\0\0touctR".to_vec())]);
    let evil = file(&evil, &[]).unwrap_err();
    assert!(
        matches!(&evil, Error::PickleGlobal { global, .. } if global == "posix.system"),
        "{evil}"
    );
    let stacked = dict(&[("a", [text("builtins"), text("eval"), b"\x93".to_vec()].concat())]);
    let stacked = file(&stacked, &[]).unwrap_err();
    assert!(
        matches!(&stacked, Error::PickleGlobal { global, .. } if global == "builtins.eval"),
        "{stacked}"
    );
}

#[test]
fn views_that_reach_out_of_their_storage_are_refused() {
    let bytes = floats(&[1.0, 2.0, 3.0, 4.0]);
    let open = |stored: i64, parts: [&[i64]; 3]| {
        let pickle = dict(&[("a", tensor("Float", "0", stored, parts))]);
        file(&pickle, &[("0", &bytes)])
    };
    let good = open(4, [&[1], &[3], &[1]]).unwrap();
    assert_eq!(good.read_f32("a").unwrap(), [2.0, 3.0, 4.0]);
    let bad: [(i64, [&[i64]; 3]); 9] = [
        (4, [&[2], &[3], &[1]]),
        (4, [&[-1], &[3], &[1]]),
        (4, [&[0], &[5], &[1]]),
        (4, [&[0], &[1 << 40], &[0]]),
        (4, [&[0], &[i64::MAX, i64::MAX], &[1, 1]]),
        (4, [&[0], &[2, 2], &[i64::MAX, 1]]),
        (4, [&[0], &[2], &[1, 1]]),
        (5, [&[0], &[2], &[1]]),
        (i64::MAX, [&[0], &[2], &[1]]),
    ];
    for (stored, parts) in bad {
        let error = open(stored, parts).unwrap_err();
        assert!(matches!(error, Error::Pickle { .. }), "{error}");
        assert!(error.to_string().starts_with("m.bin: "), "{error}");
    }
    let missing = file(&dict(&[("a", tensor("Float", "7", 1, [&[0], &[1], &[1]]))]), &[]).unwrap_err();
    assert!(missing.to_string().contains("data/7"), "{missing}");
}

#[test]
fn storages_are_shared_and_folders_and_shards_are_read() {
    let bytes = floats(&[1.0, 2.0]);
    let shared = || tensor("Float", "0", 2, [&[0], &[2], &[1]]);
    let shard = |names: &[&str]| {
        let entries: Vec<_> = names.iter().map(|name| (*name, shared())).collect();
        let pickle = dict(&entries);
        archive(&[("archive/data.pkl", &pickle), ("archive/data/0", &bytes)])
    };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), "{}").unwrap();
    fs::write(
        folder.path().join("pytorch_model.bin"),
        shard(&["module.a", "module.b"]),
    )
    .unwrap();
    let dir = ModelDir::open(folder.path()).unwrap();
    assert_eq!(dir.stripped(), "module.");
    assert_eq!(dir.read_f32("a").unwrap(), dir.read_f32("b").unwrap());
    fs::remove_file(folder.path().join("pytorch_model.bin")).unwrap();
    let index = r#"{"weight_map": {"a": "pytorch_model-1.bin", "b": "pytorch_model-2.bin"}}"#;
    fs::write(folder.path().join("pytorch_model.bin.index.json"), index).unwrap();
    fs::write(folder.path().join("pytorch_model-1.bin"), shard(&["a"])).unwrap();
    fs::write(folder.path().join("pytorch_model-2.bin.incomplete"), "").unwrap();
    let error = ModelDir::open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::ShardMissing { .. }), "{error}");
    assert!(
        error.to_string().contains("pytorch_model-2.bin.incomplete` is there"),
        "{error}"
    );
    fs::write(folder.path().join("pytorch_model-2.bin"), shard(&["b"])).unwrap();
    assert_eq!(
        ModelDir::open(folder.path()).unwrap().names().collect::<Vec<_>>(),
        ["a", "b"]
    );
    // Safetensors are preferred.
    let dir = ligo_checkpoint::AtomicDir::begin(folder.path().join("new")).unwrap();
    let declared = vec![ligo_checkpoint::Declared {
        name: "c".into(),
        dtype: Dtype::F32,
        shape: vec![2],
    }];
    let mut writer = ligo_checkpoint::ModelWriter::new(&dir, declared, u64::MAX).unwrap();
    writer.write_f32("c", &[5.0, 6.0]).unwrap();
    writer.finish().unwrap();
    dir.commit().unwrap();
    fs::rename(
        folder.path().join("new/model.safetensors"),
        folder.path().join("model.safetensors"),
    )
    .unwrap();
    assert_eq!(
        ModelDir::open(folder.path()).unwrap().names().collect::<Vec<_>>(),
        ["c"]
    );
}

#[test]
fn names_that_cannot_be_told_apart_or_printed_are_refused() {
    let bytes = floats(&[1.0]);
    let one = || tensor("Float", "0", 1, [&[0], &[1], &[1]]);
    let twice = file(&dict(&[("a", one()), ("a", one())]), &[("0", &bytes)]).unwrap_err();
    assert!(matches!(twice, Error::DuplicateTensor { .. }), "{twice}");
    let control = file(&dict(&[("a\u{1b}[31m", one())]), &[("0", &bytes)]).unwrap_err();
    assert!(matches!(control, Error::TensorName { .. }), "{control}");
    assert!(!control.to_string().contains('\u{1b}'));
}

#[test]
fn pickles_that_nest_without_end_take_neither_stack_nor_memory() {
    let deep = [b"\x80\x02)".to_vec(), vec![0x85; 2_000_000], b".".to_vec()].concat();
    assert!(matches!(file(&deep, &[]), Err(Error::Pickle { .. })));
    // A tuple of two of itself, again and again.
    let doubled = [b"\x80\x02)".to_vec(), b"2\x86".repeat(1_000_000), b".".to_vec()].concat();
    assert!(matches!(file(&doubled, &[]), Err(Error::Pickle { .. })));
    let marks = [vec![b'('; 1_000_000], b".".to_vec()].concat();
    assert!(matches!(file(&marks, &[]), Err(Error::Pickle { .. })));
    // A list in itself.
    assert!(matches!(file(b"\x80\x02]2a.", &[]), Err(Error::Pickle { .. })));
}

#[test]
fn damaged_files_are_read_or_refused_by_name() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let good: Vec<Vec<u8>> = ["plain.bin", "nested.bin", "linear.bin", "module.bin"]
        .map(|name| fs::read(fixture(name)).unwrap())
        .into();
    let mut refused = 0;
    for round in 0..6000 {
        let mut bytes = good[round % good.len()].clone();
        match round % 3 {
            0 => bytes.truncate(random.random_range(0..bytes.len())),
            _ => {
                // Most of the file is padding and numbers; the pickle and the directory are at its ends.
                for _ in 0..random.random_range(1..6) {
                    let at = match random.random_range(0..3) {
                        0 => random.random_range(0..bytes.len().min(1500)),
                        1 => bytes.len() - 1 - random.random_range(0..bytes.len().min(1200)),
                        _ => random.random_range(0..bytes.len()),
                    };
                    bytes[at] = random.random();
                }
            }
        }
        match TensorFile::from_bytes("damaged.bin", bytes) {
            Ok(file) => {
                for info in file.tensors() {
                    let read = file.read_bytes(&info.name).unwrap();
                    let count: usize = info.shape.iter().product();
                    assert_eq!(read.len(), count * info.dtype.bits() / 8);
                }
            }
            Err(error) => {
                refused += 1;
                let message = error.to_string();
                assert!(message.contains("damaged.bin"), "{message}");
                assert!(!message.chars().any(char::is_control), "{message:?}");
            }
        }
    }
    assert!(refused > 2000, "{refused}");
}
