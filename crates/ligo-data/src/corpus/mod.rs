//! Text on disk as a stream of documents.
//!
//! Files are read one after another and unpacked on the way; what is held in memory is one buffer and one document.

mod document;
mod file;
mod parquet;
mod reader;
mod split;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use file::{CorpusFile, Layout, Packing};
pub use split::{Part, TrainValid};

use crate::{Error, Result};
use document::LineDocuments;
use parquet::ParquetDocuments;
pub(crate) use parquet::{bad as bad_parquet, describe as describe_column, guarded};

/// One document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its text, without the line end behind it.
    pub text: String,
    /// Index of its file in [`Corpus::files`].
    pub file: usize,
}

/// Files that hold documents, and which of the documents are meant.
///
/// ```no_run
/// # fn main() -> ligo_data::Result<()> {
/// let corpus = ligo_data::Corpus::open(&["texts", "more.jsonl.zst"])?;
/// for document in corpus.documents() {
///     let _characters = document?.text.chars().count();
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Corpus {
    files: Vec<CorpusFile>,
    skipped: Vec<PathBuf>,
    part: Part,
    text_column: Arc<str>,
}

/// What the text is called in JSONL and parquet files, unless said otherwise.
const TEXT_COLUMN: &str = "text";

impl Corpus {
    /// Finds the files of a corpus. Each path is a file (`.txt`, `.jsonl` or `.json` with one object a line, alone or packed as `.gz` or
    /// `.zst`; or `.parquet`) or a folder, which is searched recursively in sorted order; files of folders with other extensions, unpacked
    /// `.json` files of folders, and names that begin with a dot, are passed over.
    ///
    /// # Errors
    /// [`Error::Io`] for a path that cannot be opened, [`Error::UnknownExtension`] for a file named directly, [`Error::EmptyCorpus`] when no
    /// file is found.
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Self> {
        let paths: Vec<PathBuf> = paths.iter().map(|path| path.as_ref().to_path_buf()).collect();
        let (files, skipped) = file::find(&paths)?;
        if files.is_empty() {
            return Err(Error::EmptyCorpus {
                paths: quoted(paths.iter().map(PathBuf::as_path)),
            });
        }
        Ok(Self {
            files,
            skipped,
            part: Part::All,
            text_column: TEXT_COLUMN.into(),
        })
    }

    /// The same files with the text in another field of JSONL and column of parquet files than `text`. A field of a parquet struct is named
    /// with a dot: `article.body`.
    #[must_use]
    pub fn with_text_column(&self, name: &str) -> Self {
        Self {
            text_column: name.into(),
            ..self.clone()
        }
    }

    /// The same files with another choice of documents.
    #[must_use]
    pub fn with_part(&self, part: Part) -> Self {
        Self { part, ..self.clone() }
    }

    /// The files, in reading order.
    pub fn files(&self) -> &[CorpusFile] {
        &self.files
    }

    /// Files of the folders that were passed over because of their extension.
    pub fn skipped(&self) -> &[PathBuf] {
        &self.skipped
    }

    /// Bytes of all files as they lie on disk.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Reads the documents in order. The iterator ends after its first error.
    pub fn documents(&self) -> Documents {
        Documents {
            corpus: self.clone(),
            next_file: 0,
            current: None,
            bytes_read: Arc::default(),
            ended: false,
        }
    }

    pub(crate) fn empty_error(&self) -> Error {
        Error::EmptyCorpus {
            paths: quoted(self.files.iter().map(|file| file.path.as_path())),
        }
    }
}

/// The documents of one file.
enum FileDocuments {
    Lines(LineDocuments),
    Parquet(Box<ParquetDocuments>),
}

impl FileDocuments {
    fn open(file: &CorpusFile, column: &Arc<str>, bytes_read: Arc<AtomicU64>) -> Result<Self> {
        if file.layout == Layout::Parquet {
            let documents = ParquetDocuments::open(&file.path, column, file.bytes, bytes_read)?;
            return Ok(Self::Parquet(Box::new(documents)));
        }
        let source = reader::open(&file.path, file.packing, bytes_read)?;
        let documents = LineDocuments::new(&file.path, source, file.layout, Arc::clone(column));
        Ok(Self::Lines(documents))
    }

    fn next_document(&mut self) -> Result<Option<String>> {
        match self {
            Self::Lines(documents) => documents.next_document(),
            Self::Parquet(documents) => documents.next_document(),
        }
    }
}

/// Iterator over the documents of a [`Corpus`].
pub struct Documents {
    corpus: Corpus,
    next_file: usize,
    current: Option<FileDocuments>,
    bytes_read: Arc<AtomicU64>,
    ended: bool,
}

impl Documents {
    /// Bytes taken from disk so far, to be compared with [`Corpus::total_bytes`].
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    fn step(&mut self) -> Result<Option<Document>> {
        loop {
            let Some(current) = &mut self.current else {
                let Some(file) = self.corpus.files.get(self.next_file) else {
                    return Ok(None);
                };
                self.next_file += 1;
                if self.corpus.part.keeps_file(file) {
                    let bytes_read = Arc::clone(&self.bytes_read);
                    self.current = Some(FileDocuments::open(file, &self.corpus.text_column, bytes_read)?);
                } else {
                    self.bytes_read.fetch_add(file.bytes, Ordering::Relaxed);
                }
                continue;
            };
            match current.next_document()? {
                Some(text) if self.corpus.part.keeps_document(&text) => {
                    return Ok(Some(Document {
                        text,
                        file: self.next_file - 1,
                    }));
                }
                Some(_) => {}
                None => self.current = None,
            }
        }
    }
}

impl Iterator for Documents {
    type Item = Result<Document>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let step = self.step().transpose();
        self.ended = !matches!(step, Some(Ok(_)));
        step
    }
}

fn quoted<'a>(paths: impl Iterator<Item = &'a Path>) -> String {
    let mut names: Vec<String> = paths.take(6).map(|path| format!("`{}`", path.display())).collect();
    if names.len() > 5 {
        names[5] = "…".to_owned();
    }
    names.join(", ")
}
