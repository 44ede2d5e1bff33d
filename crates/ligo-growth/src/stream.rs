//! Growing tensor by tensor, in memory that does not depend on the number of layers.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use ligo_arch::{ModelConfig, Param, ParamTable};
use ligo_checkpoint::{
    AtomicDir, Card, Disk, Dtype, GROWTH_FILE, ModelDir, ModelWriter, Progress, SideFiles, TOKENIZER_FILES,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::plan::{Plan, Planned};
use crate::{Error, LinearMap, WeightSource, files, less_one};

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
    /// The dtype of the weights; by default each tensor keeps the small model's, but that 64 bits become 32.
    pub dtype: Option<Dtype>,
    /// Shards are cut at this many bytes of payload.
    pub max_shard_bytes: Option<u64>,
    /// The model card.
    pub card: Option<Card>,
    /// Folder whose tokenizer files are copied along; the small model's by default.
    pub tokenizer: Option<PathBuf>,
    /// What decides the map, such as an operator's name, settings and seed. Where it is given, work that was interrupted is gone on with, and a model
    /// that was grown already is not grown again.
    pub identity: Option<Value>,
    /// Whether a model that is there already, and was not grown from the same, stays ([`Error::Exists`]) instead of being replaced.
    pub keep_existing: bool,
    /// Whether NaN and infinity are grown like other numbers.
    pub allow_not_finite: bool,
}

/// What became of growing a directory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grown {
    /// The model was there already: grown from the same, in the same way.
    pub was_there: bool,
    /// Shards that an interrupted call had completed.
    pub resumed: usize,
    /// Tensors of 64 bits that were written with 32.
    pub narrowed: usize,
    /// Tensors that no table knows, and that were taken over as they are.
    pub carried: Vec<String>,
    /// Tensors that no table knows, and that do not fit the large model.
    pub left_out: Vec<String>,
    /// What lay beside the weights.
    pub side_files: SideFiles,
}

/// Grows a model from directory to directory, tensor by tensor; the target appears whole or not at all.
///
/// Tensors beyond the table, such as the head of another task, are taken over where nothing but the number of layers grows, and left out otherwise;
/// `architectures` then names the class of what is there.
///
/// # Errors
/// The pair cannot be grown, a source tensor is missing, misshapen or not finite, the target cannot be written or must not be replaced, or `progress`
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
) -> Result<Grown, Error> {
    let (small_table, large_table) = (small.table(), large.table());
    ligo_arch::check_growable(&small_table, &large_table)?;
    if !options.allow_not_finite {
        let tensors = files::not_finite(source, &small_table)?;
        if !tensors.is_empty() {
            return Err(Error::NotFinite { tensors });
        }
    }
    let params = target_params(&small_table, &large_table, source);
    let plan = Plan::new(source, &small_table, large, &params, options.dtype);
    let record = match &options.identity {
        Some(identity) => Some(growth_record(&json!([
            identity,
            source.fingerprint()?,
            side_files(source, options)?,
            [&small.to_json(), &plan.config],
            plan.identity(),
            options.max_shard_bytes,
        ]))),
        None => None,
    };
    if record.is_some() {
        ligo_checkpoint::restore(target)?;
    }
    let exists = target.is_dir() && std::fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_some());
    if let Some(record) = record.as_ref().filter(|_| exists)
        && std::fs::read(target.join(GROWTH_FILE)).is_ok_and(|found| found == record.as_bytes())
        && ligo_checkpoint::verify_model(target).is_ok()
    {
        // Who grew it may have been killed before the record was removed.
        ligo_checkpoint::recover(target)?;
        return Ok(Grown {
            was_there: true,
            ..Grown::default()
        });
    }
    if exists && options.keep_existing {
        return Err(Error::Exists {
            path: target.to_path_buf(),
        });
    }
    let (dir, mut done) = match &record {
        Some(record) => {
            let (dir, done) = Progress::resume(&Disk::default(), target, &digest(record))?;
            (dir, Some(done))
        }
        None => (AtomicDir::begin(target)?, None),
    };
    let mut work = Work {
        map,
        source,
        small: &small_table,
        params: params.iter().map(|p| (p.name.as_str(), p)).collect(),
        device,
        allow_not_finite: options.allow_not_finite,
    };
    let written = work
        .write(&plan, &dir, options, done.as_mut(), progress)
        .and_then(|resumed| {
            let side_files = beside(work.source, &dir, options, record.as_deref())?;
            Ok(Grown {
                was_there: false,
                resumed,
                narrowed: plan.narrowed,
                carried: plan.carried.clone(),
                left_out: plan.left_out.clone(),
                side_files,
            })
        });
    match (written, done) {
        (Ok(grown), done) => {
            dir.commit()?;
            done.map_or(Ok(()), Progress::forget)?;
            Ok(grown)
        }
        // Asked to stop: what is complete stays for the next time.
        (Err(Error::Interrupted), Some(_)) => {
            dir.leave();
            Err(Error::Interrupted)
        }
        (Err(error), done) => {
            drop(dir);
            done.map_or(Ok(()), Progress::forget)?;
            Err(error)
        }
    }
}

