use std::ffi::OsString;

use crate::backend::Backend;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Task {
    Help,
    Ligo(Ligo),
    Test(Test),
    Bench(Bench),
}

/// Build `ligo` and start it.
#[derive(Debug, PartialEq, Eq)]
pub struct Ligo {
    /// `None` is auto.
    pub backend: Option<Backend>,
    pub with_mpi: bool,
    pub dry_run: bool,
    /// The subcommand and everything after it.
    pub arguments: Vec<OsString>,
}

/// Run the tests.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Test {
    /// `None` is auto.
    pub backend: Option<Backend>,
    pub with_cuda: bool,
    pub with_mpi: bool,
    pub with_hub: bool,
    pub long: bool,
    pub lint: bool,
    pub dry_run: bool,
    pub arguments: Vec<OsString>,
}

/// Run the benchmarks.
#[derive(Debug, PartialEq, Eq)]
pub struct Bench {
    /// `None` is auto.
    pub backend: Option<Backend>,
    pub dry_run: bool,
    pub arguments: Vec<OsString>,
}

/// Reads the arguments after the program's name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Task, String> {
    let mut arguments = arguments.into_iter();
    let Some(command) = arguments.next() else {
        return Ok(Task::Help);
    };
    let mut own = OwnOptions::default();
    match command.to_str() {
        Some("help" | "--help" | "-h") => Ok(Task::Help),
        Some("train") => {
            let rest = own.take_from(arguments, &["--dry-run", "--with-mpi", "--help", "-h"])?;
            if own.has("--help") || own.has("-h") {
                return Ok(Task::Help);
            }
            Ok(Task::Ligo(Ligo {
                backend: own.backend()?,
                with_mpi: own.has("--with-mpi"),
                dry_run: own.has("--dry-run"),
                arguments: whole_road(rest),
            }))
        }
        Some(direct @ ("ligo" | "compare" | "plan" | "devices")) => {
            let mut rest = own.take_from(arguments, &["--dry-run", "--with-mpi"])?;
            if direct != "ligo" {
                rest.insert(0, direct.into());
            }
            Ok(Task::Ligo(Ligo {
                backend: own.backend()?,
                with_mpi: own.has("--with-mpi"),
                dry_run: own.has("--dry-run"),
                arguments: rest,
            }))
        }
        Some("test") => {
            let arguments = own.take_from(
                arguments,
                &[
                    "--dry-run",
                    "--long",
                    "--lint",
                    "--with-cuda",
                    "--with-mpi",
                    "--with-hub",
                    "--help",
                    "-h",
                ],
            )?;
            if own.has("--help") || own.has("-h") {
                return Ok(Task::Help);
            }
            let flags = [
                "--with-cuda",
                "--with-mpi",
                "--with-hub",
                "--long",
                "--lint",
                "--dry-run",
            ];
            let [with_cuda, with_mpi, with_hub, long, lint, dry_run] = flags.map(|flag| own.has(flag));
            Ok(Task::Test(Test {
                backend: own.backend()?,
                with_cuda,
                with_mpi,
                with_hub,
                long,
                lint,
                dry_run,
                arguments,
            }))
        }
        Some("bench") => {
            let arguments = own.take_from(arguments, &["--dry-run", "--help", "-h"])?;
            if own.has("--help") || own.has("-h") {
                return Ok(Task::Help);
            }
            Ok(Task::Bench(Bench {
                backend: own.backend()?,
                dry_run: own.has("--dry-run"),
                arguments,
            }))
        }
        _ => Err(format!("unknown command `{}`", command.to_string_lossy())),
    }
}

/// The arguments of `ligo run`: with the demo's recipe unless another one is named.
fn whole_road(rest: Vec<OsString>) -> Vec<OsString> {
    let names_recipe = |argument: &OsString| {
        argument
            .to_str()
            .is_some_and(|argument| argument == "--recipe" || argument.starts_with("--recipe="))
    };
    let mut arguments = vec![OsString::from("run")];
    if !rest.iter().any(names_recipe) {
        arguments.extend(["--recipe".into(), "demo".into()]);
    }
    arguments.extend(rest);
    arguments
}

/// The options that are meant for this program and not for the one it starts.
#[derive(Default)]
struct OwnOptions {
    flags: Vec<String>,
    backend: Option<OsString>,
}

impl OwnOptions {
    /// Takes `--backend` and the named flags out of the arguments before a `--`, drops the `--`, returns what is left.
    fn take_from(
        &mut self,
        mut arguments: impl Iterator<Item = OsString>,
        flags: &[&str],
    ) -> Result<Vec<OsString>, String> {
        let mut rest = Vec::new();
        while let Some(argument) = arguments.next() {
            match argument.to_str() {
                Some("--") => {
                    rest.extend(arguments);
                    break;
                }
                Some("--backend") => {
                    let value = arguments
                        .next()
                        .ok_or_else(|| format!("--backend needs a value: {}", backends()))?;
                    self.backend = Some(value);
                }
                Some(option) if option.starts_with("--backend=") => {
                    self.backend = Some(option["--backend=".len()..].into());
                }
                Some(flag) if flags.contains(&flag) => self.flags.push(flag.to_owned()),
                _ => rest.push(argument),
            }
        }
        Ok(rest)
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|found| found == flag)
    }

    fn backend(&self) -> Result<Option<Backend>, String> {
        match self.backend.as_ref().map(|value| value.to_string_lossy()) {
            None => Ok(None),
            Some(name) if name == "auto" => Ok(None),
            Some(name) => match Backend::from_name(&name) {
                Some(backend) => Ok(Some(backend)),
                None => Err(format!("unknown backend `{name}`; expected {}", backends())),
            },
        }
    }
}

