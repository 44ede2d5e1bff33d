//! Growing tensor by tensor, in memory that does not depend on the number of layers.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use ligo_arch::{ModelConfig, Param, ParamTable};
use ligo_checkpoint::{AtomicDir, Card, Declared, Dtype, ModelDir, ModelWriter};

use crate::{Error, LinearMap, WeightSource, files};

/// Grows every tensor of the large model in table order and hands each to `sink` as row-major f32 values.
///
/// Optional tensors are grown when the small model has them. Memory: the largest target tensor, one source layer of it
/// and one intermediate product.
///
/// # Errors
/// A source tensor is missing or misshapen, or `sink` fails.
pub fn grow_each(
    map: &LinearMap,
    small: &ParamTable,
    large: &ParamTable,
    source: &mut dyn WeightSource,
    device: &Device,
    sink: &mut dyn FnMut(&Param<'_>, Vec<f32>) -> Result<(), Error>,
) -> Result<(), Error> {
    for param in target_params(small, large, source) {
        sink(&param, map.grow_values(small, &param, source, device)?)?;
    }
    Ok(())
}

/// The tensors that the grown model will hold: all required ones, and the optional ones that the small model has.
pub fn target_params<'a>(small: &ParamTable, large: &'a ParamTable, source: &dyn WeightSource) -> Vec<Param<'a>> {
    let has = |p: &Param<'_>| {
        let first = small.specs().iter().find(|s| s.template == p.spec.template);
        first.is_some_and(|s| source.has(&small.param(s, s.stack.map(|_| 0)).name))
    };
    large.params().filter(|p| p.spec.required || has(p)).collect()
}

/// How a grown model is written.
#[derive(Clone, Debug, Default)]
pub struct GrowOptions {
    /// The dtype of the weights; the small model's own by default.
    pub dtype: Option<Dtype>,
    /// Shards are cut at this many bytes of payload.
    pub max_shard_bytes: Option<u64>,
    /// The model card.
    pub card: Option<Card>,
    /// Folder whose tokenizer files are copied along; the small model's by default.
    pub tokenizer: Option<PathBuf>,
}

/// Grows a model from directory to directory, tensor by tensor; the target appears whole or not at all.
///
/// # Errors
/// The pair cannot be grown, a source tensor is missing or misshapen, the target cannot be written, or `progress`
/// returns false ([`Error::Interrupted`]).
pub fn grow_directory(
    map: &LinearMap,
    source: &mut ModelDir,
    small: &ModelConfig,
    large: &ModelConfig,
    target: &Path,
    options: &GrowOptions,
    device: &Device,
    progress: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<(), Error> {
    let (small_table, large_table) = (small.table(), large.table());
    ligo_arch::check_growable(&small_table, &large_table)?;
    let params = target_params(&small_table, &large_table, source);
    let own = source.names().next().and_then(|n| source.info(n)).map(|i| i.dtype);
    let dtype = options.dtype.or(own).unwrap_or(Dtype::F32);
    let tensors = large_table.written_tensors(&params);
    let declared = tensors.iter().map(|tensor| Declared {
        name: tensor.name.clone(),
        dtype,
        shape: tensor.shape.clone(),
    });
    let dir = AtomicDir::begin(target)?;
    let mut writer = ModelWriter::new(&dir, declared.collect(), options.max_shard_bytes.unwrap_or(u64::MAX))?;
    let by_name: HashMap<&str, &Param<'_>> = params.iter().map(|p| (p.name.as_str(), p)).collect();
    let total = tensors.len();
    for (done, tensor) in tensors.iter().enumerate() {
        let values = files::join(tensor, &mut |name| {
            let grown = map.grow_values(&small_table, by_name[name], source, device)?;
            Ok(Cow::Owned(grown))
        })?;
        writer.write_f32(&tensor.name, &values)?;
        if !progress(done + 1, total) {
            return Err(Error::Interrupted);
        }
    }
    writer.write_config(&large.to_json())?;
    writer.finish()?;
    let tokenizer = options.tokenizer.clone().unwrap_or_else(|| source.path().to_path_buf());
    if tokenizer.is_dir() {
        ligo_checkpoint::copy_tokenizer(&tokenizer, &dir)?;
    }
    if let Some(card) = &options.card {
        card.write(&dir)?;
    }
    dir.commit()?;
    Ok(())
}
