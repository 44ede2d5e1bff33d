//! Growing tensor by tensor, in memory that does not depend on the number of layers.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use ligo_arch::{ModelConfig, Param, ParamTable};
use ligo_checkpoint::{
    AtomicDir, Card, Declared, Disk, Dtype, GROWTH_FILE, ModelDir, ModelWriter, Progress, SideFiles, TOKENIZER_FILES,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::pipeline::{self, Order};
use crate::plan::{Plan, Planned};
use crate::recipe::{Kitchen, Recipe};
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
    /// The dtype of the weights; by default each tensor keeps the small model's, but that 64 bits become 32.
    pub dtype: Option<Dtype>,
    /// Shards are cut at this many bytes of payload.
    pub max_shard_bytes: Option<u64>,
    /// The model card.
    pub card: Option<Card>,
    /// Folder whose tokenizer files are copied along; the small model's by default.
    pub tokenizer: Option<PathBuf>,
    /// Files that are written in the place of the small model's of these names.
    pub replaced: BTreeMap<String, Vec<u8>>,
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
    let (small_table, large_table) = (small.table_for(large), large.table());
    ligo_arch::check_growable(&small_table, &large_table)?;
    if small_table != small.table() {
        source.add_parts(files::parts(&small_table));
    }
    let params = target_params(&small_table, &large_table, source);
    let plan = Plan::new(source, &small_table, large, &params, options.dtype);
    let fingerprint = fingerprint(source, &small_table, options)?;
    let record = match &options.identity {
        Some(identity) => Some(growth_record(&json!([
            identity,
            fingerprint,
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
    let kitchen = Kitchen {
        map,
        source,
        small: &small_table,
        params: &params.iter().map(|p| (p.name.as_str(), p)).collect(),
        device,
    };
    let written = write(kitchen, &plan, &dir, options, done.as_mut(), progress).and_then(|resumed| {
        let side_files = beside(source, &dir, options, record.as_deref())?;
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

/// The small model's fingerprint where it is needed; at the same time its weights are looked through for what is no number.
fn fingerprint(source: &ModelDir, small: &ParamTable, options: &GrowOptions) -> Result<Option<String>, Error> {
    let not_finite = || match options.allow_not_finite {
        true => Ok(Vec::new()),
        false => files::not_finite(source, small),
    };
    let (taken, tensors) = std::thread::scope(|scope| {
        let taken = options.identity.as_ref().map(|_| scope.spawn(|| source.fingerprint()));
        let tensors = not_finite();
        (taken.map(|thread| thread.join()), tensors)
    });
    let tensors = tensors?;
    if !tensors.is_empty() {
        return Err(Error::NotFinite { tensors });
    }
    match taken {
        None => Ok(None),
        Some(Ok(taken)) => Ok(Some(taken?)),
        Some(Err(panic)) => std::panic::resume_unwind(panic),
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
    for (name, content) in &options.replaced {
        dir.write(name, content)?;
    }
    if source.path().is_dir() {
        side_files = ligo_checkpoint::copy_side_files(source.path(), dir, skipped(options))?;
        // What was read is no format that is left behind.
        let is_read = |name: &str| source.files().iter().any(|file| file.path().ends_with(name));
        side_files.left.retain(|name| !is_read(name));
    }
    if let Some(record) = record {
        dir.write(GROWTH_FILE, record.as_bytes())?;
    }
    if let Some(card) = &options.card {
        card.write(dir)?;
    }
    Ok(side_files)
}

/// Writes weights and configuration; returns how many shards were there.
fn write(
    kitchen: Kitchen<'_>,
    plan: &Plan,
    dir: &AtomicDir,
    options: &GrowOptions,
    done: Option<&mut Progress>,
    progress: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<usize, Error> {
    let mut writer = ModelWriter::new(dir, plan.declared(), options.max_shard_bytes.unwrap_or(u64::MAX))?;
    let complete: HashSet<String> = done.iter().flat_map(|done| done.names()).map(str::to_owned).collect();
    let is_there: Vec<bool> = writer.files().map(|file| complete.contains(file)).collect();
    let total = plan.tensors.len();
    let mut at = 0;
    let mut written = |tensors: usize| {
        at += tensors;
        progress(at, total)
    };
    let resumed = pipeline::run(dir, &mut writer, done, &mut written, |pipeline| {
        let (mut next, mut resumed) = (0, 0);
        while let Some(tensor) = plan.tensors.get(next) {
            if is_there[next] {
                let skipped = pipeline.skip_file()?;
                (next, resumed) = (next + skipped, resumed + 1);
                continue;
            }
            let order = order(kitchen, tensor, dir, options)?;
            let is_whole = matches!(order.recipe, Recipe::Whole(_));
            pipeline.add(order)?;
            if is_whole {
                // One such tensor is in memory at a time.
                pipeline.drain()?;
            }
            next += 1;
        }
        pipeline.drain()?;
        Ok(resumed)
    })?;
    writer.write_config(&plan.config)?;
    writer.finish()?;
    Ok(resumed)
}

/// What the pipeline is to write of a tensor.
fn order<'a>(
    kitchen: Kitchen<'a>,
    tensor: &'a Planned,
    dir: &'a AtomicDir,
    options: &GrowOptions,
) -> Result<Order<'a>, Error> {
    let Declared { name, dtype, shape } = &tensor.declared;
    let (recipe, sources) = match &tensor.grown {
        Some(grown) => (kitchen.recipe(grown, *dtype)?, kitchen.sources(grown)?),
        None => (kitchen.carried(&tensor.declared)?, vec![name.clone()]),
    };
    Ok(Order {
        name,
        dtype: *dtype,
        elements: shape.iter().product(),
        recipe,
        // What is taken over as it is may be a mask.
        finite: tensor.grown.is_some() && !options.allow_not_finite,
        sources,
        source: kitchen.source,
        target: dir.target(),
    })
}
