use std::ops::Range;
use std::time::Instant;

use burn::tensor::Tensor;
use ligo_data::{Batch, Cursor};
use ligo_ops::{StepNumbers, StepStatistics, clip_scale, with_precision};

use crate::batch::{BatchSource, inputs_on};
use crate::collective::{Alone, Collective, Shares, share};
use crate::gradients::MicroGradients;
use crate::store::{download, unreadable, upload};
use crate::{Error, Objective, Optimizer, ParamStore, StepContext, TrainConfig, Work};

/// What the forward and backward passes of a step found. Nothing was changed yet.
pub(crate) struct Step {
    /// The mean loss over all labels of the step, and the norm of the whole gradient; on a GPU not yet computed, perhaps.
    pub(crate) statistics: StepStatistics,
    /// Gradients in the store's order.
    pub(crate) gradients: Vec<Option<Tensor<1>>>,
    /// Tokens read; images where there are no tokens.
    pub(crate) tokens: u64,
    /// What each micro-batch computed.
    pub(crate) work: Vec<Work>,
    /// Seconds that each rank computed for; nothing where one is alone.
    pub(crate) rank_seconds: Vec<f64>,
    /// The places of the parameters that are learned, where each rank updates its share of them.
    pub(crate) shared: Vec<usize>,
}

/// The micro-batches of a step that this rank computes.
pub(crate) struct StepBatches {
    /// The micro-step of the first.
    pub(crate) first: usize,
    /// In order.
    pub(crate) batches: Vec<Batch>,
    /// Where the next step's data begin.
    pub(crate) next: Cursor,
}

impl StepBatches {
    /// Those of the step whose data begin at a cursor. Those of other ranks are skipped.
    pub(crate) fn at(
        config: &TrainConfig,
        source: &dyn BatchSource,
        cursor: Cursor,
        share: &Range<usize>,
    ) -> Result<Self, ligo_data::Error> {
        let mut batches = Vec::with_capacity(share.len());
        let mut next = cursor;
        for micro_step in 0..config.accumulation {
            if share.contains(&micro_step) {
                let (batch, behind) = source.batch_at(next, config.batch_size)?;
                batches.push(batch);
                next = behind;
            } else {
                next = source.skip(next, config.batch_size)?;
            }
        }
        Ok(Self {
            first: share.start,
            batches,
            next,
        })
    }

    /// Labels and tokens of all micro-batches of the step, those of other ranks included.
    fn counts(&self, ranks: &dyn Collective) -> Result<Vec<(usize, u64)>, Error> {
        let counts = self.batches.iter();
        let mine: Vec<u64> = counts
            .flat_map(|batch| [batch.num_labels() as u64, batch.num_tokens() as u64])
            .collect();
        let all = ranks.all_gather(&mine)?;
        let (pairs, _) = all.as_chunks();
        Ok(pairs
            .iter()
            .map(|[labels, tokens]| (*labels as usize, *tokens))
            .collect())
    }
}

/// Forward and backward over the micro-batches of a step.
///
/// A micro-batch weighs as much as its share of the labels, so that the sum is the gradient of the mean over the whole step:
/// accumulating two batches of B sequences equals one of 2B, whatever the masks.
pub(crate) fn gradients(
    config: &TrainConfig,
    objective: &dyn Objective,
    store: &ParamStore,
    mine: &StepBatches,
    step: u64,
    (ranks, shares): (&dyn Collective, Option<&Shares>),
) -> Result<Step, Error> {
    let counts = mine.counts(ranks)?;
    let labels: usize = counts.iter().map(|(labels, _)| labels).sum();
    if labels == 0 {
        return Err(Error::NothingToLearn { step });
    }
    let started = Instant::now();
    let at = |micro_step| StepContext {
        config,
        step,
        micro_step,
    };
    let work = counts.iter().enumerate().map(|(micro_step, (labels, _))| Work {
        labels: Some(*labels),
        ..objective.work(&at(micro_step))
    });
    let work: Vec<Work> = work.collect();
    let trained = work.first().map(|work| work.trained).unwrap_or_default();
    let unfolded = objective.unfold(store)?;
    let (leaves, way_back) = unfolded.track(|name| objective.is_trained(name, &trained));
    let mut sum = MicroGradients::default();
    let mut losses = Vec::with_capacity(mine.batches.len());
    for (micro_step, batch) in (mine.first..).zip(&mine.batches) {
        let share = batch.num_labels() as f64 / labels as f64;
        if share == 0.0 {
            sum.add_none(&leaves);
            losses.push(None);
            continue;
        }
        let inputs = inputs_on(batch, store.device());
        let loss = with_precision(config.precision, || {
            let loss = objective.loss(&leaves, &inputs, &at(micro_step))?;
            let loss = if share == 1.0 { loss } else { loss.mul_scalar(share) };
            sum.add(&loss, &leaves);
            Ok::<_, Error>(loss)
        })?;
        losses.push(Some(loss.without_autodiff()));
    }
    let found = sum.pull_back(way_back)?;
    let (losses, rank_seconds) = gather_losses(ranks, losses, started, store)?;
    let (found, shared) = match shares {
        None => (found.sum_over(ranks, store)?, Vec::new()),
        Some(shares) => found.sum_to_owners(ranks, store, shares)?,
    };
    let gradients = found.into_inner();
    let statistics = match (shares, objective.squares(store, &gradients)?) {
        // Where one is alone, nothing was read of a device so far, so that one that computes ahead is not held up.
        (None, None) => StepStatistics::of(&losses, &gradients, config.clip_norm)
            .map_err(|fault| unreadable("loss and gradient norm", fault))?,
        (None, Some(squares)) => statistics_of(&losses, squares, config.clip_norm)?.into(),
        (Some(shares), _) => {
            let squares = gather_squares(ranks, shares, &gradients, &shared)?;
            statistics_of(&losses, squares, config.clip_norm)?.into()
        }
    };
    Ok(Step {
        statistics,
        gradients,
        tokens: counts.iter().map(|(_, tokens)| tokens).sum(),
        work,
        rank_seconds,
        shared,
    })
}

