//! What files and folders are called decides what they are for: test text is never trained on, and validation text is measured on.

use std::fs;
use std::path::{Path, PathBuf};

use ligo_data::{Corpus, Error, Part, Skipped, TrainValid};

/// Writes files that each hold their own name as text.
fn files(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = match name.ends_with(".jsonl") {
            true => format!("{{\"text\": \"{name}\"}}\n"),
            false => format!("{name}\n"),
        };
        fs::write(path, text).unwrap();
    }
    folder
}

fn names(corpus: &Corpus) -> Vec<String> {
    corpus
        .with_part(Part::All)
        .documents()
        .map(|d| d.unwrap().text)
        .collect()
}

fn split(folder: &Path) -> (Vec<String>, Vec<String>, String) {
    let split = TrainValid::split(&[folder], 0.05).unwrap();
    (names(&split.train), names(&split.valid), split.how)
}

#[test]
fn names_that_people_use_divide_a_folder() {
    for (train, valid, other) in [
        (vec!["train.txt"], vec!["val.txt"], vec!["test.txt"]),
        (
            vec!["train/0000.txt"],
            vec!["validation/0000.txt"],
            vec!["test/0000.txt", "readme.txt"],
        ),
        (
            vec!["c4-train.00000-of-00001.jsonl"],
            vec!["c4-validation.00000-of-00001.jsonl"],
            vec!["c4-test.00000-of-00001.jsonl"],
        ),
        (vec!["a.txt", "b/c.txt"], vec!["my_eval_set.txt"], vec!["test_a.txt"]),
        (
            vec!["wiki.train.raw.txt"],
            vec!["wiki.valid.raw.txt"],
            vec!["wiki.test.raw.txt"],
        ),
        (vec!["training/x.txt"], vec!["dev.txt"], vec!["extra.txt"]),
    ] {
        let all = [train.clone(), valid.clone(), other.clone()].concat();
        let folder = files(&all);
        let (found_train, found_valid, how) = split(folder.path());
        assert_eq!((found_train, found_valid), (owned(&train), owned(&valid)));
        assert!(how.starts_with("file names"), "{how}");
        let divided = TrainValid::split(&[folder.path()], 0.05).unwrap();
        let mut left_out: Vec<PathBuf> = divided.left_out().iter().map(|file| file.path.clone()).collect();
        left_out.sort();
        let mut expected: Vec<PathBuf> = other.iter().map(|name| folder.path().join(name)).collect();
        expected.sort();
        assert_eq!(left_out, expected);
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn without_validation_text_documents_are_held_out_of_what_may_be_trained_on() {
    let folder = files(&["train.txt", "test.txt", "more.txt"]);
    let (train, valid, how) = split(folder.path());
    assert_eq!(train, ["more.txt", "train.txt"]);
    assert_eq!(train, valid, "of the same files, other documents");
    assert!(how.contains("hash"), "{how}");
}

#[test]
fn files_that_are_named_one_by_one_are_known_by_their_names_and_by_the_folders_in_which_they_differ() {
    // The place itself says nothing.
    let home = files(&[
        "test/train/0.txt",
        "test/val/0.txt",
        "test/test/0.txt",
        "test/only/0.txt",
    ]);
    let path = |name: &str| home.path().join("test").join(name);
    let divided = TrainValid::split(&[path("train/0.txt"), path("val/0.txt"), path("test/0.txt")], 0.05).unwrap();
    assert_eq!(names(&divided.train), ["test/train/0.txt"]);
    assert_eq!(names(&divided.valid), ["test/val/0.txt"]);
    assert_eq!(divided.left_out()[0].why, Skipped::Test);
    // Whoever names one file means it, whatever it is called.
    let one = TrainValid::split(&[path("test/0.txt")], 0.05).unwrap();
    assert_eq!(names(&one.train), ["test/test/0.txt"]);
}

#[test]
fn a_folder_of_test_text_alone_is_refused_by_name() {
    let folder = files(&["test.txt", "val/a.txt"]);
    match TrainValid::split(&[folder.path()], 0.05) {
        Err(error @ Error::EmptySide { side: "training", .. }) => {
            assert!(error.to_string().contains("test.txt"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn validation_text_that_is_named_apart_is_not_trained_on_where_it_lies_among_the_rest() {
    let folder = files(&["a.txt", "held.txt", "val.txt", "test.txt"]);
    let held = folder.path().join("held.txt");
    let divided = TrainValid::from_paths(&[folder.path()], &[&held]).unwrap();
    assert_eq!(names(&divided.train), ["a.txt"]);
    assert_eq!(names(&divided.valid), ["held.txt"]);
    let why: Vec<_> = divided.left_out().iter().map(|file| file.why).collect();
    assert_eq!(why, [Skipped::Test, Skipped::Valid]);
    // Of a folder, its validation text is taken.
    let divided = TrainValid::from_paths(&[&folder.path().join("a.txt")], &[&folder.path().to_path_buf()]).unwrap();
    assert_eq!(names(&divided.valid), ["val.txt"]);
    assert!(matches!(
        TrainValid::from_paths(&[&held], &[&held]),
        Err(Error::EmptySide { side: "training", .. })
    ));
}
