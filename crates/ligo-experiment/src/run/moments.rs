//! The optimizer's state of one model, grown for the next.

use burn::tensor::Device;
use ligo_arch::{ModelConfig, Param};
use ligo_growth::stream::target_params;
use ligo_growth::{LinearMap, WeightSource};
use ligo_pretrained::Source;
use ligo_train::{HostMoments, NewMasks, SavedPart, SavedState};

use crate::Failure;
use crate::recipe::{KeepMoments, SavedMoments};

/// The moments of `before`, whose weights `map` makes the larger model of, and how many updates they have seen.
///
/// # Errors
/// There is no checkpoint beside the model, it holds other weights than the model, or it holds no moments.
pub fn grown(
    keep: KeepMoments,
    map: &LinearMap,
    before: &Source,
    large: &ModelConfig,
    device: &Device,
) -> Result<Option<(HostMoments, u64)>, Failure> {
    if keep == KeepMoments::No {
        return Ok(None);
    }
    let state = SavedMoments::beside(before.dir.path()).open()?;
    check_weights(&state, before)?;
    let (first_map, second_map) = (map.for_first_moments()?, map.for_second_moments()?);
    let mut first = state.source(SavedPart::FirstMoments);
    let mut second = state.source(SavedPart::SecondMoments);
    let (small, large) = (before.config.table_for(large), large.table());
    // Muon keeps no second moment of a matrix. The rows of the tables are the same.
    let lacks_second = |param: &Param<'_>| {
        let rows = small.params().filter(|row| row.spec.template == param.spec.template);
        rows.into_iter().all(|row| !second.has(&row.name))
    };
    let params = target_params(&small, &large, &before.dir);
    let lacking: Vec<bool> = params.iter().map(lacks_second).collect();
    let mut moments = HostMoments::new();
    for (param, lacks_second) in params.into_iter().zip(lacking) {
        let mut m = first_map.grow_values(&small, &param, &mut first, device)?;
        let mut v = match lacks_second {
            true => Vec::new(),
            false => second_map.grow_values(&small, &param, &mut second, device)?,
        };
        if keep == KeepMoments::ResetNew {
            let new = map.new_entries(&small, &param)?;
            for moment in [&mut m, &mut v] {
                moment
                    .iter_mut()
                    .zip(&new)
                    .filter(|(_, new)| **new)
                    .for_each(|(value, _)| *value = 0.0);
            }
        }
        moments.push((param.name, m, v));
    }
    Ok(Some((moments, state.updates())))
}

/// Moments belong to weights: a checkpoint of another moment would be worse than none.
fn check_weights(state: &SavedState, model: &Source) -> Result<(), Failure> {
    let table = model.config.table();
    let mut weights = state.source(SavedPart::Weights);
    for param in table.params().filter(|param| param.spec.required) {
        let saved = weights.values(&param.name)?;
        let (_, _, part) = table.file_part(&param);
        if part.slice.written(&saved) != model.dir.read_f32(&param.name)? {
            return Err(Failure::other(
                format!(
                    "keep_moments needs the optimizer's state of {}, but `{}` has other values in {}",
                    model.dir.path().display(),
                    param.name,
                    state.path().display()
                ),
                "the model was changed after its training, or comes from another one; leave keep_moments out",
            ));
        }
    }
    Ok(())
}

/// Which numbers of the larger model are new.
///
/// # Errors
/// The operator does not fit the pair.
pub fn new_masks(map: &LinearMap, before: &Source, large: &ModelConfig) -> Result<NewMasks, Failure> {
    let (small, large) = (before.config.table_for(large), large.table());
    let params = target_params(&small, &large, &before.dir).into_iter();
    let masks = params.map(|param| {
        let new = map.new_entries(&small, &param)?;
        Ok((param.name, new))
    });
    masks.collect()
}
