//! What a run consists of: pieces of work, each in a folder of its own, and which of them wait for which.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ligo_checkpoint::RunLock;

use super::dataset::Dataset;
use super::training::Session;
use super::{faults, method, small};
use crate::recipe::{Pair, Recipe};
use crate::{Failure, Ui, stop};

/// A piece of work.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// Its folder inside the run's own, which names it: `small`, `methods/ligo`.
    pub name: String,
    /// What must be complete before it.
    pub after: Vec<String>,
    /// What there is to do.
    pub work: Work,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Work {
    /// Train the small model, or measure the given one.
    Small,
    /// Run the recipe's method of this number.
    Method(usize),
}

/// A piece of work that was not done.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    /// The unit's name.
    pub unit: String,
    /// Why, for people.
    pub reason: String,
    /// What its process wrote, if it had one of its own.
    pub log: Option<PathBuf>,
}

impl Failed {
    /// A unit that waited for one that failed.
    pub fn after(unit: &Unit, failed: &str) -> Self {
        Self {
            unit: unit.name.clone(),
            reason: format!("not run, since it needs {failed}"),
            log: None,
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.unit, self.reason)?;
        match &self.log {
            Some(log) => write!(f, " (log: {})", log.display()),
            None => Ok(()),
        }
    }
}

/// All pieces of work of a recipe; none stands before one that it waits for.
pub fn units(recipe: &Recipe) -> Vec<Unit> {
    let small = Unit {
        name: small::FOLDER.into(),
        after: Vec::new(),
        work: Work::Small,
    };
    let methods = recipe.methods.iter().enumerate().map(|(i, m)| Unit {
        name: method::folder_of(m),
        after: vec![small.name.clone()],
        work: Work::Method(i),
    });
    std::iter::once(small.clone()).chain(methods).collect()
}

/// What all pieces of work in this process share.
pub struct Runner<'a> {
    recipe: &'a Recipe,
    run: &'a Path,
    pair: Pair,
    dataset: &'a Dataset,
    session: Session,
}

impl<'a> Runner<'a> {
    /// For the units of a recipe in a run's folder, which gets their price on this machine unless it has it.
    ///
    /// # Errors
    /// The models do not fit the data, or the folder cannot be written.
    pub fn new(recipe: &'a Recipe, run: &'a Path, dataset: &'a Dataset, session: Session) -> Result<Self, Failure> {
        let facts = dataset.facts(&recipe.data);
        crate::plan::write(recipe, &facts, &session.machine, run)?;
        Ok(Self {
            recipe,
            run,
            pair: recipe.pair(&facts).map_err(faults)?,
            dataset,
            session,
        })
    }

    /// Does a piece of work, as far as it is not done.
    ///
    /// # Errors
    /// Whatever it ends with.
    pub fn run(&self, unit: &Unit) -> Result<(), Failure> {
        let Self {
            recipe,
            run,
            pair,
            dataset,
            session,
        } = self;
        let _lock = lock(&run.join(&unit.name), session.ui)?;
        match unit.work {
            Work::Small => small::prepare(recipe, &pair.small, run, dataset, session),
            Work::Method(i) => {
                let small = small::read(recipe, &pair.small, run, dataset)?;
                method::run(recipe, &recipe.methods[i], pair, run, dataset, &small, session)
            }
        }
    }
}

/// How long a process may take to save and leave after the one that started it is gone.
const PATIENCE: Duration = Duration::from_secs(120);

/// Locks a unit's folder. A process whose parent was killed saves and leaves by itself, so a lock is waited for.
fn lock(folder: &Path, ui: Ui) -> Result<RunLock, Failure> {
    let start = Instant::now();
    let mut said = false;
    loop {
        match RunLock::acquire(folder) {
            Err(error @ ligo_checkpoint::Error::InUse { .. }) if start.elapsed() < PATIENCE => {
                if stop::requested() {
                    return Err(Failure::Interrupted);
                }
                if !said {
                    ui.say(format!("{error}; waiting for it to save and leave"));
                    said = true;
                }
                std::thread::sleep(Duration::from_millis(200));
            }
            outcome => return Ok(outcome?),
        }
    }
}
