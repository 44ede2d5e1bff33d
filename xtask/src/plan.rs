use std::ffi::OsString;

use crate::arguments::{Ligo, Test};
use crate::backend::Backend;
use crate::cargo::CargoCommand;

/// Builds `ligo` in release mode and runs it.
pub fn ligo(ligo: &Ligo, backend: Backend, has_avx512: bool) -> CargoCommand {
    let mut features: Vec<&str> = backend.cargo_feature().into_iter().collect();
    if backend.is_tuned() {
        features.push("autotune");
    }
    if has_avx512 {
        features.push("avx512");
    }
    // It brings an HTTP stack and an async runtime, which nobody should build who reads from the disk.
    let on_hub = |argument: &OsString| argument.to_string_lossy().contains("hf://");
    if ligo.arguments.iter().any(on_hub) {
        features.push("hub");
    }
    let mut command = CargoCommand::new(["run", "--release", "--package", "ligo-cli", "--bin", "ligo"]);
    if !features.is_empty() {
        command = command.with(["--features", &features.join(",")]);
    }
    command.with(["--"]).with(&ligo.arguments)
}

/// The test runner, with checks before it and documentation tests after it.
///
/// All tests are built at once and with the same features, since every other set of features would build burn again.
pub fn test(test: &Test, has_nextest: bool) -> Vec<CargoCommand> {
    let mut commands = Vec::new();
    let packages: &[&str] = if names_package(&test.arguments) {
        &[]
    } else {
        &["--workspace"]
    };
    let features: &[&str] = match (test.with_wgpu, test.with_cuda) {
        (false, false) => &[],
        (true, false) => &["--features", "ligo-cli/wgpu,ligo-benches/wgpu"],
        (false, true) => &["--features", "ligo-cli/cuda"],
        (true, true) => &["--features", "ligo-cli/wgpu,ligo-benches/wgpu,ligo-cli/cuda"],
    };
    if test.lint {
        commands.push(CargoCommand::new(["fmt", "--all", "--check"]));
        commands.push(
            CargoCommand::new(["clippy", "--workspace", "--all-targets"])
                .with(features)
                .with(["--", "-D", "warnings"]),
        );
    }
    if has_nextest {
        let runner = CargoCommand::new(["nextest", "run", "--release"])
            .with(packages)
            .with(features);
        let ignored: &[&str] = if test.long { &["--run-ignored", "all"] } else { &[] };
        commands.push(runner.with(ignored).with(&test.arguments));
        // nextest leaves documentation tests out. A filter for tests would not fit them.
        if test.arguments.is_empty() {
            commands.push(
                CargoCommand::new(["test", "--doc", "--release"])
                    .with(packages)
                    .with(features),
            );
        }
    } else {
        let runner = CargoCommand::new(["test", "--release"])
            .with(packages)
            .with(features)
            .with(&test.arguments);
        let has_separator = test.arguments.iter().any(|argument| argument == "--");
        let separator: &[&str] = if has_separator { &[] } else { &["--"] };
        commands.push(if test.long {
            runner.with(separator).with(["--include-ignored"])
        } else {
            runner
        });
    }
    // The hub's client brings a network stack of its own; the crate that has it does without burn.
    if test.arguments.is_empty() {
        let hub = ["--package", "ligo-data", "--features", "hub", "--test", "hub"];
        commands.push(CargoCommand::new(["test", "--release"]).with(hub));
    }
    commands
}

/// A benchmark: the program of that name in `benches/`, `bert-step` without one.
pub fn bench(arguments: &[OsString]) -> CargoCommand {
    let (name, rest) = match arguments.split_first() {
        Some((name, rest))
            if !name
                .to_string_lossy()
                .starts_with(|c: char| c == '-' || c.is_ascii_digit()) =>
        {
            (name.clone(), rest)
        }
        _ => (OsString::from("bert-step"), arguments),
    };
    CargoCommand::new(["run", "--release", "--package", "ligo-benches", "--bin"])
        .with(&[name, "--".into()])
        .with(rest)
}

