use burn::tensor::Tensor;
use ligo_data::{Batch, Cursor};
use ligo_ops::with_precision;

use crate::batch::{BatchSource, inputs_on};
use crate::gradients::StepGradients;
pub(crate) use crate::gradients::clip_scale;
use crate::store::download;
use crate::{Error, Leaves, Objective, Optimizer, ParamStore, StepContext, TrainConfig, Work};

/// What the forward and backward passes of a step found. Nothing was changed yet.
pub(crate) struct Step {
    /// The mean loss over all labels of the step.
    pub(crate) loss: f64,
    /// The norm of the whole gradient.
    pub(crate) grad_norm: f64,
    /// Gradients in the store's order.
    pub(crate) gradients: Vec<Option<Tensor<1>>>,
    /// Tokens read; images where there are no tokens.
    pub(crate) tokens: u64,
    /// Where the next step's data begin.
    pub(crate) cursor: Cursor,
    /// What each micro-batch computed.
    pub(crate) work: Vec<Work>,
}

/// Forward and backward over the micro-batches of a step.
///
/// A micro-batch weighs as much as its share of the labels, so that the sum is the gradient of the mean over the whole step:
/// accumulating two batches of B sequences equals one of 2B, whatever the masks.
pub(crate) fn gradients(
    config: &TrainConfig,
    objective: &dyn Objective,
    store: &ParamStore,
    source: &dyn BatchSource,
    step: u64,
    mut cursor: Cursor,
) -> Result<Step, Error> {
    let mut batches = Vec::with_capacity(config.accumulation);
    for _ in 0..config.accumulation {
        let (batch, next) = source.batch_at(cursor, config.batch_size)?;
        batches.push(batch);
        cursor = next;
    }
    let labels: usize = batches.iter().map(Batch::num_labels).sum();
    if labels == 0 {
        return Err(Error::NothingToLearn { step });
    }

    let at = |micro_step| StepContext {
        config,
        step,
        micro_step,
    };
    let work: Vec<Work> = (0..batches.len()).map(|i| objective.work(&at(i))).collect();
    let trained = work.first().map(|work| work.trained).unwrap_or_default();
    let leaves = Leaves::tracked_where(store, |name| objective.is_trained(name, &trained));
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
    // Read after the last backward pass, so that a device that computes ahead is not held up in between.
    let mut loss = 0.0;
    for part in &losses {
        loss += read_loss(part)?;
    }
    Ok(Step {
        loss,
        grad_norm: sum.global_norm(),
        gradients: sum.into_inner(),
        tokens,
        cursor,
        work,
    })
}

/// One whole optimizer step: forward, backward, clipping of the global norm, update. For embedders with a loop of their own;
/// [`crate::Trainer`] does this and all that surrounds it.
///
/// Returns the mean loss before the update and where the next step's data begin.
///
/// # Errors
/// Those of data and objective. A loss that is not finite is not looked for.
pub fn train_step(
    config: &TrainConfig,
    objective: &dyn Objective,
    store: &mut ParamStore,
    optimizer: &mut Optimizer,
    source: &dyn BatchSource,
    step: u64,
    cursor: Cursor,
) -> Result<(f64, Cursor), Error> {
    let found = gradients(config, objective, store, source, step, cursor)?;
    let scale = clip_scale(found.grad_norm, config.clip_norm);
    optimizer.update(store, found.gradients, config.rate(step), scale);
    Ok((found.loss, found.cursor))
}

/// The value of a loss of one element.
pub(crate) fn read_loss(loss: &Tensor<1>) -> Result<f64, Error> {
    Ok(download("loss", loss)?.first().copied().map_or(f64::NAN, f64::from))
}
