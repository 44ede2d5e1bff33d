//! Damaged checkpoint directories: each damage is recognized, and the checkpoint before it is used.

use std::fs;
use std::path::Path;

use ligo_checkpoint::{Disk, Error, latest_valid, state};

use crate::support::save_step;

/// Saves steps 10, 20 and 30, damages 30, and expects 20 with the reason why not 30.
fn falls_back(damage: impl Fn(&Path), expected: impl Fn(&Error) -> bool) {
    let run = tempfile::tempdir().unwrap();
    for step in [10, 20, 30] {
        save_step(&Disk::default(), run.path(), step, 100).unwrap();
    }
    damage(&run.path().join("step-30"));
    let latest = latest_valid(run.path(), "step-").unwrap();
    assert_eq!(latest.step.as_ref().unwrap().number, 20);
    assert_eq!(latest.rejected.len(), 1);
    let rejected = &latest.rejected[0];
    assert_eq!(rejected.step.number, 30);
    assert!(expected(&rejected.error), "{:?}", rejected.error);
    assert!(rejected.error.to_string().contains("step-30"), "{}", rejected.error);
    state::read(latest.step.unwrap().path.join("state.safetensors")).unwrap();
}

fn edit_manifest(dir: &Path, edit: impl Fn(&str) -> String) {
    let path = dir.join("manifest.json");
    fs::write(&path, edit(&fs::read_to_string(&path).unwrap())).unwrap();
}

fn flip(path: &Path, bit: usize) {
    let mut content = fs::read(path).unwrap();
    content[bit / 8] ^= 1 << (bit % 8);
    fs::write(path, content).unwrap();
}

const FILES: [&str; 2] = ["state.safetensors", "note.txt"];

#[test]
fn a_missing_file_is_named() {
    for file in FILES {
        falls_back(
            |dir| fs::remove_file(dir.join(file)).unwrap(),
            |error| matches!(error, Error::FileMissing { path } if path.ends_with(file)),
        );
    }
    falls_back(
        |dir| fs::remove_file(dir.join("manifest.json")).unwrap(),
        |error| matches!(error, Error::NoManifest { .. }),
    );
    falls_back(
        |dir| FILES.iter().for_each(|file| fs::remove_file(dir.join(file)).unwrap()),
        |error| matches!(error, Error::FileMissing { .. }),
    );
    falls_back(
        |dir| fs::remove_dir_all(dir).and_then(|()| fs::create_dir(dir)).unwrap(),
        |error| matches!(error, Error::NoManifest { .. }),
    );
}

#[test]
fn an_empty_or_truncated_or_longer_file_is_named_with_both_sizes() {
    for file in FILES {
        for change in [-1i64, -3, i64::MIN, 1, 4096] {
            falls_back(
                |dir| {
                    let handle = fs::OpenOptions::new().write(true).open(dir.join(file)).unwrap();
                    let length = handle.metadata().unwrap().len();
                    handle.set_len(length.saturating_add_signed(change)).unwrap();
                },
                |error| matches!(error, Error::FileSize { path, expected, found } if path.ends_with(file) && expected != found),
            );
        }
    }
    for length in [0, 1, 50, 200] {
        falls_back(
            |dir| {
                fs::OpenOptions::new()
                    .write(true)
                    .open(dir.join("manifest.json"))
                    .unwrap()
                    .set_len(length)
                    .unwrap()
            },
            |error| matches!(error, Error::BadManifest { .. }),
        );
    }
}

#[test]
fn a_flipped_bit_is_reported_with_the_file_name() {
    for bit in [0, 7, 100, 1001, 8 * 1300 + 5] {
        falls_back(
            |dir| flip(&dir.join("state.safetensors"), bit),
            |error| matches!(error, Error::FileHash { path, .. } if path.ends_with("state.safetensors")),
        );
    }
}

#[test]
fn a_flipped_bit_in_the_manifest_is_recognized() {
    for bit in [0, 83, 400, 1000, 2000] {
        falls_back(
            |dir| flip(&dir.join("manifest.json"), bit),
            |error| !error.to_string().is_empty(),
        );
    }
}

#[test]
fn an_extra_file_is_named() {
    for extra in ["extra.bin", ".hidden", "state.safetensors~", "sub/manifest.json", "zzz"] {
        falls_back(
            |dir| {
                fs::create_dir_all(dir.join(extra).parent().unwrap()).unwrap();
                fs::write(dir.join(extra), "x").unwrap();
            },
            |error| matches!(error, Error::FileExtra { path } if path.ends_with(extra)),
        );
    }
}

