//! From a Hugging Face model directory to a model or its parameters, and back.
//!
//! * [`load_model`] reads a directory into a burn model, whatever its family: fused, tied, renamed and transposed tensors included.
//! * [`open_model`] opens one whose weights are read when they are asked for; [`Source`] is what growing reads.
//! * [`load_store`] reads one into the parameters that `ligo-train` trains; [`save_model`] writes them as a directory again, whole or not at all.
//!
//! What a file says is checked before it is believed: the manifest's hashes where there is one, the presence, shape and dtype of every tensor,
//! and whether tensors that `config.json` calls the same are.
//!
//! ```
//! use burn::tensor::Device;
//! use ligo_pretrained::{LoadError, load_model};
//!
//! let fault = load_model("no/such/model".as_ref(), &Device::flex()).unwrap_err();
//! assert!(matches!(fault, LoadError::Checkpoint(_)));
//! ```

mod error;
mod load;
mod store;

pub use error::{LoadError, StoreError};
pub use load::{Loaded, Source, describe, fit, load_model, open_model, read_config};
pub use store::{Beside, host_store, load_store, model, read, save_model};
