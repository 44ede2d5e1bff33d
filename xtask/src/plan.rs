use std::ffi::{OsStr, OsString};

use crate::arguments::{Ligo, Test};
use crate::backend::Backend;
use crate::cargo::CargoCommand;

/// What every program and test of this machine is built with. One set for all: another one would build burn again, tests would not test
/// the program that is used, and the kernels that AVX-512 adds round differently.
#[derive(Debug, Clone, Copy)]
pub struct Features {
    pub backend: Backend,
    pub has_avx512: bool,
    pub with_mpi: bool,
}

impl Features {
    /// As cargo's `--features` takes them at the root of the workspace.
    fn names(self) -> Vec<&'static str> {
        let mut names = self.backend.features().to_vec();
        if self.backend.is_tuned() {
            names.push("ligo-cli/autotune");
        }
        if self.has_avx512 {
            names.push("ligo-cli/avx512");
        }
        if self.with_mpi {
            // The crate's own tests need it by its own name.
            names.extend(["ligo-cli/mpi", "ligo-mpi/mpi"]);
        }
        names
    }

    /// The arguments for these and some more.
    fn arguments(self, more: &[&str]) -> Vec<String> {
        arguments(&[self.names().as_slice(), more].concat())
    }

    /// The same when only some packages are built, of which cargo takes no others' features.
    fn arguments_of(self, more: &[&str], packages: &[String]) -> Vec<String> {
        if packages.is_empty() {
            return self.arguments(more);
        }
        let names = [self.names().as_slice(), more].concat().into_iter();
        let is_theirs = |name: &&str| packages.iter().any(|package| name.split('/').next() == Some(package));
        arguments(&names.filter(is_theirs).collect::<Vec<_>>())
    }
}

fn arguments(names: &[&str]) -> Vec<String> {
    match names.is_empty() {
        true => Vec::new(),
        false => vec!["--features".into(), names.join(",")],
    }
}

/// Builds a program of the workspace in release mode and runs it. Not by its package: cargo would take fewer features of what all share.
fn program(name: &OsStr, features: &[String]) -> CargoCommand {
    CargoCommand::new(["run", "--release", "--bin"])
        .with([name])
        .with(features)
        .with(["--"])
}

/// The program that talks to the Hugging Face hub: a package of its own, so that its network stack changes no feature of what burn is built of.
const HUB: [&str; 5] = ["--release", "--package", "ligo-hub", "--features", "client"];

/// Builds `ligo` and runs it; where the hub is asked, with the program for that beside it.
pub fn ligo(ligo: &Ligo, features: Features) -> Vec<CargoCommand> {
    let on_hub = |argument: &OsString| argument.to_string_lossy().contains("hf://");
    let pushes = ligo.arguments.first().is_some_and(|command| command == "push");
    let asks = pushes || ligo.arguments.iter().any(on_hub);
    let hub = asks.then(|| CargoCommand::new(["build"]).with(HUB));
    let watches = ligo.arguments.iter().any(|argument| argument == "--dashboard");
    let dashboard: &[&str] = if watches { &["ligo-cli/dashboard"] } else { &[] };
    let program = program("ligo".as_ref(), &features.arguments(dashboard)).with(&ligo.arguments);
    hub.into_iter().chain([program]).collect()
}

/// The test runner, with checks before it and documentation tests after it.
pub fn test(test: &Test, features: Features, has_nextest: bool) -> Vec<CargoCommand> {
    let mut commands = Vec::new();
    let named = named_packages(&test.arguments);
    let packages: &[&str] = if named.is_empty() { &["--workspace"] } else { &[] };
    let cuda: &[&str] = if test.with_cuda { &["ligo-cli/cuda"] } else { &[] };
    let features = &features.arguments_of(cuda, &named);
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
    // Its network stack takes as long to build as all tests do to run.
    if (test.with_hub || test.long) && test.arguments.is_empty() {
        commands.push(CargoCommand::new(["test"]).with(HUB));
    }
    commands
}

/// A benchmark: the program of that name in `benches/`, `bert-step` without one.
pub fn bench(arguments: &[OsString], features: Features) -> CargoCommand {
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
    program(&name, &features.arguments(&[])).with(rest)
}

