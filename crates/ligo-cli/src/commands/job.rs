//! `ligo __job`: one piece of work of a run's folder, in a process that `ligo compare --jobs` started.

use std::io::{ErrorKind, Read};
use std::path::PathBuf;
use std::time::Duration;

use ligo_device::Picked;
use ligo_experiment::{Experiment, stop};

use crate::{Failure, Ui};

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
pub fn run(args: &JobArgs, picked: &Picked, ui: &Ui) -> Result<(), Failure> {
    Experiment::of(&args.run)?.run_unit(&args.unit, &args.run, picked, ui)
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
