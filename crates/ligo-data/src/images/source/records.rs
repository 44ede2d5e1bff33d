//! CIFAR's binary records: one or two label bytes, then the red, the green and the blue plane of a 32×32 picture
//! (<https://www.cs.toronto.edu/~kriz/cifar.html>).

use std::fs;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::layout::{Content, ImageFormat, Sample, SourceFile};
use super::unpack;
use crate::images::image::Image;
use crate::{Error, Result, input};

const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
const FINE_NAMES: &str = "fine_label_names.txt";

/// Files that name the classes, one a line.
pub(super) const NAME_FILES: [&str; 3] = ["classes.txt", "batches.meta.txt", FINE_NAMES];

pub(super) fn is_records(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".bin")
}

/// CIFAR-100 is known by the file with its class names.
pub(super) fn format(folder: &Path) -> ImageFormat {
    if folder.join(FINE_NAMES).is_file() {
        ImageFormat::Cifar100
    } else {
        ImageFormat::Cifar10
    }
}

/// The class names of a folder, if a file has them.
pub(super) fn class_names(folder: &Path) -> Result<Option<Vec<String>>> {
    for name in NAME_FILES {
        let path = folder.join(name);
        if path.is_file() {
            let text = input::read_text(&path, input::LIST)?;
            let names = text.lines().map(str::trim).filter(|line| !line.is_empty());
            return Ok(Some(names.map(str::to_owned).collect()));
        }
    }
    Ok(None)
}

fn record_bytes(label_bytes: usize) -> usize {
    label_bytes + 3 * PLANE
}

fn check_size(path: &Path, label_bytes: usize, found_bytes: u64) -> Result<()> {
    let record_bytes = record_bytes(label_bytes) as u64;
    if !found_bytes.is_multiple_of(record_bytes) {
        return Err(Error::RecordFileSize {
            path: path.to_path_buf(),
            record_bytes,
            found_bytes,
        });
    }
    Ok(())
}

/// The highest label of a file.
pub(super) fn highest_label(path: &Path, label_bytes: usize) -> Result<u32> {
    let mut source = BufReader::with_capacity(1 << 20, input::open(path)?);
    let found = source.get_ref().metadata().map_err(Error::io("open", path))?.len();
    check_size(path, label_bytes, found)?;
    let mut record = vec![0; record_bytes(label_bytes)];
    let mut highest = 0;
    while unpack::fill(&mut source, &mut record).map_err(Error::io("read", path))? == record.len() {
        highest = highest.max(record[label_bytes - 1]);
    }
    Ok(u32::from(highest))
}

pub(super) fn samples(
    file: &SourceFile,
    label_bytes: usize,
    classes: usize,
    bytes_read: &Arc<AtomicU64>,
) -> impl Iterator<Item = Result<Sample>> + Send + use<> {
    let (path, name, bytes_read) = (file.path.clone(), file.name.clone(), bytes_read.clone());
    let (mut source, mut position) = (None, 0);
    let mut next = move || -> Result<Option<Sample>> {
        let source = match &mut source {
            Some(source) => source,
            none => {
                let found = fs::metadata(&path).map_err(Error::io("open", &path))?.len();
                check_size(&path, label_bytes, found)?;
                none.insert(unpack::open(&path, &bytes_read)?)
            }
        };
        let mut record = vec![0; record_bytes(label_bytes)];
        let found = unpack::fill(source, &mut record).map_err(Error::io("read", &path))?;
        if found == 0 {
            return Ok(None);
        }
        if found < record.len() {
            return Err(Error::RecordFileSize {
                path: path.clone(),
                record_bytes: record.len() as u64,
                found_bytes: position * record.len() as u64 + found as u64,
            });
        }
        let (head, planes) = record.split_at(label_bytes);
        let label = u32::from(head[label_bytes - 1]);
        if label as usize >= classes {
            return Err(Error::ImageLabelOutOfRange {
                path: path.clone(),
                position,
                label: i64::from(label),
                classes,
            });
        }
        let pixels = (0..PLANE).flat_map(|at| [planes[at], planes[PLANE + at], planes[2 * PLANE + at]]);
        let sample = Sample {
            name: format!("{name} record {position}"),
            label,
            content: Content::Pixels(Image::from_parts(SIDE, SIDE, 3, pixels.collect())),
        };
        position += 1;
        Ok(Some(sample))
    };
    std::iter::from_fn(move || next().transpose())
}
