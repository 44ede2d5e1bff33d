//! Every crate can be packaged: what it is built with is in it, and so are its README and licenses.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path};
use std::process::Command;

use cargo_metadata::Package;

use crate::repository::workspace;

/// The crates that people use: those in `crates/`, and the files that they are built with.
fn published() -> Vec<Package> {
    let ours = workspace().packages.into_iter();
    let published: Vec<Package> = ours.filter(|package| package.name.starts_with("ligo-")).collect();
    let tools = ["ligo-tests", "ligo-benches"];
    published
        .into_iter()
        .filter(|package| !tools.contains(&package.name.as_str()))
        .collect()
}

/// What `cargo package` would put into the package.
fn files(package: &Package) -> BTreeSet<String> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["package", "--list", "--allow-dirty", "--offline", "--manifest-path"])
        .arg(&package.manifest_path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.replace('\\', "/")).collect()
}

/// `a/b/../c` as `a/c`; `None` for what leads out.
fn resolved(path: &Path) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(parts.pop()?),
            Component::Normal(name) => parts.push(name.to_str()?),
            _ => {}
        }
    }
    Some(parts.join("/"))
}

/// The files that a source names in `include_str!` and `include_bytes!`, from the package's folder.
fn included(file: &str, text: &str) -> Vec<Option<String>> {
    let mut found = Vec::new();
    for macro_name in ["include_str!(\"", "include_bytes!(\""] {
        for rest in text.split(macro_name).skip(1) {
            let path = rest.split('"').next().unwrap();
            let folder = Path::new(file).parent().unwrap();
            found.push(resolved(&folder.join(path)));
        }
    }
    found
}

#[test]
fn what_a_crate_is_built_with_is_in_its_package() {
    let mut faults = Vec::new();
    for package in published() {
        let folder = package.manifest_path.parent().unwrap();
        let files = files(&package);
        for needed in ["README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
            if !files.contains(needed) {
                faults.push(format!("{} has no {needed}", package.name));
            }
        }
        for file in files
            .iter()
            .filter(|file| file.starts_with("src/") && file.ends_with(".rs"))
        {
            let text = fs::read_to_string(folder.join(file)).unwrap();
            for path in included(file, &text) {
                if path.as_ref().is_none_or(|path| !files.contains(path)) {
                    faults.push(format!(
                        "{}/{file} includes {path:?}, which is not in the package",
                        package.name
                    ));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\\n"));
}

#[test]
fn every_package_says_what_it_is() {
    for package in published() {
        let name = &package.name;
        assert!(package.description.is_some(), "{name} has no description");
        assert!(package.documentation.is_some(), "{name} names no documentation");
        assert!(package.repository.is_some() && package.license.is_some(), "{name}");
        for dependency in package.dependencies.iter().filter(|found| found.path.is_some()) {
            assert_ne!(
                dependency.req.to_string(),
                "*",
                "{name} needs a version of {}",
                dependency.name
            );
        }
    }
}
