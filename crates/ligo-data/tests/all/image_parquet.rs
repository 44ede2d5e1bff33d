//! Image sets in parquet files as the hub has them.

use std::fs::{self, File};
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use image::{DynamicImage, ImageFormat as Encoding, RgbImage};
use ligo_data::images::ImageFormat;
use ligo_data::{DamagedImages, Error, ImageSet, ImageSetSettings, ImageSource, ImageSplit, Result, Watch};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// As `datasets` writes `Image` and `ClassLabel`.
const HUB: &str = "message schema {
    optional group image { optional binary bytes; optional binary path (utf8); }
    optional int64 label;
}";
const NAMES: &str = r#"{"info": {"features": {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog", "fox"], "_type": "ClassLabel"}}}}"#;

fn png(shade: u8) -> Vec<u8> {
    let picture = RgbImage::from_fn(10, 8, |x, y| image::Rgb([x as u8, y as u8, shade]));
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(picture)
        .write_to(&mut bytes, Encoding::Png)
        .unwrap();
    bytes.into_inner()
}

type Row = (Option<Vec<u8>>, Option<i64>);

fn rows(labels: &[i64]) -> Vec<Row> {
    let row = |(at, &label): (usize, &i64)| (Some(png(at as u8)), Some(label));
    labels.iter().enumerate().map(row).collect()
}

/// Writes row groups of three rows.
fn write(path: &Path, rows: &[Row], names: bool) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let description = KeyValue::new("huggingface".to_owned(), NAMES.to_owned());
    let properties = WriterProperties::builder()
        .set_key_value_metadata(names.then(|| vec![description]))
        .build();
    let schema = Arc::new(parse_message_type(HUB).unwrap());
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
    for rows in rows.chunks(3) {
        let images: Vec<ByteArray> = rows
            .iter()
            .filter_map(|row| row.0.clone())
            .map(ByteArray::from)
            .collect();
        let image_levels: Vec<i16> = rows.iter().map(|row| if row.0.is_some() { 2 } else { 0 }).collect();
        let labels: Vec<i64> = rows.iter().filter_map(|row| row.1).collect();
        let label_levels: Vec<i16> = rows.iter().map(|row| i16::from(row.1.is_some())).collect();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<ByteArrayType>()
            .write_batch(&images, Some(&image_levels), None)
            .unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let no_paths = vec![1i16; rows.len()];
        column
            .typed::<ByteArrayType>()
            .write_batch(&[], Some(&no_paths), None)
            .unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<Int64Type>()
            .write_batch(&labels, Some(&label_levels), None)
            .unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
}

fn build(source: &ImageSource, damaged: DamagedImages) -> Result<ImageSet> {
    let folder = tempfile::tempdir().unwrap();
    let settings = ImageSetSettings {
        side: 8,
        damaged,
        ..ImageSetSettings::default()
    };
    let set = ImageSet::build(&folder.path().join("set"), source, &settings, Watch::none())?;
    set.verify()?;
    Ok(set)
}

#[test]
fn a_set_of_the_hub_is_read_with_its_class_names_and_parts() {
    let root = tempfile::tempdir().unwrap();
    write(
        &root.path().join("data/train-00000-of-00002.parquet"),
        &rows(&[0, 1, 2, 1]),
        true,
    );
    write(
        &root.path().join("data/train-00001-of-00002.parquet"),
        &rows(&[2]),
        true,
    );
    write(
        &root.path().join("data/test-00000-of-00001.parquet"),
        &rows(&[1, 1]),
        true,
    );
    fs::write(root.path().join("README.md"), "# A set").unwrap();
    let split = ImageSplit::find(root.path(), 0.1).unwrap();
    assert_eq!(split.train.format(), ImageFormat::Parquet);
    assert_eq!(split.train.class_names(), ["cat", "dog", "fox"]);
    let train = build(&split.train, DamagedImages::Fail).unwrap();
    assert_eq!(train.info().class_counts, [1, 2, 2]);
    // 10×8 pixels: the middle eight columns, from the second on.
    assert_eq!(train.image(3).unwrap().pixels()[..6], [1, 0, 3, 2, 0, 3]);
    assert_eq!(
        build(&split.valid, DamagedImages::Fail).unwrap().info().class_counts,
        [0, 2, 0]
    );
    let file = ImageSource::open(&root.path().join("data/test-00000-of-00001.parquet")).unwrap();
    assert_eq!(build(&file, DamagedImages::Fail).unwrap().len(), 2);
}

