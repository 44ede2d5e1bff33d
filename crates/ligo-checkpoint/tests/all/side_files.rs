//! What lies beside the weights goes with the model, and nothing from outside of its folder does.

use std::fs;
use std::path::Path;

use ligo_checkpoint::{
    AtomicDir, Error, SideFiles, copy_side_files, copy_tokenizer, side_files_fingerprint, verify, verify_model,
};

fn model(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (name, content) in [
        ("config.json", "{}"),
        ("model.safetensors", "weights"),
        ("model.safetensors.index.json", "{}"),
        ("README.md", "the small model's card"),
        (".gitattributes", "hidden"),
        ("pytorch_model.bin", "weights"),
        ("generation_config.json", r#"{"temperature": 0.6}"#),
        ("chat_template.jinja", "{{ messages }}"),
        ("added_tokens.json", "{}"),
        ("tokenizer.json", "{}"),
        ("tokenizer.model", "sentencepiece"),
        ("vocab.bpe", "a name of its own"),
        ("LICENSE", "free"),
    ] {
        fs::write(folder.join(name), content).unwrap();
    }
    fs::create_dir_all(folder.join("additional_chat_templates")).unwrap();
    fs::write(folder.join("additional_chat_templates/rag.jinja"), "{{ documents }}").unwrap();
    fs::create_dir_all(folder.join("onnx")).unwrap();
    fs::write(folder.join("onnx/model.onnx"), "weights").unwrap();
}

fn copied(from: &Path, to: &Path, skip: &[&str]) -> Result<SideFiles, Error> {
    let dir = AtomicDir::begin(to)?;
    let files = copy_side_files(from, &dir, skip)?;
    dir.commit()?;
    verify(to)?;
    Ok(files)
}

#[test]
fn every_side_file_travels_and_what_stays_behind_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    model(&from);
    let files = copied(&from, &to, &[]).unwrap();
    let expected = [
        "LICENSE",
        "added_tokens.json",
        "additional_chat_templates/rag.jinja",
        "chat_template.jinja",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer.model",
        "vocab.bpe",
    ];
    assert_eq!(files.copied, expected);
    assert_eq!(files.left, ["onnx", "pytorch_model.bin"]);
    for name in expected {
        assert_eq!(
            fs::read(from.join(name)).unwrap(),
            fs::read(to.join(name)).unwrap(),
            "{name}"
        );
    }
    let files = copied(&from, &folder.path().join("other"), &["tokenizer.json", "LICENSE"]).unwrap();
    assert!(
        !files
            .copied
            .iter()
            .any(|name| name == "LICENSE" || name == "tokenizer.json"),
        "{files:?}"
    );
}

