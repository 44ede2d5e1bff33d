//! One call of [`Trainer::run`]: from step to step.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ligo_cost::Cost;
use ligo_ops::{StepNumbers, with_precision};

use super::Trainer;
use crate::checkpoint::{Checkpoints, RunIdentity};
use crate::collective;
use crate::evaluate::evaluate_on;
use crate::log::Log;
use crate::prefetch::Prefetch;
use crate::progress::Progress;
use crate::step::{self, StepBatches};
use crate::{Error, Event, NonFinitePolicy, Observer, Outcome, StepReport, TrainResult};

/// How an evaluation ended.
enum Evaluation {
    Done,
    /// The run was asked to stop meanwhile.
    Stopped,
    /// The loss was not finite, and the run is at its last checkpoint again.
    RolledBack,
}

/// One call of [`Trainer::run`].
pub(super) struct Session<'s, 'a> {
    pub(super) trainer: &'s mut Trainer<'a>,
    pub(super) run: RunIdentity,
    /// Rank 0 has them.
    pub(super) checkpoints: Option<Checkpoints>,
    /// Rank 0 has it.
    pub(super) log: Option<Log>,
    pub(super) progress: Progress,
    pub(super) saved_at: Option<u64>,
    pub(super) last_save: Instant,
    pub(super) observer: &'s mut dyn Observer,
    pub(super) stop: &'s AtomicBool,
}

impl Session<'_, '_> {
    pub(super) fn train(&mut self) -> Result<TrainResult, Error> {
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

    pub(super) fn pause_meter(&mut self) {
        self.trainer.gauge.pause(self.progress.step, &mut self.progress.usage);
    }
}
