//! Why a directory cannot be used, or not be written.

use std::path::PathBuf;

use ligo_checkpoint::MANIFEST_FILE;
use thiserror::Error;

/// Why a directory is not a model that can be used.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A file is damaged or absent, or a tensor is missing, misshapen or of a wrong dtype.
    #[error(transparent)]
    Checkpoint(#[from] ligo_checkpoint::Error),
    /// `config.json` describes no model that ligo knows.
    #[error("{}: {source}", path.display())]
    Config {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        source: ligo_arch::Error,
    },
    /// `config.json` says that two tensors are one, and the file holds two that differ.
    #[error(
        "{}: config.json says that `{alias}` and `{source_name}` are the same, and they differ; \
         if they are meant to, set \"tie_word_embeddings\": false",
        path.display()
    )]
    BrokenTie {
        /// The directory.
        path: PathBuf,
        /// The tensor that should follow the other.
        alias: String,
        /// The tensor that is tied to.
        source_name: String,
    },
    /// `config.json` is another model's.
    #[error(
        "{}: config.json says {says}, the tensors are those of {found}; the files of two models seem to be mixed",
        path.display()
    )]
    OtherFamily {
        /// The directory.
        path: PathBuf,
        /// The family of `config.json`.
        says: String,
        /// The family of the tensors.
        found: String,
    },
    /// A file is not the one that was written.
    #[error(
        "{source}; the file is damaged or was changed. If the change is meant, remove {} there: nothing is checked without it",
        MANIFEST_FILE
    )]
    Changed {
        /// The file.
        source: ligo_checkpoint::Error,
    },
    /// There is the body of a model, and not the head that ligo trains it with.
    #[error(
        "{}: the {family} model here has no {head} head{named}: `{missing}` and what belongs to it are not in the file. \
         {}transformers can add a fresh head: {class}.from_pretrained(DIR).save_pretrained(NEW)",
        path.display(), body.as_ref().map_or(String::new(), |body| format!("to read the body alone, write \"architectures\": [\"{body}\"] into config.json; "))
    )]
    NoHead {
        /// The directory.
        path: PathBuf,
        /// The family.
        family: String,
        /// What the head would predict.
        head: String,
        /// What `architectures` says.
        named: String,
        /// The first tensor of the head.
        missing: String,
        /// The class of `transformers` that has it.
        class: String,
        /// The class without a head, where ligo reads it.
        body: Option<String>,
    },
    /// A model is a folder.
    #[error("{} is a file, expected a model's folder{}", path.display(), folder.as_ref().map_or(String::new(), |folder| format!(": pass {}", folder.display())))]
    NotAFolder {
        /// The file.
        path: PathBuf,
        /// The folder around it, where that is a model's.
        folder: Option<PathBuf>,
    },
    /// The weights do not fit the model.
    #[error(transparent)]
    Model(#[from] ligo_models::Error),
}

/// Why parameters cannot be read from a model directory or written to one.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The directory is no model that can be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A file cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] ligo_checkpoint::Error),
    /// Parameters do not become the tensors of files.
    #[error(transparent)]
    Growth(#[from] ligo_growth::Error),
    /// The device cannot be written or read, or values do not fill their shapes.
    #[error(transparent)]
    Train(#[from] ligo_train::Error),
}

/// A model that cannot be made of its weights cannot be used.
impl From<ligo_models::Error> for StoreError {
    fn from(error: ligo_models::Error) -> Self {
        Self::Load(error.into())
    }
}
