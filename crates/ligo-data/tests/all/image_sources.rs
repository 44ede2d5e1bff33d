//! Finding and decoding pictures.

use image::{DynamicImage, GrayImage, ImageFormat as Encoding};
use ligo_data::images::{Filter, Image, ImageFormat, resize};
use ligo_data::{Error, ImageSetSettings, ImageSource, ImageSplit};

use crate::image_files::{
    build, build_from, class_folders, encoded, folder, gzip, idx_images, idx_labels, records, rgb, settings, write,
};

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
    let gray = ImageSetSettings {
        channels: 1,
        ..settings(20)
    };
    let (_folder, set) = build(&source, &gray).unwrap();
    assert_eq!(set.image(0).unwrap().channels(), 1);
}

#[test]
fn every_kind_of_png_and_jpeg_is_decoded() {
    let data = folder();
    let gray = GrayImage::from_fn(16, 16, |x, _| image::Luma([(x * 16) as u8]));
    let deep = DynamicImage::ImageRgb8(rgb(16, 16, 9)).into_rgba16();
    let pictures: [(&str, Vec<u8>); 5] = [
        ("a/0.png", encoded(gray.clone(), Encoding::Png)),
        (
            "a/1.png",
            encoded(DynamicImage::ImageLuma8(gray.clone()).into_luma_alpha8(), Encoding::Png),
        ),
        ("a/2.png", encoded(deep, Encoding::Png)),
        // The name says otherwise.
        ("b/0.png", encoded(rgb(16, 16, 7), Encoding::Jpeg)),
        ("b/1.jpeg", encoded(gray, Encoding::Jpeg)),
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
