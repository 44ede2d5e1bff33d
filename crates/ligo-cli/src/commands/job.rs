//! `ligo __job`: one piece of work of a run's folder, in a process that `ligo compare --jobs` started.

use std::io::{ErrorKind, Read};
use std::path::PathBuf;
use std::time::Duration;

use crate::device::{self, Picked};
use crate::run::{Dataset, RunFolder, Runner, Session, units};
use crate::stop;
use crate::{Failure, Ui, recipe};

/// Arguments of `ligo __job`.
#[derive(Debug, clap::Args)]
pub struct JobArgs {
    /// The run's folder, with its recipe and data.
    pub run: PathBuf,
    /// The unit's name.
    pub unit: String,
}

/// A process that does not leave within this time after it was asked to is taken for hung.
const LONGEST_SAVE: Duration = Duration::from_secs(600);

/// Runs the command.
///
/// # Errors
/// There is no such unit, or whatever it ends with.
pub fn run(args: &JobArgs, picked: &Picked, ui: Ui) -> Result<(), Failure> {
    let recipe = recipe::load(&args.run.join(crate::run::RECIPE_TOML).to_string_lossy(), &[])?;
    let units = units(&recipe)?;
    let unit = units.iter().find(|unit| unit.name == args.unit).ok_or_else(|| {
        Failure::other(
            format!("{} has no part `{}`", args.run.display(), args.unit),
            "`ligo compare` starts this command; there is no need to do so by hand",
        )
    })?;
    let dataset = Dataset::reopen(&recipe, &args.run)?;
    let run = RunFolder::new(&recipe, &args.run, &dataset)?;
    device::check_precisions(picked, &recipe)?;
    let session = Session::new(ui, picked, recipe.large.train.precision);
    Runner::new(run, session).run(unit)
}

/// Stops this process, with everything saved, when standard input ends: the parent asks for it so, and a parent that was
/// killed asks for it too.
pub fn stop_with_parent() {
    std::thread::spawn(|| {
        let mut input = std::io::stdin().lock();
        let mut buffer = [0; 64];
        loop {
            match input.read(&mut buffer) {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
            }
        }
        stop::request();
        std::thread::sleep(LONGEST_SAVE);
        std::process::exit(i32::from(stop::INTERRUPTED));
    });
}
