//! Text on disk to batches of token ids.
//!
//! # What it is for
//!
//! [`Corpus`] reads text, JSONL and parquet in a stream, [`rust_docs`] gathers real English from the
//! sources that every Rust workspace has on disk. [`Tokenizer`] learns or loads a WordPiece or byte-level BPE vocabulary, [`TokenStore`] keeps the
//! ids of a whole corpus in a memory-mapped file, and [`MlmLoader`] and [`CausalLoader`] turn it into masked and into causal batches.
//! [`images`] does the same for pictures. Order and masks are pure functions of (seed, epoch, index), so a resumed run sees exactly what an
//! uninterrupted one would have seen, and a cursor is two integers.
//!
//! # When not to use it
//!
//! It knows nothing of tensors or models. It packs text to sequences of one length; tasks with single sentences or pairs need padding, which
//! is not here. A corpus that does not fit on the local disk should be streamed by other means.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use ligo_data::{Corpus, Cursor, LoaderSettings, Masking, MlmLoader, TokenStore, Tokenizer, Watch, WordPieceTraining};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! std::fs::write(folder.path().join("a.txt"), "the cat sat on the mat\n\nthe dog sat on the log\n".repeat(50))?;
//! let corpus = Corpus::open(&[folder.path()])?;
//!
//! let training = WordPieceTraining { vocab_size: 100, ..WordPieceTraining::default() };
//! let tokenizer = Tokenizer::train(&corpus, &training, Watch::none())?;
//! let store = TokenStore::build(&folder.path().join("store"), &corpus, &tokenizer, Watch::none())?;
//!
//! let settings = LoaderSettings { seq_len: 16, seed: 1, shuffle: true, masking: Masking::default() };
//! let loader = MlmLoader::new(Arc::new(store), settings)?;
//! let (batch, next) = loader.batch_at(Cursor::default(), 4)?;
//! assert_eq!(batch.input_ids.len(), 4 * 16);
//! assert_eq!(next, Cursor { epoch: 0, index: 4 });
//! # Ok(())
//! # }
//! ```

mod batch;
mod causal;
pub mod corpus;
mod damage;
mod error;
mod guard;
mod hash;
pub mod images;
mod input;
mod loader;
mod masking;
mod note;
mod order;
mod rng;
mod role;
pub mod rust_docs;
mod sampler;
mod sealed;
mod store;
mod tokenizer;
mod unpack;
mod watch;

pub use batch::Batch;
pub use causal::{CausalBatch, CausalLoader, CausalSettings};
pub use corpus::{
    Corpus, CorpusFile, Document, Documents, Layout, MissingText, Packing, Part, Side, Skipped, SkippedFile,
    TextDocuments, TextSettings, TrainValid,
};
pub use error::{Error, Result};
pub use hash::BlockHashes;
pub use images::{
    Augmentation, AugmentationPreset, DamagedImages, ImageBatch, ImageLoader, ImageLoaderSettings, ImageSet,
    ImageSetInfo, ImageSetSettings, ImageSource, ImageSplit, PREPROCESSOR_CONFIG, Preprocessor,
};
pub use loader::{LoaderSettings, MlmBatch, MlmLoader};
pub use masking::{MaskCount, Masking};
pub use note::Note;
pub use order::{Cursor, SampleOrder};
pub use role::Role;
pub use rust_docs::{RustDocs, RustDocsReport};
pub use sampler::VALIDATION_SEED;
pub use store::{StoreInfo, TextFolder, TokenStore, TokenWidth, sync_folder};
pub use tokenizer::{
    BpeFlavour, BpeTraining, SPECIAL_TOKENS, SpecialIds, TOKENIZER_FILES, Tokenizer, TokenizerKind, WordPieceTraining,
    check_vocab_size,
};
pub use watch::Watch;
