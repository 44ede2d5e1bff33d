use burn::tensor::Tensor;
use ligo_data::{Batch, Cursor};
use ligo_ops::{StepStatistics, with_precision};

use crate::batch::{BatchSource, inputs_on};
use crate::gradients::StepGradients;
use crate::store::{download, unreadable};
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
}

/// The micro-batches of a step.
pub(crate) struct StepBatches {
    /// In order.
    pub(crate) batches: Vec<Batch>,
    /// Where the next step's data begin.
    pub(crate) next: Cursor,
}

impl StepBatches {
    /// Those of the step whose data begin at a cursor.
    pub(crate) fn at(config: &TrainConfig, source: &dyn BatchSource, cursor: Cursor) -> Result<Self, ligo_data::Error> {
        let mut batches = Vec::with_capacity(config.accumulation);
        let mut next = cursor;
        for _ in 0..config.accumulation {
            let (batch, behind) = source.batch_at(next, config.batch_size)?;
            batches.push(batch);
            next = behind;
        }
        Ok(Self { batches, next })
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
    batches: &[Batch],
    step: u64,
) -> Result<Step, Error> {
    let labels: usize = batches.iter().map(Batch::num_labels).sum();
    if labels == 0 {
        return Err(Error::NothingToLearn { step });
    }

    let at = |micro_step| StepContext {
        config,
        step,
        micro_step,
    };
    let work = batches.iter().enumerate().map(|(micro_step, batch)| Work {
        labels: Some(batch.num_labels()),
        ..objective.work(&at(micro_step))
    });
    let work: Vec<Work> = work.collect();
    let trained = work.first().map(|work| work.trained).unwrap_or_default();
    let unfolded = objective.unfold(store)?;
    let (leaves, way_back) = unfolded.track(|name| objective.is_trained(name, &trained));
    let mut sum = StepGradients::default();
    let mut losses = Vec::with_capacity(batches.len());
    let mut tokens = 0;
    for (micro_step, batch) in batches.iter().enumerate() {
        tokens += batch.num_tokens() as u64;
        let share = batch.num_labels() as f64 / labels as f64;
        if share == 0.0 {
            continue;
        }
        let inputs = inputs_on(batch, store.device());
        let loss = with_precision(config.precision, || {
            let loss = objective.loss(&leaves, &inputs, &at(micro_step))?;
            let loss = if share == 1.0 { loss } else { loss.mul_scalar(share) };
            sum.add(&loss, &leaves);
            Ok::<_, Error>(loss)
        })?;
        losses.push(loss.without_autodiff());
    }
    let gradients = sum.pull_back(way_back)?.into_inner();
    // Nothing was read of a device so far, so that one that computes ahead is not held up.
    let statistics = StepStatistics::of(&losses, &gradients, config.clip_norm)
        .map_err(|fault| unreadable("loss and gradient norm", fault))?;
    Ok(Step {
        statistics,
        gradients,
        tokens,
        work,
    })
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
    let StepBatches { batches, next } = StepBatches::at(config, source, cursor)?;
    let found = gradients(config, objective, store, &batches, step)?;
    let numbers = optimizer.update(store, found.gradients, config.rate(step), found.statistics)?;
    Ok((numbers.loss, next))
}

/// The value of a loss of one element.
pub(crate) fn read_loss(loss: &Tensor<1>) -> Result<f64, Error> {
    Ok(download("loss", loss)?.first().copied().map_or(f64::NAN, f64::from))
}
