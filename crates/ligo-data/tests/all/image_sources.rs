//! Finding, decoding and storing pictures, from good files and from damaged ones. All files are made here.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use image::{DynamicImage, GrayImage, ImageFormat as Encoding, RgbImage};
use ligo_data::images::{Filter, Image, ImageFormat, resize};
use ligo_data::{DamagedImages, Error, ImageSet, ImageSetSettings, ImageSource, ImageSplit, Result, Watch};

/// A picture whose colours tell where its pixels are.
fn rgb(height: u32, width: u32, shade: u8) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 3) as u8, (y * 5) as u8, shade]))
}

fn encoded(picture: impl Into<DynamicImage>, encoding: Encoding) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, encoding).unwrap();
    bytes.into_inner()
}

fn write(path: impl AsRef<Path>, bytes: &[u8]) {
    fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// CIFAR records with the labels given.
fn records(labels: &[u8], label_bytes: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, &label) in labels.iter().enumerate() {
        bytes.extend(vec![99; label_bytes - 1]);
        bytes.push(label);
        bytes.extend((0..3072).map(|i| (i / 1024 * 50 + i % 32 + at) as u8));
    }
    bytes
}

fn idx_images(count: u32, height: u32, width: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [0x803, count, height, width] {
        bytes.extend(word.to_be_bytes());
    }
    bytes.extend((0..count * height * width).map(|i| (i * 7) as u8));
    bytes
}

