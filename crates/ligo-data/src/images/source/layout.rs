//! How pictures and labels lie on a disk.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::images::image::Image;
use crate::role::Role;

/// How pictures and labels are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageFormat {
    /// JPEG and PNG files in one folder per class.
    ClassFolders,
    /// Records of one label byte and 3,072 bytes, a 32×32 picture as three planes: CIFAR-10.
    Cifar10,
    /// The same with two label bytes, of which the second counts: CIFAR-100.
    Cifar100,
    /// Gray pictures and labels in two files, perhaps packed as `.gz`: MNIST.
    Idx,
    /// Encoded pictures and labels in columns: sets of the Hugging Face hub.
    Parquet,
}

impl ImageFormat {
    /// Bytes in front of the picture of a CIFAR record.
    pub(super) fn label_bytes(self) -> usize {
        if self == Self::Cifar100 { 2 } else { 1 }
    }
}

/// One file with one picture (class folders) or many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceFile {
    pub(super) path: PathBuf,
    /// Path below the path that was named, with `/`; the same on every machine.
    pub(super) name: String,
    /// Size on disk, of the label file too.
    pub(super) bytes: u64,
    pub(super) role: Role,
    pub(super) labels: Labels,
}

/// Where the labels of a file are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Labels {
    /// All its pictures have this one.
    One(u32),
    /// In the file itself.
    Inside,
    /// In a file of their own.
    Beside(PathBuf),
}

/// One labeled picture before it is decoded.
pub(in crate::images) struct Sample {
    /// For messages: the file, or the file and the record.
    pub(in crate::images) name: String,
    pub(in crate::images) label: u32,
    pub(in crate::images) content: Content,
}

pub(in crate::images) enum Content {
    Pixels(Image),
    File(PathBuf),
    /// The bytes of a JPEG or PNG file.
    Encoded(Vec<u8>),
}

/// The samples of a source, in order. It ends after its first error.
pub(in crate::images) type Samples<'a> = Box<dyn Iterator<Item = Result<Sample>> + Send + 'a>;
