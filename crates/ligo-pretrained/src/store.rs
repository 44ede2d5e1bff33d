//! Between model directories and the trainer's store of parameters.

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::Device;
use ligo_arch::{ModelConfig, Param, ParamTable};
use ligo_checkpoint::{Card, WriteOptions};
use ligo_models::Model;
use ligo_train::{ParamInfo, ParamStore};

use crate::{Source, StoreError, open_model};

/// A store from host values, with decay by role. Tensors that the table does not know decay when they are matrices.
///
/// # Errors
/// Values do not fill their shapes.
pub fn host_store(
    table: &ParamTable,
    values: impl IntoIterator<Item = (String, Vec<usize>, Vec<f32>)>,
    device: &Device,
) -> Result<ParamStore, StoreError> {
    let roles: HashMap<String, bool> = table.params().map(|p| (p.name, p.spec.role.decays())).collect();
    let params = values.into_iter().map(|(name, shape, values)| {
        let decay = roles.get(&name).copied().unwrap_or(shape.len() > 1);
        (ParamInfo { name, shape, decay }, values)
    });
    Ok(ParamStore::from_values(params, device)?)
}

/// Reads a model directory into a store: the configuration, the parameters, and which optional tensors it has.
///
/// # Errors
/// The directory is not a model of a known family, or a tensor is missing, misshapen or damaged.
pub fn load_store(path: &Path, device: &Device) -> Result<(ModelConfig, ParamStore, Vec<String>), StoreError> {
    let source = open_model(path)?;
    let store = read(&source, device)?;
    Ok((source.config, store, source.optional))
}

/// Reads an opened model into a store.
///
/// # Errors
/// A tensor cannot be read.
pub fn read(source: &Source, device: &Device) -> Result<ParamStore, StoreError> {
    let table = source.config.table();
    let has = |param: &Param<'_>| param.spec.required || source.optional.contains(&param.name);
    let mut values = Vec::new();
    for param in table.params().filter(has) {
        let read = source.dir.read_f32(&param.name)?;
        values.push((param.name, param.shape, read));
    }
    host_store(&table, values, device)
}

/// An opened model with the weights of its store.
///
/// # Errors
/// The store lacks one of them.
pub fn model(source: &Source, store: &ParamStore) -> Result<Model, StoreError> {
    let optional: Vec<&str> = source.optional.iter().map(String::as_str).collect();
    let skeleton = Model::skeleton_with(&source.config, &optional, store.device())?;
    skeleton.install(&mut |name: &str, _: &[usize]| Ok(store.value(name)?.clone()))
}

/// What is written beside a model's weights and configuration.
#[derive(Debug, Default)]
pub struct Beside<'a> {
    /// A folder whose tokenizer files go along.
    pub tokenizer: Option<&'a Path>,
    /// A model directory whose other files do, such as `generation_config.json`.
    pub others: Option<&'a Path>,
    /// The model card.
    pub card: Option<Card>,
}

/// Writes a store as a Hugging Face directory that appears whole or not at all.
///
/// # Errors
/// The device cannot be read or the directory cannot be written.
pub fn save_model(
    store: &ParamStore,
    config: &ModelConfig,
    target: &Path,
    beside: Beside<'_>,
) -> Result<(), StoreError> {
    let table = config.table();
    let values = store.to_values()?.into_iter();
    let values: HashMap<String, Vec<f32>> = values.map(|(info, values)| (info.name, values)).collect();
    let params: Vec<_> = table.params().filter(|p| values.contains_key(&p.name)).collect();
    let tensors = ligo_growth::files::to_files(&table, &params, &values)?;
    let options = WriteOptions {
        tokenizer_from: beside.tokenizer.map(Path::to_path_buf),
        side_files_from: beside.others.map(Path::to_path_buf),
        card: beside.card,
        ..WriteOptions::default()
    };
    ligo_checkpoint::write_model(target, &config.to_file(), tensors, &options)?;
    Ok(())
}