/// The packages that the arguments of a test runner name.
fn named_packages(arguments: &[OsString]) -> Vec<String> {
    let mut arguments = arguments.iter().filter_map(|argument| argument.to_str());
    let mut named = Vec::new();
    while let Some(argument) = arguments.next() {
        match argument.split_once('=') {
            Some(("-p" | "--package", name)) => named.push(name.to_owned()),
            None if argument == "-p" || argument == "--package" => {
                named.extend(arguments.next().map(str::to_owned));
            }
            _ => {}
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ligo_with(arguments: &[&str]) -> Ligo {
        Ligo {
            backend: None,
            with_mpi: false,
            dry_run: false,
            arguments: arguments.iter().map(OsString::from).collect(),
        }
    }

    fn shown(commands: &[CargoCommand]) -> Vec<String> {
        commands.iter().map(ToString::to_string).collect()
    }

    fn on(backend: Backend, has_avx512: bool) -> Features {
        Features {
            backend,
            has_avx512,
            with_mpi: false,
        }
    }

    const PLAIN: Features = Features {
        backend: Backend::Cpu,
        has_avx512: false,
        with_mpi: false,
    };

    #[test]
    fn program_tests_and_benchmarks_are_built_with_the_same_features() {
        for (backend, has_avx512, features) in [
            (Backend::Cpu, false, ""),
            (Backend::Cpu, true, " --features ligo-cli/avx512"),
            (Backend::Dx12, false, " --features ligo-cli/wgpu,ligo-benches/wgpu"),
            (
                Backend::Vulkan,
                true,
                " --features ligo-cli/vulkan,ligo-benches/wgpu,ligo-cli/autotune,ligo-cli/avx512",
            ),
            (
                Backend::Metal,
                false,
                " --features ligo-cli/metal,ligo-benches/wgpu,ligo-cli/autotune",
            ),
            (Backend::Cuda, false, " --features ligo-cli/cuda,ligo-cli/autotune"),
        ] {
            let features_here = on(backend, has_avx512);
            assert_eq!(
                shown(&ligo(&ligo_with(&["run", "--recipe", "demo"]), features_here)),
                [format!("cargo run --release --bin ligo{features} -- run --recipe demo")]
            );
            let tests = shown(&test(&Test::default(), features_here, true));
            assert_eq!(tests[0], format!("cargo nextest run --release --workspace{features}"));
            assert_eq!(tests[1], format!("cargo test --doc --release --workspace{features}"));
            assert_eq!(
                bench(&["launches".into(), "--json".into()], features_here).to_string(),
                format!("cargo run --release --bin launches{features} -- --json")
            );
        }
    }

    #[test]
    fn a_benchmark_without_a_name_is_the_step_of_bert() {
        assert_eq!(
            bench(&["3".into()], PLAIN).to_string(),
            "cargo run --release --bin bert-step -- 3"
        );
    }

    #[test]
    fn what_talks_to_the_hub_is_built_only_for_who_asks_it() {
        let features = on(Backend::Cpu, true);
        for (arguments, asks) in [
            (
                ["run", "--data", "hf://datasets/wikimedia/wikipedia/20231101.en"].as_slice(),
                true,
            ),
            (&["run", "--set", "small.path=\"hf://o/m\""], true),
            (&["push", "bigger", "me/bigger"], true),
            (&["grow", "--small", "push"], false),
        ] {
            let mut commands = shown(&ligo(&ligo_with(arguments), features));
            let program = commands.pop().unwrap_or_default();
            assert!(program.starts_with("cargo run --release --bin ligo --features ligo-cli/avx512 -- "));
            let hub = "cargo build --release --package ligo-hub --features client";
            assert_eq!(commands, if asks { vec![hub] } else { vec![] }, "{arguments:?}");
        }
    }

    #[test]
    fn the_dashboard_is_built_for_who_asks_for_it() {
        let asked = ligo_with(&["run", "--recipe", "demo", "--dashboard"]);
        assert_eq!(
            shown(&ligo(&asked, on(Backend::Vulkan, true))),
            [
                "cargo run --release --bin ligo --features ligo-cli/vulkan,ligo-benches/wgpu,ligo-cli/autotune,ligo-cli/avx512,\
              ligo-cli/dashboard -- run --recipe demo --dashboard"
            ]
        );
        assert_eq!(
            shown(&ligo(&asked, PLAIN)),
            ["cargo run --release --bin ligo --features ligo-cli/dashboard -- run --recipe demo --dashboard"]
        );
    }

    #[test]
    fn the_hub_is_tested_by_itself_where_it_is_asked_for() {
        let plain = shown(&test(&Test::default(), PLAIN, true));
        assert!(plain.iter().all(|command| !command.contains("ligo-hub")), "{plain:?}");
        let with_hub = Test {
            with_hub: true,
            ..Test::default()
        };
        assert_eq!(
            shown(&test(&with_hub, PLAIN, true)),
            [
                "cargo nextest run --release --workspace",
                "cargo test --doc --release --workspace",
                "cargo test --release --package ligo-hub --features client",
            ]
        );
    }

    #[test]
    fn cuda_joins_the_one_build_of_the_tests() {
        let asked = Test {
            with_cuda: true,
            lint: true,
            ..Test::default()
        };
        let commands = shown(&test(&asked, on(Backend::Wgpu, true), true));
        let features = "ligo-cli/wgpu,ligo-benches/wgpu,ligo-cli/avx512,ligo-cli/cuda";
        assert_eq!(
            commands[1..4],
            [
                format!("cargo clippy --workspace --all-targets --features {features} -- -D warnings"),
                format!("cargo nextest run --release --workspace --features {features}"),
                format!("cargo test --doc --release --workspace --features {features}"),
            ]
        );
    }

    #[test]
    fn mpi_is_built_for_who_asks_it_and_only_into_what_knows_it() {
        let with = Features {
            with_mpi: true,
            ..PLAIN
        };
        let features = "--features ligo-cli/mpi,ligo-mpi/mpi";
        assert_eq!(
            shown(&ligo(&ligo_with(&["--version"]), with)),
            [format!("cargo run --release --bin ligo {features} -- --version")]
        );
        assert_eq!(
            shown(&test(&Test::default(), with, true))[0],
            format!("cargo nextest run --release --workspace {features}")
        );
        let one = Test {
            arguments: vec!["-p".into(), "ligo-mpi".into()],
            ..Test::default()
        };
        assert_eq!(
            shown(&test(&one, with, true)),
            ["cargo nextest run --release --features ligo-mpi/mpi -p ligo-mpi"]
        );
    }

    #[test]
    fn without_nextest_cargo_runs_the_tests() {
        assert_eq!(
            shown(&test(&Test::default(), PLAIN, false)),
            ["cargo test --release --workspace"]
        );
        let long = Test {
            long: true,
            ..Test::default()
        };
        assert_eq!(
            shown(&test(&long, PLAIN, false)),
            [
                "cargo test --release --workspace -- --include-ignored",
                "cargo test --release --package ligo-hub --features client",
            ]
        );
        let filtered = Test {
            long: true,
            arguments: vec!["a".into(), "--".into(), "--nocapture".into()],
            ..Test::default()
        };
        assert_eq!(
            shown(&test(&filtered, PLAIN, false)),
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
            shown(&test(&lint, PLAIN, true)),
            [
                "cargo fmt --all --check",
                "cargo clippy --workspace --all-targets -- -D warnings",
                "cargo nextest run --release --workspace --run-ignored all",
                "cargo test --doc --release --workspace",
                "cargo test --release --package ligo-hub --features client",
            ]
        );
    }

    #[test]
    fn a_named_package_replaces_the_workspace_and_has_its_own_features() {
        let of = |arguments: &[&str]| {
            let asked = Test {
                arguments: arguments.iter().map(OsString::from).collect(),
                ..Test::default()
            };
            shown(&test(&asked, on(Backend::Wgpu, true), true))
        };
        assert_eq!(of(&["-p", "ligo-cost"]), ["cargo nextest run --release -p ligo-cost"]);
        assert_eq!(
            of(&["--package=ligo-cli"]),
            ["cargo nextest run --release --features ligo-cli/wgpu,ligo-cli/avx512 --package=ligo-cli"]
        );
    }
}
