//! What a run consists of: pieces of work, each in a folder of its own, and which of them wait for which.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ligo_checkpoint::RunLock;
use ligo_device::DeviceChoice;

use super::Session;
use super::{RunFolder, Small, leftovers, method, search, small, stage};
use crate::recipe::{Method, MethodSection, Recipe, RunKey};
use crate::{Failure, Listener, stop};

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
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Train the small model, or measure the given one.
    Small,
    /// Try a method with one learning rate.
    Trial(Box<RunKey>),
    /// Run a method.
    Method(Box<MethodSection>),
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
///
/// # Errors
/// The recipe's sweep contradicts itself.
pub fn units(recipe: &Recipe) -> Result<Vec<Unit>, Failure> {
    let mut units = vec![Unit {
        name: small::FOLDER.into(),
        after: Vec::new(),
        work: Work::Small,
    }];
    let folder_of = |method: &MethodSection| method::folder_of(&method.key());
    let mut methods = recipe.methods.clone();
    let mut ranked = Vec::new();
    if methods.iter().any(|m| recipe.is_best_variant(m)) {
        // The best of a sweep is known when all of it and scratch have run, whether they are compared or not.
        let mut needed = recipe.variants()?;
        needed.push(recipe.with_seed(&recipe.reference(), recipe.seed));
        ranked = needed.iter().map(folder_of).collect();
        let known: Vec<String> = methods.iter().map(MethodSection::id).collect();
        methods.extend(needed.into_iter().filter(|m| !known.contains(&m.id())));
    }
    // What others wait for comes first.
    let tau = |method: &MethodSection| recipe.tau_of(method).unwrap_or(0.0);
    let compared = recipe.lengths_of(&recipe.methods);
    methods.sort_by_cached_key(|method| {
        // No share is below zero, and those from there on have the order of their bits.
        let share = tau(method).to_bits();
        (recipe.is_best_variant(method), share, compared.steps_among(method))
    });
    let lengths = recipe.lengths_of(&methods);
    for method in &methods {
        let mut after = vec![small::FOLDER.to_owned()];
        if !recipe.search.is_off() {
            for trial in recipe.trials(&recipe.searched_as(method)) {
                let trial = trial.key();
                let name = search::folder_of(&trial);
                after.push(name.clone());
                if units.iter().all(|unit| unit.name != name) {
                    let after = vec![small::FOLDER.to_owned()];
                    let work = Work::Trial(Box::new(trial));
                    units.push(Unit { name, after, work });
                }
            }
        }
        // Its small model goes on where that one's is left.
        after.extend(recipe.trunk_before(&methods, method).map(folder_of));
        // So does its own training where that one's decay begins.
        after.extend(lengths.before(method).map(folder_of));
        if recipe.is_best_variant(method) {
            after.extend(ranked.iter().cloned());
            // It runs where a variant of the same seed would.
            let same_folder = methods.iter().filter(|m| recipe.is_variant(m)).map(folder_of);
            after.extend(same_folder.filter(|name| !ranked.contains(name)));
        }
        units.push(Unit {
            name: folder_of(method),
            after,
            work: Work::Method(Box::new(method.clone())),
        });
    }
    Ok(units)
}

impl RunFolder<'_> {
    /// Whether a piece of work is complete, or ended in a divergence that was to be expected.
    pub fn is_done(&self, unit: &Unit) -> bool {
        let folder = match &unit.work {
            Work::Small | Work::Trial(_) => Ok(self.join(&unit.name)),
            Work::Method(method) => self.place(method).map(|(_, folder)| folder),
        };
        folder.is_ok_and(|folder| search::has_diverged(&folder) || stage::complete(&folder).is_some())
    }

    /// Whether a method, as it is run in a folder, was completed for the inputs of today.
    ///
    /// # Errors
    /// There is no CPU to look with.
    pub fn holds(&self, method: &Method, folder: &Path, small: &Small) -> Result<bool, Failure> {
        // Nothing is computed, so any device will do.
        let looking = Session::looking_at_inputs(&ligo_device::pick(DeviceChoice::Cpu)?);
        let found = method::run(self.recipe, method, folder, self.dataset, small, &looking);
        Ok(found.is_ok())
    }
}

/// What all pieces of work in this process share.
pub struct Runner<'a> {
    run: &'a RunFolder<'a>,
    session: Session<'a>,
}

impl<'a> Runner<'a> {
    /// For the units of a recipe in a run's folder.
    pub fn new(run: &'a RunFolder<'a>, session: Session<'a>) -> Self {
        Self { run, session }
    }

    /// Does a piece of work, as far as it is not done.
    ///
    /// # Errors
    /// Whatever it ends with.
    pub fn run(&self, unit: &Unit) -> Result<(), Failure> {
        let Self { run, session } = self;
        match &unit.work {
            Work::Small => {
                // The price of all that follows, before anything is spent.
                crate::plan::write(
                    run.recipe,
                    &run.dataset.facts(&run.recipe.data),
                    &session.machine,
                    run.path,
                    session.listener,
                )?;
                let _lock = lock(&run.join(&unit.name), session.listener)?;
                small::prepare(run.recipe, &run.pair.small, run.path, run.dataset, session)
            }
            Work::Trial(trial) => {
                let folder = run.join(&unit.name);
                let trial = run.trial(trial)?;
                self.unless_diverged(&unit.name, &folder, || self.method(trial, &folder))
            }
            Work::Method(method) => {
                let (ready, folder) = run.place(method)?;
                let work = || self.method(ready, &folder);
                // A sweep goes to where it breaks.
                if run.recipe.is_variant(method) {
                    self.unless_diverged(&unit.name, &folder, work)
                } else {
                    work()
                }
            }
        }
    }

