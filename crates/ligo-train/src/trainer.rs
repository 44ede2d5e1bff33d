mod rollback;
mod save;
mod session;
mod sharded;
mod start;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use ligo_checkpoint::Disk;
use ligo_cost::{Cost, Flops};
use ligo_data::Batch;
use serde_json::Value;

use self::session::Session;
use self::start::Start;
use crate::checkpoint::RunIdentity;
use crate::collective::{self, Alone, Collective, Shares};
use crate::meter::Gauge;
use crate::{
    BatchSource, Error, HostMoments, Meter, Objective, Observer, Optimizer, Outcome, ParamStore, Silent, StepCost,
    TrainConfig, TrainResult, check_precision,
};

/// The data of a run.
#[derive(Clone, Copy)]
pub struct RunData<'a> {
    /// Training batches.
    pub train: &'a dyn BatchSource,
    /// Validation batches, always the same ones.
    pub valid: &'a [Batch],
}

/// The one training loop: an objective, a store of parameters, data, and a folder in which the run lives.
///
/// A run is a function of its configuration, its start values and its data. [`Trainer::run`] continues from the newest valid checkpoint in
/// the folder, and on the CPU the result equals that of a run that was never interrupted bit for bit (`seconds` excepted).
pub struct Trainer<'a> {
    config: TrainConfig,
    objective: &'a dyn Objective,
    data: RunData<'a>,
    run_dir: PathBuf,
    cost: Box<dyn StepCost + 'a>,
    spent: Cost,
    identity: Value,
    disk: Disk,
    gauge: Gauge,
    store: ParamStore,
    optimizer: Optimizer,
    /// Updates that the optimizer had before the first step.
    earlier_updates: u64,
    /// Steps after which the run ends.
    end: u64,
    /// Steps after which the state is kept for others.
    branch_at: Option<u64>,
    ranks: &'a dyn Collective,
    /// Who keeps the moments of which parameters, where each rank keeps some.
    shares: Option<Shares>,
}

impl<'a> Trainer<'a> {
    /// A run in `run_dir` that starts from the values in `store`.
    ///
    /// # Errors
    /// [`Error::Config`] with all faults of the configuration, or with what the objective cannot do of it;
    /// [`Error::UnsupportedPrecision`]; [`Error::NothingToEvaluate`].
    pub fn new(
        config: TrainConfig,
        objective: &'a dyn Objective,
        store: ParamStore,
        data: RunData<'a>,
        run_dir: impl AsRef<Path>,
    ) -> Result<Self, Error> {
        config.validate()?;
        check_precision(config.precision, store.device())?;
        let faults = objective.faults(&config);
        if !faults.is_empty() {
            return Err(Error::Config { faults });
        }
        let count = match config.eval_batches {
            0 => data.valid.len(),
            n => n.min(data.valid.len()),
        };
        let valid = &data.valid[..count];
        if valid.iter().all(|batch| Batch::num_labels(batch) == 0) {
            return Err(Error::NothingToEvaluate);
        }
        Ok(Self {
            optimizer: Optimizer::new(config.optimizer, &store)
                .with_matrices(&store, config.matrix_lr_factor, |name| objective.is_matrix(name))
                .with_average(config.average),
            end: config.steps,
            config,
            objective,
            data: RunData { valid, ..data },
            run_dir: run_dir.as_ref().to_path_buf(),
            cost: Box::new(Flops::default()),
            spent: Cost::default(),
            identity: Value::Null,
            disk: Disk::default(),
            gauge: Gauge::default(),
            store,
            earlier_updates: 0,
            branch_at: None,
            ranks: &Alone,
            shares: None,
        })
    }

    /// Shares the micro-batches of every step with other ranks, each of which runs the same trainer on its device.
    ///
    /// What comes out is what one rank would come to: on the CPU bit for bit where a rank's micro-batches are a power of two (and the
    /// parameters are the model's own tensors), and to rounding elsewhere. Rank 0 alone reads and writes the run's folder, and tells its
    /// observer; the others get the state from it. A checkpoint may be continued by another number of ranks. After an error the
    /// [`Collective`] must be let go, so that the others do not wait.
    ///
    /// # Errors
    /// [`Error::UnevenShares`].
    pub fn with_ranks(mut self, ranks: &'a dyn Collective) -> Result<Self, Error> {
        collective::check_shares(ranks, self.config.accumulation)?;
        self.ranks = ranks;
        Ok(self)
    }

    /// Sets the price of steps, which the validation curve carries along.
    pub fn with_cost(mut self, cost: impl StepCost + 'a) -> Self {
        self.cost = Box::new(cost);
        self
    }

