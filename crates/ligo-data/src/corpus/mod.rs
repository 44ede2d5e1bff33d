//! Text on disk as a stream of documents.
//!
//! Files are read one after another and unpacked on the way; what is held in memory is one buffer and one document.

mod document;
mod documents;
mod file;
mod json;
mod parquet;
mod part;
mod settings;
mod split;

pub use documents::{Corpus, Document, Documents};
pub use file::{CorpusFile, Layout, Packing, Skipped, SkippedFile};
pub(crate) use parquet::{bad as bad_parquet, describe as describe_column, guarded};
pub use part::Part;
pub use settings::{MissingText, TextDocuments, TextSettings};
pub use split::{Side, TrainValid};
