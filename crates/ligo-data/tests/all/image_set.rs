//! The set that pictures are stored in: written once, whole, and checked when it is opened.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use ligo_data::{Error, ImageSet, ImageSetSettings, ImageSource, Watch};

use crate::image_files::{build, class_folders, folder, settings};

#[test]
fn a_set_is_written_once_and_damage_is_seen() {
    let data = folder();
    class_folders(data.path(), 3);
    let source = ImageSource::open(data.path()).unwrap();
    let (home, set) = build(&source, &settings(8)).unwrap();
    let path = home.path().join("set");
    assert!(matches!(
        ImageSet::build(&path, &source, &settings(8), Watch::none()),
        Err(Error::StoreExists { .. })
    ));
    set.verify().unwrap();
    drop(set);
    let bytes = fs::read(path.join("images.bin")).unwrap();
    let mut flipped = bytes.clone();
    flipped[100] ^= 1;
    fs::write(path.join("images.bin"), flipped).unwrap();
    assert!(matches!(ImageSet::open(&path), Err(Error::StoreHash { .. })));
    fs::write(path.join("images.bin"), &bytes[1..]).unwrap();
    assert!(matches!(
        ImageSet::open(&path),
        Err(Error::StoreSize {
            expected_bytes: 1_152,
            found_bytes: 1_151,
            ..
        })
    ));
    fs::write(path.join("images.bin"), &bytes).unwrap();
    let labels = fs::read(path.join("labels.bin")).unwrap();
    fs::write(path.join("labels.bin"), &labels[4..]).unwrap();
    assert!(matches!(ImageSet::open(&path), Err(Error::StoreSize { .. })));
    let mut wrong = labels.clone();
    wrong[5] = 1;
    fs::write(path.join("labels.bin"), wrong).unwrap();
    assert!(matches!(
        ImageSet::open(&path),
        Err(Error::ImageLabelOutOfRange {
            position: 1,
            label: 256,
            classes: 2,
            ..
        })
    ));
    let mut other = labels.clone();
    other[4] ^= 1;
    fs::write(path.join("labels.bin"), other).unwrap();
    assert!(matches!(ImageSet::open(&path), Err(Error::StoreHash { path, .. }) if path.ends_with("labels.bin")));
    fs::write(path.join("labels.bin"), labels).unwrap();
    let json = fs::read_to_string(path.join("images.json")).unwrap();
    fs::write(
        path.join("images.json"),
        json.replacen("\"class_names\": [\n    \"", "\"class_names\": [\n    \"x", 1),
    )
    .unwrap();
    assert!(matches!(ImageSet::open(&path), Err(Error::BadStore { .. })));
    fs::write(path.join("images.json"), "{}").unwrap();
    assert!(matches!(ImageSet::open(&path), Err(Error::BadStore { .. })));
}

#[test]
fn what_is_stored_does_not_depend_on_the_number_of_threads() {
    let data = folder();
    class_folders(data.path(), 100);
    let source = ImageSource::open(data.path()).unwrap();
    let infos = [1, 4].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| build(&source, &settings(16)).unwrap().1.info().clone())
    });
    assert_eq!(infos[0], infos[1]);
}

#[test]
fn a_build_reports_its_progress_and_leaves_nothing_when_it_is_stopped() {
    let data = folder();
    class_folders(data.path(), 100);
    let source = ImageSource::open(data.path()).unwrap();
    let seen = Mutex::new(Vec::new());
    let stop = AtomicBool::new(false);
    let report = |done, total| seen.lock().unwrap().push((done, total));
    let home = folder();
    ImageSet::build(
        &home.path().join("a"),
        &source,
        &settings(8),
        Watch::new(&report, &stop),
    )
    .unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(seen.len() >= 2 && seen.is_sorted());
    assert_eq!(seen.last(), Some(&(source.total_bytes(), source.total_bytes())));

    let stop = AtomicBool::new(true);
    let stopped = ImageSet::build(
        &home.path().join("b"),
        &source,
        &settings(8),
        Watch::new(&|_, _| (), &stop),
    );
    assert!(matches!(stopped, Err(Error::Interrupted)));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}

#[test]
fn settings_outside_their_range_are_named() {
    let data = folder();
    class_folders(data.path(), 1);
    let source = ImageSource::open(data.path()).unwrap();
    for (bad, expected) in [
        (settings(0), "images.side"),
        (settings(100_000), "images.side"),
        (
            ImageSetSettings {
                channels: 2,
                ..settings(8)
            },
            "images.channels",
        ),
    ] {
        assert!(matches!(build(&source, &bad), Err(Error::BadSetting { name, .. }) if name == expected));
    }
}