fn idx_labels(labels: &[u8]) -> Vec<u8> {
    let mut bytes = [0x801_u32.to_be_bytes(), (labels.len() as u32).to_be_bytes()].concat();
    bytes.extend(labels);
    bytes
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Class folders `cat` (jpg) and `dog` (png) with `count` pictures each.
fn class_folders(root: &Path, count: usize) {
    for at in 0..count {
        let (height, width) = (40 + at as u32, 70);
        write(
            root.join(format!("cat/{at:03}.jpg")),
            &encoded(rgb(height, width, at as u8), Encoding::Jpeg),
        );
        write(
            root.join(format!("dog/{at:03}.PNG")),
            &encoded(rgb(width, height, at as u8), Encoding::Png),
        );
    }
}

fn settings(side: usize) -> ImageSetSettings {
    ImageSetSettings {
        side,
        ..ImageSetSettings::default()
    }
}

fn build(source: &ImageSource, settings: &ImageSetSettings) -> Result<(tempfile::TempDir, ImageSet)> {
    let folder = folder();
    let set = ImageSet::build(&folder.path().join("set"), source, settings, Watch::none())?;
    Ok((folder, set))
}

fn build_from(path: &Path) -> Result<(tempfile::TempDir, ImageSet)> {
    build(&ImageSource::open(path)?, &settings(32))
}

#[test]
fn cifar_records_are_read_with_the_names_beside_them() {
    let data = folder();
    write(data.path().join("data_batch_1.bin"), &records(&[2, 0, 1], 1));
    write(data.path().join("data_batch_2.bin"), &records(&[1], 1));
    write(data.path().join("test_batch.bin"), &records(&[0, 0], 1));
    write(data.path().join("batches.meta.txt"), b"airplane\nbird\ncat\n\n");
    write(data.path().join("readme.html"), b"<html>");
    let split = ImageSplit::find(data.path(), 0.1).unwrap();
    assert_eq!(split.train.format(), ImageFormat::Cifar10);
    assert_eq!(split.train.class_names(), ["airplane", "bird", "cat"]);
    assert_eq!(split.train.passed_over(), [data.path().join("readme.html")]);
    let (_folder, set) = build(&split.train, &settings(8)).unwrap();
    set.verify().unwrap();
    assert_eq!(set.info().class_counts, [1, 2, 1]);
    assert_eq!(
        (0..5).map(|i| set.label(i)).collect::<Vec<_>>(),
        [Some(2), Some(0), Some(1), Some(1), None]
    );
    // Record pictures keep their size, and planes become pixels.
    let second = set.image(1).unwrap();
    assert_eq!((second.height(), second.width(), second.channels()), (32, 32, 3));
    assert_eq!(second.pixels()[..6], [1, 51, 101, 2, 52, 102]);
    let (_folder, valid) = build(&split.valid, &settings(8)).unwrap();
    assert_eq!(valid.info().class_counts, [2, 0, 0]);
}

#[test]
fn test_pictures_are_not_trained_on_where_nothing_is_called_train() {
    let data = folder();
    write(data.path().join("a.bin"), &records(&[1, 0, 1], 1));
    write(data.path().join("my_test_set.bin"), &records(&[0, 1], 1));
    let split = ImageSplit::find(data.path(), 0.1).unwrap();
    let (_folder, train) = build(&split.train, &settings(8)).unwrap();
    let (_folder, valid) = build(&split.valid, &settings(8)).unwrap();
    assert_eq!((train.len(), valid.len()), (3, 2));
    // With validation pictures there, test ones are for nothing.
    write(data.path().join("val.bin"), &records(&[0], 1));
    let split = ImageSplit::find(data.path(), 0.1).unwrap();
    let (_folder, valid) = build(&split.valid, &settings(8)).unwrap();
    assert_eq!(valid.len(), 1);
}

#[test]
fn cifar_100_takes_the_fine_label_and_records_without_names_count_their_classes() {
    let data = folder();
    write(data.path().join("train.bin"), &records(&[3, 1], 2));
    write(data.path().join("fine_label_names.txt"), b"a\nb\nc\nd\n");
    let (_folder, set) = build_from(data.path()).unwrap();
    assert_eq!(set.info().source, ImageFormat::Cifar100);
    assert_eq!((set.label(0), set.num_classes()), (Some(3), 4));

    let data = folder();
    write(data.path().join("train.bin"), &records(&[3, 1], 1));
    write(data.path().join("valid.bin"), &records(&[5], 1));
    let split = ImageSplit::find(data.path(), 0.1).unwrap();
    assert_eq!(split.train.class_names(), ["0", "1", "2", "3", "4", "5"]);
    assert_eq!(split.valid.class_names(), split.train.class_names());
    let file = ImageSource::open(&data.path().join("train.bin")).unwrap();
    assert_eq!(file.class_names().len(), 4);
}

#[test]
fn idx_files_are_read_plain_and_packed() {
    let data = folder();
    write(
        data.path().join("train-images-idx3-ubyte.gz"),
        &gzip(&idx_images(5, 6, 4)),
    );
    write(
        data.path().join("train-labels-idx1-ubyte"),
        &idx_labels(&[4, 0, 1, 2, 4]),
    );
    write(data.path().join("t10k-images-idx3-ubyte"), &idx_images(2, 6, 4));
    write(
        data.path().join("t10k-labels-idx1-ubyte.gz"),
        &gzip(&idx_labels(&[1, 3])),
    );
    let split = ImageSplit::find(data.path(), 0.1).unwrap();
    let (_a, train) = build(&split.train, &settings(8)).unwrap();
    let (_b, valid) = build(&split.valid, &settings(8)).unwrap();
    assert_eq!(
        (train.len(), valid.len(), train.num_classes(), valid.num_classes()),
        (5, 2, 5, 5)
    );
    let first = train.image(0).unwrap();
    assert_eq!((first.height(), first.width(), first.channels()), (6, 4, 1));
    assert_eq!(first.pixels()[..4], [0, 7, 14, 21]);
    assert_eq!(train.label(4), Some(4));
    assert!(split.train.passed_over().is_empty());
}

#[test]
fn class_folders_are_resized_to_their_shorter_side_and_cut_to_the_middle() {
    let data = folder();
    class_folders(data.path(), 3);
    write(data.path().join("dog/notes.txt"), b"good dog");
    write(data.path().join(".cache/x/0.png"), b"hidden");
    let source = ImageSource::open(data.path()).unwrap();
    assert_eq!(source.class_names(), ["cat", "dog"]);
    assert_eq!(source.passed_over(), [data.path().join("dog/notes.txt")]);
    let (_folder, set) = build(&source, &settings(20)).unwrap();
    assert_eq!(set.info().class_counts, [3, 3]);
    // dog/000: 70 rows of 40 pixels, stored without loss.
    let dog = set.image(3).unwrap();
    let picture = Image::new(70, 40, 3, rgb(70, 40, 0).into_raw()).unwrap();
    let small = resize(&picture, picture.rect(), 35, 20, Filter::Bicubic);
    // (35 - 20) / 2 rounds to even: 8.
    assert_eq!(dog.pixels(), &small.pixels()[8 * 20 * 3..28 * 20 * 3]);
    let grey = ImageSetSettings {
        channels: 1,
        ..settings(20)
    };
    let (_folder, set) = build(&source, &grey).unwrap();
    assert_eq!(set.image(0).unwrap().channels(), 1);
}

#[test]
fn every_kind_of_png_and_jpeg_is_decoded() {
    let data = folder();
    let grey = GrayImage::from_fn(16, 16, |x, _| image::Luma([(x * 16) as u8]));
    let deep = DynamicImage::ImageRgb8(rgb(16, 16, 9)).into_rgba16();
    let pictures: [(&str, Vec<u8>); 5] = [
        ("a/0.png", encoded(grey.clone(), Encoding::Png)),
        (
            "a/1.png",
            encoded(DynamicImage::ImageLuma8(grey.clone()).into_luma_alpha8(), Encoding::Png),
        ),
        ("a/2.png", encoded(deep, Encoding::Png)),
        // The name says otherwise.
        ("b/0.png", encoded(rgb(16, 16, 7), Encoding::Jpeg)),
        ("b/1.jpeg", encoded(grey, Encoding::Jpeg)),
    ];
    for (name, bytes) in &pictures {
        write(data.path().join(name), bytes);
    }
    let (_folder, set) = build(&ImageSource::open(data.path()).unwrap(), &settings(16)).unwrap();
    assert_eq!(set.image(0), set.image(1));
    assert_eq!(set.image(0).unwrap().pixels()[3..6], [16; 3]);
    assert_eq!(set.image(2).unwrap().pixels(), rgb(16, 16, 9).as_raw().as_slice());
    let near = set
        .image(3)
        .unwrap()
        .pixels()
        .iter()
        .zip(rgb(16, 16, 7).as_raw())
        .all(|(a, b)| a.abs_diff(*b) < 12);
    assert!(near);
    assert!(
        set.image(4)
            .unwrap()
            .pixels()
            .chunks(3)
            .all(|p| p[0] == p[1] && p[1] == p[2])
    );
}

#[test]
fn train_and_valid_folders_are_told_apart_and_a_single_folder_is_divided_by_hash() {
    let data = folder();
    class_folders(&data.path().join("train"), 4);
    class_folders(&data.path().join("val"), 2);
    let split = ImageSplit::find(data.path(), 0.5).unwrap();
    let (_a, train) = build(&split.train, &settings(8)).unwrap();
    let (_b, valid) = build(&split.valid, &settings(8)).unwrap();
    assert_eq!((train.len(), valid.len()), (8, 4));
    assert_eq!(train.info().class_names, ["cat", "dog"]);

    let data = folder();
    class_folders(data.path(), 40);
    let split = ImageSplit::find(data.path(), 0.25).unwrap();
    let (_a, train) = build(&split.train, &settings(8)).unwrap();
    let (_b, valid) = build(&split.valid, &settings(8)).unwrap();
    assert_eq!(train.len() + valid.len(), 80);
    assert!((10..=30).contains(&valid.len()), "{}", valid.len());
    for fraction in [0.0, 1.0, f64::NAN] {
        assert!(matches!(
            ImageSplit::find(data.path(), fraction),
            Err(Error::BadSetting { .. })
        ));
    }
}

#[test]
fn records_are_divided_by_their_bytes() {
    let data = folder();
    write(data.path().join("all.bin"), &records(&[0, 1].repeat(100), 1));
    let split = ImageSplit::find(data.path(), 0.3).unwrap();
    let (_a, train) = build(&split.train, &settings(8)).unwrap();
    let (_b, valid) = build(&split.valid, &settings(8)).unwrap();
    assert_eq!(train.len() + valid.len(), 200);
    assert!((40..=80).contains(&valid.len()), "{}", valid.len());
    let valid: Vec<_> = (0..valid.len()).map(|i| valid.image(i).unwrap()).collect();
    assert!((0..train.len()).all(|i| !valid.contains(&train.image(i).unwrap())));
}

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