/// Files of the small model that do not go along: those of a tokenizer where another one is given.
fn skipped(options: &GrowOptions) -> &'static [&'static str] {
    match options.tokenizer {
        Some(_) => &TOKENIZER_FILES,
        None => &[],
    }
}

/// A hash of what lies beside the small model's weights and goes along.
fn side_files(source: &ModelDir, options: &GrowOptions) -> Result<Option<String>, Error> {
    let path = source.path();
    let files = path
        .is_dir()
        .then(|| ligo_checkpoint::side_files_fingerprint(path, skipped(options)));
    Ok(files.transpose()?)
}

/// What a grown model says of itself, so that it is known again.
fn growth_record(decides: &Value) -> String {
    let decides = decides.to_string();
    format!("{:#}\n", json!({"format": 1, "grown_from": digest(&decides)}))
}

fn digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything beside the weights.
fn beside(source: &ModelDir, dir: &AtomicDir, options: &GrowOptions, record: Option<&str>) -> Result<SideFiles, Error> {
    let mut side_files = SideFiles::default();
    if let Some(tokenizer) = &options.tokenizer {
        ligo_checkpoint::copy_tokenizer(tokenizer, dir)?;
    }
    if source.path().is_dir() {
        side_files = ligo_checkpoint::copy_side_files(source.path(), dir, skipped(options))?;
    }
    if let Some(record) = record {
        dir.write(GROWTH_FILE, record.as_bytes())?;
    }
    if let Some(card) = &options.card {
        card.write(dir)?;
    }
    Ok(side_files)
}

/// What the weights are made with.
struct Work<'a> {
    map: &'a LinearMap,
    source: &'a mut ModelDir,
    small: &'a ParamTable,
    params: HashMap<&'a str, &'a Param<'a>>,
    device: &'a Device,
    allow_not_finite: bool,
}

impl Work<'_> {
    /// Writes weights and configuration; returns how many shards were there.
    fn write(
        &mut self,
        plan: &Plan,
        dir: &AtomicDir,
        options: &GrowOptions,
        mut done: Option<&mut Progress>,
        progress: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<usize, Error> {
        let max_shard_bytes = options.max_shard_bytes.unwrap_or(u64::MAX);
        let mut writer = ModelWriter::new(dir, plan.declared(), max_shard_bytes)?;
        let (mut at, mut resumed) = (0, 0);
        while let Some(tensor) = plan.tensors.get(at) {
            let is_there = |file: &str| done.as_ref().is_some_and(|done| done.has(file));
            if writer.next_file().is_some_and(is_there) {
                at += writer.skip_file();
                resumed += 1;
            } else {
                self.write_tensor(tensor, &mut writer)?;
                at += 1;
                if let (Some(file), Some(done)) = (writer.close_complete()?, &mut done) {
                    done.add(dir, &file)?;
                }
            }
            if !progress(at, plan.tensors.len()) {
                return Err(Error::Interrupted);
            }
        }
        writer.write_config(&plan.config)?;
        writer.finish()?;
        Ok(resumed)
    }

    fn write_tensor(&mut self, tensor: &Planned, writer: &mut ModelWriter<'_>) -> Result<(), Error> {
        let name = &tensor.declared.name;
        let Some(grown) = &tensor.grown else {
            if tensor.declared.dtype.is_float() {
                return Ok(writer.write_f32(name, &self.source.read_f32(name)?)?);
            }
            return Ok(writer.write_bytes(name, self.source.read_bytes(name)?)?);
        };
        let is_less_one = |name: &str| grown.parts.iter().any(|part| part.param == name && part.slice.from_one);
        let values = files::join(&files::as_stored(grown), &mut |name| {
            let param = self.params[name];
            let grown = match is_less_one(name) {
                true => less_one::grow(self.map, self.small, param, self.source, self.device)?,
                false => self.map.grow_values(self.small, param, self.source, self.device)?,
            };
            Ok(Cow::Owned(grown))
        })?;
        if !self.allow_not_finite && values.iter().any(|value| !value.is_finite()) {
            return Err(Error::MapNotFinite { name: name.clone() });
        }
        Ok(writer.write_f32(name, &values)?)
    }
}
