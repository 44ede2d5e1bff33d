//! Dividing a corpus into training and validation text.

use std::fs;
use std::path::{Path, PathBuf};

use super::documents::Corpus;
use super::file::{CorpusFile, Skipped, SkippedFile, quoted};
use super::part::Part;
use super::part::{cut, is_held_out};
use super::settings::TextSettings;
use crate::role::Role;
use crate::{Error, Result};

/// What text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// To train on.
    Train,
    /// To measure on.
    Valid,
}

impl Side {
    /// "training" or "validation".
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "training",
            Self::Valid => "validation",
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
    /// Two corpora that the user named apart. Left out of `train` are the files that are in `valid`, and, where something else is left, those that are
    /// for validation or tests by their names (see [`Role`]). Of folders in `valid` what is called validation is taken, where something is.
    ///
    /// # Errors
    /// As [`Corpus::open`]; [`Error::EmptySide`] when the two are the same files.
    pub fn from_paths<P: AsRef<Path>>(train: &[P], valid: &[P]) -> Result<Self> {
        let are_files = valid.iter().all(|path| path.as_ref().is_file());
        let valid = Corpus::open(valid)?;
        let of_role = |role| valid.only(|file| (file.role != role).then_some(why(file, Skipped::Unnamed)));
        let chosen = of_role(Role::Valid).or_else(|| of_role(Role::Unknown));
        // Whoever names a file means it.
        let valid = chosen.filter(|_| !are_files).unwrap_or(valid);
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let in_valid: Vec<PathBuf> = valid.files.iter().map(|file| real(&file.path)).collect();
        let train = Corpus::open(train)?;
        let train = train
            .only(|file| in_valid.contains(&real(&file.path)).then_some(Skipped::InValid))
            .ok_or_else(|| Error::EmptySide {
                side: Side::Train.name(),
                reason: "all of its files are validation text".to_owned(),
            })?;
        let train = train.only(not_for_training).unwrap_or(train);
        Ok(Self {
            train: train.as_side(Side::Train),
            valid: valid.as_side(Side::Valid),
            how: "separate paths".to_owned(),
        })
    }

    /// One corpus, divided by the names of its files and folders (see [`Role`]): what is for tests is left out, what is for validation is measured on,
    /// and the rest is trained on, or of it only what is called `train`, where both names are there. Without validation text, `valid_fraction` of
    /// the documents are held out, chosen by the hash of their text.
    ///
    /// # Errors
    /// As [`Corpus::open`]; [`Error::BadSetting`] when the fraction is not between 0 and 1; [`Error::EmptySide`] when a folder holds nothing to train on.
    pub fn split<P: AsRef<Path>>(paths: &[P], valid_fraction: f64) -> Result<Self> {
        if !(valid_fraction > 0.0 && valid_fraction < 1.0) {
            return Err(Error::BadSetting {
                name: "valid_fraction",
                expected: "above 0 and below 1",
                found: valid_fraction.to_string(),
            });
        }
        let corpus = Corpus::open(paths)?;
        let has = |role| corpus.files.iter().any(|file| file.role == role);
        if has(Role::Valid) {
            let unnamed = has(Role::Train);
            let valid = corpus.only(|file| (file.role != Role::Valid).then_some(why(file, Skipped::Unnamed)));
            let train = corpus.only(|file| match file.role {
                Role::Unknown if unnamed => Some(Skipped::Unnamed),
                _ => not_for_training(file),
            });
            if let (Some(train), Some(valid)) = (train, valid) {
                // What is called validation is not left out: it is measured on.
                let used: Vec<&PathBuf> = valid.files.iter().map(|file| &file.path).collect();
                let skipped = train.skipped.iter().filter(|file| !used.contains(&&file.path));
                return Ok(Self {
                    train: Corpus {
                        skipped: skipped.cloned().collect(),
                        ..train.clone()
                    }
                    .as_side(Side::Train),
                    valid: valid.as_side(Side::Valid),
                    how: match unnamed {
                        true => "file names (`train`, `valid`)".to_owned(),
                        false => "file names (`valid`)".to_owned(),
                    },
                });
            }
        }
        let corpus = match corpus.only(not_for_training) {
            Some(corpus) => corpus,
            // Whoever names a file means it.
            None if paths.iter().all(|path| path.as_ref().is_file()) => corpus,
            None => {
                return Err(Error::EmptySide {
                    side: Side::Train.name(),
                    reason: format!(
                        "{} hold only text that is for validation or tests by its name, such as `{}`",
                        quoted(paths.iter().map(AsRef::as_ref)),
                        corpus.files[0].path.display()
                    ),
                });
            }
        };
        Ok(Self {
            train: corpus
                .with_part(Part::TrainDocuments(valid_fraction))
                .as_side(Side::Train),
            valid: corpus
                .with_part(Part::ValidDocuments(valid_fraction))
                .as_side(Side::Valid),
            how: format!(
                "{} % of the documents, by the hash of their text",
                valid_fraction * 100.0
            ),
        })
    }

