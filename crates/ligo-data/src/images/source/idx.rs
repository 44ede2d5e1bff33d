//! IDX files, the format of MNIST (<http://yann.lecun.com/exdb/mnist/>): big-endian sizes, then bytes; pictures and labels in two files.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::layout::{Content, Labels, Sample, SourceFile};
use super::unpack;
use crate::images::image::Image;
use crate::{Error, Result};

/// Unsigned bytes in three dimensions.
const IMAGES_MAGIC: u32 = 0x0803;
/// Unsigned bytes in one dimension.
const LABELS_MAGIC: u32 = 0x0801;
const IMAGES: &str = "images-idx3-ubyte";
const LABELS: &str = "labels-idx1-ubyte";
/// The longest side; the sizes come from the file and decide how much memory is asked for.
const MAX_SIDE: u32 = 4_096;

fn ends_in(name: &str, kind: &str) -> bool {
    // Some copies have a dot for the last hyphen.
    let name = name.to_ascii_lowercase().replace(".idx", "-idx");
    name.ends_with(kind) || name.strip_suffix(".gz").is_some_and(|name| name.ends_with(kind))
}

pub(super) fn is_images(name: &str) -> bool {
    ends_in(name, IMAGES)
}

pub(super) fn is_labels(name: &str) -> bool {
    ends_in(name, LABELS)
}

/// The label file that belongs to a file of pictures, packed or not; `None` when the file holds no pictures.
pub(super) fn labels_beside(images: &Path) -> Option<PathBuf> {
    let name = images.file_name()?.to_str()?;
    if !is_images(name) {
        return None;
    }
    let name = name.replace("images", "labels").replace("idx3", "idx1");
    let same = images.with_file_name(&name);
    let other = match name.strip_suffix(".gz") {
        Some(plain) => images.with_file_name(plain),
        None => images.with_file_name(format!("{name}.gz")),
    };
    // When neither is there, the error names the one that was expected.
    Some(if !same.exists() && other.exists() { other } else { same })
}

/// An opened file behind its header.
struct Body {
    source: Box<dyn BufRead + Send>,
    /// The sizes of its dimensions.
    sizes: Vec<u32>,
}

fn open(path: &Path, magic: u32, bytes_read: &Arc<AtomicU64>) -> Result<Body> {
    let mut source = unpack::open(path, bytes_read)?;
    // The last byte of the magic number is the number of dimensions.
    let dimensions = (magic & 0xff) as usize;
    let mut header = vec![0; 4 + 4 * dimensions];
    let found = unpack::fill(&mut source, &mut header).map_err(Error::io("read", path))?;
    let mut words = header
        .chunks_exact(4)
        .map(|word| word.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte)));
    let found_magic = words.next().unwrap_or(0);
    if found >= 4 && found_magic != magic {
        return Err(Error::IdxMagic {
            path: path.to_path_buf(),
            expected: magic,
            found: found_magic,
        });
    }
    if found < header.len() {
        return Err(length(path, header.len() as u64, found as u64));
    }
    let sizes = words.collect();
    Ok(Body { source, sizes })
}

fn length(path: &Path, expected_bytes: u64, found_bytes: u64) -> Error {
    Error::IdxLength {
        path: path.to_path_buf(),
        expected_bytes,
        found_bytes,
    }
}

fn read_labels(path: &Path, bytes_read: &Arc<AtomicU64>) -> Result<Vec<u8>> {
    let Body { mut source, sizes } = open(path, LABELS_MAGIC, bytes_read)?;
    let expected = u64::from(sizes.first().copied().unwrap_or(0));
    let mut labels = Vec::new();
    // One more than promised, to notice that the file goes on.
    let read = source.by_ref().take(expected + 1).read_to_end(&mut labels);
    match read {
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => return Err(Error::io("read", path)(error)),
        _ => {}
    }
    if labels.len() as u64 != expected {
        return Err(length(path, 8 + expected, 8 + labels.len() as u64));
    }
    Ok(labels)
}

/// The highest label of a label file.
pub(super) fn highest_label(path: &Path) -> Result<u32> {
    let labels = read_labels(path, &Arc::default())?;
    Ok(u32::from(labels.into_iter().max().unwrap_or(0)))
}

/// A pair of files while it is read.
struct Pair {
    images: Box<dyn BufRead + Send>,
    labels: std::vec::IntoIter<u8>,
    height: usize,
    width: usize,
    count: u64,
}

fn open_pair(images: &Path, labels: &Path, bytes_read: &Arc<AtomicU64>) -> Result<Pair> {
    let label_bytes = read_labels(labels, bytes_read)?;
    let Body { source, sizes } = open(images, IMAGES_MAGIC, bytes_read)?;
    let [count, height, width] = sizes[..] else {
        return Err(length(images, 16, 4 + 4 * sizes.len() as u64));
    };
    if count as usize != label_bytes.len() {
        return Err(Error::IdxCounts {
            images_path: images.to_path_buf(),
            images: u64::from(count),
            labels_path: labels.to_path_buf(),
            labels: label_bytes.len() as u64,
        });
    }
    let sides = 1..=MAX_SIDE;
    if !sides.contains(&height) || !sides.contains(&width) {
        return Err(Error::BadImage {
            path: images.to_path_buf(),
            image: "every picture".to_owned(),
            reason: format!("{height}×{width} pixels; expected 1 to {MAX_SIDE} on a side"),
        });
    }
    Ok(Pair {
        images: source,
        labels: label_bytes.into_iter(),
        height: height as usize,
        width: width as usize,
        count: u64::from(count),
    })
}

pub(super) fn samples(
    file: &SourceFile,
    classes: usize,
    bytes_read: &Arc<AtomicU64>,
) -> impl Iterator<Item = Result<Sample>> + Send + use<> {
    let (path, name, bytes_read) = (file.path.clone(), file.name.clone(), bytes_read.clone());
    let labels = match &file.labels {
        Labels::Beside(labels) => labels.clone(),
        _ => path.clone(),
    };
    let (mut pair, mut position) = (None, 0_u64);
    let mut next = move || -> Result<Option<Sample>> {
        let pair = match &mut pair {
            Some(pair) => pair,
            none => none.insert(open_pair(&path, &labels, &bytes_read)?),
        };
        let mut pixels = vec![0; pair.height * pair.width];
        let found = unpack::fill(&mut pair.images, &mut pixels).map_err(Error::io("read", &path))?;
        let size = pixels.len() as u64;
        let Some(label) = pair.labels.next() else {
            // The pictures must end where the labels do.
            let expected = 16 + pair.count * size;
            return if found == 0 {
                Ok(None)
            } else {
                Err(length(&path, expected, expected + found as u64))
            };
        };
        if (found as u64) < size {
            return Err(length(
                &path,
                16 + pair.count * size,
                16 + position * size + found as u64,
            ));
        }
        let label = u32::from(label);
        if label as usize >= classes {
            return Err(Error::ImageLabelOutOfRange {
                path: labels.clone(),
                position,
                label: i64::from(label),
                classes,
            });
        }
        let sample = Sample {
            name: format!("{name} picture {position}"),
            label,
            content: Content::Pixels(Image::from_parts(pair.height, pair.width, 1, pixels)),
        };
        position += 1;
        Ok(Some(sample))
    };
    std::iter::from_fn(move || next().transpose())
}
