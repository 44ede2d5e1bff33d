//! The state that all ranks hold alike.

use std::hash::{DefaultHasher, Hasher};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Collective, Shares};
use crate::average::Averages;
use crate::checkpoint::Restored;
use crate::progress::Progress;
use crate::store::download;
use crate::{Error, Optimizer, ParamStore};

/// What is broadcast before the tensors.
#[derive(Serialize, Deserialize)]
struct Header {
    progress: Option<Progress>,
    /// Whether moments follow.
    moments: bool,
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

/// Gives every rank the weights, the optimizer's state and the progress of rank 0, which alone reads checkpoints. Where each rank keeps a share
/// of the moments it gets those alone, and rank 0 has the others from the checkpoint, or lets go of them.
///
/// # Errors
/// [`Error::RankLost`], and failures of the device and of the disk.
pub(crate) fn broadcast_state(
    (ranks, shares): (&dyn Collective, Option<&Shares>),
    restored: Option<&Restored>,
    store: &mut ParamStore,
    optimizer: &mut Optimizer,
) -> Result<Option<Progress>, Error> {
    let progress = restored.map(|restored| restored.progress.clone());
    if ranks.size() == 1 {
        return Ok(progress);
    }
    let is_first = ranks.rank() == 0;
    let mut header = Header {
        // Moments that were shared out before and come from no checkpoint stay where they are.
        moments: shares.is_none() || progress.is_some() || !(optimizer.is_fresh() || optimizer.has_share()),
        progress,
        updates: optimizer.updates(),
        averages: optimizer.averages().map_or(0, |averages| averages.kept().count()),
    };
    broadcast_json(ranks, &mut header)?;
    if let Some(shares) = shares.filter(|_| !is_first) {
        optimizer.keep_share(shares);
    }
    let names: Vec<String> = store.infos().iter().map(|info| info.name.clone()).collect();
    for (i, name) in names.iter().enumerate() {
        let values = broadcast_values(ranks, || download(name, &store.values()[i]))?;
        if !is_first {
            store.set(name, values)?;
        }
        let is_firsts = shares.is_some_and(|shares| shares.owner(i) == 0);
        let mut moments = [Vec::new(), Vec::new()];
        let count = if header.moments && !is_firsts {
            optimizer.moment_count(i)
        } else {
            0
        };
        for (which, moment) in moments.iter_mut().enumerate().take(count) {
            *moment = broadcast_values(ranks, || match (optimizer.moments_at(i)[which], restored) {
                (Some(here), _) => download(name, here),
                (None, Some(restored)) => restored.moment(name, which),
                (None, None) => Ok(Vec::new()),
            })?;
        }
        if !is_first && count > 0 {
            let [m, v] = moments;
            optimizer.put_moments(store, i, m, v)?;
        }
    }
    let mut averages = Vec::new();
    for place in 0..header.averages {
        let all = names.iter().enumerate();
        let values = all.map(|(i, name)| {
            broadcast_values(ranks, || {
                let kept = optimizer.averages().and_then(|averages| averages.kept().nth(place));
                kept.map_or(Ok(Vec::new()), |kept| download(name, &kept[i]))
            })
        });
        averages.push(values.collect::<Result<Vec<_>, _>>()?);
    }
    match shares {
        Some(shares) if is_first => optimizer.keep_share(shares),
        _ => {}
    }
    if !is_first {
        optimizer.set_updates(header.updates);
        if let Some(kept) = optimizer.averages_mut() {
            kept.restore(store, averages);
        }
    }
    Ok(header.progress)
}

/// The values of rank 0.
fn broadcast_values(ranks: &dyn Collective, mine: impl FnOnce() -> Result<Vec<f32>, Error>) -> Result<Vec<f32>, Error> {
    let mut bytes = Vec::new();
    if ranks.rank() == 0 {
        bytes = mine()?.into_iter().flat_map(f32::to_le_bytes).collect();
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

/// Finds a rank whose weights, moments or averages are not those of rank 0, to the bit. Of moments that are shared out there is no second copy.
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
    let has_share = optimizer.has_share();
    let mut mine = Vec::with_capacity(store.len());
    for (i, info) in store.infos().iter().enumerate() {
        let mut hasher = DefaultHasher::new();
        let averages = optimizer.averages().into_iter().flat_map(Averages::kept);
        let held = store.values().get(i).into_iter();
        let moments = optimizer.moments_at(i).into_iter().flatten().filter(|_| !has_share);
        let held = held.chain(moments);
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