    /// Charges the run for work that came before it: its counters do not start at 0.
    pub fn with_spent(mut self, spent: Cost) -> Self {
        self.spent = spent;
        self
    }

    /// Ends the run after so many of its steps with an evaluation, and with [`Outcome::Interrupted`]: what has been done is what a whole run
    /// would have done up to there.
    pub fn with_end(mut self, step: u64) -> Self {
        self.end = step.min(self.config.steps);
        self
    }

    /// Keeps the state after so many steps, in the folder `branch`, for runs of other lengths to go on from ([`find_branch`](crate::find_branch)). Nothing of the run itself
    /// changes.
    pub fn with_branch(mut self, step: u64) -> Self {
        self.branch_at = Some(step);
        self
    }

    /// Lets the optimizer go on from moments, after so many updates: those of the run before, grown with the weights.
    ///
    /// # Errors
    /// A parameter lacks moments, has them where the rule keeps none, or the number of values differs.
    pub fn with_moments(mut self, moments: HostMoments, updates: u64) -> Result<Self, Error> {
        self.optimizer.restore(&self.store, moments, updates)?;
        self.earlier_updates = updates;
        Ok(self)
    }

    /// Sets what else decides the run, such as a hash of the start values. Checkpoints with another identity are refused.
    pub fn with_identity(mut self, identity: Value) -> Self {
        self.identity = identity;
        self
    }

    /// Sets the disk that checkpoints are written through.
    pub fn with_disk(mut self, disk: Disk) -> Self {
        self.disk = disk;
        self
    }

    /// Sets who tells what the training steps use.
    pub fn with_meter(mut self, meter: impl Meter + 'static) -> Self {
        self.gauge = Gauge::new(meter);
        self
    }

    /// Changes the optimizer before the run, for example to give some parameters another learning rate.
    ///
    /// # Errors
    /// Those of `change`.
    pub fn map_optimizer(
        mut self,
        change: impl FnOnce(Optimizer, &ParamStore) -> Result<Optimizer, Error>,
    ) -> Result<Self, Error> {
        self.optimizer = change(self.optimizer, &self.store)?;
        Ok(self)
    }

    /// The parameters as they are now.
    pub fn store(&self) -> &ParamStore {
        &self.store
    }

    /// The optimizer as it is now.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// Gives the parameters back as they were last evaluated: the average where the settings ask for one.
    pub fn into_store(self) -> ParamStore {
        self.optimizer.evaluated(&self.store).into_owned()
    }

    /// How a session that comes to an end at this step ends.
    fn outcome(&self, step: u64) -> Outcome {
        match step == self.config.steps {
            true => Outcome::Completed,
            false => Outcome::Interrupted { step },
        }
    }

    fn check_new_entries(&self) -> Result<(), Error> {
        if self.config.needs_new_entries() && !self.optimizer.knows_new_entries() {
            let fault = "new_lr_factor and rewarm_new need to know what is new, and this model was not grown";
            return Err(Error::Config {
                faults: vec![fault.into()],
            });
        }
        Ok(())
    }

    /// Trains until all steps are done or `stop` becomes true, which saves and returns [`Outcome::Interrupted`].
    ///
    /// Call it again, in this process or a later one, to go on. A completed run returns its result at once.
    ///
    /// # Errors
    /// [`Error::NonFinite`], [`Error::TooManySkipped`] and [`Error::TooManyRollbacks`] by policy, [`Error::OtherRun`] when the folder holds another run's checkpoints,
    /// and every failure of data, device and disk. Checkpoints on disk stay as they are.
    pub fn run(&mut self, stop: &AtomicBool, observer: &mut dyn Observer) -> Result<TrainResult, Error> {
        self.check_new_entries()?;
        let run = RunIdentity {
            objective: self.objective.name().to_owned(),
            config: self.config.clone(),
            cost: self.cost.whole(),
            data: self.data.train.identity(),
            extra: self.identity.clone(),
        };
        let mut silent = Silent;
        let observer: &mut dyn Observer = match self.ranks.rank() {
            0 => observer,
            _ => &mut silent,
        };
        let Start {
            checkpoints,
            progress,
            resumed,
            events,
        } = self.begin(&run, observer)?;
        let saved_at = resumed.then_some(progress.step);
        if progress.step >= self.end && progress.is_evaluated() {
            return Ok(progress.result(self.outcome(progress.step)));
        }
        let log = self.open_log(&progress, resumed)?;
        let mut session = Session {
            trainer: self,
            run,
            checkpoints,
            log,
            progress,
            saved_at,
            last_save: Instant::now(),
            observer,
            stop,
        };
        session.tell_of_start(&events, resumed)?;
        session.trainer.gauge.begin();
        session.train()
    }
}
