//! The repository's own rules: documentation, licenses, lints, file length, no traces of anyone's machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::repository::{root, workspace};

const MAX_LINES: usize = 500;
const LICENSE: &str = "MIT OR Apache-2.0";

/// The files that belong to the repository: what git tracks or would track; all files but outputs where there is no git.
fn files() -> Vec<PathBuf> {
    let git = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    let root = root();
    let mut files: Vec<PathBuf> = match git {
        Ok(output) if output.status.success() && !output.stdout.is_empty() => {
            let list = String::from_utf8(output.stdout).unwrap();
            list.split('\0')
                .filter(|path| !path.is_empty())
                .map(|path| root.join(path))
                .collect()
        }
        _ => walk(&root),
    };
    // A file may be tracked and deleted in the working tree.
    files.retain(|path| path.is_file());
    assert!(files.len() > 50, "found only {} files", files.len());
    files
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            files.push(path);
        } else if ![".git", "target", "runs"].iter().any(|name| path.ends_with(name)) {
            files.extend(walk(&path));
        }
    }
    files
}

/// Path from the root and text of every text file.
pub(crate) fn texts() -> impl Iterator<Item = (String, String)> {
    files().into_iter().filter_map(|path| {
        let text = fs::read_to_string(&path).ok()?;
        Some((
            path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/"),
            text,
        ))
    })
}

fn rust_texts() -> impl Iterator<Item = (String, String)> {
    texts().filter(|(path, _)| path.ends_with(".rs"))
}

pub(crate) fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The folder of someone's machine that a line names, if it does.
fn machine_path(line: &str) -> Option<&'static str> {
    // Put together here, so that this file does not name them.
    const FOLDERS: [&str; 7] = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
        concat!("/t", "mp/"),
        concat!("/private/v", "ar/"),
        concat!(r"C:\Us", r"ers\"),
    ];
    // In "https://host/home/" and "src/work/" the folder is not at the start of a path.
    let starts_a_path = |before: &str| !before.ends_with(|c: char| c.is_alphanumeric() || "._~-}".contains(c));
    FOLDERS
        .into_iter()
        .find(|folder| line.match_indices(folder).any(|(at, _)| starts_a_path(&line[..at])))
}

#[test]
fn no_file_names_a_path_of_someones_machine() {
    let mut faults = Vec::new();
    for (path, text) in texts() {
        for (number, line) in text.lines().enumerate() {
            if let Some(folder) = machine_path(line) {
                faults.push(format!("{path}:{}: {folder}", number + 1));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn a_machine_path_is_told_from_a_part_of_another_path() {
    let home = concat!("/ho", "me/");
    assert!(machine_path(&format!("path = \"{home}ada\"")).is_some());
    assert!(machine_path(&format!("{home}ada")).is_some());
    assert!(machine_path(&format!("https://example.org{home}page")).is_none());
    assert!(machine_path(&format!("$root{home}ada")).is_none());
    assert!(machine_path("/usr/share/vulkan").is_none());
}

#[test]
fn every_rust_file_is_short_enough_to_read() {
    let lengths = rust_texts().map(|(path, text)| (text.lines().count(), path));
    let long: Vec<String> = lengths
        .filter(|(lines, _)| *lines > MAX_LINES)
        .map(|(lines, path)| format!("{path} has {lines} lines, more than {MAX_LINES}"))
        .collect();
    assert_none(&long);
}

#[test]
fn nothing_is_left_to_do_in_the_code() {
    let markers = [
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
        concat!("db", "g!("),
    ];
    let mut faults = Vec::new();
    for (path, text) in rust_texts() {
        for (number, line) in text.lines().enumerate() {
            if let Some(marker) = markers.iter().find(|marker| line.contains(*marker)) {
                faults.push(format!("{path}:{}: {marker}", number + 1));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn every_crate_begins_with_its_documentation() {
    let mut faults = Vec::new();
    for package in workspace().packages {
        for target in package
            .targets
            .iter()
            .filter(|target| target.is_lib() || target.is_bin())
        {
            let text = fs::read_to_string(&target.src_path).unwrap();
            let first = text.lines().next().unwrap_or_default();
            // A name alone is no documentation.
            if !first.starts_with("//! ") || first.split_whitespace().count() < 4 {
                faults.push(format!("{} does not begin with `//! ` and a sentence", target.src_path));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn every_crate_has_the_license_the_lints_and_the_edition_of_the_workspace() {
    let mut faults = Vec::new();
    for package in workspace().packages {
        let manifest = fs::read_to_string(&package.manifest_path).unwrap();
        let lines: Vec<&str> = manifest.lines().map(str::trim).collect();
        if package.license.as_deref() != Some(LICENSE) {
            faults.push(format!(
                "{}: license {:?}, expected {LICENSE}",
                package.name, package.license
            ));
        }
        if !lines.windows(2).any(|pair| pair == ["[lints]", "workspace = true"]) {
            faults.push(format!("{}: no `[lints] workspace = true`", package.name));
        }
        for key in ["version", "edition", "rust-version"] {
            if !lines.contains(&format!("{key}.workspace = true").as_str()) {
                faults.push(format!("{}: no `{key}.workspace = true`", package.name));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn every_published_crate_says_what_it_is() {
    let mut faults = Vec::new();
    for package in workspace().packages {
        let is_published = package.publish.as_ref().is_none_or(|registries| !registries.is_empty());
        let words = package
            .description
            .as_deref()
            .unwrap_or_default()
            .split_whitespace()
            .count();
        if is_published && words < 4 {
            faults.push(format!("{}: description {:?}", package.name, package.description));
        }
        if is_published && package.repository.is_none() {
            faults.push(format!("{}: no repository", package.name));
        }
    }
    assert_none(&faults);
}

#[test]
fn both_licenses_are_there_in_full() {
    let mit = fs::read_to_string(root().join("LICENSE-MIT")).unwrap();
    assert!(
        mit.contains("Permission is hereby granted, free of charge") && mit.contains("WITHOUT WARRANTY OF ANY KIND")
    );
    let apache = fs::read_to_string(root().join("LICENSE-APACHE")).unwrap();
    assert!(apache.contains("Version 2.0, January 2004") && apache.contains("END OF TERMS AND CONDITIONS"));
}
