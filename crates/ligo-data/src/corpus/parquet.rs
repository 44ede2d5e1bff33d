//! Documents from a text column of a parquet file.
//!
//! Only that column is read, a few rows at a time, so memory holds one page of it. Rows without text are passed over.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use crate::guard::guarded as caught;
use crate::{Error, Result, input};

/// Rows decoded at once.
const ROWS: usize = 64;

/// The documents of one file.
pub(super) struct ParquetDocuments {
    path: PathBuf,
    file: SerializedFileReader<File>,
    column: usize,
    next_group: usize,
    group: Option<ColumnReaderImpl<ByteArrayType>>,
    /// Decoded rows, the next one last.
    waiting: Vec<ByteArray>,
    progress: Progress,
    /// Rows without text, of all files.
    without_text: Arc<AtomicU64>,
}

impl ParquetDocuments {
    /// Opens a file. `bytes_read` is increased by the file's share of the rows read, as other columns are never taken from disk;
    /// `without_text` by the rows that have none.
    pub(super) fn open(
        path: &Path,
        column: &str,
        bytes: u64,
        bytes_read: Arc<AtomicU64>,
        without_text: Arc<AtomicU64>,
    ) -> Result<Self> {
        let handle = input::open(path)?;
        let file = guarded(path, || SerializedFileReader::new(handle))?;
        let metadata = file.metadata().file_metadata();
        let columns = metadata.schema_descr().columns();
        let is_text = |found: &ColumnDescriptor| {
            found.path().string() == column && found.physical_type() == Type::BYTE_ARRAY && found.max_rep_level() == 0
        };
        let Some(index) = columns.iter().position(|found| is_text(found)) else {
            let found: Vec<String> = columns.iter().map(|found| describe(found)).collect();
            return Err(Error::MissingColumn {
                path: path.to_path_buf(),
                column: column.to_owned(),
                columns: found.join(", "),
            });
        };
        let total_rows = u64::try_from(metadata.num_rows()).unwrap_or(0);
        Ok(Self {
            path: path.to_path_buf(),
            file,
            column: index,
            next_group: 0,
            group: None,
            waiting: Vec::new(),
            progress: Progress {
                bytes_read,
                bytes,
                reported: 0,
                total_rows,
                rows: 0,
            },
            without_text,
        })
    }

    /// The next document that is not blank; `None` at the end of the file.
    pub(super) fn next_document(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(row) = self.waiting.pop() {
                let rows = self.progress.rows;
                let text = std::str::from_utf8(row.data())
                    .map_err(|_| bad(&self.path, format!("a text among the first {rows} rows is not UTF-8")))?;
                if !text.trim().is_empty() {
                    return Ok(Some(text.to_owned()));
                }
                continue;
            }
            if !self.fill()? {
                self.progress.end();
                return Ok(None);
            }
        }
    }

    /// Decodes more rows; false when there are none.
    fn fill(&mut self) -> Result<bool> {
        loop {
            let Some(group) = &mut self.group else {
                if self.next_group >= self.file.num_row_groups() {
                    return Ok(false);
                }
                let column = guarded(&self.path, || {
                    let group = self.file.get_row_group(self.next_group)?;
                    group.get_column_reader(self.column)
                })?;
                self.next_group += 1;
                match column {
                    ColumnReader::ByteArrayColumnReader(reader) => self.group = Some(reader),
                    // The schema says otherwise, so the file contradicts itself.
                    _ => return Err(bad(&self.path, "a row group disagrees with the schema")),
                }
                continue;
            };
            let (mut levels, mut values) = (Vec::new(), Vec::new());
            let (rows, ..) = guarded(&self.path, || {
                group.read_records(ROWS, Some(&mut levels), None, &mut values)
            })?;
            if rows == 0 {
                self.group = None;
                continue;
            }
            self.progress.rows(rows as u64);
            let missing = rows.saturating_sub(values.len());
            self.without_text.fetch_add(missing as u64, Ordering::Relaxed);
            values.reverse();
            self.waiting = values;
            return Ok(true);
        }
    }
}

/// Bytes of the file that the rows read so far stand for.
struct Progress {
    bytes_read: Arc<AtomicU64>,
    bytes: u64,
    reported: u64,
    total_rows: u64,
    rows: u64,
}

impl Progress {
    fn rows(&mut self, rows: u64) {
        self.rows += rows;
        let share = u128::from(self.bytes) * u128::from(self.rows) / u128::from(self.total_rows.max(1));
        self.report(u64::try_from(share).unwrap_or(u64::MAX).min(self.bytes));
    }

    fn end(&mut self) {
        self.report(self.bytes);
    }

    fn report(&mut self, bytes: u64) {
        self.bytes_read
            .fetch_add(bytes.saturating_sub(self.reported), Ordering::Relaxed);
        self.reported = bytes.max(self.reported);
    }
}

pub(crate) fn bad(path: &Path, reason: impl ToString) -> Error {
    Error::BadParquet {
        path: path.to_path_buf(),
        reason: reason.to_string(),
    }
}

/// Runs code of the `parquet` crate, which takes some contradictions in a damaged file for its own mistakes and panics.
pub(crate) fn guarded<T>(path: &Path, run: impl FnOnce() -> parquet::errors::Result<T>) -> Result<T> {
    match caught(run) {
        Ok(result) => result.map_err(|error| bad(path, error)),
        Err(panic) => Err(bad(path, panic)),
    }
}

/// A column's path and type for people: "`id` (int64), `tags.list.element` (list of string)".
pub(crate) fn describe(column: &ColumnDescriptor) -> String {
    let annotated = matches!(
        column.logical_type_ref(),
        Some(LogicalType::String | LogicalType::Json | LogicalType::Enum)
    ) || matches!(
        column.converted_type(),
        ConvertedType::UTF8 | ConvertedType::JSON | ConvertedType::ENUM
    );
    let kind = match column.physical_type() {
        Type::BYTE_ARRAY if annotated => "string".to_owned(),
        Type::BYTE_ARRAY => "bytes".to_owned(),
        other => other.to_string().to_ascii_lowercase(),
    };
    let list = if column.max_rep_level() > 0 { "list of " } else { "" };
    format!("`{}` ({list}{kind})", column.path().string())
}
