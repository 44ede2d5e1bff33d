//! Pictures with labels as they lie on a disk.
//!
//! What a path holds is found out by looking: class folders, CIFAR records, IDX files or parquet files.

mod entries;
mod find;
mod folder;
mod idx;
mod image_source;
mod layout;
mod parquet;
mod records;
mod split;
mod unpack;

pub use image_source::ImageSource;
pub use layout::ImageFormat;
pub(super) use layout::{Content, Sample};
pub use split::{ImagePart, ImageSplit};