    /// The same files, read in another way.
    #[must_use]
    pub fn with_settings(self, settings: &TextSettings) -> Self {
        Self {
            train: self.train.with_settings(settings.clone()),
            valid: self.valid.with_settings(settings.clone()),
            how: self.how,
        }
    }

    /// The same files with the text in another field or column, see [`TextSettings::text_column`].
    #[must_use]
    pub fn with_text_column(self, name: &str) -> Self {
        let settings = self.train.with_text_column(name).settings().clone();
        self.with_settings(&settings)
    }

    /// The same files with other lines that divide plain text, see [`TextSettings::end_tokens`].
    #[must_use]
    pub fn with_end_tokens(self, end_tokens: Vec<String>) -> Self {
        let settings = TextSettings {
            end_tokens,
            ..self.train.settings().clone()
        };
        self.with_settings(&settings)
    }

    /// Sees to it that there is text on both sides: where so few documents are held out by their hash that one side has none, every document is cut
    /// in two instead, its end being for validation. Reads until it has seen a document of each side.
    ///
    /// # Errors
    /// Those of reading; [`Error::EmptyCorpus`]; [`Error::EmptySide`] when a cut gives nothing either.
    pub fn settled(self) -> Result<Self> {
        let Part::TrainDocuments(fraction) = self.train.part else {
            return Ok(self);
        };
        let (mut train, mut valid, mut documents, mut can_be_cut) = (0_u64, 0_u64, 0_u64, false);
        for document in self.train.with_part(Part::All).documents() {
            let text = document?.text;
            documents += 1;
            can_be_cut |= cut(&text, fraction) < text.trim_end().len();
            match is_held_out(&text, fraction) {
                true => valid += 1,
                false => train += 1,
            }
            if train > 0 && valid > 0 {
                return Ok(self);
            }
        }
        let side = if train == 0 { Side::Train } else { Side::Valid };
        if documents == 0 {
            return Err(Error::EmptyCorpus {
                paths: quoted(self.train.files.iter().map(|file| file.path.as_path())),
            });
        }
        if !can_be_cut {
            return Err(Error::EmptySide {
                side: side.name(),
                reason: format!("{documents} document(s) of one word cannot be divided"),
            });
        }
        Ok(Self {
            train: self.train.with_part(Part::TrainText(fraction)),
            valid: self.valid.with_part(Part::ValidText(fraction)),
            how: format!(
                "the last {} % of each document, since holding out whole ones by hash leaves none of {documents} for {}",
                fraction * 100.0,
                side.name()
            ),
        })
    }

    /// Whether every document is cut in two, see [`Self::settled`].
    pub fn is_cut(&self) -> bool {
        matches!(self.train.part, Part::TrainText(_))
    }

    /// The files that are on neither side, and why, each once.
    pub fn left_out(&self) -> Vec<&SkippedFile> {
        let used = |path: &Path| {
            let mut files = self.train.files.iter().chain(&self.valid.files);
            files.any(|file| file.path == path)
        };
        let mut left_out: Vec<&SkippedFile> = Vec::new();
        for file in self.train.skipped.iter().chain(&self.valid.skipped) {
            if !used(&file.path) && left_out.iter().all(|known| known.path != file.path) {
                left_out.push(file);
            }
        }
        left_out
    }
}

/// Why a file must not be trained on, if so.
fn not_for_training(file: &CorpusFile) -> Option<Skipped> {
    match file.role {
        Role::Test => Some(Skipped::Test),
        Role::Valid => Some(Skipped::Valid),
        Role::Train | Role::Unknown => None,
    }
}

/// Why a file is not measured on.
fn why(file: &CorpusFile, unnamed: Skipped) -> Skipped {
    match file.role {
        Role::Train => Skipped::Train,
        Role::Valid => Skipped::Valid,
        Role::Test => Skipped::Test,
        Role::Unknown => unnamed,
    }
}

impl Corpus {
    fn as_side(&self, side: Side) -> Self {
        Self {
            side: Some(side),
            ..self.clone()
        }
    }

    /// Without the files that there is a reason to leave out; `None` when nothing is left.
    fn only(&self, why_not: impl Fn(&CorpusFile) -> Option<Skipped>) -> Option<Self> {
        let (mut files, mut skipped) = (Vec::new(), self.skipped.clone());
        for file in &self.files {
            match why_not(file) {
                None => files.push(file.clone()),
                Some(why) => skipped.push(SkippedFile {
                    path: file.path.clone(),
                    why,
                }),
            }
        }
        (!files.is_empty()).then_some(Self {
            files,
            skipped,
            ..self.clone()
        })
    }
}
