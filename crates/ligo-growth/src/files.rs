//! Between a table's parameters and the tensors of files, where these differ.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use ligo_arch::{FilePart, FileTensor, ModelConfig, Param, ParamTable, Slice};
use ligo_checkpoint::{Extract, ModelDir};

use crate::Error;

/// Makes the parameters that files fuse, transpose or reshape readable under their own names.
#[must_use]
pub fn with_params(dir: ModelDir, table: &ParamTable) -> ModelDir {
    dir.with_parts(parts(table))
}

/// Where the parameters are that files hold otherwise: `(name, tensor, computation)`.
pub(crate) fn parts(table: &ParamTable) -> Vec<(String, String, Extract)> {
    let differing = table.params().filter(|p| p.spec.stored.is_some());
    let parts = differing.flat_map(|param| {
        let (stored, _, part) = table.file_part(&param);
        let read = |name: String, slice: Slice| {
            let extract: Extract = Box::new(move |values| slice.extract(values));
            (name, stored.clone(), extract)
        };
        let plain = part
            .slice
            .from_one
            .then(|| read(less_one(&part.param), part.slice.as_stored()));
        [Some(read(part.param, part.slice)), plain].into_iter().flatten()
    });
    parts.collect()
}

/// The name under which a parameter that files hold less one is read as they hold it.
pub(crate) fn less_one(param: &str) -> String {
    format!("{param} less one")
}

/// The stored tensor, of parameters that are given as files hold them, without the one that is added to them.
pub(crate) fn as_stored(tensor: &FileTensor) -> FileTensor {
    let parts = tensor.parts.iter().map(|part| FilePart {
        param: part.param.clone(),
        slice: part.slice.as_stored(),
    });
    FileTensor {
        parts: parts.collect(),
        ..tensor.clone()
    }
}

/// The same model for images as large as those of `wanted`: its positions are resampled when they are read, as the
/// family's reference library does. Models of text, and models of that size, stay as they are.
///
/// # Errors
/// The patches do not fill such an image.
pub fn at_resolution(
    dir: ModelDir,
    config: ModelConfig,
    wanted: &ModelConfig,
) -> Result<(ModelDir, ModelConfig), Error> {
    let resized = config.at_resolution_of(wanted)?;
    let (Some(grid), Some(to)) = (config.position_grid(), resized.position_grid()) else {
        return Ok((dir, config));
    };
    let (name, table) = (grid.tensor.clone(), config.table());
    let stored = table
        .get(&name)
        .map_or_else(|| name.clone(), |param| table.file_part(&param).0);
    let extract: Extract = Box::new(move |values| grid.resample(values, to.grid));
    Ok((dir.with_computed([(name, stored, extract)]), resized))
}

/// The tensors of a file that the table has no place for: no parameters, no second names of tied ones, no buffers of older files.
pub fn beyond(dir: &ModelDir, table: &ParamTable) -> Vec<String> {
    let params: Vec<Param<'_>> = table.params().collect();
    let known: HashSet<String> = table
        .file_tensors(&params)
        .into_iter()
        .map(|tensor| tensor.name)
        .collect();
    let is_alias = |name: &str| table.ties().iter().any(|(alias, _)| alias == name);
    dir.names()
        .filter(|name| !known.contains(*name) && !is_alias(name) && !table.is_buffer(name))
        .map(str::to_owned)
        .collect()
}

/// The parameters of a file that hold NaN or infinity, with the number of such elements; buffers may hold them.
///
/// # Errors
/// A tensor cannot be read.
pub fn not_finite(dir: &ModelDir, table: &ParamTable) -> Result<Vec<(String, usize)>, Error> {
    let params: Vec<Param<'_>> = table.params().collect();
    let stored = table.file_tensors(&params).into_iter();
    let names: Vec<String> = stored.map(|tensor| tensor.name).collect();
    let there = names.into_iter().filter(|name| dir.info(name).is_some());
    let counted = ligo_checkpoint::in_parallel(there.collect(), |name: String| -> Result<_, Error> {
        let count = dir.not_finite(&name)?;
        dir.release(&name);
        Ok((name, count))
    });
    let counted: Vec<(String, usize)> = counted.into_iter().collect::<Result<_, Error>>()?;
    Ok(counted.into_iter().filter(|(_, count)| *count > 0).collect())
}

/// A tensor as files hold it: name, shape, values.
pub type FileValues<'a> = (String, Vec<usize>, Cow<'a, [f32]>);

/// The tensors that a file holds for these parameters, in the order of the first parameter of each, and once more those
/// that are stored under a second name.
///
/// # Errors
/// A parameter has no value, or one of another size.
pub fn to_files<'a>(
    table: &ParamTable,
    params: &[Param<'_>],
    values: &'a HashMap<String, Vec<f32>>,
) -> Result<Vec<FileValues<'a>>, Error> {
    let value = |name: &str| {
        let found = values.get(name);
        let found = found.ok_or_else(|| Error::MissingTensor { name: name.into() })?;
        Ok(Cow::Borrowed(found.as_slice()))
    };
    let tensors = table.written_tensors(params).into_iter();
    tensors
        .map(|tensor| {
            let joined = join(&tensor, &mut |name| value(name))?;
            Ok((tensor.name, tensor.shape, joined))
        })
        .collect()
}

/// The values of a stored tensor from those of its parts.
pub(crate) fn join<'a>(
    tensor: &FileTensor,
    values: &mut dyn FnMut(&str) -> Result<Cow<'a, [f32]>, Error>,
) -> Result<Cow<'a, [f32]>, Error> {
    let mut joined = Vec::new();
    for part in &tensor.parts {
        let own = values(&part.param)?;
        let expected = part.slice.rows * part.slice.columns;
        if own.len() != expected {
            return Err(Error::Shape {
                name: part.param.clone(),
                expected: vec![part.slice.rows, part.slice.columns],
                found: vec![own.len()],
            });
        }
        if tensor.parts.len() == 1 && part.slice.is_whole() {
            return Ok(own);
        }
        joined.resize(tensor.shape.iter().product(), 0.0);
        part.slice.insert(&own, &mut joined);
    }
    Ok(joined.into())
}
