//! Token ids on disk.

mod build;
mod folder;
mod info;
mod partial;
mod progress;
mod read;
#[cfg(test)]
mod resume_tests;
mod text_folder;
mod tokens;
mod writer;

pub use folder::sync_folder;
pub(crate) use folder::{in_new_folder, write_synced};
pub use info::{StoreInfo, TokenWidth};
pub use text_folder::TextFolder;
pub use tokens::TokenStore;
