//! `ligo compare`: several methods and seeds on the same data; or the table and picture of a finished run, again.

use std::path::{Path, PathBuf};

use ligo_report::summary::Summary;

use super::run::{RunArgs, resolve};
use crate::device::{self, DeviceChoice};
use crate::run::{Crew, Workers};
use crate::{Failure, Ui};

/// Arguments of `ligo compare`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ligo compare --recipe bert-micro --data texts/ --methods ligo,stackbert,interpose --seeds 3\n  ligo compare --recipe bert-mini --small bert-small/ --tokenizer bert-small/ --data texts/\n  ligo compare runs/demo-1a2b3c4d                    the table and pictures of a finished run, again\n\nscratch is always among the methods. What is complete is not run again, so methods and seeds can be added later; Ctrl-C saves,\nand the same command continues."
)]
pub struct CompareArgs {
    /// A finished run's folder, or its summary.json: only its table and pictures are made anew.
    #[arg(conflicts_with_all = ["methods", "seeds", "jobs", "data", "small"])]
    pub finished: Option<PathBuf>,
    /// What is compared and on what.
    #[command(flatten)]
    pub run: RunArgs,
    /// Methods instead of the recipe's; settings that the recipe has for one of them stay.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub methods: Vec<String>,
    /// Runs of each method, each with a seed of its own.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100))]
    pub seeds: Option<u64>,
    /// Runs at a time, each in a process of its own. On a CPU they share its threads, on GPUs they take turns. By default as many
    /// as there are GPUs.
    #[arg(long, value_name = "N", value_parser = jobs)]
    pub jobs: Option<usize>,
}

/// More than this is a slip of the pen.
const MOST_JOBS: usize = 256;

fn jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(jobs) if (1..=MOST_JOBS).contains(&jobs) => Ok(jobs),
        _ => Err(format!("expected a number from 1 to {MOST_JOBS}")),
    }
}

/// Runs the command.
///
/// # Errors
/// Whatever a run ends with; or there is no readable summary, or the pictures cannot be written.
pub fn run(args: &CompareArgs, choice: DeviceChoice, ui: Ui) -> Result<(), Failure> {
    if let Some(finished) = &args.finished {
        return redraw(finished, ui);
    }
    let recipe = resolve(&args.run)?.comparing(&args.methods, args.seeds)?;
    let folder = args
        .run
        .out
        .clone()
        .unwrap_or_else(|| crate::run::default_folder(&recipe));
    crate::run::run(&recipe, &folder, crew(args.jobs, choice)?, ui)
}

/// As many processes as were asked for, else one for each GPU where there are several, else this one.
fn crew(jobs: Option<usize>, choice: DeviceChoice) -> Result<Crew, Failure> {
    if jobs != Some(1) {
        let gpus = device::gpus(choice)?;
        let jobs = jobs.unwrap_or(gpus.len());
        if jobs > 1 {
            return Ok(Crew::SideBySide(Workers::new(jobs, &gpus)));
        }
    }
    Ok(Crew::Here(device::pick(choice)?))
}

fn redraw(finished: &Path, ui: Ui) -> Result<(), Failure> {
    let file = if finished.is_dir() {
        finished.join("summary.json")
    } else {
        finished.to_path_buf()
    };
    if !file.is_file() {
        return Err(Failure::other(
            format!("there is no {}", file.display()),
            "a run writes it when all its methods are done; the same command as before finishes it",
        ));
    }
    let summary = Summary::read(&file)?;
    let folder = file.parent().map(PathBuf::from).unwrap_or_default();
    crate::run::show(&summary, &folder, ui)
}
