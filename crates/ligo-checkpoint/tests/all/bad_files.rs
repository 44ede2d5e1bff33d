//! Handcrafted bad inputs: each is refused with its own error, which names the file and the tensor.

use std::path::Path;

use ligo_checkpoint::{Error, JsonFile, ModelDir, TensorFile, read_json};

use crate::support::raw_file;

/// The error for a file with this content, with its name checked and taken out of the message.
fn refusal(content: Vec<u8>) -> (Error, String) {
    let error = TensorFile::from_bytes("bad.safetensors", content).unwrap_err();
    let message = error.to_string();
    let rest = message
        .strip_prefix("bad.safetensors: ")
        .unwrap_or_else(|| panic!("no file name in: {message}"));
    let rest = rest.to_string();
    (error, rest)
}

macro_rules! refused {
    ($($test:ident: $content:expr => $variant:pat, $message:expr;)*) => {$(
        #[test]
        fn $test() {
            let (error, message) = refusal($content);
            assert!(matches!(error, $variant), "{error:?}");
            assert_eq!(message, $message);
        }
    )*};
}

const A: &str = r#""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;

refused! {
    an_empty_file: Vec::new() => Error::FileTooShort { .. }, "expected at least 8 bytes, found 0";
    a_file_of_seven_bytes: vec![0; 7] => Error::FileTooShort { .. }, "expected at least 8 bytes, found 7";
    a_header_longer_than_the_file: 3u64.to_le_bytes().to_vec()
        => Error::HeaderLength { .. }, "header length is 3 bytes, at most 0 are possible";
    a_header_of_absurd_length: vec![0xff; 16]
        => Error::HeaderLength { .. }, "header length is 18446744073709551615 bytes, at most 8 are possible";
    a_header_that_is_no_json: raw_file("{nope", 0)
        => Error::Header { tensor: None, .. }, "header: key must be a string at line 1 column 2";
    a_header_that_is_a_list: raw_file("[]", 0)
        => Error::Header { .. }, "header: invalid type: sequence, expected an object with one entry per tensor at line 1 column 0";
    a_header_followed_by_more: raw_file("{} {}", 0)
        => Error::Header { .. }, "header: trailing characters at line 1 column 4";
    a_header_nested_without_end: raw_file(&format!("{{\"a\":{}", "[".repeat(100_000)), 0)
        => Error::Header { .. }, "header, tensor `a`: invalid type: sequence, expected a string at line 1 column 6";
    an_entry_without_shape: raw_file(r#"{"a":{"dtype":"F32","data_offsets":[0,4]}}"#, 4)
        => Error::Header { tensor: Some(_), .. }, "header, tensor `a`: missing field `shape` at line 1 column 41";
    an_entry_with_an_unknown_field: raw_file(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}"#, 4)
        => Error::Header { .. }, "header, tensor `a`: unknown field `x`, expected one of `dtype`, `shape`, `data_offsets` at line 1 column 56";
    a_negative_dimension: raw_file(r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4)
        => Error::Header { .. }, "header, tensor `a`: invalid value: integer `-1`, expected usize at line 1 column 31";
    seventeen_dimensions: raw_file(&format!(r#"{{"a":{{"dtype":"F32","shape":[1{}],"data_offsets":[0,4]}}}}"#, ",1".repeat(16)), 4)
        => Error::Header { .. }, "header, tensor `a`: invalid length 17, expected a list of at most 16 dimensions at line 1 column 63";
    metadata_that_is_no_text: raw_file(r#"{"__metadata__":{"format":1}}"#, 0)
        => Error::Header { .. }, "header, tensor `__metadata__`: invalid type: integer `1`, expected a string at line 1 column 27";
    metadata_that_occurs_twice: raw_file(r#"{"__metadata__":{},"__metadata__":{}}"#, 0)
        => Error::Header { .. }, "header, tensor `__metadata__`: occurs twice at line 1 column 33";
    a_name_that_occurs_twice: raw_file(&format!("{{{A},{A}}}"), 4)
        => Error::DuplicateTensor { .. }, "tensor `a` occurs twice";
    an_empty_name: raw_file(r#"{"":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 4)
        => Error::TensorName { .. }, "tensor name `` is empty";
    a_name_with_a_line_break: raw_file(r#"{"a\nb":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 4)
        => Error::TensorName { .. }, "tensor name `a\\nb` contains control characters";
    a_name_of_2000_characters: raw_file(&format!("{{{}}}", A.replace("\"a\"", &format!("\"{}\"", "a".repeat(2000)))), 4)
        => Error::TensorName { .. }, format!("tensor name `{}…` is too long", "a".repeat(80));
    an_unknown_dtype: raw_file(&format!("{{{}}}", A.replace("F32", "F31")), 4)
        => Error::UnknownDtype { .. }, "tensor `a`: unknown dtype `F31`";
    a_shape_that_overflows: raw_file(&format!("{{{}}}", A.replace("[1]", "[4294967296,4294967296]")), 4)
        => Error::ShapeTooLarge { .. }, "tensor `a`: shape [4294967296, 4294967296] is too large";
    offsets_that_do_not_fit_the_shape: raw_file(&format!("{{{}}}", A.replace("[1]", "[2]")), 4)
        => Error::TensorBytes { .. }, "tensor `a`: F32 [2] takes 8 bytes, its offsets span 4";
    offsets_in_reverse: raw_file(&format!("{{{}}}", A.replace("[0,4]", "[4,0]")), 4)
        => Error::Offsets { .. }, "tensor `a`: expected to begin at byte 0, found 4..0";
    a_hole_before_a_tensor: raw_file(&format!("{{{}}}", A.replace("[0,4]", "[4,8]")), 8)
        => Error::Offsets { .. }, "tensor `a`: expected to begin at byte 0, found 4..8";
    tensors_that_overlap: raw_file(&format!("{{{A},{}}}", A.replace("\"a\"", "\"b\"").replace("[0,4]", "[2,6]")), 6)
        => Error::Offsets { .. }, "tensor `b`: expected to begin at byte 4, found 2..6";
    tensors_in_the_same_place: raw_file(&format!("{{{A},{}}}", A.replace("\"a\"", "\"b\"")), 4)
        => Error::Offsets { .. }, "tensor `b`: expected to begin at byte 4, found 0..4";
    data_that_ends_early: raw_file(&format!("{{{A}}}"), 3)
        => Error::OutOfRange { .. }, "tensor `a` ends at byte 4 of the data, the file holds 3";
    bytes_after_the_last_tensor: raw_file(&format!("{{{A}}}"), 5)
        => Error::TrailingBytes { found: 1, .. }, "1 bytes follow the last tensor, expected none";
}

/// The error for a directory with these files, with the directory's name replaced by `DIR`.
fn dir_refusal(files: &[(&str, &[u8])]) -> (Error, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let error = ModelDir::open(folder.path()).unwrap_err();
    let message = error.to_string().replace(&folder.path().display().to_string(), "DIR");
    (error, message)
}

const INDEX: &str = "model.safetensors.index.json";

fn index(weight_map: &str) -> String {
    format!(r#"{{"metadata":{{"total_size":4}},"weight_map":{weight_map}}}"#)
}

macro_rules! dir_refused {
    ($($test:ident: $files:expr => $variant:pat, $message:expr;)*) => {$(
        #[test]
        fn $test() {
            let (error, message) = dir_refusal($files);
            assert!(matches!(error, $variant), "{error:?}");
            assert_eq!(message, $message);
        }
    )*};
}

dir_refused! {
    a_folder_without_weights: &[("config.json", b"{}")]
        => Error::NoWeights { .. }, "DIR: expected model.safetensors or model.safetensors.index.json, found neither";
    a_config_that_is_no_json: &[("config.json", b"{"), ("model.safetensors", &raw_file("{}", 0))]
        => Error::Json { .. }, "DIR/config.json: EOF while parsing an object at line 1 column 1";
    a_config_that_is_a_list: &[("config.json", b"[]"), ("model.safetensors", &raw_file("{}", 0))]
        => Error::Json { .. }, "DIR/config.json: expected a JSON object";
    an_index_without_weight_map: &[(INDEX, b"{}")]
        => Error::Json { .. }, "DIR/model.safetensors.index.json: missing field `weight_map` at line 1 column 2";
    an_index_that_names_a_tensor_twice: &[(INDEX, index(r#"{"a":"s","a":"s"}"#).as_bytes())]
        => Error::DuplicateTensor { .. }, "DIR/model.safetensors.index.json: tensor `a` occurs twice";
    a_shard_in_the_folder_above: &[(INDEX, index(r#"{"a":"../s.safetensors"}"#).as_bytes())]
        => Error::ShardOutside { .. }, "DIR/model.safetensors.index.json: tensor `a`: shard `../s.safetensors` is not a file name inside this folder";
    a_shard_with_an_absolute_path: &[(INDEX, index(r#"{"a":"/etc/passwd"}"#).as_bytes())]
        => Error::ShardOutside { .. }, "DIR/model.safetensors.index.json: tensor `a`: shard `/etc/passwd` is not a file name inside this folder";
    a_shard_with_a_windows_path: &[(INDEX, index(r#"{"a":"C:\\s"}"#).as_bytes())]
        => Error::ShardOutside { .. }, "DIR/model.safetensors.index.json: tensor `a`: shard `C:\\\\s` is not a file name inside this folder";
    a_shard_named_with_a_zero_byte: &[(INDEX, index(r#"{"a":"s\u0000"}"#).as_bytes())]
        => Error::ShardOutside { .. }, "DIR/model.safetensors.index.json: tensor `a`: shard `s\\0` is not a file name inside this folder";
    a_shard_that_does_not_exist: &[(INDEX, index(r#"{"a":"s.safetensors"}"#).as_bytes())]
        => Error::ShardMissing { .. }, "DIR/model.safetensors.index.json: shard `s.safetensors` does not exist; tensor `a` should be in it";
    a_shard_that_is_truncated: &[(INDEX, index(r#"{"a":"s"}"#).as_bytes()), ("s", &raw_file(&format!("{{{A}}}"), 1))]
        => Error::OutOfRange { .. }, "DIR/s: tensor `a` ends at byte 4 of the data, the file holds 1";
    an_old_and_a_new_name_of_the_same_tensor: &[("model.safetensors", &raw_file(&format!("{{{},{}}}",
        A.replace("\"a\"", "\"LayerNorm.gamma\""), A.replace("\"a\"", "\"LayerNorm.weight\"").replace("[0,4]", "[4,8]")), 8))]
        => Error::AliasClash { .. }, "DIR: tensors `LayerNorm.gamma` and `LayerNorm.weight` both map to `LayerNorm.weight`";
}

fn two_tensors() -> Vec<u8> {
    let b = A.replace("\"a\"", "\"b\"").replace("[0,4]", "[4,8]");
    raw_file(&format!("{{{A},{b}}}"), 8)
}

/// The names in a directory with these files.
fn names_of(files: &[(&str, &[u8])]) -> Result<Vec<String>, Error> {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    Ok(ModelDir::open(folder.path())?.names().map(str::to_owned).collect())
}

#[test]
fn what_the_shards_hold_counts_whatever_the_index_says_of_it() {
    let one = raw_file(&format!("{{{A}}}"), 4);
    for (map, shards, expected) in [
        // An entry without a tensor, a tensor without an entry, and an entry that names another shard than the tensor's.
        (r#"{"a":"s","b":"s"}"#, vec![("s", one.clone())], vec!["a"]),
        (r#"{"b":"s"}"#, vec![("s", two_tensors())], vec!["a", "b"]),
        (
            r#"{"b":"s","a":"t"}"#,
            vec![("s", two_tensors()), ("t", raw_file("{}", 0))],
            vec!["a", "b"],
        ),
        // The same tensor twice.
        (
            r#"{"a":"s","b":"t"}"#,
            vec![("s", one.clone()), ("t", two_tensors())],
            vec!["a", "b"],
        ),
    ] {
        let index = index(map);
        let mut files = vec![(INDEX, index.as_bytes())];
        files.extend(shards.iter().map(|(name, content)| (*name, content.as_slice())));
        assert_eq!(names_of(&files).unwrap(), expected, "{map}");
    }
}

#[test]
fn two_shards_that_contradict_each_other_are_refused() {
    let one = raw_file(&format!("{{{A}}}"), 4);
    let mut other = one.clone();
    *other.last_mut().unwrap() ^= 1;
    let index = index(r#"{"a":"s","b":"t"}"#);
    let error = names_of(&[(INDEX, index.as_bytes()), ("s", &one), ("t", &other)]).unwrap_err();
    assert!(
        matches!(&error, Error::Contradiction { tensor, .. } if tensor == "a"),
        "{error}"
    );
    for name in ["`a`", "/s", "/t"] {
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn what_a_failed_download_leaves_is_called_what_it_is() {
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 123456\n",
        "ab".repeat(32)
    );
    let zip = b"PK\x03\x04\x00\x00\x08\x08archive/data.pkl";
    for (content, found, help) in [
        (pointer.as_bytes(), "Git LFS pointer", "git lfs pull"),
        (
            b"<!DOCTYPE html>\n<html><body>Sign in</body></html>",
            "web page",
            "download",
        ),
        (b"\n <HTML>", "web page", "download"),
        (
            b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
            "web page",
            "download",
        ),
        (b"Entry not found", "\"Entry not found\"", "download"),
        (
            b"{\"error\":\"Repository not found\"}",
            "Repository not found",
            "download",
        ),
        (zip, "torch.save", "call it pytorch_model.bin"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9", "before PyTorch 1.6", "python -c"),
        (b"GGUF\x03\x00\x00\x00\x00\x00\x00\x00", "GGUF", "safetensors"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "gzip", "unpack"),
    ] {
        let (error, message) = dir_refusal(&[("model.safetensors", content)]);
        assert!(matches!(error, Error::Disguised { .. }), "{error:?}");
        assert!(
            message.starts_with("DIR/model.safetensors: this is ") && message.contains(found),
            "{message}"
        );
        assert!(message.contains(help) && !message.contains('\n'), "{message}");
    }
    let weights = ("model.safetensors", raw_file("{}", 0));
    for (content, found) in [
        (pointer.as_bytes(), "Git LFS pointer"),
        (b"<html></html>".as_slice(), "web page"),
    ] {
        for file in ["config.json", INDEX] {
            let mut files = vec![(file, content)];
            files.extend((file == "config.json").then_some((weights.0, weights.1.as_slice())));
            let (_, message) = dir_refusal(&files);
            assert!(
                message.contains(&format!("DIR/{file}: this is")) && message.contains(found),
                "{message}"
            );
        }
    }
}

#[test]
fn a_configuration_is_no_huge_file_and_no_device() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model.safetensors"), raw_file("{}", 0)).unwrap();
    let config = folder.path().join("config.json");
    // Sparse: it takes no room.
    std::fs::File::create(&config).unwrap().set_len(96 << 20).unwrap();
    let error = ModelDir::open(folder.path()).unwrap_err();
    assert!(
        matches!(error, Error::FileTooLong { found, .. } if found == 96 << 20),
        "{error}"
    );
    std::fs::remove_file(&config).unwrap();
    std::fs::create_dir(&config).unwrap();
    assert!(matches!(ModelDir::open(folder.path()), Err(Error::NotAFile { .. })));
    if Path::new("/dev/zero").exists() {
        let error = read_json("/dev/zero", JsonFile::Config).unwrap_err();
        assert!(matches!(error, Error::NotAFile { .. }), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn a_named_pipe_is_refused_instead_of_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("config.json");
    let status = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(status.success());
    assert!(matches!(
        read_json(&pipe, JsonFile::Config),
        Err(Error::NotAFile { .. })
    ));
    assert!(matches!(TensorFile::open(&pipe), Err(Error::NotAFile { .. })));
}

#[test]
fn a_parsers_words_reach_nobody_as_an_escape_sequence() {
    let index = index("{\"a\": \"s\"}").replace("weight_map", "weight\u{1b}[31m_map");
    let (_, message) = dir_refusal(&[(INDEX, index.as_bytes())]);
    assert!(!message.chars().any(char::is_control), "{message:?}");
}

#[test]
fn a_python_pickle_is_named_with_the_command_that_converts_it() {
    let (error, message) = dir_refusal(&[("pytorch_model.bin", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")]);
    assert!(matches!(error, Error::PytorchBin { .. }), "{error:?}");
    assert!(
        message.starts_with("DIR/pytorch_model.bin is a Python pickle"),
        "{message}"
    );
    assert!(message.contains("python -c \"import torch;"), "{message}");
}

#[test]
fn paths_that_are_not_there_or_not_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(
        ModelDir::open(folder.path().join("absent")),
        Err(Error::Io { .. })
    ));
    std::fs::create_dir(folder.path().join("model.safetensors")).unwrap();
    assert!(matches!(ModelDir::open(folder.path()), Err(Error::NotAFile { .. })));
    if Path::new("/dev/zero").exists() {
        assert!(matches!(ModelDir::open("/dev/zero"), Err(Error::NotAFile { .. })));
    }
}
