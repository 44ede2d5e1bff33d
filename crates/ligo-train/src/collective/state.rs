//! The state that all ranks hold alike.

use std::hash::{DefaultHasher, Hasher};

use burn::tensor::Tensor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Collective;
use crate::average::Averages;
use crate::progress::Progress;
use crate::store::download;
use crate::{Error, Optimizer, ParamStore};

/// What is broadcast before the tensors.
#[derive(Serialize, Deserialize)]
struct Header {
    progress: Option<Progress>,
    updates: u64,
    /// Weights that an average is made of.
    averages: usize,
}

/// Replaces a value by that of rank 0.
fn broadcast_json<T: Serialize + DeserializeOwned>(ranks: &dyn Collective, value: &mut T) -> Result<(), Error> {
    let mut text = serde_json::to_vec(value).map_err(garbled)?;
    ranks.broadcast(&mut text)?;
    *value = serde_json::from_slice(&text).map_err(garbled)?;
    Ok(())
}

/// Gives every rank the progress of rank 0, which knows the clock and what was written.
///
/// # Errors
/// [`Error::RankLost`].
pub(crate) fn broadcast_progress(ranks: &dyn Collective, progress: &mut Progress) -> Result<(), Error> {
    match ranks.size() {
        1 => Ok(()),
        _ => broadcast_json(ranks, progress),
    }
}

fn garbled(reason: serde_json::Error) -> Error {
    Error::RankLost {
        rank: Some(0),
        reason: format!("what it sent could not be read: {reason}"),
    }
}

/// Gives every rank the weights, the optimizer's state and the progress of rank 0, which alone reads checkpoints.
///
/// # Errors
/// [`Error::RankLost`], and failures of the device.
pub(crate) fn broadcast_state(
    ranks: &dyn Collective,
    progress: Option<Progress>,
    store: &mut ParamStore,
    optimizer: &mut Optimizer,
) -> Result<Option<Progress>, Error> {
    if ranks.size() == 1 {
        return Ok(progress);
    }
    let mut header = Header {
        progress,
        updates: optimizer.updates(),
        averages: optimizer.averages().map_or(0, |averages| averages.kept().count()),
    };
    broadcast_json(ranks, &mut header)?;
    let mut averages = vec![Vec::with_capacity(store.len()); header.averages];
    let mut moments = Vec::new();
    for (i, info) in store.infos().to_vec().into_iter().enumerate() {
        let sent = |tensor: Option<&Tensor<1>>| {
            broadcast_values(ranks, || {
                tensor.map_or(Ok(Vec::new()), |tensor| download(&info.name, tensor))
            })
        };
        let value = sent(store.values().get(i))?;
        let [first, second] = optimizer.moments_at(i);
        let (is_kept, m, v) = (first.is_some(), sent(first)?, sent(second)?);
        if is_kept {
            moments.push((info.name.clone(), m, v));
        }
        for (k, average) in averages.iter_mut().enumerate() {
            let own = optimizer.averages().and_then(|averages| averages.kept().nth(k));
            average.push(sent(own.and_then(|weights| weights.get(i)))?);
        }
        if ranks.rank() > 0 {
            store.set(&info.name, value)?;
        }
    }
    if ranks.rank() > 0 {
        optimizer.restore(store, moments, header.updates)?;
        if let Some(kept) = optimizer.averages_mut() {
            kept.restore(store, averages);
        }
    }
    Ok(header.progress)
}

fn broadcast_values(
    ranks: &dyn Collective,
    values: impl FnOnce() -> Result<Vec<f32>, Error>,
) -> Result<Vec<f32>, Error> {
    let mut bytes = Vec::new();
    if ranks.rank() == 0 {
        bytes = values()?.into_iter().flat_map(f32::to_le_bytes).collect();
    }
    ranks.broadcast(&mut bytes)?;
    let (numbers, _) = bytes.as_chunks();
    Ok(numbers.iter().copied().map(f32::from_le_bytes).collect())
}

/// A hash that tells whether ranks hold the same.
pub(crate) fn hash_of(bytes: impl AsRef<[u8]>) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes.as_ref());
    hasher.finish()
}

/// Finds a rank whose weights or moments are not those of rank 0, to the bit.
///
/// # Errors
/// [`Error::ReplicasDiffer`] on all ranks; [`Error::RankLost`], and failures of the device.
pub(crate) fn check_replicas(
    ranks: &dyn Collective,
    step: u64,
    store: &ParamStore,
    optimizer: &Optimizer,
) -> Result<(), Error> {
    if ranks.size() == 1 {
        return Ok(());
    }
    let mut mine = Vec::with_capacity(store.len());
    for (i, info) in store.infos().iter().enumerate() {
        let mut hasher = DefaultHasher::new();
        let mut add = |value: &Tensor<1>| {
            for number in download(&info.name, value)? {
                hasher.write_u32(number.to_bits());
            }
            Ok::<_, Error>(())
        };
        add(&store.values()[i])?;
        for moment in optimizer.moments_at(i).into_iter().flatten() {
            add(moment)?;
        }
        for weights in optimizer.averages().into_iter().flat_map(Averages::kept) {
            weights.get(i).map_or(Ok(()), &mut add)?;
        }
        mine.push(hasher.finish());
    }
    let all = ranks.all_gather(&mine)?;
    for (rank, theirs) in all.chunks(mine.len().max(1)).enumerate() {
        if let Some(i) = theirs.iter().zip(&all).position(|(one, first)| one != first) {
            return Err(Error::ReplicasDiffer {
                step,
                rank,
                name: store.infos()[i].name.clone(),
            });
        }
    }
    Ok(())
}
