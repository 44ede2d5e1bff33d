//! Real English that every machine with a Rust workspace has: the documentation of the workspace's dependencies.
//!
//! The text comes from the sources that cargo unpacked, so `Cargo.lock` pins it and its hash can be compared between machines. What may
//! differ all the same:
//!
//! * another `Cargo.lock`, of course, and other features of the workspace's own packages when they bring dependencies in;
//! * a `[patch]` or source replacement whose packages have other contents;
//! * a dependency whose build script writes into its own source folder (crates.io forbids it).
//!
//! The target platform does not matter: packages are taken from the lock-resolved metadata of all platforms.

mod comments;
mod gather;
mod markdown;
mod packages;
mod prose;

pub use gather::{RustDocs, RustDocsReport, find_workspace};