/// The sum of the squares of all gradients, of which each rank has some, added in the order of the store as one rank adds them.
fn gather_squares(
    ranks: &dyn Collective,
    shares: &Shares,
    gradients: &[Option<Tensor<1>>],
    places: &[usize],
) -> Result<f64, Error> {
    let mine = |i: &usize| {
        gradients[*i]
            .as_ref()
            .map_or(0, |g| ligo_ops::sum_of_squares(g).to_bits())
    };
    let all = ranks.all_gather(&places.iter().map(mine).collect::<Vec<u64>>())?;
    let squares = places.iter().enumerate();
    let squares = squares.map(|(k, i)| f64::from_bits(all[shares.owner(*i) * places.len() + k]));
    Ok(squares.sum())
}

fn statistics_of(losses: &[Tensor<1>], squares: f64, clip_norm: f64) -> Result<StepNumbers, Error> {
    let mut loss = 0.0;
    for part in losses {
        loss += read_loss(part)?;
    }
    let grad_norm = squares.sqrt();
    Ok(StepNumbers {
        loss,
        grad_norm,
        scale: clip_scale(grad_norm, clip_norm),
    })
}

/// The losses of all micro-batches that have one, in order, and the seconds of each rank since its step began.
fn gather_losses(
    ranks: &dyn Collective,
    mine: Vec<Option<Tensor<1>>>,
    started: Instant,
    store: &ParamStore,
) -> Result<(Vec<Tensor<1>>, Vec<f64>), Error> {
    if ranks.size() == 1 {
        return Ok((mine.into_iter().flatten().collect(), Vec::new()));
    }
    // Nothing else that an f32 holds has so many bits.
    const NONE: u64 = u64::MAX;
    let mut given = vec![NONE; mine.len() + 1];
    for (slot, loss) in given.iter_mut().skip(1).zip(&mine) {
        if let Some(loss) = loss {
            *slot = u64::from((read_loss(loss)? as f32).to_bits());
        }
    }
    given[0] = started.elapsed().as_secs_f64().to_bits();
    let all = ranks.all_gather(&given)?;
    let (mut losses, mut seconds) = (Vec::new(), Vec::new());
    for theirs in all.chunks(given.len()) {
        let [first, theirs @ ..] = theirs else { continue };
        seconds.push(f64::from_bits(*first));
        let theirs = theirs.iter().filter_map(|bits| u32::try_from(*bits).ok());
        losses.extend(theirs.map(|bits| upload(vec![f32::from_bits(bits)], store.device())));
    }
    Ok((losses, seconds))
}

/// One whole optimizer step: forward, backward, clipping of the global norm, update. For embedders with a loop of their own;
/// [`crate::Trainer`] does this and all that surrounds it.
///
/// Returns the mean loss before the update and where the next step's data begin.
///
/// # Errors
/// Those of data, objective and device. A step whose loss or gradient is not finite changes nothing, and is no error.
pub fn train_step(
    config: &TrainConfig,
    objective: &dyn Objective,
    store: &mut ParamStore,
    optimizer: &mut Optimizer,
    source: &dyn BatchSource,
    step: u64,
    cursor: Cursor,
) -> Result<(f64, Cursor), Error> {
    let batches = StepBatches::at(config, source, cursor, &share(&Alone, config.accumulation))?;
    let found = gradients(config, objective, store, &batches, step, (&Alone, None))?;
    let numbers = optimizer.update(store, found.gradients, config.rate(step), found.statistics)?;
    Ok((numbers.loss, batches.next))
}

/// The value of a loss of one element.
pub(crate) fn read_loss(loss: &Tensor<1>) -> Result<f64, Error> {
    Ok(download("loss", loss)?.first().copied().map_or(f64::NAN, f64::from))
}