    fn method(&self, method: &Method, folder: &Path) -> Result<(), Failure> {
        let Self { run, session } = self;
        let _lock = lock(folder, session.listener)?;
        let small = run.small()?;
        if stage::complete(folder).is_some() && stage::check(folder).is_ok() && !run.holds(method, folder, &small)? {
            // Whatever comes of this: what was made from other inputs is no outcome of these.
            stage::unmark(folder)?;
        }
        method::run(run.recipe, method, folder, run.dataset, &small, session)
    }

    /// Takes a loss that is no number for an outcome.
    fn unless_diverged(
        &self,
        name: &str,
        folder: &Path,
        work: impl Fn() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let say = |what: &str| self.session.listener.say(&format!("{name}: {what}"));
        if search::has_diverged(folder) {
            say("diverged, skipped");
            return Ok(());
        }
        match work() {
            Err(failure) if search::is_divergence(&failure) => {
                say(&format!("diverged: {failure}"));
                search::note_divergence(folder, &failure)
            }
            outcome => outcome,
        }
    }
}

/// How long a process may take to save and leave after the one that started it is gone.
const PATIENCE: Duration = Duration::from_secs(120);

/// Locks a unit's folder. A process whose parent was killed saves and leaves by itself, so a lock is waited for.
fn lock(folder: &Path, listener: &dyn Listener) -> Result<RunLock, Failure> {
    let start = Instant::now();
    let mut said = false;
    loop {
        match RunLock::acquire(folder) {
            Err(error @ ligo_checkpoint::Error::InUse { .. }) if start.elapsed() < PATIENCE => {
                if stop::requested() {
                    return Err(Failure::Interrupted);
                }
                if !said {
                    listener.say(&format!("{error}; waiting for it to save and leave"));
                    said = true;
                }
                std::thread::sleep(Duration::from_millis(200));
            }
            outcome => {
                let lock = outcome?;
                leftovers::sweep(folder)?;
                return Ok(lock);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::recipe::{DataFacts, MERGES};

    fn demo(overrides: &[&str]) -> Recipe {
        let overrides: Vec<String> = overrides.iter().map(|o| (*o).to_owned()).collect();
        crate::recipe::load("demo", &overrides).unwrap()
    }

    /// Every unit comes after all that it waits for, and those are there.
    fn check_order(units: &[Unit]) {
        for (i, unit) in units.iter().enumerate() {
            for name in &unit.after {
                let place = units.iter().position(|other| other.name == *name);
                assert!(place.is_some_and(|place| place < i), "{} waits for {name}", unit.name);
            }
            assert!(
                units[..i].iter().all(|other| other.name != unit.name),
                "{} twice",
                unit.name
            );
        }
    }

    #[test]
    fn nothing_stands_before_what_it_waits_for() {
        let sweep = "sweep.learn.steps=[3,4]";
        let search = "search.peak_lr=[1e-3,2e-3]";
        let best =
            "methods=[{name=\"ligo-best\",seed=7},{name=\"ligo\",id=\"ligo/steps=3-seed7\",seed=7,learn={steps=3}}]";
        let trunk = "methods=[{name=\"scratch\"},{name=\"one-schedule\",tau=[0.6,0.3]}]";
        for overrides in [
            &[][..],
            &[search],
            &[sweep],
            &[search, sweep, best],
            &[trunk],
            &[search, trunk],
        ] {
            let recipe = demo(overrides).comparing(&[], Some(2)).unwrap();
            check_order(&units(&recipe).unwrap());
        }
        let all = units(&demo(&[trunk]).comparing(&[], None).unwrap()).unwrap();
        let later = all
            .iter()
            .find(|unit| unit.name == "methods/one-schedule/tau=0.6")
            .unwrap();
        assert_eq!(later.after, ["small", "methods/one-schedule/tau=0.3"]);
        let all = units(&demo(&[search, sweep, best]).comparing(&[], None).unwrap()).unwrap();
        let best = all.iter().find(|unit| unit.name == "methods/ligo-best-seed7").unwrap();
        for name in [
            "small",
            "search/ligo-lr1e-3",
            "search/ligo-lr2e-3",
            "methods/ligo/steps=3",
            "methods/ligo/steps=4",
            "methods/scratch",
            "methods/ligo/steps=3-seed7",
        ] {
            assert!(best.after.contains(&name.to_owned()), "{name}: {:?}", best.after);
        }
    }

    #[test]
    fn twice_as_many_methods_are_twice_the_work() {
        let merges = |count: usize| {
            let methods: String = (0..count).map(|i| format!("{{name=\"ligo\",id=\"m{i}\"}},")).collect();
            let before = MERGES.get();
            let recipe = demo(&[&format!("methods=[{methods}]")]);
            let compared = recipe.comparing(&[], None).unwrap();
            let units = units(&compared).unwrap();
            let facts = DataFacts::expected(&compared);
            compared.resolve(&compared.pair(&facts).unwrap(), &facts).unwrap();
            assert_eq!((compared.methods.len(), units.len()), (count + 1, count + 2));
            MERGES.get() - before
        };
        // 10,000 took over a minute where every method was compared with every other one.
        let (some, twice) = (merges(200), merges(400));
        assert!(some > 200 && twice <= 2 * some, "{some} {twice}");
    }
}
