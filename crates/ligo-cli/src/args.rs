//! The program's arguments and exit codes.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use ligo_device::{Depth, DeviceChoice, Picked};
use ligo_experiment::Listener;
use ligo_experiment::job_message::JobMessage;
use ligo_experiment::{hub, stop};

use crate::commands::ranks_args::RanksArgs;
use crate::commands::{
    compare, devices, export, grow, images, inspect, job, learn, methods, plan, push, recipes, run, shell, tokenize,
    train, verify,
};
use crate::dashboard::DashboardArgs;
use crate::ui::Shown;
use crate::{Failure, Ui, world};

/// Grow a pretrained transformer into a larger one: the large model reaches the same loss at a fraction of the cost.
#[derive(Debug, Parser)]
#[command(
    name = "ligo",
    version,
    propagate_version = true,
    after_help = "Examples:\n  ligo run                                        the demo: text, small model, operator, large model, savings\n  ligo run --recipe bert-mini --data my-texts/    the same with your own text\n  ligo grow --small bert-small --large bert-base.json --method stackbert --out start\n\nExit codes: 0 done, 1 failed, 2 wrong arguments, 3 waited in vain for another process (compare --unit), 130 stopped as asked (what was done is saved)."
)]
struct Cli {
    /// auto, cpu, gpu or gpu:N.
    #[arg(long, global = true, default_value = "auto", value_name = "DEVICE")]
    device: DeviceChoice,
    /// Say nothing but results and errors.
    #[arg(long, short, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The whole road: text, tokenizer, small model, operator, large models, table of savings.
    Run(run::RunArgs),
    /// Turn text into a token store, and train a tokenizer unless one is given.
    Tokenize(tokenize::TokenizeArgs),
    /// Decode pictures into an image set.
    Images(images::ImagesArgs),
    /// Train one model on tokens or images.
    Train(train::TrainArgs),
    /// Learn a growth operator from a small model to a larger one.
    Learn(learn::LearnArgs),
    /// Apply an operator: write the large model's starting point.
    Grow(grow::GrowArgs),
    /// Several methods and seeds on the same data; or the table and pictures of a finished run, again.
    Compare(compare::CompareArgs),
    /// What a recipe will cost, before anything is spent: memory, time, money, energy, CO2.
    Plan(plan::PlanArgs),
    /// Run a model on fixed inputs, and compare with `transformers` where Python has it.
    Verify(verify::VerifyArgs),
    /// Show what a model directory, operator or checkpoint holds.
    Inspect(inspect::InspectArgs),
    /// Write a script and settings with which another program trains a model further.
    Export(export::ExportArgs),
    /// Upload a model to the Hugging Face hub.
    Push(push::PushArgs),
    /// What can compute here, what it can do, and which of it is taken.
    Devices(devices::DevicesArgs),
    /// The ways to start and to train a large model, a line each.
    Methods(methods::MethodsArgs),
    /// The built-in recipes, a line each; or one of them, to copy from.
    Recipes(recipes::RecipesArgs),
    /// Completions for a shell.
    Completions(shell::CompletionsArgs),
    /// Manual pages.
    Man(shell::ManArgs),
    /// Do one piece of work of a run.
    #[command(name = "__job", hide = true)]
    Job(job::JobArgs),
    /// Try a GPU in a process of its own.
    #[command(name = "__probe-gpu", hide = true)]
    ProbeGpu {
        /// The device.
        spec: String,
        /// Tell also what it is and can do.
        #[arg(long)]
        describe: bool,
        /// Tell also how fast it multiplies.
        #[arg(long)]
        measure: bool,
    },
}

