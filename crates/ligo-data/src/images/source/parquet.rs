//! Image sets of the Hugging Face hub: parquet files with a column of encoded pictures and one of integer labels.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parquet::basic::Type;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;
use serde_json::Value;

use super::layout::{Content, Sample, SourceFile};
use crate::corpus::{bad_parquet, describe_column, guarded};
use crate::{Error, Result, input};

/// Rows decoded at once.
const ROWS: usize = 64;
/// What the hub calls the pictures (`datasets.Image` is a struct of `bytes` and `path`), first choice first.
const IMAGE_COLUMNS: [&str; 4] = ["image.bytes", "img.bytes", "image", "img"];
/// What the hub calls the labels, first choice first.
const LABEL_COLUMNS: [&str; 4] = ["label", "labels", "fine_label", "class"];
/// The key under which `datasets` writes its description into the file.
const DESCRIPTION: &str = "huggingface";

pub(super) fn is_parquet(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".parquet")
}

/// An opened file and where its pictures and labels are.
struct Opened {
    file: SerializedFileReader<File>,
    image: usize,
    label: usize,
    label_name: String,
}

fn open(path: &Path) -> Result<Opened> {
    let handle = input::open(path)?;
    let file = guarded(path, || SerializedFileReader::new(handle))?;
    let columns = file.metadata().file_metadata().schema_descr().columns();
    let find = |names: &[&str], types: &[Type], wanted: &'static str| {
        let fits = |column: &ColumnDescriptor, name: &str| {
            column.path().string() == name && column.max_rep_level() == 0 && types.contains(&column.physical_type())
        };
        let found = names
            .iter()
            .find_map(|name| columns.iter().position(|column| fits(column, name)));
        found.ok_or_else(|| Error::MissingImageColumn {
            path: path.to_path_buf(),
            wanted,
            columns: columns
                .iter()
                .map(|c| describe_column(c))
                .collect::<Vec<_>>()
                .join(", "),
        })
    };
    let image = find(&IMAGE_COLUMNS, &[Type::BYTE_ARRAY], "bytes in `image` (or `img`)")?;
    let label = find(
        &LABEL_COLUMNS,
        &[Type::INT32, Type::INT64],
        "integers in `label` (or `labels`, `fine_label`, `class`)",
    )?;
    let label_name = columns[label].path().string();
    Ok(Opened {
        file,
        image,
        label,
        label_name,
    })
}

/// The names of the classes: those that the first file describes, or the numbers up to the highest label of all.
pub(super) fn class_names<'a>(paths: impl Iterator<Item = &'a Path>) -> Result<Vec<String>> {
    let mut highest = 0;
    for path in paths {
        let opened = open(path)?;
        if let Some(names) = described_names(&opened) {
            return Ok(names);
        }
        for group in 0..opened.file.num_row_groups() {
            let mut labels = label_reader(path, &opened, group)?;
            loop {
                let read = labels.read(path)?;
                if read.is_empty() {
                    break;
                }
                highest = highest.max(read.into_iter().flatten().max().unwrap_or(0));
            }
        }
    }
    Ok((0..=highest).map(|label| label.to_string()).collect())
}

/// `info.features.<label>.names` of the description, where a `ClassLabel` has them.
fn described_names(opened: &Opened) -> Option<Vec<String>> {
    let entries = opened.file.metadata().file_metadata().key_value_metadata()?;
    let text = entries.iter().find(|entry| entry.key == DESCRIPTION)?.value.as_ref()?;
    let description: Value = serde_json::from_str(text).ok()?;
    let feature = description.get("info")?.get("features")?.get(&opened.label_name)?;
    let names = feature.get("names")?.as_array()?;
    names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}

enum LabelReader {
    Int32(ColumnReaderImpl<Int32Type>),
    Int64(ColumnReaderImpl<Int64Type>),
}

fn label_reader(path: &Path, opened: &Opened, group: usize) -> Result<LabelReader> {
    match guarded(path, || {
        opened.file.get_row_group(group)?.get_column_reader(opened.label)
    })? {
        ColumnReader::Int32ColumnReader(reader) => Ok(LabelReader::Int32(reader)),
        ColumnReader::Int64ColumnReader(reader) => Ok(LabelReader::Int64(reader)),
        _ => Err(bad_parquet(path, "a row group disagrees with the schema")),
    }
}

