//! Pictures with labels as they lie on a disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::layout::{ImageFormat, Labels, Samples, SourceFile};
use super::split::ImagePart;
use super::{find, folder, idx, parquet, records};
use crate::Result;

/// Labeled pictures on a disk, and which of them are meant.
///
/// ```no_run
/// # fn main() -> ligo_data::Result<()> {
/// let split = ligo_data::ImageSplit::find("flowers".as_ref(), 0.1)?;
/// println!("{} classes, divided by {}", split.train.class_names().len(), split.how);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ImageSource {
    pub(super) path: PathBuf,
    pub(super) format: ImageFormat,
    pub(super) files: Vec<SourceFile>,
    pub(super) passed_over: Vec<PathBuf>,
    pub(super) class_names: Vec<String>,
    pub(super) part: ImagePart,
}

impl ImageSource {
    /// Finds the pictures of a path:
    ///
    /// * a folder with one folder of JPEG or PNG files for each class, perhaps below `train` and `valid` (`val`, `validation`, `dev`, `test`),
    /// * a folder with CIFAR record files (`*.bin`), their classes named by `classes.txt`, `batches.meta.txt` or `fine_label_names.txt`,
    /// * a folder with IDX files as MNIST's (`*-images-idx3-ubyte`, `*-labels-idx1-ubyte`, alone or followed by `.gz`),
    /// * a folder, or a folder with a folder `data`, with parquet files as the hub has them: pictures in `image` or `img`, integers in `label`,
    /// * or one file of the last three kinds.
    ///
    /// Everything that is found belongs to the source; [`ImageSplit::find`](crate::ImageSplit::find) tells train and valid apart.
    ///
    /// # Errors
    /// [`crate::Error::Io`], [`crate::Error::UnknownImageSource`], [`crate::Error::EmptyImageSet`], [`crate::Error::OneClass`],
    /// [`crate::Error::UnknownClass`], [`crate::Error::RecordFileSize`], [`crate::Error::MissingImageColumn`],
    /// and those of IDX and parquet files.
    pub fn open(path: &Path) -> Result<Self> {
        find::find(path)
    }

    /// The path that was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How the pictures are laid out.
    pub fn format(&self) -> ImageFormat {
        self.format
    }

    /// The names of the classes; a label is an index into them. Numbers where the source has no names.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Files that were passed over because of their extension or because they belong to no class.
    pub fn passed_over(&self) -> &[PathBuf] {
        &self.passed_over
    }

    /// All files that pictures and labels are read from, each with its path below the named one.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.files.iter().flat_map(|file| {
            let labels = match &file.labels {
                Labels::Beside(labels) => Some(labels.as_path()),
                _ => None,
            };
            let all = std::iter::once(file.path.as_path()).chain(labels);
            all.map(|path| (file.name.as_str(), path))
        })
    }

    /// Bytes of all files as they lie on disk.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    pub(in crate::images) fn part(&self) -> ImagePart {
        self.part
    }

    /// Reads the samples in order. `bytes_read` is increased by the bytes taken from disk, where they are read here.
    pub(in crate::images) fn samples(&self, bytes_read: &Arc<AtomicU64>) -> Samples<'_> {
        let classes = self.class_names.len();
        let bytes_read = bytes_read.clone();
        let files = self.files.iter();
        match self.format {
            ImageFormat::ClassFolders => Box::new(files.map(|file| Ok(folder::sample(file)))),
            ImageFormat::Cifar10 | ImageFormat::Cifar100 => {
                let label_bytes = self.format.label_bytes();
                Box::new(until_error(files.flat_map(move |file| {
                    records::samples(file, label_bytes, classes, &bytes_read)
                })))
            }
            ImageFormat::Idx => Box::new(until_error(
                files.flat_map(move |file| idx::samples(file, classes, &bytes_read)),
            )),
            ImageFormat::Parquet => Box::new(until_error(
                files.flat_map(move |file| parquet::samples(file, classes, &bytes_read)),
            )),
        }
    }
}

fn until_error<T>(items: impl Iterator<Item = Result<T>>) -> impl Iterator<Item = Result<T>> {
    let mut failed = false;
    items.take_while(move |item| !std::mem::replace(&mut failed, item.is_err()))
}