/// The program with all its commands.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program.
pub fn main() -> ExitCode {
    ligo_ops::tune_allocator();
    let parsed = Cli::try_parse().and_then(understood);
    let mut cli = parsed.unwrap_or_else(|error| match world::is_silent() {
        true => std::process::exit(error.exit_code()),
        false => error.exit(),
    });
    if let Command::ProbeGpu {
        spec,
        describe,
        measure,
    } = &cli.command
    {
        let (describe, measure) = (*describe, *measure);
        let code = ligo_device::run_probe(spec, Depth { describe, measure });
        return ExitCode::from(u8::try_from(code).unwrap_or(1));
    }
    crate::signals::install();
    // A piece of a run belongs to the process that started it.
    let world = match &cli.command {
        Command::Job(_) => Ok(None),
        _ => world::join(),
    };
    let world = match world {
        Ok(world) => world,
        Err(failure) => return ExitCode::from(end(Err(failure), &Ui::new(cli.quiet))),
    };
    if let Some(world) = world {
        if world.rank() > 0 {
            return world.follow(cli.device, &Ui::new(cli.quiet));
        }
        let ui = &Ui::new(cli.quiet);
        if ranks_of(&cli.command).optimizer_sharding {
            world.share_optimizer();
        }
        let device = world.device(cli.device);
        let done = device.and_then(|device| {
            cli.device = device;
            work(&mut cli, ui)
        });
        let code = end(done, ui);
        world.leave(code);
        return ExitCode::from(code);
    }
    let ui = &match &cli.command {
        Command::Job(_) => {
            job::stop_with_parent();
            Ui::of_job()
        }
        _ => Ui::new(cli.quiet),
    };
    if ranks_of(&cli.command).optimizer_sharding {
        ui.note("--optimizer-sharding changes nothing where one process trains; docs/DISTRIBUTED.md says how several are started");
    }
    ExitCode::from(end(work(&mut cli, ui), ui))
}

fn work(cli: &mut Cli, ui: &Ui) -> Result<(), Failure> {
    dashboard(&cli.command).check()?;
    fetch(&mut cli.command, ui)?;
    dispatch(cli, ui)
}

/// The exit code of a process that another one has to come before.
const WAITED_IN_VAIN: u8 = 3;

/// Says how it ended; the exit code.
fn end(done: Result<(), Failure>, ui: &Ui) -> u8 {
    match done {
        Ok(()) => 0,
        Err(failure) if failure.is_interruption() => {
            ui.note(&stop::farewell());
            stop::INTERRUPTED
        }
        Err(failure) => {
            if ui.is_job() {
                let by_device = matches!(failure, Failure::Device(_));
                let message = failure.to_string();
                JobMessage::Failed { message, by_device }.tell();
            }
            let report = miette::Report::new(Shown::of(&failure));
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "{report:?}");
            match failure {
                Failure::Waiting { .. } => WAITED_IN_VAIN,
                _ => 1,
            }
        }
    }
}

/// How a command's training is shown.
fn dashboard(command: &Command) -> DashboardArgs {
    match command {
        Command::Run(args) => args.shown,
        Command::Compare(args) => args.run.shown,
        Command::Train(args) => args.shown,
        Command::Learn(args) => args.shown,
        _ => DashboardArgs::default(),
    }
}

/// How several ranks share what a command trains.
fn ranks_of(command: &Command) -> RanksArgs {
    match command {
        Command::Run(args) => args.ranks,
        Command::Compare(args) => args.run.ranks,
        Command::Train(args) => args.ranks,
        Command::Learn(args) => args.ranks,
        _ => RanksArgs::default(),
    }
}

/// Contradictions between options of the program and those of a command, which clap does not see.
fn understood(cli: Cli) -> Result<Cli, clap::Error> {
    match cli.quiet && dashboard(&cli.command).dashboard {
        true => Err(command().error(
            ErrorKind::ArgumentConflict,
            "the argument '--dashboard' cannot be used with '--quiet'",
        )),
        false => Ok(cli),
    }
}

