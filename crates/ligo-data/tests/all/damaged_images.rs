//! Pictures and folders of them that are damaged, or none.

use std::fs;
use std::path::PathBuf;

use image::ImageFormat as Encoding;
use ligo_data::{DamagedImages, Error, ImageSetSettings, ImageSource};

use crate::image_files::{
    build, build_from, class_folders, encoded, folder, gzip, idx_images, idx_labels, records, rgb, settings, write,
};

#[test]
fn one_corrupt_jpeg_among_a_thousand_is_named_or_skipped_as_asked() {
    let data = folder();
    let good = [
        encoded(rgb(24, 24, 1), Encoding::Jpeg),
        encoded(rgb(24, 24, 200), Encoding::Jpeg),
    ];
    for at in 0..1_000 {
        write(
            data.path().join(format!("{}/{at:04}.jpg", ["a", "b"][at % 2])),
            &good[at % 2],
        );
    }
    let damages: [(&str, Vec<u8>); 5] = [
        ("cut off", good[0][..good[0].len() / 2].to_vec()),
        ("cut off in the last row", good[0][..good[0].len() - 12].to_vec()),
        ("empty", Vec::new()),
        ("text", b"<html>not found</html>".to_vec()),
        ("header only", good[0][..20].to_vec()),
    ];
    for (damage, bytes) in damages {
        write(data.path().join("b/0501.jpg"), &bytes);
        let source = ImageSource::open(data.path()).unwrap();
        match build(&source, &settings(16)) {
            Err(Error::BadImage { image, path, reason }) => {
                assert!(!reason.is_empty(), "{damage}");
                assert_eq!(
                    (image.as_str(), path.as_path()),
                    ("b/0501.jpg", data.path()),
                    "{damage}"
                );
            }
            other => panic!("{damage}: {other:?}"),
        }
        let skip = ImageSetSettings {
            damaged: DamagedImages::Skip,
            ..settings(16)
        };
        let (_folder, set) = build(&source, &skip).unwrap();
        assert_eq!(set.info().class_counts, [500, 499], "{damage}");
        let names: Vec<_> = set.info().skipped.iter().map(|skipped| skipped.name.as_str()).collect();
        assert_eq!(names, ["b/0501.jpg"], "{damage}");
        assert!(!set.info().skipped[0].reason.is_empty(), "{damage}");
    }
}

#[test]
fn damaged_png_files_are_refused() {
    let data = folder();
    class_folders(data.path(), 2);
    let good = encoded(rgb(64, 64, 3), Encoding::Png);
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    for bytes in [&good[..good.len() / 2], &flipped, &good[..16]] {
        write(data.path().join("dog/001.PNG"), bytes);
        assert!(matches!(build_from(data.path()), Err(Error::BadImage { image, .. }) if image == "dog/001.PNG"));
    }
    for at in 0..2 {
        for name in ["cat/00X.jpg", "dog/00X.PNG"] {
            write(data.path().join(name.replace('X', &at.to_string())), b"nothing");
        }
    }
    let skip = ImageSetSettings {
        damaged: DamagedImages::Skip,
        ..settings(8)
    };
    let nothing_left = build(&ImageSource::open(data.path()).unwrap(), &skip);
    assert!(matches!(nothing_left, Err(Error::EmptyImageSet { .. })));
}

