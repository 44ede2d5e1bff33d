//! Where each rank keeps a share of the optimizer's state (ZeRO-1, arXiv:1910.02054).

use std::vec::IntoIter;

use ligo_ops::StepNumbers;

use super::Trainer;
use crate::checkpoint::moments_elsewhere;
use crate::collective::Shares;
use crate::step::Step;
use crate::store::download;
use crate::{Error, ParamInfo, Rate};

impl Trainer<'_> {
    /// Divides the optimizer's moments among the ranks of [`Trainer::with_ranks`], which comes before: each has those of whole parameters
    /// ([`crate::shares`]), updates these parameters, and gives their new values to the others.
    ///
    /// All numbers are those of a run that does not. A checkpoint holds all moments, so any number of ranks may go on with it, with shares or
    /// without. Averages of weights, if the settings ask for one, are kept whole on each rank. With one rank nothing changes.
    #[must_use]
    pub fn with_optimizer_sharding(mut self) -> Self {
        if self.ranks.size() > 1 {
            let counts = self.store.infos().iter().map(ParamInfo::num_elements);
            self.shares = Some(Shares::new(counts.collect(), self.ranks));
        }
        self
    }

    /// Updates the parameters with what a step found.
    pub(super) fn update(&mut self, step: Step, rate: Rate) -> Result<StepNumbers, Error> {
        let Step {
            gradients,
            statistics,
            shared,
            ..
        } = step;
        let Some(shares) = &self.shares else {
            return self.optimizer.update(&mut self.store, gradients, rate, statistics);
        };
        let numbers = self.optimizer.advance(&mut self.store, gradients, rate, &statistics)?;
        // All ranks know the same numbers.
        if numbers.is_finite() {
            shares.gather(self.ranks, &mut self.store, &shared)?;
            self.optimizer.average(&self.store);
        }
        Ok(numbers)
    }
}

/// The moments of a checkpoint that rank 0 does not keep. All ranks go through them together.
pub(super) struct Elsewhere<'t, 'a> {
    trainer: &'t Trainer<'a>,
    left: IntoIter<(usize, usize)>,
}

impl<'t, 'a> Elsewhere<'t, 'a> {
    pub(super) fn of(trainer: &'t Trainer<'a>) -> Self {
        let shares = trainer.shares.as_ref();
        let left = shares.map(|shares| moments_elsewhere(shares, &trainer.optimizer).collect::<Vec<_>>());
        Self {
            trainer,
            left: left.unwrap_or_default().into_iter(),
        }
    }

    /// The next of them, from the rank that keeps it.
    pub(super) fn next(&mut self) -> Result<Vec<f32>, Error> {
        let t = self.trainer;
        let (Some(shares), Some((i, which))) = (&t.shares, self.left.next()) else {
            return Ok(Vec::new());
        };
        shares.fetch(t.ranks, i, || {
            let mine = t.optimizer.moments_at(i)[which];
            mine.map_or(Ok(Vec::new()), |mine| download(&t.store.infos()[i].name, mine))
        })
    }

    /// Goes through what is left.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        while self.left.len() > 0 {
            self.next()?;
        }
        Ok(())
    }
}
