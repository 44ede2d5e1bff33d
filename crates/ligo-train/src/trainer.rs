mod rollback;
mod save;
mod sharded;
mod start;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ligo_checkpoint::Disk;
use ligo_cost::{Cost, Flops};
use ligo_data::Batch;
use ligo_ops::{StepNumbers, with_precision};
use serde_json::Value;

use self::start::Start;
use crate::checkpoint::{Checkpoints, RunIdentity};
use crate::collective::{self, Alone, Collective, Shares};
use crate::evaluate::evaluate_on;
use crate::log::Log;
use crate::meter::Gauge;
use crate::prefetch::Prefetch;
use crate::progress::Progress;
use crate::step::{self, StepBatches};
use crate::{
    BatchSource, Error, Event, HostMoments, Meter, NonFinitePolicy, Objective, Observer, Optimizer, Outcome,
    ParamStore, Silent, StepCost, StepReport, TrainConfig, TrainResult, check_precision,
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
                .with_matrices(&store, |name| objective.is_matrix(name))
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

/// How an evaluation ended.
enum Evaluation {
    Done,
    /// The run was asked to stop meanwhile.
    Stopped,
    /// The loss was not finite, and the run is at its last checkpoint again.
    RolledBack,
}

/// One call of [`Trainer::run`].
struct Session<'s, 'a> {
    trainer: &'s mut Trainer<'a>,
    run: RunIdentity,
    /// Rank 0 has them.
    checkpoints: Option<Checkpoints>,
    /// Rank 0 has it.
    log: Option<Log>,
    progress: Progress,
    saved_at: Option<u64>,
    last_save: Instant,
    observer: &'s mut dyn Observer,
    stop: &'s AtomicBool,
}

impl Session<'_, '_> {
    fn train(&mut self) -> Result<TrainResult, Error> {
        let (config, source) = (self.trainer.config.clone(), self.trainer.data.train);
        let share = collective::share(self.trainer.ranks, config.accumulation);
        std::thread::scope(|scope| self.train_with(&Prefetch::start(scope, &config, source, share)))
    }

    fn train_with(&mut self, prefetch: &Prefetch<'_>) -> Result<TrainResult, Error> {
        loop {
            let step = self.progress.step;
            let is_last = step >= self.trainer.end;
            let due = (is_last || self.trainer.config.evaluates_at(step)) && !self.progress.is_evaluated();
            if due {
                match self.evaluate()? {
                    Evaluation::Done => {}
                    Evaluation::Stopped => return self.leave(Outcome::Interrupted { step }),
                    Evaluation::RolledBack => continue,
                }
            }
            if is_last {
                return self.leave(self.trainer.outcome(step));
            }
            if collective::any(self.trainer.ranks, self.stop.load(Ordering::Relaxed))? {
                return self.leave(Outcome::Interrupted { step });
            }
            if self.is_save_due()? {
                self.save_or_go_on()?;
            }
            if self.trainer.branch_at == Some(step) {
                self.save_branch()?;
            }
            self.step(prefetch)?;
        }
    }

    /// Saves and ends the session. An evaluation that was broken off is not in the state, so it is made again on resume.
    fn leave(&mut self, outcome: Outcome) -> Result<TrainResult, Error> {
        self.save_last()?;
        self.take_progress_of_first()?;
        Ok(self.progress.result(outcome))
    }

    /// Measures the validation loss.
    fn evaluate(&mut self) -> Result<Evaluation, Error> {
        self.pause_meter();
        let started = Instant::now();
        let Trainer {
            objective,
            store,
            optimizer,
            data,
            ranks,
            ..
        } = &*self.trainer;
        let store = &*optimizer.evaluated(store);
        let total = data.valid.len();
        let observer = &mut *self.observer;
        let mut done = |done| observer.on_eval_batch(done, total);
        let loss = with_precision(self.trainer.config.precision, || {
            evaluate_on(*ranks, *objective, store, data.valid, self.stop, &mut done)
        })?;
        self.progress.eval_seconds += started.elapsed().as_secs_f64();
        let Some(loss) = loss else {
            return Ok(Evaluation::Stopped);
        };
        if !loss.is_finite() {
            let step = self.progress.step;
            let fault = Error::NonFiniteEvaluation { step, loss };
            return match self.trainer.config.on_non_finite {
                NonFinitePolicy::Rollback => self.roll_back(fault).map(|()| Evaluation::RolledBack),
                NonFinitePolicy::Stop | NonFinitePolicy::Skip => Err(fault),
            };
        }
        let point = self.progress.point(loss);
        self.progress.curve.push(point);
        // A checkpoint of this step, from a session that was stopped in its evaluation, does not hold the point.
        self.saved_at = None;
        self.write(|log| log.eval(&point))?;
        self.observer.on_eval(&point);
        Ok(Evaluation::Done)
    }

    /// The micro-batches of the next step, and a request for those behind it.
    fn batches(&mut self, prefetch: &Prefetch<'_>) -> Result<StepBatches, Error> {
        let found = prefetch.take(self.progress.cursor)?;
        if self.progress.step + 1 < self.trainer.end {
            prefetch.request(found.next);
        }
        Ok(found)
    }

    fn step(&mut self, prefetch: &Prefetch<'_>) -> Result<(), Error> {
        self.trainer
            .gauge
            .before_step(self.progress.step, &mut self.progress.usage);
        let started = Instant::now();
        let number = self.progress.step;
        let config = &self.trainer.config;
        let rate = config.rate(number);
        let (on_non_finite, allowed) = (config.on_non_finite, config.max_skipped_in_a_row);
        let steps = config.steps;
        let log_every = config.log_every;
        let batches = self.batches(prefetch)?;
        let t = &mut *self.trainer;
        let ranks = (t.ranks, t.shares.as_ref());
        let mut found = step::gradients(&t.config, t.objective, &t.store, &batches, number, ranks)?;
        let (tokens, work) = (found.tokens, std::mem::take(&mut found.work));
        let rank_seconds = std::mem::take(&mut found.rank_seconds);
        let numbers = t.update(found, rate)?;
        let StepNumbers {
            loss,
            grad_norm,
            scale: clip_scale,
        } = numbers;
        let skipped = !numbers.is_finite();
        let fault = || Error::NonFinite {
            step: number,
            loss,
            grad_norm,
        };
        if skipped && on_non_finite == NonFinitePolicy::Stop {
            let error = fault();
            // The step's error matters more than one of the log.
            let _ = self.note("non_finite", error.to_string());
            return Err(error);
        }

        let flops = t.cost.of(&work);
        let progress = &mut self.progress;
        progress.step += 1;
        progress.cursor = batches.next;
        progress.tokens += tokens;
        progress.last_train_loss = (!skipped).then_some(loss);
        let step_cost = Cost {
            flops,
            seconds: started.elapsed().as_secs_f64(),
        };
        progress.cost += step_cost;
        if skipped && on_non_finite == NonFinitePolicy::Rollback {
            return self.roll_back(fault());
        }
        let report = StepReport {
            step: progress.step,
            steps,
            loss,
            grad_norm,
            clip_scale,
            lr: rate.lr,
            skipped,
            step_tokens: tokens,
            tokens: progress.tokens,
            step_cost,
            cost: progress.cost,
        };
        if skipped {
            progress.skipped_steps.push(number);
            progress.skipped_in_a_row += 1;
        } else if on_non_finite == NonFinitePolicy::Skip {
            progress.skipped_in_a_row = 0;
        }
        let in_a_row = progress.skipped_in_a_row;
        let is_line_due = report.step.is_multiple_of(log_every) || report.step == steps;
        self.write(|log| {
            log.computed(&rank_seconds);
            if is_line_due { log.step(&report) } else { Ok(()) }
        })?;
        if skipped {
            self.observer.on_event(&Event::SkippedNonFinite {
                step: number,
                loss,
                grad_norm,
            });
            self.note("skipped_step", format!("loss {loss}, gradient norm {grad_norm}"))?;
        }
        if let Some(height) = self.log.as_mut().and_then(|log| log.spike(loss)) {
            self.progress.loss_spikes.push(number);
            self.note(
                "loss_spike",
                format!("loss {loss}, {height:.1} standard deviations above those before"),
            )?;
            self.observer.on_event(&Event::LossSpike {
                step: number,
                loss,
                height,
            });
        }
        self.observer.on_step(&report);
        if on_non_finite == NonFinitePolicy::Skip && in_a_row > allowed {
            return Err(Error::TooManySkipped {
                step: number,
                count: in_a_row,
                allowed,
            });
        }
        Ok(())
    }

    fn pause_meter(&mut self) {
        self.trainer.gauge.pause(self.progress.step, &mut self.progress.usage);
    }
}