#[cfg(unix)]
mod links {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_out_of_the_models_folder_stays_behind_and_is_refused_where_a_tokenizer_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        fs::write(&secret, "key").unwrap();
        for name in ["tokenizer.json", "notes.txt", "additional_chat_templates/x.jinja"] {
            let from = folder.path().join("from");
            model(&from);
            let _ = fs::remove_file(from.join(name));
            symlink(&secret, from.join(name)).unwrap();
            let to = folder.path().join("to");
            let files = copied(&from, &to, &[]).unwrap();
            assert!(files.left.iter().any(|left| left == name), "{name}: {files:?}");
            assert!(!files.copied.iter().any(|copied| copied == name) && !to.join(name).exists());
            side_files_fingerprint(&from, &[]).unwrap();
            if name != "notes.txt" {
                let dir = AtomicDir::begin(folder.path().join("other")).unwrap();
                let error = copy_tokenizer(&from, &dir).unwrap_err();
                assert!(
                    matches!(&error, Error::LinkOutside { target, .. } if target.ends_with("secret")),
                    "{error}"
                );
                assert!(error.to_string().contains(name), "{error}");
            }
            fs::remove_dir_all(&from).unwrap();
            fs::remove_dir_all(&to).unwrap();
        }
    }

    #[test]
    fn a_snapshot_of_the_hubs_cache_is_verified_through_its_links() {
        let folder = tempfile::tempdir().unwrap();
        let repository = folder.path().join("models--org--name");
        let snapshot = repository.join("snapshots/0123abc");
        let dir = AtomicDir::begin(&snapshot).unwrap();
        dir.write("operator.json", b"{}").unwrap();
        dir.commit().unwrap();
        fs::create_dir_all(repository.join("blobs")).unwrap();
        for (i, name) in ["operator.json", "manifest.json"].iter().enumerate() {
            let blob = format!("../../blobs/{i}");
            fs::rename(snapshot.join(name), snapshot.join(&blob)).unwrap();
            symlink(&blob, snapshot.join(name)).unwrap();
        }
        verify(&snapshot).unwrap();
        verify_model(&snapshot).unwrap();
        fs::write(repository.join("blobs/0"), "[]").unwrap();
        assert!(matches!(verify(&snapshot), Err(Error::FileHash { .. })));
    }

    #[test]
    fn links_inside_a_folder_and_snapshots_of_the_hubs_cache_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        model(&from);
        fs::rename(from.join("tokenizer.json"), from.join("tokenizer-v2.json")).unwrap();
        symlink("tokenizer-v2.json", from.join("tokenizer.json")).unwrap();
        let files = copied(&from, &folder.path().join("to"), &[]).unwrap();
        assert!(files.copied.contains(&"tokenizer.json".to_owned()));

        let repository = folder.path().join("models--org--name");
        let snapshot = repository.join("snapshots/0123abc");
        fs::create_dir_all(&snapshot).unwrap();
        fs::create_dir_all(repository.join("blobs")).unwrap();
        for (name, blob) in [("tokenizer.json", "aa"), ("generation_config.json", "bb")] {
            fs::write(repository.join("blobs").join(blob), name).unwrap();
            symlink(format!("../../blobs/{blob}"), snapshot.join(name)).unwrap();
        }
        // The folder that is given may be a link itself.
        symlink(&snapshot, folder.path().join("given")).unwrap();
        for (i, given) in [snapshot.clone(), folder.path().join("given")].iter().enumerate() {
            let to = folder.path().join(format!("of-the-cache-{i}"));
            assert_eq!(copied(given, &to, &[]).unwrap().copied.len(), 2);
            assert_eq!(fs::read_to_string(to.join("tokenizer.json")).unwrap(), "tokenizer.json");
        }
        // Another repository's blobs are not its own.
        let other = folder.path().join("models--org--other/blobs");
        fs::create_dir_all(&other).unwrap();
        fs::write(other.join("cc"), "another model's").unwrap();
        symlink("../../../models--org--other/blobs/cc", snapshot.join("vocab.txt")).unwrap();
        let files = copied(&snapshot, &folder.path().join("other"), &[]).unwrap();
        assert_eq!(files.left, ["vocab.txt"]);
    }
}

#[test]
fn a_manifest_vouches_for_all_that_decides_the_model_and_not_for_its_card() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    let dir = AtomicDir::begin(&path).unwrap();
    let names = [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "generation_config.json",
        "README.md",
    ];
    for name in names {
        dir.write(name, name.as_bytes()).unwrap();
    }
    dir.commit().unwrap();
    fs::write(path.join("notes.txt"), "mine").unwrap();
    verify_model(&path).unwrap();
    for name in names {
        let file = path.join(name);
        let mut bytes = name.as_bytes().to_vec();
        bytes[0] ^= 1;
        fs::write(&file, &bytes).unwrap();
        match verify_model(&path) {
            Ok(()) => assert_eq!(name, "README.md"),
            Err(Error::FileHash { path, .. }) => assert_eq!(path, file),
            Err(other) => panic!("{other}"),
        }
        fs::write(&file, name).unwrap();
    }
    fs::remove_file(path.join("README.md")).unwrap();
    verify_model(&path).unwrap();
    fs::remove_file(path.join("config.json")).unwrap();
    assert!(matches!(verify_model(&path), Err(Error::FileMissing { .. })));
}
