//! Which crate may use which. The table is the one in ARCHITECTURE.md, stated as absences.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use crate::repository::{root, workspace};

/// Crate, and what it must not reach through any chain of workspace crates. `burn` stands for its whole family.
const MUST_NOT_DEPEND_ON: [(&str, &[&str]); 19] = [
    (
        "ligo-arch",
        &[
            "burn",
            "ligo-checkpoint",
            "ligo-data",
            "ligo-growth",
            "ligo-models",
            "ligo-train",
            "ligo-cli",
        ],
    ),
    (
        "ligo-checkpoint",
        &[
            "burn",
            "ligo-data",
            "ligo-growth",
            "ligo-models",
            "ligo-train",
            "ligo-cli",
        ],
    ),
    (
        "ligo-cost",
        &[
            "burn",
            "ligo-checkpoint",
            "ligo-data",
            "ligo-growth",
            "ligo-models",
            "ligo-train",
            "ligo-cli",
        ],
    ),
    (
        "ligo-report",
        &[
            "burn",
            "ligo-data",
            "ligo-growth",
            "ligo-models",
            "ligo-train",
            "ligo-cli",
        ],
    ),
    (
        "ligo-data",
        &["burn", "ligo-growth", "ligo-models", "ligo-train", "ligo-cli"],
    ),
    (
        "ligo-ops",
        &["ligo-data", "ligo-growth", "ligo-models", "ligo-train", "ligo-cli"],
    ),
    ("ligo-growth", &["ligo-data", "ligo-models", "ligo-train", "ligo-cli"]),
    ("ligo-hub", &["burn", "ligo-"]),
    ("ligo-assets", &["burn", "ligo-"]),
    (
        "ligo-metrics",
        &[
            "burn",
            "ligo-arch",
            "ligo-checkpoint",
            "ligo-data",
            "ligo-growth",
            "ligo-models",
            "ligo-ops",
            "ligo-report",
            "ligo-train",
            "ligo-cli",
        ],
    ),
    ("ligo-models", &["ligo-data", "ligo-train", "ligo-cli"]),
    (
        "ligo-train",
        &[
            "ligo-mpi",
            "ligo-report",
            "ligo-device",
            "ligo-pretrained",
            "ligo-experiment",
            "ligo-cli",
        ],
    ),
    (
        "ligo-device",
        &["ligo-report", "ligo-pretrained", "ligo-experiment", "ligo-cli"],
    ),
    (
        "ligo-pretrained",
        &["ligo-report", "ligo-device", "ligo-experiment", "ligo-cli"],
    ),
    ("ligo-verify", &["ligo-experiment", "ligo-cli"]),
    (
        "ligo-experiment",
        &["ligo-mpi", "ligo-dashboard", "ligo-cli", "burn-train", "indicatif"],
    ),
    (
        "ligo-mpi",
        &["ligo-device", "ligo-pretrained", "ligo-experiment", "ligo-cli"],
    ),
    ("ligo-dashboard", &["ligo-mpi", "ligo-cli", "indicatif"]),
    ("xtask", &["burn", "ligo-"]),
];

/// Crates that only calculate: no files, no network, no processes.
const WITHOUT_INPUT_AND_OUTPUT: [&str; 2] = ["ligo-arch", "ligo-cost"];

/// Every crate of the workspace with the names of what it depends on, itself and through workspace crates.
///
/// With `no_deps`, cargo lists each member's own dependencies, so chains through foreign crates are not followed. None of
/// those we use depends on burn except burn's own family.
fn reachable(workspace: &Metadata, kinds: &[DependencyKind]) -> BTreeMap<String, BTreeSet<String>> {
    let direct: BTreeMap<String, BTreeSet<String>> = workspace
        .packages
        .iter()
        .map(|package| (package.name.to_string(), dependencies(package, kinds)))
        .collect();
    let names = direct.keys().cloned();
    names
        .map(|name| {
            let mut seen = BTreeSet::new();
            let mut open: Vec<String> = direct[&name].iter().cloned().collect();
            while let Some(next) = open.pop() {
                if seen.insert(next.clone()) {
                    open.extend(direct.get(&next).into_iter().flatten().cloned());
                }
            }
            (name, seen)
        })
        .collect()
}

fn dependencies(package: &Package, kinds: &[DependencyKind]) -> BTreeSet<String> {
    let wanted = package
        .dependencies
        .iter()
        .filter(|dependency| kinds.contains(&dependency.kind));
    wanted.map(|dependency| dependency.name.to_string()).collect()
}

/// `burn` forbids `burn-flex` and `cubecl-core` too; `ligo-` forbids every crate of ours.
fn is_forbidden(dependency: &str, forbidden: &str) -> bool {
    match forbidden {
        "burn" => ["burn", "cubecl"].iter().any(|family| {
            dependency == *family
                || dependency
                    .strip_prefix(family)
                    .is_some_and(|rest| rest.starts_with('-'))
        }),
        prefix if prefix.ends_with('-') => dependency.starts_with(prefix),
        name => dependency == name,
    }
}