#[test]
fn folders_that_are_no_image_set_are_told_what_they_are() {
    let data = folder();
    let root = |name: &str| -> PathBuf { data.path().join(name) };
    assert!(matches!(
        ImageSource::open(&root("none")),
        Err(Error::Io { action: "open", .. })
    ));
    fs::create_dir(root("empty")).unwrap();
    assert!(matches!(
        ImageSource::open(&root("empty")),
        Err(Error::UnknownImageSource { .. })
    ));
    write(root("flat/0.jpg"), b"x");
    match ImageSource::open(&root("flat")) {
        Err(Error::UnknownImageSource { found, .. }) => assert!(found.contains("no folders of classes"), "{found}"),
        other => panic!("{other:?}"),
    }
    write(root("text/a.txt"), b"x");
    assert!(matches!(
        ImageSource::open(&root("text")),
        Err(Error::UnknownImageSource { .. })
    ));
    assert!(matches!(
        ImageSource::open(&root("text/a.txt")),
        Err(Error::UnknownImageSource { .. })
    ));

    write(root("one/cat/0.jpg"), b"x");
    write(root("divided/train/cat/0.jpg"), b"x");
    write(root("divided/valid/cat/0.jpg"), b"x");
    write(root("idx/train-images-idx3-ubyte"), &idx_images(3, 4, 4));
    write(root("idx/train-labels-idx1-ubyte"), &idx_labels(&[0, 0, 0]));
    for (name, expected) in [("one", "cat"), ("divided", "cat"), ("idx", "0")] {
        match ImageSource::open(&root(name)) {
            Err(error @ Error::OneClass { .. }) => {
                let message = error.to_string();
                assert!(
                    message.contains(name)
                        && message.contains(&format!("`{expected}`"))
                        && message.contains("at least two"),
                    "{message}"
                );
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    write(root("hollow/cat/0.jpg"), b"x");
    fs::create_dir(root("hollow/dog")).unwrap();
    assert!(matches!(ImageSource::open(&root("hollow")), Err(Error::EmptyImageSet { path }) if path.ends_with("dog")));
    class_folders(&root("odd/train"), 1);
    write(root("odd/valid/horse/0.jpg"), b"x");
    match ImageSource::open(&root("odd")) {
        Err(Error::UnknownClass { path, known }) => {
            assert!(path.ends_with("valid/horse"));
            assert_eq!(known, "`cat`, `dog`");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn record_files_of_the_wrong_size_and_labels_out_of_range_are_refused() {
    let data = folder();
    let path = data.path().join("train.bin");
    let mut bytes = records(&[0, 1, 2], 1);
    bytes.pop();
    write(&path, &bytes);
    match build_from(data.path()) {
        Err(Error::RecordFileSize {
            path: at,
            record_bytes: 3_073,
            found_bytes: 9_218,
        }) => assert_eq!(at, path),
        other => panic!("{other:?}"),
    }
    write(&path, &records(&[0, 1, 2], 1));
    write(data.path().join("classes.txt"), b"a\nb\n");
    match build_from(data.path()) {
        Err(Error::ImageLabelOutOfRange {
            position: 2,
            label: 2,
            classes: 2,
            path: at,
        }) => assert_eq!(at, path),
        other => panic!("{other:?}"),
    }
    write(data.path().join("classes.txt"), b"a\n");
    assert!(matches!(build_from(data.path()), Err(Error::OneClass { .. })));
    write(&path, b"");
    assert!(matches!(build_from(data.path()), Err(Error::EmptyImageSet { .. })));
}

#[test]
fn damaged_idx_files_are_refused() {
    let data = folder();
    let (images, labels) = (
        data.path().join("train-images-idx3-ubyte"),
        data.path().join("train-labels-idx1-ubyte"),
    );
    let (good_images, good_labels) = (idx_images(3, 5, 5), idx_labels(&[0, 1, 2]));
    let attempt = |image_bytes: &[u8], label_bytes: &[u8]| {
        write(&images, image_bytes);
        write(&labels, label_bytes);
        build_from(data.path()).map(|(_, set)| set.len())
    };
    assert_eq!(attempt(&good_images, &good_labels).unwrap(), 3);
    assert!(matches!(
        attempt(&good_labels, &good_labels),
        Err(Error::IdxMagic {
            expected: 0x803,
            found: 0x801,
            ..
        })
    ));
    assert!(matches!(
        attempt(&good_images, &good_images),
        Err(Error::IdxMagic {
            expected: 0x801,
            found: 0x803,
            ..
        })
    ));
    assert!(matches!(
        attempt(&good_images[..90], &good_labels),
        Err(Error::IdxLength {
            expected_bytes: 91,
            found_bytes: 90,
            ..
        })
    ));
    assert!(matches!(
        attempt(&[&good_images[..], &[1]].concat(), &good_labels),
        Err(Error::IdxLength {
            expected_bytes: 91,
            found_bytes: 92,
            ..
        })
    ));
    assert!(matches!(
        attempt(&good_images[..3], &good_labels),
        Err(Error::IdxLength { found_bytes: 3, .. })
    ));
    assert!(matches!(
        attempt(&good_images, &good_labels[..10]),
        Err(Error::IdxLength {
            expected_bytes: 11,
            found_bytes: 10,
            ..
        })
    ));
    assert!(matches!(
        attempt(&good_images, &[&good_labels[..], &[1]].concat()),
        Err(Error::IdxLength {
            expected_bytes: 11,
            found_bytes: 12,
            ..
        })
    ));
    assert!(matches!(
        attempt(&good_images, &idx_labels(&[0, 1, 2, 1])),
        Err(Error::IdxCounts {
            images: 3,
            labels: 4,
            ..
        })
    ));
    // A header that asks for the whole memory.
    assert!(matches!(
        attempt(&idx_images(3, 0, 5), &good_labels),
        Err(Error::BadImage { .. })
    ));
    let mut huge = good_images.clone();
    huge[8..16].fill(0xff);
    assert!(matches!(attempt(&huge, &good_labels), Err(Error::BadImage { .. })));
    fs::write(&images, &good_images).unwrap();
    fs::remove_file(&labels).unwrap();
    assert!(matches!(build_from(data.path()), Err(Error::Io { action: "open", path, .. }) if path == labels));

    fs::remove_file(&images).unwrap();
    let packed = gzip(&good_images);
    write(
        data.path().join("train-images-idx3-ubyte.gz"),
        &packed[..packed.len() / 2],
    );
    write(&labels, &good_labels);
    assert!(matches!(
        build_from(data.path()),
        Err(Error::IdxLength { expected_bytes: 91, .. })
    ));
}
