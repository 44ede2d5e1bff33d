//! Dividing a corpus into training and validation text.

use std::path::Path;

use super::{Corpus, CorpusFile};
use crate::hash::unit_hash;
use crate::{Error, Result};

/// Which documents of a corpus are meant. The choice depends on the text alone (or the file's name), never on the machine, the order
/// of reading or the rest of the corpus.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Part {
    /// Every document.
    All,
    /// The documents whose hash falls at or above the fraction.
    TrainDocuments(f64),
    /// The documents whose hash falls below the fraction.
    ValidDocuments(f64),
    /// Every document of the files whose name's hash falls at or above the fraction.
    TrainFiles(f64),
    /// Every document of the files whose name's hash falls below the fraction.
    ValidFiles(f64),
}

impl Part {
    pub(super) fn keeps_file(self, file: &CorpusFile) -> bool {
        match self {
            Self::TrainFiles(fraction) => unit_hash(file.name.as_bytes()) >= fraction,
            Self::ValidFiles(fraction) => unit_hash(file.name.as_bytes()) < fraction,
            _ => true,
        }
    }

    pub(super) fn keeps_document(self, text: &str) -> bool {
        match self {
            Self::TrainDocuments(fraction) => unit_hash(text.as_bytes()) >= fraction,
            Self::ValidDocuments(fraction) => unit_hash(text.as_bytes()) < fraction,
            _ => true,
        }
    }
}

/// A corpus for training and one for validation with no document in common.
#[derive(Debug, Clone)]
pub struct TrainValid {
    /// To train on.
    pub train: Corpus,
    /// To measure on.
    pub valid: Corpus,
    /// How the two were told apart, for the user: "files named `valid`", "2 % of the documents".
    pub how: String,
}

impl TrainValid {
    /// Two corpora that the user named apart.
    ///
    /// # Errors
    /// As [`Corpus::open`].
    pub fn from_paths<P: AsRef<Path>>(train: &[P], valid: &[P]) -> Result<Self> {
        Ok(Self {
            train: Corpus::open(train)?,
            valid: Corpus::open(valid)?,
            how: "separate paths".to_owned(),
        })
    }

    /// One corpus, divided: by file name when some of its files are called `train…` and others `valid…`, `validation…` or `dev…`
    /// (files with any other name are then left out), else `valid_fraction` of the documents, chosen by the hash of their text.
    ///
    /// # Errors
    /// As [`Corpus::open`]; [`Error::BadSetting`] when the fraction is not between 0 and 1.
    pub fn split<P: AsRef<Path>>(paths: &[P], valid_fraction: f64) -> Result<Self> {
        if !(valid_fraction > 0.0 && valid_fraction < 1.0) {
            return Err(Error::BadSetting {
                name: "valid_fraction",
                expected: "above 0 and below 1",
                found: valid_fraction.to_string(),
            });
        }
        let corpus = Corpus::open(paths)?;
        let train = corpus.only(|file| is_called(file, &["train"]));
        let valid = corpus.only(|file| is_called(file, &["valid", "validation", "dev"]));
        if let (Some(train), Some(valid)) = (train, valid) {
            return Ok(Self {
                train,
                valid,
                how: "file names (`train`, `valid`)".to_owned(),
            });
        }
        Ok(Self {
            train: corpus.with_part(Part::TrainDocuments(valid_fraction)),
            valid: corpus.with_part(Part::ValidDocuments(valid_fraction)),
            how: format!(
                "{} % of the documents, by the hash of their text",
                valid_fraction * 100.0
            ),
        })
    }
}

impl TrainValid {
    /// The same files with the text in another field or column; see [`Corpus::with_text_column`].
    #[must_use]
    pub fn with_text_column(self, name: &str) -> Self {
        Self {
            train: self.train.with_text_column(name),
            valid: self.valid.with_text_column(name),
            how: self.how,
        }
    }
}

impl Corpus {
    fn only(&self, keep: impl Fn(&CorpusFile) -> bool) -> Option<Self> {
        let (files, left_out): (Vec<_>, Vec<_>) = self.files.iter().cloned().partition(keep);
        let mut skipped = self.skipped.clone();
        skipped.extend(left_out.into_iter().map(|file| file.path));
        (!files.is_empty()).then_some(Self {
            files,
            skipped,
            ..self.clone()
        })
    }
}

/// Whether the file's stem is one of `names`, possibly followed by a separator and more: `train`, `train-00001`, `train_a`.
fn is_called(file: &CorpusFile, names: &[&str]) -> bool {
    let stem = file.stem().to_ascii_lowercase();
    names.iter().any(|name| {
        stem.strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
    })
}