#[test]
fn a_wrong_hash_or_size_in_the_manifest_is_recognized() {
    falls_back(
        |dir| edit_manifest(dir, |text| text.replace("\"bytes\": 7", "\"bytes\": 8")),
        |error| {
            matches!(
                error,
                Error::FileSize {
                    expected: 8,
                    found: 7,
                    ..
                }
            )
        },
    );
    let with_hash = |text: &str, change: &dyn Fn(&str) -> String| {
        let at = text.find("\"sha256\": \"").unwrap() + 11;
        format!("{}{}{}", &text[..at], change(&text[at..at + 64]), &text[at + 64..])
    };
    for change in [
        |_: &str| "0".repeat(64),
        |hash: &str| hash.to_uppercase(),
        |hash: &str| hash.chars().rev().collect(),
    ] {
        falls_back(
            |dir| edit_manifest(dir, |text| with_hash(text, &change)),
            |error| matches!(error, Error::FileHash { .. }),
        );
    }
    falls_back(
        |dir| edit_manifest(dir, |text| with_hash(text, &|_| "x".into())),
        |error| matches!(error, Error::FileHash { .. }),
    );
}

#[test]
fn another_format_version_is_refused_with_both_numbers() {
    for version in [0, 2, 99] {
        falls_back(
            |dir| {
                edit_manifest(dir, |text| {
                    text.replace("\"version\": 1", &format!("\"version\": {version}, \"new\": []"))
                })
            },
            |error| matches!(error, Error::ManifestVersion { expected: 1, found, .. } if *found == version),
        );
    }
    for version in ["\"1\"", "-1"] {
        falls_back(
            |dir| {
                edit_manifest(dir, |text| {
                    text.replace("\"version\": 1", &format!("\"version\": {version}"))
                })
            },
            |error| matches!(error, Error::BadManifest { .. }),
        );
    }
}

#[test]
fn a_manifest_that_points_outside_or_is_rewritten_is_refused() {
    let bad = |error: &Error| matches!(error, Error::BadManifest { .. });
    for name in ["../note.txt", "/etc/passwd", "a//b", "manifest.json"] {
        falls_back(|dir| edit_manifest(dir, |text| text.replace("note.txt", name)), bad);
    }
    falls_back(|dir| edit_manifest(dir, |text| text.replace(' ', "")), bad);
    falls_back(|dir| edit_manifest(dir, |text| format!("{text}\n")), bad);
    falls_back(
        |dir| edit_manifest(dir, |text| text.replace("ligo-manifest", "other")),
        bad,
    );
    falls_back(
        |dir| edit_manifest(dir, |text| text.replace("\"files\"", "\"note\": 1, \"files\"")),
        bad,
    );
}

#[test]
fn swapped_files_are_recognized() {
    falls_back(
        |dir| {
            fs::rename(dir.join(FILES[0]), dir.join("swap")).unwrap();
            fs::rename(dir.join(FILES[1]), dir.join(FILES[0])).unwrap();
            fs::rename(dir.join("swap"), dir.join(FILES[1])).unwrap();
        },
        |error| matches!(error, Error::FileSize { .. }),
    );
    for file in ["state.safetensors", "note.txt"] {
        // Same size, other step.
        falls_back(
            |dir| {
                fs::copy(dir.with_file_name("step-10").join(file), dir.join(file))
                    .map(|_| ())
                    .unwrap()
            },
            |error| matches!(error, Error::FileHash { .. } | Error::FileSize { .. }),
        );
    }
}

#[test]
fn files_that_cannot_be_read_are_refused() {
    falls_back(
        |dir| {
            fs::remove_file(dir.join("note.txt")).unwrap();
            fs::create_dir(dir.join("note.txt")).unwrap();
        },
        |error| matches!(error, Error::FileMissing { .. }),
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        falls_back(
            |dir| {
                fs::rename(dir.join("note.txt"), dir.with_file_name("note.txt")).unwrap();
                std::os::unix::fs::symlink("../note.txt", dir.join("note.txt")).unwrap();
            },
            |error| matches!(error, Error::NotAFile { .. }),
        );
        for file in ["state.safetensors", "note.txt", "manifest.json"] {
            let probe = tempfile::NamedTempFile::new().unwrap();
            fs::set_permissions(probe.path(), fs::Permissions::from_mode(0o000)).unwrap();
            if fs::File::open(probe.path()).is_ok() {
                // The superuser reads everything.
                continue;
            }
            falls_back(
                |dir| fs::set_permissions(dir.join(file), fs::Permissions::from_mode(0o000)).unwrap(),
                |error| matches!(error, Error::Io { path, .. } if path.ends_with(file)),
            );
        }
    }
}

#[test]
fn when_no_checkpoint_holds_every_one_is_reported() {
    let run = tempfile::tempdir().unwrap();
    for step in [1, 2, 3] {
        save_step(&Disk::default(), run.path(), step, 10).unwrap();
        flip(&run.path().join(format!("step-{step}/note.txt")), 3);
    }
    let latest = latest_valid(run.path(), "step-").unwrap();
    assert!(latest.step.is_none());
    assert_eq!(
        latest
            .rejected
            .iter()
            .map(|rejected| rejected.step.number)
            .collect::<Vec<_>>(),
        [3, 2, 1]
    );
}