impl LabelReader {
    /// The next labels, at most [`ROWS`]; `None` where a row has none.
    fn read(&mut self, path: &Path) -> Result<Vec<Option<i64>>> {
        match self {
            Self::Int32(reader) => {
                let labels = read_rows(path, ROWS, |rows, levels, values| {
                    reader.read_records(rows, Some(levels), None, values)
                })?;
                Ok(labels.into_iter().map(|label| label.map(i64::from)).collect())
            }
            Self::Int64(reader) => read_rows(path, ROWS, |rows, levels, values| {
                reader.read_records(rows, Some(levels), None, values)
            }),
        }
    }
}

/// Reads rows of a column and puts the missing ones back in.
fn read_rows<T>(
    path: &Path,
    rows: usize,
    read: impl FnOnce(usize, &mut Vec<i16>, &mut Vec<T>) -> parquet::errors::Result<(usize, usize, usize)>,
) -> Result<Vec<Option<T>>> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    let (count, present, _) = guarded(path, || read(rows, &mut levels, &mut values))?;
    if present == count {
        return Ok(values.into_iter().map(Some).collect());
    }
    // A value is there where the level is the column's highest; lower levels are missing structs and missing fields.
    let highest = levels.iter().copied().max().unwrap_or(0);
    let mut values = values.into_iter();
    let row = |level: &i16| if *level == highest { values.next() } else { None };
    Ok(levels.iter().map(row).collect())
}

/// The rows of one file while it is read.
struct Rows {
    path: PathBuf,
    name: String,
    classes: usize,
    opened: Opened,
    next_group: usize,
    group: Option<(ColumnReaderImpl<ByteArrayType>, LabelReader)>,
    waiting: VecDeque<(Option<ByteArray>, Option<i64>)>,
    position: u64,
    bytes_read: Arc<AtomicU64>,
}

impl Rows {
    fn next(&mut self) -> Result<Option<Sample>> {
        while self.waiting.is_empty() {
            if !self.fill()? {
                return Ok(None);
            }
        }
        let Some((image, label)) = self.waiting.pop_front() else {
            return Ok(None);
        };
        let position = self.position;
        self.position += 1;
        let label = label.ok_or_else(|| bad_parquet(&self.path, format!("row {position} has no label")))?;
        let in_range = u32::try_from(label)
            .ok()
            .filter(|&label| (label as usize) < self.classes);
        let Some(label) = in_range else {
            return Err(Error::ImageLabelOutOfRange {
                path: self.path.clone(),
                position,
                label,
                classes: self.classes,
            });
        };
        // A missing picture is a damaged one, so that it is named or skipped.
        let bytes = image.map(|image| image.data().to_vec()).unwrap_or_default();
        self.bytes_read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(Some(Sample {
            name: format!("{} row {position}", self.name),
            label,
            content: Content::Encoded(bytes),
        }))
    }

    /// Decodes more rows; false when there are none.
    fn fill(&mut self) -> Result<bool> {
        loop {
            let Some((images, labels)) = &mut self.group else {
                if self.next_group >= self.opened.file.num_row_groups() {
                    return Ok(false);
                }
                let group = self.next_group;
                let opened = &self.opened;
                let images = guarded(&self.path, || {
                    opened.file.get_row_group(group)?.get_column_reader(opened.image)
                })?;
                let ColumnReader::ByteArrayColumnReader(images) = images else {
                    return Err(bad_parquet(&self.path, "a row group disagrees with the schema"));
                };
                self.group = Some((images, label_reader(&self.path, opened, group)?));
                self.next_group += 1;
                continue;
            };
            let images = read_rows(&self.path, ROWS, |rows, levels, values| {
                images.read_records(rows, Some(levels), None, values)
            })?;
            let labels = labels.read(&self.path)?;
            if images.len() != labels.len() {
                let reason = format!("{} pictures, but {} labels in a row group", images.len(), labels.len());
                return Err(bad_parquet(&self.path, reason));
            }
            if images.is_empty() {
                self.group = None;
                continue;
            }
            self.waiting.extend(images.into_iter().zip(labels));
            return Ok(true);
        }
    }
}

pub(super) fn samples(
    file: &SourceFile,
    classes: usize,
    bytes_read: &Arc<AtomicU64>,
) -> impl Iterator<Item = Result<Sample>> + Send + use<> {
    let (path, name, bytes_read) = (file.path.clone(), file.name.clone(), bytes_read.clone());
    let mut rows = None;
    let mut next = move || -> Result<Option<Sample>> {
        let rows = match &mut rows {
            Some(rows) => rows,
            none => none.insert(Rows {
                opened: open(&path)?,
                path: path.clone(),
                name: name.clone(),
                classes,
                next_group: 0,
                group: None,
                waiting: VecDeque::new(),
                position: 0,
                bytes_read: bytes_read.clone(),
            }),
        };
        rows.next()
    };
    std::iter::from_fn(move || next().transpose())
}
