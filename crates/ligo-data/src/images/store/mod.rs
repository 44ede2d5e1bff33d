//! Decoded pictures on disk, read through a memory map.

mod build;
mod info;

use std::path::{Path, PathBuf};

use memmap2::Mmap;

pub use build::{DamagedImages, ImageSetSettings};
pub use info::{ImageSetInfo, SkippedImage};

use super::image::Image;
use crate::{Error, Result, input};

const IMAGES_BIN: &str = "images.bin";
const LABELS_BIN: &str = "labels.bin";
const IMAGES_JSON: &str = "images.json";
/// A label in `labels.bin`, little endian.
const LABEL_BYTES: usize = 4;

/// A folder with decoded pictures of one size in `images.bin` (`[N, H, W, C]` bytes), their labels in `labels.bin` (four bytes each, little
/// endian) and their description in `images.json`.
///
/// It is written once by [`ImageSet::build`] and never changed, so any number of runs may read it.
#[derive(Debug)]
pub struct ImageSet {
    path: PathBuf,
    info: ImageSetInfo,
    images: Mmap,
    labels: Vec<u32>,
}

impl ImageSet {
    /// Opens a set and reads all of it, on all cores: the hashes of its files must be those of the description, which has one of its own, and
    /// every label a class. So what is damaged is found here and not trained on.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::BadStore`], [`Error::StoreSize`], [`Error::StoreHash`], [`Error::ImageLabelOutOfRange`].
    pub fn open(folder: &Path) -> Result<Self> {
        let json_path = folder.join(IMAGES_JSON);
        let info = ImageSetInfo::from_json(&json_path, &input::read(&json_path, input::STORE_JSON)?)?;
        let path = folder.join(IMAGES_BIN);
        let file = input::open(&path)?;
        let found_bytes = file.metadata().map_err(Error::io("open", &path))?.len();
        check_size(
            path.clone(),
            info.images.saturating_mul(info.image_bytes() as u64),
            found_bytes,
        )?;
        // SAFETY: a set is never changed after it was renamed into place; every pattern of bytes is a valid `u8`, and no
        // reference into the map outlives `self`. Another program that truncates the file meanwhile would raise SIGBUS.
        let images = unsafe { Mmap::map(&file) }.map_err(Error::io("map", &path))?;
        let labels = read_labels(&folder.join(LABELS_BIN), &info)?;
        let set = Self {
            path: folder.to_path_buf(),
            info,
            images,
            labels,
        };
        set.verify()?;
        Ok(set)
    }

    /// The description.
    pub fn info(&self) -> &ImageSetInfo {
        &self.info
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Pictures in the set.
    pub fn len(&self) -> u64 {
        self.info.images
    }

    /// Whether the set holds no picture; [`Self::build`] refuses to write such a set.
    pub fn is_empty(&self) -> bool {
        self.info.images == 0
    }

    /// Classes that a label may name.
    pub fn num_classes(&self) -> usize {
        self.info.class_names.len()
    }

    /// A picture; `None` behind the end.
    pub fn image(&self, index: u64) -> Option<Image> {
        let size = self.info.image_bytes();
        let start = usize::try_from(index).ok()?.checked_mul(size)?;
        let pixels = self.images.get(start..start.checked_add(size)?)?.to_vec();
        Some(Image::from_parts(
            self.info.height,
            self.info.width,
            self.info.channels,
            pixels,
        ))
    }

    /// The label of a picture; `None` behind the end.
    pub fn label(&self, index: u64) -> Option<u32> {
        self.labels.get(usize::try_from(index).ok()?).copied()
    }

    /// Reads every picture and label again: their hashes must be those of the description.
    ///
    /// # Errors
    /// [`Error::StoreHash`].
    pub fn verify(&self) -> Result<()> {
        let images = self.path.join(IMAGES_BIN);
        self.info.images_promise().check(&images, &self.images)?;
        let labels: Vec<u8> = self.labels.iter().flat_map(|label| label.to_le_bytes()).collect();
        self.info.labels_promise().check(&self.path.join(LABELS_BIN), &labels)
    }
}

fn check_size(path: PathBuf, expected_bytes: u64, found_bytes: u64) -> Result<()> {
    if found_bytes != expected_bytes {
        return Err(Error::StoreSize {
            path,
            expected_bytes,
            found_bytes,
        });
    }
    Ok(())
}

fn read_labels(path: &Path, info: &ImageSetInfo) -> Result<Vec<u32>> {
    let expected_bytes = info.images.saturating_mul(LABEL_BYTES as u64);
    let found_bytes = input::open(path)?.metadata().map_err(Error::io("open", path))?.len();
    check_size(path.to_path_buf(), expected_bytes, found_bytes)?;
    let bytes = input::read(path, expected_bytes)?;
    let labels = bytes
        .chunks_exact(LABEL_BYTES)
        .map(|label| label.iter().rev().fold(0, |sum, &byte| sum << 8 | u32::from(byte)));
    let labels: Vec<u32> = labels.collect();
    let classes = info.class_names.len();
    match labels.iter().position(|&label| label as usize >= classes) {
        Some(position) => Err(Error::ImageLabelOutOfRange {
            path: path.to_path_buf(),
            position: position as u64,
            label: i64::from(labels[position]),
            classes,
        }),
        None => Ok(labels),
    }
}
