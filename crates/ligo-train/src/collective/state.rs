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
    let names: Vec<String> = store.infos().iter().map(|info| info.name.clone()).collect();
    let (mut values, mut moments) = (Vec::new(), Vec::new());
    for (i, name) in names.iter().enumerate() {
        values.push(broadcast_values(ranks, name, store.values().get(i))?);
        let [first, second] = optimizer.moments_at(i);
        if first.is_some() {
            let (m, v) = (
                broadcast_values(ranks, name, first)?,
                broadcast_values(ranks, name, second)?,
            );
            moments.push((name.clone(), m, v));
        }
    }
    let mut averages = Vec::new();
    for place in 0..header.averages {
        let mine = optimizer.averages().and_then(|averages| averages.kept().nth(place));
        let all = names.iter().enumerate();
        let values = all.map(|(i, name)| broadcast_values(ranks, name, mine.and_then(|kept| kept.get(i))));
        averages.push(values.collect::<Result<Vec<_>, _>>()?);
    }
    if ranks.rank() > 0 {
        for (name, values) in names.iter().zip(values) {
            store.set(name, values)?;
        }
        optimizer.restore(store, moments, header.updates)?;
        if let Some(kept) = optimizer.averages_mut() {
            kept.restore(store, averages);
        }
    }
    Ok(header.progress)
}

/// The values that rank 0 has; nothing where it has no such tensor.
fn broadcast_values(ranks: &dyn Collective, name: &str, mine: Option<&Tensor<1>>) -> Result<Vec<f32>, Error> {
    let mut bytes = Vec::new();
    if let Some(mine) = mine.filter(|_| ranks.rank() == 0) {
        bytes = download(name, mine)?.into_iter().flat_map(f32::to_le_bytes).collect();
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

/// Finds a rank whose weights, moments or averages are not those of rank 0, to the bit.
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
        let averages = optimizer.averages().into_iter().flat_map(Averages::kept);
        let held = store.values().get(i).into_iter();
        let held = held.chain(optimizer.moments_at(i).into_iter().flatten());
        for value in held.chain(averages.filter_map(|kept| kept.get(i))) {
            for number in download(&info.name, value)? {
                hasher.write_u32(number.to_bits());
            }
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
