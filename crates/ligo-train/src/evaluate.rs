use std::sync::atomic::{AtomicBool, Ordering};

use ligo_data::Batch;
use ligo_models::Pass;

use crate::batch::inputs_on;
use crate::collective::{Alone, Collective};
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
    evaluate_on(&Alone, objective, store, batches, stop, done)
}

/// [`evaluate`] with the batches dealt out to ranks, as cards are; the sum is taken in the order of the batches.
pub(crate) fn evaluate_on(
    ranks: &dyn Collective,
    objective: &dyn Objective,
    store: &ParamStore,
    batches: &[Batch],
    stop: &AtomicBool,
    done: &mut dyn FnMut(usize),
) -> Result<Option<f64>, Error> {
    let model = objective.model(&objective.unfold(store)?.into_leaves())?;
    let (rank, size) = (ranks.rank(), ranks.size());
    let rounds = batches.len().div_ceil(size);
    let mut mine = vec![0; rounds];
    let mut is_stopped = false;
    for (round, loss_bits) in mine.iter_mut().enumerate() {
        if stop.load(Ordering::Relaxed) {
            is_stopped = true;
            break;
        }
        let batch = batches.get(round * size + rank);
        if let Some(batch) = batch.filter(|batch| batch.num_labels() > 0) {
            let loss = model.loss(&inputs_on(batch, store.device()), &Pass::evaluation())?;
            *loss_bits = read_loss(&loss)?.to_bits();
        }
        done(((round + 1) * size).min(batches.len()));
    }
    mine.push(u64::from(is_stopped));
    let all = ranks.all_gather(&mine)?;
    let at = |rank: usize, place: usize| all[rank * (rounds + 1) + place];
    if (0..size).any(|rank| at(rank, rounds) == 1) {
        return Ok(None);
    }
    let (mut sum, mut labels) = (0.0, 0);
    for (i, batch) in batches.iter().enumerate() {
        let count = batch.num_labels();
        if count > 0 {
            sum += f64::from_bits(at(i % size, i / size)) * count as f64;
            labels += count;
        }
    }
    if labels == 0 {
        return Err(Error::NothingToEvaluate);
    }
    Ok(Some(sum / labels as f64))
}
