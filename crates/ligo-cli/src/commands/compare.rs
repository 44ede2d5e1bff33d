//! `ligo compare`: the table and the picture of a finished run, again.

use std::path::PathBuf;

use ligo_report::summary::Summary;

use crate::{Failure, Ui};

/// Arguments of `ligo compare`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  ligo compare runs/demo-1a2b3c4d\n\nReads summary.json, prints the table and draws the pictures anew."
)]
pub struct CompareArgs {
    /// A run's folder, or its summary.json.
    pub run: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// There is no readable summary, or the pictures cannot be written.
pub fn run(args: &CompareArgs, ui: Ui) -> Result<(), Failure> {
    let file = if args.run.is_dir() {
        args.run.join("summary.json")
    } else {
        args.run.clone()
    };
    if !file.is_file() {
        return Err(Failure::other(
            format!("there is no {}", file.display()),
            "a run writes it when all its methods are done; `ligo run` with the same recipe finishes it",
        ));
    }
    let summary = Summary::read(&file)?;
    let folder = file.parent().map(PathBuf::from).unwrap_or_default();
    crate::run::show(&summary, &folder, ui)
}
