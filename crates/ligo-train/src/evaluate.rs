use std::sync::atomic::{AtomicBool, Ordering};

use ligo_data::Batch;
use ligo_models::Pass;

use crate::batch::inputs_on;
use crate::step::read_loss;
use crate::{Error, Objective, ParamStore};

/// The mean loss over all labels of these batches, without dropout and without gradients; `None` when asked to stop before the end.
///
/// Products are computed in the precision that holds on this thread, see [`ligo_ops::with_precision`].
/// The model is built once, which matters where building it is work (a grown model).
///
/// # Errors
/// [`Error::NothingToEvaluate`] when there is no label; errors of the objective and the device.
pub fn evaluate(
    objective: &dyn Objective,
    store: &ParamStore,
    batches: &[Batch],
    stop: &AtomicBool,
    done: &mut dyn FnMut(usize),
) -> Result<Option<f64>, Error> {
    let model = objective.model(&objective.unfold(store)?.into_leaves())?;
    let (mut sum, mut labels) = (0.0, 0);
    for (i, batch) in batches.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let count = batch.num_labels();
        if count > 0 {
            let loss = model.loss(&inputs_on(batch, store.device()), &Pass::evaluation())?;
            sum += read_loss(&loss)? * count as f64;
            labels += count;
        }
        done(i + 1);
    }
    if labels == 0 {
        return Err(Error::NothingToEvaluate);
    }
    Ok(Some(sum / labels as f64))
}
