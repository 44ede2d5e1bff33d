//! Where the repository is and what is in it, for the tests of its rules.

use std::path::PathBuf;

use cargo_metadata::{Metadata, MetadataCommand};

/// Asked at run time: cargo does not build a test again when the checkout moves.
pub fn root() -> PathBuf {
    let tests = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
    tests.parent().unwrap().to_owned()
}

/// The workspace's own packages.
pub fn workspace() -> Metadata {
    let mut command = MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml")).no_deps();
    command.exec().unwrap()
}
