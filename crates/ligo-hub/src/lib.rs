//! Models, tokenizers and texts by their address on the Hugging Face hub.
//!
//! [`HubAddress`] understands `hf://OWNER/NAME[@REVISION][/PATH]`; [`Hub`] finds what is cached, in the layout of Python's `huggingface_hub` and
//! in the same folder (`HF_HUB_CACHE`, `HF_HOME`), and lets the program `ligo-hub` download or upload the rest. That program is this crate's too, with the feature
//! `client`: it alone has a network stack, so that who reads from the disk need not build one. `HF_TOKEN` opens private and gated repositories, `HF_ENDPOINT`
//! names another server, and with `HF_HUB_OFFLINE=1` only the cache is read.

mod address;
mod cache;
#[cfg(feature = "client")]
pub mod client;
mod error;
mod helper;
mod hub;
pub mod message;
mod wanted;

pub use address::{HubAddress, HubRepo, is_address};
pub use cache::{model_of, snapshot_in};
pub use error::{Error, Missing};
pub use helper::Helper;
pub use hub::{Destination, Fetched, Hub, Progress};
pub use wanted::model_files;
