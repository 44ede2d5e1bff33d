//! The packages of a workspace and the files in them that hold documentation.

use std::path::{Path, PathBuf};

use cargo_metadata::MetadataCommand;
use serde_json::Value;

use crate::{Error, Result};

/// A dependency's sources on disk.
pub(super) struct Package {
    pub name: String,
    pub folder: PathBuf,
}

/// Every package that `Cargo.lock` resolves for any platform, with build and development dependencies, without the workspace's own and those
/// that the workspace leaves out ([`left_out`]); sorted by name and version.
pub(super) fn list(manifest: &Path) -> Result<Vec<Package>> {
    let ask = |flags: &[&str]| {
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        MetadataCommand::new()
            .manifest_path(manifest)
            .other_options(flags)
            .exec()
    };
    // Without the network first: it is quicker, and works wherever `cargo fetch` was run. A build alone fetches only the packages of
    // its own platform, so the others may have to be fetched now.
    let metadata = ask(&["--locked", "--offline"])
        .or_else(|_| ask(&["--locked"]))
        .map_err(|error| Error::Metadata {
            manifest: manifest.to_path_buf(),
            reason: error.to_string(),
        })?;
    let without = left_out(&metadata.workspace_metadata);
    let mut found: Vec<_> = metadata
        .packages
        .into_iter()
        .filter(|package| package.source.is_some() && !without.contains(&package.name.to_string()))
        .map(|package| {
            let folder = package
                .manifest_path
                .parent()
                .map(|p| p.as_std_path().to_path_buf())
                .unwrap_or_default();
            (package.name.to_string(), package.version, folder)
        })
        .collect();
    found.sort();
    Ok(found
        .into_iter()
        .map(|(name, _, folder)| Package { name, folder })
        .collect())
}

/// What `workspace.metadata.corpus.without` names: packages that came later, so that the text stays the one that numbers were published for.
fn left_out(workspace_metadata: &Value) -> Vec<String> {
    let named = workspace_metadata.pointer("/corpus/without").and_then(Value::as_array);
    let names = named.into_iter().flatten().filter_map(Value::as_str);
    names.map(str::to_owned).collect()
}

/// Markdown and Rust files below a package's folder with their paths relative to it (with `/`), sorted; no tests, no fixtures, no licences.
pub(super) fn files(package: &Package) -> Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    walk(&package.folder, "", &mut files)?;
    files.sort();
    Ok(files)
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().map_err(Error::io("list", folder))?;
        let relative = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}/{name}")
        };
        if kind.is_dir() {
            let skipped = name.starts_with('.')
                || matches!(
                    name.as_str(),
                    "target" | "tests" | "testdata" | "fixtures" | "node_modules"
                );
            if !skipped {
                walk(&entry.path(), &relative, files)?;
            }
        } else if kind.is_file() && is_documentation(&name) {
            files.push((relative, entry.path()));
        }
    }
    Ok(())
}

fn is_documentation(name: &str) -> bool {
    const SKIPPED: [&str; 9] = [
        "license",
        "licence",
        "copying",
        "copyright",
        "notice",
        "unlicense",
        "code_of_conduct",
        "third",
        "authors",
    ];
    let lower = name.to_ascii_lowercase();
    let markdown = lower.ends_with(".md") || lower.ends_with(".markdown");
    lower.ends_with(".rs") || (markdown && !SKIPPED.iter().any(|start| lower.starts_with(start)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_workspace_leaves_out_is_read_from_its_metadata() {
        assert_eq!(left_out(&json!({"corpus": {"without": ["a", "b"]}})), ["a", "b"]);
        for none in [json!(null), json!({"corpus": {}}), json!({"corpus": {"without": "a"}})] {
            assert!(left_out(&none).is_empty());
        }
    }
}
