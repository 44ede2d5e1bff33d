//! `ligo compare`: several methods and seeds on the same data; or the table and picture of a finished run, again.

use std::path::{Path, PathBuf};

use ligo_device::DeviceChoice;
use ligo_experiment::Listener;
use ligo_experiment::recipe::Recipe;
use ligo_experiment::run::{Share, Workers, ranks};
use ligo_experiment::{Experiment, Workforce};
use ligo_report::summary::Summary;

use super::run::{RunArgs, resolve_with};
use crate::{Failure, Ui};

/// Arguments of `ligo compare`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ligo compare --recipe bert-micro --data texts/ --methods ligo,stackbert,interpose --seeds 3\n  ligo compare --recipe bert-mini --small bert-small/ --tokenizer bert-small/ --data texts/\n  ligo compare --recipe bert-micro --data texts/ --seeds 3 --search-lr 1e-3,2e-3,4e-3 --jobs 14 --device cpu\n  ligo compare --recipe bert-micro --data texts/ --seeds 3 --unit 2/8       one of eight jobs of an array\n  ligo compare --recipe bert-micro --data texts/ --methods ligo,stackbert --lengths 0.4,0.5,0.6\n  ligo compare --recipe bert-micro --data texts/ --small other-small/ --tokenizer other-small/ --reuse runs/bert-micro-1a2b3c4d\n  ligo compare runs/demo-1a2b3c4d                    table, pictures and report of a run, again\n\nscratch is among the methods with every seed. What is complete is not run again, so methods and seeds can be added later; Ctrl-C saves,\nand the same command continues."
)]
pub struct CompareArgs {
    /// A run's folder: only its table, pictures and report are made anew, from what is complete.
    #[arg(conflicts_with_all = ["methods", "seeds", "search_lr", "lengths", "reuse", "jobs", "data", "small", "precision", "dashboard", "optimizer_sharding", "unit"])]
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
    /// Learning rates that every method is tried with first, scratch included; each then runs with its best one. The same as
    /// search.peak_lr of a recipe.
    #[arg(long, value_name = "RATES", value_delimiter = ',')]
    pub search_lr: Vec<f64>,
    /// Shares of the steps: every method but scratch is also trained with schedules that end so much sooner, which tells how little is
    /// enough to be as good as scratch. The same as lengths of a recipe.
    #[arg(long, value_name = "SHARES", value_delimiter = ',')]
    pub lengths: Vec<f64>,
    /// Folders of other comparisons. What they have done already is copied from there instead of done again: runs of scratch with the same
    /// large model, data, seed and rate, whatever the small model was; the small model; methods whose settings are all the same.
    #[arg(long, value_name = "FOLDERS", value_delimiter = ',')]
    pub reuse: Vec<PathBuf>,
    /// Runs at a time, each in a process of its own. On a CPU they share its threads, on GPUs they take turns. By default as many
    /// as there are GPUs.
    #[arg(long, value_name = "N", value_parser = jobs)]
    pub jobs: Option<usize>,
    /// Do only the K-th of N shares of the runs, as one of N jobs that see the same folder (Slurm's job arrays: assets/launch). A run waits for
    /// those that it needs. When all shares are done, the same command without --unit makes table and report.
    #[arg(long, value_name = "K/N", conflicts_with_all = ["jobs", "dashboard"])]
    pub unit: Option<Share>,
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
pub fn run(args: &CompareArgs, choice: DeviceChoice, ui: &Ui) -> Result<(), Failure> {
    if let Some(finished) = &args.finished {
        return show_again(finished, ui);
    }
    let mut more = Vec::new();
    for (key, values) in [("search.peak_lr", &args.search_lr), ("lengths", &args.lengths)] {
        if !values.is_empty() {
            let values: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
            more.push(format!("{key}=[{}]", values.join(",")));
        }
    }
    let recipe = resolve_with(&args.run, &more, ui)?;
    let experiment = Experiment::comparing(&recipe, &args.methods, args.seeds)?;
    let folder = args.run.out.clone().unwrap_or_else(|| experiment.default_folder());
    if let Some(share) = args.unit {
        if ranks::team().is_some() {
            return Err(Failure::other(
                "--unit and several ranks exclude each other",
                "several ranks do a run of its own each without it; a job array starts one process for each share",
            ));
        }
        let picked = ligo_device::pick(choice)?;
        return experiment.run_share(share, &folder, &args.reuse, picked, ui);
    }
    let workforce = workforce(args, choice, experiment.recipe(), ui)?;
    let listener = match &workforce {
        Workforce::SideBySide(_) | Workforce::Ranks(_) if args.run.shown.dashboard => {
            ui.note("--dashboard shows one process that trains (--jobs 1); going on with a line for each");
            Box::new(*ui)
        }
        _ => args.run.shown.listener(ui),
    };
    experiment.run(&folder, &args.reuse, workforce, &*listener)?;
    Ok(())
}

/// As many processes as were asked for, else all ranks where there are several, else one for each GPU where there are several, else this one.
fn workforce(args: &CompareArgs, choice: DeviceChoice, recipe: &Recipe, ui: &Ui) -> Result<Workforce, Failure> {
    if ranks::team().is_some() {
        let picked = ligo_device::pick(choice)?;
        return match args.jobs {
            None if !args.run.ranks.optimizer_sharding => Ok(Workforce::Ranks(picked)),
            None | Some(1) => Ok(Workforce::Here(picked)),
            Some(_) => Err(Failure::other(
                "--jobs and several ranks exclude each other",
                "several ranks do a run of its own each, or share each run with --jobs 1; --jobs N is for one process",
            )),
        };
    }
    if args.jobs != Some(1) {
        let gpus = ligo_device::gpus(choice)?;
        let jobs = args.jobs.unwrap_or(gpus.len());
        if jobs > 1 {
            match gpus.is_empty() {
                true => ligo_experiment::check_precisions(&ligo_device::pick(DeviceChoice::Cpu)?, recipe)?,
                false => ligo_device::kernel_notes().iter().for_each(|note| ui.say(note)),
            }
            return Ok(Workforce::SideBySide(Workers::new(jobs, gpus)));
        }
    }
    Ok(Workforce::Here(ligo_device::pick(choice)?))
}

/// From the results where they are, else from the summary alone.
fn show_again(finished: &Path, ui: &Ui) -> Result<(), Failure> {
    let folder = match finished.is_dir() {
        true => finished,
        false => finished.parent().unwrap_or(Path::new("")),
    };
    let summary = folder.join("summary.json");
    if folder.join(ligo_experiment::run::RECIPE_TOML).is_file() {
        match Experiment::of(folder).and_then(|experiment| experiment.show_again(folder, ui)) {
            Err(failure) if summary.is_file() => ui.say(&format!("{failure}; shown from {}", summary.display())),
            outcome => return outcome.map(|_| ()),
        }
    } else if !summary.is_file() {
        return Err(Failure::other(
            format!(
                "{} is not a run folder: it has neither {} nor {}",
                folder.display(),
                ligo_experiment::run::RECIPE_TOML,
                "summary.json"
            ),
            "give the folder that `ligo run` or `ligo compare` named, or --recipe to compare anew",
        ));
    }
    ligo_experiment::run::show(&Summary::read(&summary)?, folder, ui)
}
