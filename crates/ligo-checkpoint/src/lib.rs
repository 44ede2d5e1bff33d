//! Model directories and checkpoints on disk, without a tensor library.
//!
//! * [`ModelDir`] opens a Hugging Face directory (or one `.safetensors` file), lists its tensors without reading them,
//!   and reads one tensor at a time. Everything a file says about itself is checked before it is believed.
//! * [`ModelWriter`] writes tensors one after another into one file or several shards in bounded memory;
//!   [`write_model`] does the whole directory in one call.
//! * [`AtomicDir`] makes a directory appear by one rename, with a [`Manifest`] of hashes written last;
//!   [`verify`], [`recover`] and [`latest_valid`] are its counterparts at the next start. [`RunLock`] keeps a second process out, and
//!   with [`Progress`] a directory of many files is gone on with where its writing was killed.
//! * [`state`] stores named `f32` tensors and a JSON value with their exact bits, for training checkpoints.
//! * [`Card`], [`copy_tokenizer`] and [`copy_side_files`] add what else a model directory needs.
//!
//! Use the `safetensors` crate instead when the files are your own and a fault in them may be a panic away: this crate is
//! stricter and slower to say yes. It holds no tensors, knows no model family, and does not download anything.
//! `pytorch_model.bin` and its shards are read without running any code of the pickle; see [`TensorFile`].
//!
//! # Example
//!
//! ```
//! use ligo_checkpoint::{ModelDir, TensorSpec, WriteOptions, verify, write_model};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("tiny");
//!
//! let config = serde_json::json!({"model_type": "bert", "hidden_size": 2});
//! let weight = vec![1.0, 2.0, 3.0, 4.0];
//! let tensors = [("pooler.dense.weight".to_string(), vec![2, 2], weight.clone().into())];
//! write_model(&path, &config, tensors, &WriteOptions::default())?;
//!
//! verify(&path)?;
//! let model = ModelDir::open(&path)?;
//! model.check(&[TensorSpec::new("pooler.dense.weight", [2, 2])])?;
//! assert_eq!(model.read_f32("pooler.dense.weight")?, weight);
//! # Ok(())
//! # }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod advice;
mod card;
mod check;
mod commit;
mod convert;
mod dir;
mod disguise;
mod disk;
mod dtype;
mod error;
mod file;
mod header;
mod index;
mod links;
mod lock;
mod manifest;
mod names;
mod parallel;
mod plain;
mod progress;
mod report;
mod side_files;
mod space;
pub mod state;
mod steps;
mod strict;
mod torch;
mod writer;

pub use card::Card;
pub use check::TensorSpec;
pub use commit::{AtomicDir, Recovery, recover, recover_all, resolved, restore, unfinished};
pub use convert::EncodeFault;
pub use dir::{Extract, ModelDir};
pub use disk::{Change, Disk, DiskFile, Flusher};
pub use dtype::Dtype;
pub use error::Error;
pub use file::TensorFile;
pub use header::{Declared, TensorInfo};
pub use lock::RunLock;
pub use manifest::{FileEntry, FileHasher, MANIFEST_VERSION, Manifest, verify, verify_model};
pub use names::{CARD_FILE, CONFIG_FILE, GROWTH_FILE, MANIFEST_FILE};
pub use parallel::in_parallel;
pub use plain::{Plain, plain, plain_lines};
pub use progress::Progress;
pub use report::{Misshapen, Report, Unreadable};
pub use side_files::{SideFiles, TOKENIZER_FILES, copy_side_files, copy_tokenizer, side_files_fingerprint};
pub use space::require_free_space;
pub use steps::{Latest, Rejected, Step, latest_valid, prune};
pub use strict::{JsonFile, read_json};
pub use writer::{ModelWriter, WriteOptions, write_model};
