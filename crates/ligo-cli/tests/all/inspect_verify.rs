//! `ligo inspect` and `ligo verify` as a user starts them, on models that `transformers` wrote.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::{self, LIGO, complaint, said};

fn fixture(name: &str) -> PathBuf {
    common::fixture("bert").join(name)
}

fn fixtures() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(fixture(""))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = entries.filter(|path| path.join("config.json").is_file()).collect();
    folders.sort();
    assert!(folders.len() >= 8, "only {} fixtures", folders.len());
    folders
}

fn ligo(arguments: &[&str]) -> Output {
    Command::new(LIGO)
        .args(arguments)
        // No Python of this name: what this machine has must not decide about the tests.
        .env("LIGO_PYTHON", "no-python-here")
        .output()
        .unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What the program prints when all is well.
fn shown(arguments: &[&str]) -> String {
    let output = ligo(arguments);
    assert!(output.status.success(), "{arguments:?}:\n{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The complaint, on one line however narrow the terminal is.
fn refused(arguments: &[&str]) -> String {
    complaint(&ligo(arguments))
}

#[test]
fn every_fixture_computes_what_transformers_computed() {
    for folder in fixtures() {
        let reference = folder.join("reference.safetensors");
        let report = shown(&[
            "verify",
            text(&folder),
            "--against",
            text(&reference),
            "--tolerance",
            "1e-5",
            "--device",
            "cpu",
        ]);
        assert!(report.contains("agrees: largest logit difference"), "{report}");
    }
}

#[test]
fn two_runs_agree_to_the_last_bit() {
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("dump.safetensors");
    let model = fixture("token_types");
    let first = shown(&["verify", text(&model), "--dump", text(&dump), "--device", "cpu"]);
    let second = shown(&[
        "verify",
        text(&model),
        "--against",
        text(&dump),
        "--tolerance",
        "0",
        "--device",
        "cpu",
    ]);
    let digest = |report: &str| {
        report
            .lines()
            .find(|line| line.starts_with("logits:"))
            .unwrap()
            .to_owned()
    };
    assert_eq!(digest(&first), digest(&second));

    let bytes = std::fs::read(&dump).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for name in ["input_ids", "attention_mask", "token_type_ids"] {
        assert_eq!(file.tensor(name).unwrap().dtype(), safetensors::Dtype::I64, "{name}");
    }
    for name in ["logits", "hidden.0", "hidden.1"] {
        assert_eq!(file.tensor(name).unwrap().dtype(), safetensors::Dtype::F32, "{name}");
    }
    // Nothing half-written is left beside it.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_model_with_other_weights_differs_layer_by_layer() {
    let model = copy_of("tied_4_heads");
    let file = model.path().join("model.safetensors");
    let mut bytes = std::fs::read(&file).unwrap();
    // A high bit of the last weights, which belong to the head or to a late layer.
    let end = bytes.len();
    for byte in bytes[end - 64..].iter_mut().skip(2).step_by(4) {
        *byte ^= 0x40;
    }
    std::fs::write(&file, bytes).unwrap();
    let reference = fixture("tied_4_heads/reference.safetensors");
    let arguments = [
        "verify",
        text(model.path()),
        "--against",
        text(&reference),
        "--device",
        "cpu",
    ];
    let message = refused(&arguments);
    assert!(message.contains("the logits differ"), "{message}");
    let report = String::from_utf8(ligo(&arguments).stdout).unwrap();
    assert!(report.contains("DIFFERS"), "{report}");
}

#[test]
fn without_transformers_verify_says_so_and_succeeds() {
    let report = shown(&["verify", text(&fixture("tied_4_heads")), "--device", "cpu"]);
    assert!(
        report.contains("not compared with transformers: no-python-here") && report.contains("; --python PATH"),
        "{report}"
    );
    let message = refused(&[
        "verify",
        text(&fixture("tied_4_heads")),
        "--python",
        "no-python-there",
        "--device",
        "cpu",
    ]);
    assert!(message.contains("no-python-there cannot compare"), "{message}");
}

#[test]
fn inspect_prints_every_fixture() {
    for folder in fixtures() {
        let report = shown(&["inspect", text(&folder), "--tensors"]);
        for part in [
            "BERT, ",
            "bert.encoder.layer.0.attention.self.query.weight",
            "every tensor of the architecture is there",
        ] {
            assert!(report.contains(part), "{}: {part}:\n{report}", folder.display());
        }
    }
}

#[test]
fn a_truncated_file_is_refused_by_name() {
    let model = copy_of("untied_3_heads");
    let file = model.path().join("model.safetensors");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    for command in ["inspect", "verify"] {
        let message = refused(&[command, text(model.path())]);
        assert!(
            message.contains("model.safetensors") && message.contains("ends at byte"),
            "{command}: {message}"
        );
    }
}

#[test]
fn what_is_not_there_is_said() {
    let message = refused(&["inspect", "no-such-model"]);
    assert!(message.contains("no-such-model does not exist"), "{message}");
}

#[test]
fn help_shows_an_example() {
    for command in ["inspect", "verify"] {
        let help = shown(&[command, "--help"]);
        assert!(
            help.contains("Examples:") && help.contains(&format!("ligo {command} ")),
            "{help}"
        );
    }
}

#[test]
fn a_probe_of_a_device_that_is_not_built_in_fails() {
    let output = ligo(&["__probe-gpu", "no-such-api:discrete:0"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("no device"), "{}", said(&output));
}

/// A model in a folder of its own, without its reference.
fn copy_of(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(fixture(name).join(file), folder.path().join(file)).unwrap();
    }
    folder
}

#[test]
fn a_dump_replaces_a_dump_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    std::fs::create_dir(&model).unwrap();
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(fixture("tied_4_heads").join(name), model.join(name)).unwrap();
    }
    let weights = model.join("model.safetensors");
    let before = std::fs::read(&weights).unwrap();
    let verify = |dump: &Path| ligo(&["verify", text(&model), "--device", "cpu", "--dump", text(dump)]);
    let refused = verify(&weights);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("no dump"), "{}", said(&refused));
    assert!(std::fs::read(&weights).unwrap() == before, "what was read was replaced");
    let dump = folder.path().join("dump.safetensors");
    for _ in 0..2 {
        let written = verify(&dump);
        assert!(written.status.success(), "{}", said(&written));
    }
}
