//! Pictures in files of every layout, made for tests.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use image::{DynamicImage, ImageFormat as Encoding, RgbImage};
use ligo_data::{ImageSet, ImageSetSettings, ImageSource, Result, Watch};

/// A picture whose colors tell where its pixels are.
pub fn rgb(height: u32, width: u32, shade: u8) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 3) as u8, (y * 5) as u8, shade]))
}

pub fn encoded(picture: impl Into<DynamicImage>, encoding: Encoding) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, encoding).unwrap();
    bytes.into_inner()
}

pub fn write(path: impl AsRef<Path>, bytes: &[u8]) {
    fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// CIFAR records with the labels given.
pub fn records(labels: &[u8], label_bytes: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, &label) in labels.iter().enumerate() {
        bytes.extend(vec![99; label_bytes - 1]);
        bytes.push(label);
        bytes.extend((0..3072).map(|i| (i / 1024 * 50 + i % 32 + at) as u8));
    }
    bytes
}

pub fn idx_images(count: u32, height: u32, width: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [0x803, count, height, width] {
        bytes.extend(word.to_be_bytes());
    }
    bytes.extend((0..count * height * width).map(|i| (i * 7) as u8));
    bytes
}

pub fn idx_labels(labels: &[u8]) -> Vec<u8> {
    let mut bytes = [0x801_u32.to_be_bytes(), (labels.len() as u32).to_be_bytes()].concat();
    bytes.extend(labels);
    bytes
}

pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Class folders `cat` (jpg) and `dog` (png) with `count` pictures each.
pub fn class_folders(root: &Path, count: usize) {
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

pub fn settings(side: usize) -> ImageSetSettings {
    ImageSetSettings {
        side,
        ..ImageSetSettings::default()
    }
}

pub fn build(source: &ImageSource, settings: &ImageSetSettings) -> Result<(tempfile::TempDir, ImageSet)> {
    let folder = folder();
    let set = ImageSet::build(&folder.path().join("set"), source, settings, Watch::none())?;
    Ok((folder, set))
}

pub fn build_from(path: &Path) -> Result<(tempfile::TempDir, ImageSet)> {
    build(&ImageSource::open(path)?, &settings(32))
}