fn names_package(arguments: &[OsString]) -> bool {
    arguments
        .iter()
        .filter_map(|argument| argument.to_str())
        .any(|argument| {
            argument == "-p"
                || argument == "--package"
                || argument.starts_with("--package=")
                || argument.starts_with("-p=")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ligo_with(arguments: &[&str]) -> Ligo {
        Ligo {
            backend: None,
            dry_run: false,
            arguments: arguments.iter().map(OsString::from).collect(),
        }
    }

    fn shown(commands: &[CargoCommand]) -> Vec<String> {
        commands.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn ligo_is_built_in_release_mode_with_the_features_of_the_machine() {
        let arguments = ligo_with(&["run", "--recipe", "demo"]);
        let start = "cargo run --release --package ligo-cli --bin ligo";
        let end = "-- run --recipe demo";
        for (backend, has_avx512, features) in [
            (Backend::Cpu, false, ""),
            (Backend::Cpu, true, "--features avx512 "),
            (Backend::Dx12, false, "--features wgpu "),
            (Backend::Vulkan, true, "--features vulkan,autotune,avx512 "),
            (Backend::Metal, false, "--features metal,autotune "),
            (Backend::Cuda, false, "--features cuda,autotune "),
        ] {
            assert_eq!(
                ligo(&arguments, backend, has_avx512).to_string(),
                format!("{start} {features}{end}")
            );
        }
    }

    #[test]
    fn access_to_the_hub_is_built_in_only_for_an_address_on_it() {
        let arguments = ligo_with(&["run", "--data", "hf://datasets/wikimedia/wikipedia/20231101.en"]);
        assert_eq!(
            ligo(&arguments, Backend::Cpu, true).to_string(),
            "cargo run --release --package ligo-cli --bin ligo --features avx512,hub \
             -- run --data hf://datasets/wikimedia/wikipedia/20231101.en"
        );
    }

    #[test]
    fn the_tests_are_one_build_and_a_run_of_the_documentation() {
        assert_eq!(
            shown(&test(
                &Test {
                    with_wgpu: true,
                    ..Test::default()
                },
                true
            )),
            [
                "cargo nextest run --release --workspace --features ligo-cli/wgpu,ligo-benches/wgpu",
                "cargo test --doc --release --workspace --features ligo-cli/wgpu,ligo-benches/wgpu",
                "cargo test --release --package ligo-data --features hub --test hub",
            ]
        );
    }

    #[test]
    fn cuda_joins_the_one_build_of_the_tests() {
        for (with_wgpu, features) in [
            (false, "ligo-cli/cuda"),
            (true, "ligo-cli/wgpu,ligo-benches/wgpu,ligo-cli/cuda"),
        ] {
            let commands = shown(&test(
                &Test {
                    with_wgpu,
                    with_cuda: true,
                    lint: true,
                    ..Test::default()
                },
                true,
            ));
            assert_eq!(
                commands[1..4],
                [
                    format!("cargo clippy --workspace --all-targets --features {features} -- -D warnings"),
                    format!("cargo nextest run --release --workspace --features {features}"),
                    format!("cargo test --doc --release --workspace --features {features}"),
                ]
            );
        }
    }

    #[test]
    fn without_nextest_cargo_runs_the_tests() {
        assert_eq!(
            shown(&test(&Test::default(), false)),
            [
                "cargo test --release --workspace",
                "cargo test --release --package ligo-data --features hub --test hub",
            ]
        );
        let long = Test {
            long: true,
            ..Test::default()
        };
        assert_eq!(
            shown(&test(&long, false)),
            [
                "cargo test --release --workspace -- --include-ignored",
                "cargo test --release --package ligo-data --features hub --test hub",
            ]
        );
        let filtered = Test {
            long: true,
            arguments: vec!["a".into(), "--".into(), "--nocapture".into()],
            ..Test::default()
        };
        assert_eq!(
            shown(&test(&filtered, false)),
            ["cargo test --release --workspace a -- --nocapture --include-ignored"]
        );
    }

    #[test]
    fn lints_come_first_because_they_fail_fast() {
        let lint = Test {
            lint: true,
            long: true,
            ..Test::default()
        };
        assert_eq!(
            shown(&test(&lint, true)),
            [
                "cargo fmt --all --check",
                "cargo clippy --workspace --all-targets -- -D warnings",
                "cargo nextest run --release --workspace --run-ignored all",
                "cargo test --doc --release --workspace",
                "cargo test --release --package ligo-data --features hub --test hub",
            ]
        );
    }

    #[test]
    fn a_named_package_replaces_the_workspace() {
        let one = Test {
            arguments: vec!["-p".into(), "ligo-cost".into()],
            ..Test::default()
        };
        assert_eq!(shown(&test(&one, true)), ["cargo nextest run --release -p ligo-cost"]);
    }
}