/// The names that `--backend` takes.
pub fn backends() -> String {
    let names: Vec<&str> = Backend::ALL.into_iter().map(Backend::name).collect();
    format!("auto|{}", names.join("|"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn parsed(line: &str) -> Result<Task, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn ligo(line: &str) -> Ligo {
        match parsed(line) {
            Ok(Task::Ligo(ligo)) => ligo,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn words(arguments: &[OsString]) -> String {
        arguments
            .iter()
            .map(|argument| argument.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn train_without_arguments_runs_the_demo() {
        let train = ligo("train");
        assert_eq!(words(&train.arguments), "run --recipe demo");
        assert_eq!(train.backend, None);
        assert!(!train.dry_run);
    }

    #[test]
    fn a_named_recipe_replaces_the_demo() {
        assert_eq!(
            words(&ligo("train --recipe bert-mini --data text").arguments),
            "run --recipe bert-mini --data text"
        );
        assert_eq!(
            words(&ligo("train --recipe=bert-mini").arguments),
            "run --recipe=bert-mini"
        );
        assert_eq!(words(&ligo("train --set a=1").arguments), "run --recipe demo --set a=1");
    }

    #[test]
    fn our_own_options_are_taken_out_and_the_rest_is_passed_on() {
        let train = ligo("train --quiet --backend cuda --device gpu:1 --dry-run");
        assert_eq!(words(&train.arguments), "run --recipe demo --quiet --device gpu:1");
        assert_eq!(train.backend, Some(Backend::Cuda));
        assert!(train.dry_run);
        assert_eq!(ligo("ligo --backend=wgpu grow a b").backend, Some(Backend::Wgpu));
        assert_eq!(ligo("ligo --backend auto grow").backend, None);
        assert!(ligo("ligo --with-mpi --version").with_mpi && !ligo("train --set a=1").with_mpi);
        assert_eq!(words(&ligo("train --with-mpi").arguments), "run --recipe demo");
    }

    #[test]
    fn what_follows_a_double_dash_is_passed_on_untouched() {
        let inner = ligo("ligo inspect -- --backend x --dry-run");
        assert_eq!(words(&inner.arguments), "inspect --backend x --dry-run");
        assert_eq!(inner.backend, None);
        assert!(!inner.dry_run);
    }

    #[test]
    fn help_of_a_subcommand_of_ligo_is_asked_of_ligo() {
        assert_eq!(words(&ligo("ligo grow --help").arguments), "grow --help");
        assert_eq!(
            words(&ligo("compare --seeds 3 --help").arguments),
            "compare --seeds 3 --help"
        );
        assert_eq!(
            words(&ligo("plan --hardware h100 --json").arguments),
            "plan --hardware h100 --json"
        );
        assert_eq!(ligo("plan --backend cpu --help").backend, Some(Backend::Cpu));
        assert_eq!(parsed("train --help"), Ok(Task::Help));
        assert_eq!(parsed(""), Ok(Task::Help));
    }

    #[test]
    fn test_options_are_told_from_the_test_runners() {
        let Ok(Task::Test(test)) = parsed("test --backend wgpu --long --with-mpi resume -p ligo-train") else {
            panic!()
        };
        assert_eq!(test.backend, Some(Backend::Wgpu));
        assert!(test.long && test.with_mpi && !test.lint && !test.with_cuda);
        assert_eq!(words(&test.arguments), "resume -p ligo-train");
    }

    #[test]
    fn a_benchmark_is_named_and_has_arguments_of_its_own() {
        let Ok(Task::Bench(bench)) = parsed("bench --dry-run --backend wgpu launches -- --json --backend x") else {
            panic!()
        };
        assert_eq!((bench.dry_run, bench.backend), (true, Some(Backend::Wgpu)));
        assert_eq!(words(&bench.arguments), "launches --json --backend x");
    }

    #[test]
    fn a_wrong_word_is_named_together_with_the_right_ones() {
        assert_eq!(parsed("trian").unwrap_err(), "unknown command `trian`");
        let message = parsed("train --backend vulcan").unwrap_err();
        assert_eq!(
            message,
            "unknown backend `vulcan`; expected auto|cpu|wgpu|vulkan|metal|dx12|cuda"
        );
        assert!(parsed("train --backend").unwrap_err().contains("needs a value"));
        assert!(parsed("test --backend gpu").unwrap_err().contains("auto|cpu"));
    }
}