#[test]
fn no_crate_depends_on_what_it_must_not_know() {
    let reachable = reachable(&workspace(), &[DependencyKind::Normal, DependencyKind::Build]);
    let mut faults = Vec::new();
    for (name, forbidden) in MUST_NOT_DEPEND_ON {
        let Some(dependencies) = reachable.get(name) else {
            faults.push(format!("{name} is in the table and not in the workspace"));
            continue;
        };
        for dependency in dependencies {
            if forbidden.iter().any(|forbidden| is_forbidden(dependency, forbidden)) {
                faults.push(format!("{name} depends on {dependency}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn crates_without_burn_are_tested_without_burn() {
    // Or their tests would take minutes to build.
    let kinds = [
        DependencyKind::Normal,
        DependencyKind::Build,
        DependencyKind::Development,
    ];
    let workspace = workspace();
    let production = reachable(&workspace, &kinds[..2]);
    for (name, _) in MUST_NOT_DEPEND_ON
        .iter()
        .filter(|(_, forbidden)| forbidden.contains(&"burn"))
    {
        let package = workspace
            .packages
            .iter()
            .find(|package| package.name.as_str() == *name)
            .unwrap();
        for dependency in dependencies(package, &kinds) {
            let beyond = production.get(&dependency).into_iter().flatten();
            for reached in beyond.chain([&dependency]) {
                assert!(
                    !is_forbidden(reached, "burn"),
                    "the tests of {name} depend on {reached} through {dependency}"
                );
            }
        }
    }
}

#[test]
fn every_crate_of_ours_is_in_the_table() {
    let listed: BTreeSet<&str> = MUST_NOT_DEPEND_ON.iter().map(|(name, _)| *name).collect();
    // The program and the packages of tests and benchmarks may use everything.
    let free = ["ligo-cli", "ligo-tests", "ligo-benches"];
    for package in workspace().packages {
        let name = package.name.as_str();
        assert!(listed.contains(name) || free.contains(&name), "{name} has no rule");
    }
}

#[test]
fn pure_crates_do_no_input_and_output() {
    for name in WITHOUT_INPUT_AND_OUTPUT {
        for file in rust_files(&root().join("crates").join(name).join("src")) {
            let text = std::fs::read_to_string(&file).unwrap();
            let code = text
                .lines()
                .map(str::trim_start)
                .take_while(|line| *line != "#[cfg(test)]");
            for line in code.filter(|line| !line.starts_with("//")) {
                for module in ["std::fs", "std::io", "std::net", "std::process", "std::env"] {
                    assert!(!line.contains(module), "{} uses {module}: {line}", file.display());
                }
            }
        }
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn nothing_builds_burn_train_unless_it_is_asked_for() {
    // It turns on features of burn-core, so that burn and all that is above it would be another build for everyone.
    let mut ours = 0;
    for package in workspace().packages {
        let name = package.name.as_str();
        for dependency in &package.dependencies {
            let is_of_dashboard = name == "ligo-dashboard" && dependency.name == "burn-train";
            if is_of_dashboard || dependency.name == "ligo-dashboard" {
                assert!(dependency.optional, "{name} always builds {}", dependency.name);
                ours += 1;
            } else {
                assert_ne!(dependency.name, "burn-train", "{name} depends on it");
            }
        }
        let defaults = package.features.get("default").cloned().unwrap_or_default();
        assert!(
            !defaults
                .iter()
                .any(|feature| feature == "dashboard" || feature == "tui"),
            "{name}"
        );
    }
    assert_eq!(ours, 2, "ligo-cli may have ligo-dashboard, and that burn-train");
}

#[test]
fn the_features_that_xtask_asks_for_exist() {
    let workspace = workspace();
    let features = |name: &str| {
        let package = workspace
            .packages
            .iter()
            .find(|package| package.name.as_str() == name)
            .unwrap();
        package.features.keys().cloned().collect::<BTreeSet<String>>()
    };
    for feature in ["wgpu", "vulkan", "metal", "cuda", "autotune", "avx512", "dashboard"] {
        assert!(
            features("ligo-cli").contains(feature),
            "ligo-cli has no feature {feature}"
        );
    }
}

#[test]
fn llvm_is_replaced_by_a_stand_in_of_the_same_version() {
    // Or a build for CUDA would download LLVM: a patch whose version does not fit is left out with a mere warning.
    let stand_in = MetadataCommand::new()
        .manifest_path(root().join("crates/cubecl-llvm-stand-in/Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap();
    let [package] = stand_in.packages.as_slice() else {
        panic!("the stand-in is one package, found {}", stand_in.packages.len());
    };
    assert_eq!(package.name.as_str(), "cubecl-llvm");
    assert_eq!(package.publish.as_deref(), Some(&[][..]), "it must not be published");

    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let entry = |name: &str| {
        lock.split("[[package]]")
            .find(|entry| entry.contains(&format!("\nname = \"{name}\"\n")))
    };
    let version = format!("\nversion = \"{}\"\n", package.version);
    for name in ["cubecl-llvm", "cubecl-cuda"] {
        assert!(
            entry(name).unwrap().contains(&version),
            "{name} is not of version {}",
            package.version
        );
    }
    assert!(
        !entry("cubecl-llvm").unwrap().contains("source ="),
        "the patch is not used"
    );
    for name in ["llvm-sys", "tracel-llvm-bundler"] {
        assert!(entry(name).is_none(), "{name} is in Cargo.lock");
    }
}

#[test]
fn the_burn_rule_covers_the_family_and_nothing_that_only_sounds_like_it() {
    for name in ["burn", "burn-flex", "burn-store", "cubecl", "cubecl-wgpu"] {
        assert!(is_forbidden(name, "burn"), "{name}");
    }
    for name in ["burner", "sunburn", "ligo-burn"] {
        assert!(!is_forbidden(name, "burn"), "{name}");
    }
}