/// Puts models that are named by their address on the hub onto this machine: from here on every path is one. Texts and tokenizers, which a
/// recipe names too, are fetched where they are read.
fn fetch(command: &mut Command, ui: &Ui) -> Result<(), Failure> {
    let model = |path: &mut PathBuf| -> Result<(), Failure> {
        *path = hub::model(path, ui)?;
        Ok(())
    };
    let config = |path: &mut PathBuf| -> Result<(), Failure> {
        *path = hub::config(path, ui)?;
        Ok(())
    };
    match command {
        Command::Grow(args) => {
            args.large.as_mut().map_or(Ok(()), config)?;
            model(&mut args.small)
        }
        Command::Learn(args) => {
            config(&mut args.large)?;
            model(&mut args.small)
        }
        Command::Export(args) => model(&mut args.init),
        Command::Train(args) => {
            args.model.as_mut().map_or(Ok(()), config)?;
            args.init.as_mut().map_or(Ok(()), model)?;
            args.teacher.as_mut().map_or(Ok(()), model)
        }
        Command::Plan(args) => match &mut args.small {
            // Nothing is computed with its weights.
            Some(small) if hub::is_address(small) => {
                config(small)?;
                small.pop();
                Ok(())
            }
            _ => Ok(()),
        },
        Command::Images(args) => args.like.as_mut().map_or(Ok(()), model),
        Command::Verify(args) => model(&mut args.dir),
        Command::Inspect(args) => model(&mut args.path),
        // A recipe's own small model is fetched when the recipe is read.
        _ => Ok(()),
    }
}