#[test]
fn without_names_the_labels_of_all_files_are_counted() {
    let root = tempfile::tempdir().unwrap();
    write(&root.path().join("train.parquet"), &rows(&[0, 1]), false);
    write(&root.path().join("valid.parquet"), &rows(&[4, 1, 0, 2]), false);
    let split = ImageSplit::find(root.path(), 0.1).unwrap();
    assert_eq!(split.train.class_names(), ["0", "1", "2", "3", "4"]);
}

#[test]
fn labels_of_one_class_alone_are_refused() {
    let root = tempfile::tempdir().unwrap();
    write(&root.path().join("train.parquet"), &rows(&[0, 0, 0, 0]), false);
    assert!(matches!(
        ImageSource::open(root.path()),
        Err(Error::OneClass { class, path }) if class == "0" && path == root.path()
    ));
}

#[test]
fn missing_and_damaged_pictures_and_labels_are_named_by_their_row() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("train.parquet");
    let source = |rows: &[Row]| {
        write(&path, rows, true);
        ImageSource::open(root.path()).unwrap()
    };
    let mut damaged = rows(&[0, 1, 2, 0, 1]);
    damaged[1].0 = None;
    damaged[4].0 = Some(png(4)[..40].to_vec());
    let found = source(&damaged);
    match build(&found, DamagedImages::Fail) {
        Err(Error::BadImage { image, .. }) => assert_eq!(image, "train.parquet row 1"),
        other => panic!("{other:?}"),
    }
    let set = build(&found, DamagedImages::Skip).unwrap();
    let names: Vec<_> = set.info().skipped.iter().map(|skipped| skipped.name.as_str()).collect();
    assert_eq!(names, ["train.parquet row 1", "train.parquet row 4"]);
    assert_eq!(
        (set.label(0), set.label(1), set.label(2), set.len()),
        (Some(0), Some(2), Some(0), 3)
    );

    for label in [3, -1] {
        match build(&source(&rows(&[0, 1, 2, label])), DamagedImages::Skip) {
            Err(Error::ImageLabelOutOfRange {
                position: 3,
                label: found,
                classes: 3,
                ..
            }) => assert_eq!(found, label),
            other => panic!("{other:?}"),
        }
    }
    let mut unlabeled = rows(&[0, 1, 2]);
    unlabeled[2].1 = None;
    match build(&source(&unlabeled), DamagedImages::Fail) {
        Err(Error::BadParquet { reason, .. }) => assert!(reason.contains("row 2"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 20]).unwrap();
    assert!(matches!(ImageSource::open(root.path()), Err(Error::BadParquet { .. })));
}

#[test]
fn a_file_without_pictures_lists_the_columns_it_has() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("train.parquet");
    for (schema, missing) in [
        ("message schema { required int32 label; }", "image"),
        ("message schema { required int32 image; }", "image"),
    ] {
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let mut writer = SerializedFileWriter::new(File::create(&path).unwrap(), schema, Arc::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int32Type>().write_batch(&[0, 1], None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        match ImageSource::open(&path) {
            Err(Error::MissingImageColumn { wanted, columns, .. }) => {
                assert!(wanted.contains(missing), "{wanted}");
                assert!(columns.contains("(int32)"), "{columns}");
            }
            other => panic!("{other:?}"),
        }
    }
}
