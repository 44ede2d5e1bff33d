//! The documents of some files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::document::LineDocuments;
use super::file::{self, CorpusFile, Layout, SkippedFile, described, quoted};
use super::parquet::ParquetDocuments;
use super::part::Part;
use super::settings::TextSettings;
use super::split::Side;
use crate::{Error, Result, unpack};

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
    pub(super) files: Vec<CorpusFile>,
    pub(super) skipped: Vec<SkippedFile>,
    pub(super) part: Part,
    pub(super) settings: Arc<TextSettings>,
    /// What it is for, where that is known.
    pub(super) side: Option<Side>,
}

impl Corpus {
    /// Finds the files of a corpus. Each path is a file (`.txt`, `.jsonl`, `.ndjson` or `.json` with one object a line, alone or packed as `.gz`
    /// or `.zst`; or `.parquet`) or a folder, which is searched recursively in sorted order; files of folders with other extensions, unpacked
    /// `.json` files of folders, and names that begin with a dot, are passed over, see [`Self::skipped`].
    ///
    /// # Errors
    /// [`Error::Io`] for a path that cannot be opened, [`Error::UnknownExtension`] and [`Error::NotAFile`] for a file named directly,
    /// [`Error::NoTextFiles`] when no file is found.
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Self> {
        let paths: Vec<PathBuf> = paths.iter().map(|path| path.as_ref().to_path_buf()).collect();
        let (files, skipped) = file::find(&paths)?;
        if files.is_empty() {
            return Err(Error::NoTextFiles {
                paths: quoted(paths.iter().map(PathBuf::as_path)),
                skipped: described(&skipped),
            });
        }
        Ok(Self {
            files,
            skipped,
            part: Part::All,
            settings: Arc::default(),
            side: None,
        })
    }

    /// The same files, read in another way.
    #[must_use]
    pub fn with_settings(&self, settings: TextSettings) -> Self {
        Self {
            settings: Arc::new(settings),
            ..self.clone()
        }
    }

    /// The same files with the text in another field of JSONL and column of parquet files, see [`TextSettings::text_column`].
    #[must_use]
    pub fn with_text_column(&self, name: &str) -> Self {
        self.with_settings(TextSettings {
            text_column: name.to_owned(),
            ..self.settings().clone()
        })
    }

    /// How documents are read.
    pub fn settings(&self) -> &TextSettings {
        &self.settings
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

    /// Files that are not read, and why. Those whose names begin with a dot are not among them.
    pub fn skipped(&self) -> &[SkippedFile] {
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
            without_text: Arc::default(),
            ended: false,
        }
    }

    pub(crate) fn empty_error(&self) -> Error {
        let paths = quoted(self.files.iter().map(|file| file.path.as_path()));
        match self.side {
            None => Error::EmptyCorpus { paths },
            Some(side) => Error::EmptySide {
                side: side.name(),
                reason: format!("no document of {paths} gives any"),
            },
        }
    }
}

/// The documents of one file.
enum FileDocuments {
    Lines(LineDocuments),
    Parquet(Box<ParquetDocuments>),
}

impl FileDocuments {
    fn open(file: &CorpusFile, documents: &Documents) -> Result<Self> {
        let settings = &documents.corpus.settings;
        let (bytes_read, without_text) = (Arc::clone(&documents.bytes_read), Arc::clone(&documents.without_text));
        if file.layout == Layout::Parquet {
            let column = &settings.text_column;
            let documents = ParquetDocuments::open(&file.path, column, file.bytes, bytes_read, without_text)?;
            return Ok(Self::Parquet(Box::new(documents)));
        }
        let source = unpack::open(&file.path, file.packing, bytes_read)?;
        let settings = Arc::clone(settings);
        let documents = LineDocuments::new(&file.path, source, file.layout, settings, without_text);
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
    without_text: Arc<AtomicU64>,
    ended: bool,
}

impl Documents {
    /// Bytes taken from disk so far, to be compared with [`Corpus::total_bytes`].
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Lines of JSONL and rows of parquet without text so far, which were left out.
    pub fn without_text(&self) -> u64 {
        self.without_text.load(Ordering::Relaxed)
    }

    fn step(&mut self) -> Result<Option<Document>> {
        loop {
            let Some(current) = &mut self.current else {
                let Some(file) = self.corpus.files.get(self.next_file) else {
                    return Ok(None);
                };
                self.next_file += 1;
                if self.corpus.part.keeps_file(file) {
                    self.current = Some(FileDocuments::open(file, self)?);
                } else {
                    self.bytes_read.fetch_add(file.bytes, Ordering::Relaxed);
                }
                continue;
            };
            match current.next_document()? {
                Some(text) => {
                    if let Some(text) = self.corpus.part.of_document(text) {
                        return Ok(Some(Document {
                            text,
                            file: self.next_file - 1,
                        }));
                    }
                }
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