fn dispatch(cli: &Cli, ui: &Ui) -> Result<(), Failure> {
    let pick = || -> Result<Picked, Failure> { Ok(ligo_device::pick(cli.device)?) };
    match &cli.command {
        Command::Run(args) => run::run(args, pick()?, ui),
        Command::Tokenize(args) => tokenize::run(args, ui),
        Command::Images(args) => images::run(args, ui),
        Command::Train(args) => train::run(args, &pick()?, ui),
        Command::Learn(args) => learn::run(args, &pick()?, ui),
        Command::Grow(args) => grow::run(args, &pick()?, ui),
        Command::Compare(args) => compare::run(args, cli.device, ui),
        Command::Job(args) => job::run(args, &pick()?, ui),
        Command::Plan(args) => plan::run(args, cli.device, ui),
        Command::Verify(args) => Ok(verify::run(args, &pick()?.device)?),
        Command::Inspect(args) => Ok(inspect::run(args)?),
        Command::Export(args) => export::run(args, ui),
        Command::Push(args) => push::run(args, ui),
        Command::Devices(args) => devices::run(args, ui),
        Command::Methods(args) => methods::run(args, ui),
        Command::Recipes(args) => recipes::run(args, ui),
        Command::Completions(args) => shell::completions(args, command()),
        Command::Man(args) => shell::man(args, command()),
        Command::ProbeGpu { .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::path::Path;

    use super::*;

    /// What `cargo xtask` calls otherwise.
    const TRAIN: &str = "train";

    /// A command that goes on on the next line, on one.
    fn joined(text: &str) -> String {
        let lines = text.split("\\\n").map(str::trim_start);
        lines.collect::<Vec<_>>().join("")
    }

    /// The arguments of `ligo` that a line of the documentation stands for; `None` where it is no such line.
    fn arguments(line: &str) -> Option<Vec<String>> {
        let line = line.trim();
        // Not what is said of it, nor what reads its output.
        let line = line.split("  #").next().unwrap_or(line);
        let line = [" | ", " > ", " && "]
            .iter()
            .fold(line, |line, end| line.split(end).next().unwrap_or(line));
        let words: Vec<String> = line
            .split_whitespace()
            .map(|word| word.trim_matches(['"', '\'']).to_owned())
            .collect();
        let (first, rest) = words.split_first()?;
        let mut ligo = match (first.as_str(), rest) {
            ("ligo", rest) => rest.to_vec(),
            ("cargo", [xtask, task, rest @ ..]) if xtask == "xtask" => match task.as_str() {
                "ligo" => rest.to_vec(),
                TRAIN => [&["run".to_owned()], rest].concat(),
                "compare" | "plan" | "devices" | "learn" => [std::slice::from_ref(task), rest].concat(),
                _ => return None,
            },
            _ => return None,
        };
        // Meant for `cargo xtask`, which takes it out.
        if let Some(at) = ligo.iter().position(|word| word == "--backend") {
            ligo.drain(at..(at + 2).min(ligo.len()));
        }
        // Sentences, outputs and placeholders.
        let is_command = ligo
            .first()
            .is_some_and(|word| word.chars().all(|c| c.is_ascii_lowercase()));
        (is_command && !ligo.iter().any(|word| word.contains('…'))).then_some(ligo)
    }

    #[test]
    fn every_command_in_the_documentation_is_understood() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let files = [root.clone(), root.join("docs")].into_iter().flat_map(|folder| {
            let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            entries.filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        });
        let (mut tried, mut wrong) = (0, Vec::new());
        for file in files {
            let text = joined(&fs::read_to_string(&file).unwrap());
            let mut fenced = false;
            for line in text.lines() {
                fenced ^= line.starts_with("```");
                let is_code = line.starts_with("    ") || fenced;
                let Some(arguments) = is_code.then(|| arguments(line)).flatten() else {
                    continue;
                };
                tried += 1;
                let words = std::iter::once("ligo").chain(arguments.iter().map(String::as_str));
                if let Err(error) = Cli::try_parse_from(words)
                    && error.use_stderr()
                {
                    wrong.push(format!("{}: {}\n{error}", file.display(), line.trim()));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(tried > 25, "only {tried} commands were found");
    }

    #[test]
    fn every_example_of_the_help_is_understood() {
        let program = Cli::command();
        let helps = program.get_subcommands().chain([&program]);
        let texts: Vec<String> = helps
            .filter_map(|c| Some(joined(&c.get_after_help()?.to_string())))
            .collect();
        let mut tried = 0;
        for line in texts
            .iter()
            .flat_map(|text| text.lines())
            .filter(|line| line.starts_with("  ligo "))
        {
            // What it does stands behind two blanks.
            let line = line.trim().split("  ").next().unwrap_or_default();
            let Some(arguments) = arguments(line) else { continue };
            tried += 1;
            let words = std::iter::once("ligo").chain(arguments.iter().map(String::as_str));
            let understood = Cli::try_parse_from(words);
            assert!(understood.is_ok(), "{line}: {}", understood.unwrap_err());
        }
        assert!(tried > 30, "only {tried} examples were found");
    }

    #[test]
    fn what_trains_has_a_dashboard_unless_it_is_quiet() {
        let parsed = |line: &str| Cli::try_parse_from(line.split(' ')).and_then(understood);
        for line in [
            "ligo run --dashboard",
            "ligo compare --dashboard --seeds 2",
            "ligo train --model m.json --tokens t --out o --dashboard",
            "ligo learn --small s --large l.json --tokens t --out o --dashboard",
        ] {
            let cli = parsed(line).unwrap();
            assert_eq!(
                dashboard(&cli.command).check().is_ok(),
                cfg!(feature = "dashboard"),
                "{line}"
            );
            assert!(parsed(&format!("{line} --quiet")).is_err(), "{line}");
            assert!(parsed(&line.replacen("ligo", "ligo --quiet", 1)).is_err(), "{line}");
            let without = parsed(&line.replace(" --dashboard", "")).unwrap();
            assert!(dashboard(&without.command).check().is_ok(), "{line}");
        }
        assert!(parsed("ligo compare runs/a --dashboard").is_err());
        assert!(parsed("ligo grow --small s --out o --dashboard").is_err());
    }

    #[test]
    fn arguments_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }
}
