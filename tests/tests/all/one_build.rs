//! The program and its tests are one build: whatever both need is built with the same features.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::repository::root;

/// The features of every package below the workspace's members by these kinds of dependencies.
fn features(edges: &str) -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--offline", "--locked", "--prefix", "none"])
        .args(["--features", "ligo-cli/avx512", "--edges", edges, "--format", "{p}|{f}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut features = BTreeMap::<String, BTreeSet<String>>::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        // A package that was listed with all below it before.
        let line = line.strip_suffix(" (*)").unwrap_or(line);
        if let Some((package, of)) = line.split_once('|') {
            features.entry(package.into()).or_default().insert(of.into());
        }
    }
    features
}

#[test]
fn development_dependencies_turn_on_no_feature_of_what_the_program_is_built_on() {
    let (program, tests) = (features("normal,build"), features("normal,build,dev"));
    assert!(program.len() > 200, "{} packages", program.len());
    let burn =
        |features: &BTreeMap<String, BTreeSet<String>>| features.keys().any(|name| name.starts_with("burn-flex "));
    assert!(burn(&program) && burn(&tests));
    // MPI is there for who asks for it.
    assert!(
        !tests.keys().any(|name| name.starts_with("ferrompi ")),
        "MPI is built unasked"
    );
    // So is NCCL, whose loader comes with other packages as well.
    let tree = |features: &[&str]| {
        let output = Command::new(env!("CARGO"))
            .args([
                "tree",
                "-p",
                "ligo-mpi",
                "--offline",
                "--locked",
                "--depth",
                "1",
                "--edges",
                "normal",
            ])
            .args(features)
            .current_dir(root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(tree(&["--features", "nccl"]).contains("libloading "));
    assert!(!tree(&[]).contains("libloading "), "NCCL is built unasked");
    let differing: Vec<String> = program
        .iter()
        .filter(|(package, features)| tests.get(*package) != Some(features))
        .map(|(package, features)| {
            format!(
                "{package}: {features:?} without tests, {:?} with them",
                tests.get(package)
            )
        })
        .collect();
    assert!(
        differing.is_empty(),
        "burn would be built twice; give these features in tests/Cargo.toml:\n{}",
        differing.join("\n")
    );
}
