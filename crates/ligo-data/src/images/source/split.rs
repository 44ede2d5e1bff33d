//! Dividing pictures into those to train on and those to measure on.

use std::path::Path;

use super::image_source::ImageSource;
use super::layout::{ImageFormat, SourceFile};
use crate::hash::unit_hash;
use crate::role::Role;
use crate::{Error, Result};

/// Which pictures of a source are meant. The choice depends on a picture's path below the source (class folders) or on its bytes, never on
/// the machine, the order of reading or the rest of the set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ImagePart {
    /// Every picture.
    All,
    /// The pictures whose hash falls at or above the fraction.
    Train(f64),
    /// The pictures whose hash falls below the fraction.
    Valid(f64),
}

impl ImagePart {
    pub(in crate::images) fn keeps(self, identity: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Train(fraction) => unit_hash(identity) >= fraction,
            Self::Valid(fraction) => unit_hash(identity) < fraction,
        }
    }
}

/// Pictures to train on and pictures to measure on, with none in common.
#[derive(Debug, Clone)]
pub struct ImageSplit {
    /// To train on.
    pub train: ImageSource,
    /// To measure on.
    pub valid: ImageSource,
    /// How the two were told apart, for the user.
    pub how: String,
}

impl ImageSplit {
    /// Two sources that the user named apart.
    ///
    /// # Errors
    /// As [`ImageSource::open`]; [`Error::ClassesDiffer`] when they do not have the same classes.
    pub fn from_paths(train: &Path, valid: &Path) -> Result<Self> {
        let (train, valid) = (ImageSource::open(train)?, ImageSource::open(valid)?);
        if train.class_names != valid.class_names {
            return Err(Error::ClassesDiffer {
                train: train.path,
                train_classes: train.class_names.len(),
                valid: valid.path,
                valid_classes: valid.class_names.len(),
            });
        }
        Ok(Self {
            train,
            valid,
            how: "separate paths".to_owned(),
        })
    }

    /// One source, divided by the names of its files or folders (see [`Role`]): trained on is what is for training (or, without such names, for nothing
    /// in particular), measured on what is for validation, and only where there is nothing for that what is for tests. Without either, `valid_fraction` of
    /// the pictures to train on are held out, chosen by hash. All other files are left out.
    ///
    /// # Errors
    /// As [`ImageSource::open`]; [`Error::BadSetting`] when the fraction is not between 0 and 1.
    pub fn find(path: &Path, valid_fraction: f64) -> Result<Self> {
        if !(valid_fraction > 0.0 && valid_fraction < 1.0) {
            return Err(Error::BadSetting {
                name: "valid_fraction",
                expected: "above 0 and below 1",
                found: valid_fraction.to_string(),
            });
        }
        let source = ImageSource::open(path)?;
        let train = source.only(Role::Train).or_else(|| source.only(Role::Unknown));
        let valid = source.only(Role::Valid).or_else(|| source.only(Role::Test));
        let (train, valid) = match (train, valid) {
            (Some(train), Some(valid)) => {
                let how = "names of files or folders (train, valid or test)".to_owned();
                return Ok(Self { train, valid, how });
            }
            (Some(train), None) => (train.clone(), train),
            (None, _) => (source.clone(), source),
        };
        let by = if train.format == ImageFormat::ClassFolders {
            "path"
        } else {
            "bytes"
        };
        Ok(Self {
            train: ImageSource {
                part: ImagePart::Train(valid_fraction),
                ..train
            },
            valid: ImageSource {
                part: ImagePart::Valid(valid_fraction),
                ..valid
            },
            how: format!(
                "{} % of the pictures, by the hash of their {by}",
                valid_fraction * 100.0
            ),
        })
    }
}

impl ImageSource {
    fn only(&self, role: Role) -> Option<Self> {
        let (files, left_out): (Vec<SourceFile>, Vec<SourceFile>) =
            self.files.iter().cloned().partition(|file| file.role == role);
        if files.is_empty() {
            return None;
        }
        let mut passed_over = self.passed_over.clone();
        let unknown = left_out.into_iter().filter(|file| file.role == Role::Unknown);
        passed_over.extend(unknown.map(|file| file.path));
        Some(Self {
            files,
            passed_over,
            ..self.clone()
        })
    }
}
