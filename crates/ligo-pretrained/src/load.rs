//! From a model directory to a model with weights.

mod complaint;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use ligo_arch::{ModelConfig, ParamTable, Role, Task};
use ligo_checkpoint::{CONFIG_FILE, MANIFEST_FILE, ModelDir, Report, TensorSpec};
use ligo_growth::rows::Rules;
use ligo_models::Model;
use serde_json::Value;

use crate::LoadError;
use complaint::complaint;

/// A model with its weights.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What `config.json` says.
    pub config: ModelConfig,
    /// The model.
    pub model: Model,
    /// The optional tensors that it has, such as a pooler's.
    pub optional: Vec<String>,
}

/// A model directory whose weights are read when they are asked for.
#[derive(Debug)]
pub struct Source {
    /// What `config.json` says.
    pub config: ModelConfig,
    /// The tensors, under the names of the table.
    pub dir: ModelDir,
    /// The optional tensors that it has, such as a pooler's.
    pub optional: Vec<String>,
}

impl Source {
    /// The same model for images as large as those of `wanted`, see [`ligo_growth::files::at_resolution`].
    ///
    /// # Errors
    /// The patches do not fill such an image.
    pub fn at(self, wanted: &ModelConfig) -> Result<Self, ligo_growth::Error> {
        let (dir, config) = ligo_growth::files::at_resolution(self.dir, self.config, wanted)?;
        Ok(Self { dir, config, ..self })
    }

    /// The same model with the vocabulary and the positions of `wanted`, see [`ligo_growth::rows::extended`].
    ///
    /// # Errors
    /// `wanted` has fewer of either.
    pub fn extended(self, wanted: &ModelConfig, rules: Rules) -> Result<Self, ligo_growth::Error> {
        let (dir, config) = ligo_growth::rows::extended(self.dir, self.config, wanted, rules)?;
        Ok(Self { dir, config, ..self })
    }

    /// The model with its weights.
    ///
    /// # Errors
    /// A tensor cannot be read.
    pub fn model(&self, device: &Device) -> Result<Model, LoadError> {
        let names: Vec<&str> = self.optional.iter().map(String::as_str).collect();
        let skeleton = Model::skeleton_with(&self.config, &names, device)?;
        skeleton.install(&mut |name: &str, _: &[usize]| {
            let values = self.dir.read_f32(name)?;
            let count = [values.len()];
            Ok::<Tensor<1>, LoadError>(Tensor::from_data(TensorData::new(values, count), device))
        })
    }
}

/// Opens a model directory, checks it and gives its tensors today's names.
///
/// Checked are the manifest's hashes of all that decides the model when there is a manifest, and every tensor's presence, shape and dtype; payloads
/// are read later. `…gamma`/`…beta`, `cls.predictions.decoder.bias` and a tied decoder's weight are known under the
/// names of the table.
///
/// # Errors
/// See [`LoadError`]; all missing and misshapen tensors are named together.
pub fn open_model(path: &Path) -> Result<Source, LoadError> {
    if path.is_file() {
        let folder = path.parent().filter(|folder| folder.join(CONFIG_FILE).is_file());
        return Err(LoadError::NotAFolder {
            path: path.to_path_buf(),
            folder: folder.map(Path::to_path_buf),
        });
    }
    if path.join(MANIFEST_FILE).exists() {
        ligo_checkpoint::verify_model(path).map_err(changed)?;
    }
    let dir = ModelDir::open(path)?;
    let config = read_config(&dir)?;
    let (dir, optional, _) = fit(dir, &config)?;
    Ok(Source { config, dir, optional })
}

fn changed(source: ligo_checkpoint::Error) -> LoadError {
    match source {
        ligo_checkpoint::Error::FileHash { .. } | ligo_checkpoint::Error::FileSize { .. } => {
            LoadError::Changed { source }
        }
        other => other.into(),
    }
}

/// Loads a model onto a device.
///
/// # Errors
/// As [`open_model`].
pub fn load_model(path: &Path, device: &Device) -> Result<Loaded, LoadError> {
    let source = open_model(path)?;
    let model = source.model(device)?;
    Ok(Loaded {
        config: source.config,
        model,
        optional: source.optional,
    })
}

/// The configuration of an opened directory.
pub fn read_config(dir: &ModelDir) -> Result<ModelConfig, LoadError> {
    let json = dir.config()?;
    let config = ModelConfig::from_json(json).map_err(|source| LoadError::Config {
        path: dir.path().to_path_buf(),
        source,
    })?;
    Ok(headed(config, json, dir))
}

/// The model with the head that its file has. Where `config.json` names an encoder's class and a head is there all the same, it counts; where it names
/// no class and none is there, none does.
fn headed(config: ModelConfig, json: &Value, dir: &ModelDir) -> ModelConfig {
    let other = match config.task() {
        Task::HiddenStates => Task::MaskedLm,
        Task::MaskedLm if json.pointer("/architectures/0").is_none() => Task::HiddenStates,
        _ => return config,
    };
    let Ok(changed) = config.with_task(other) else {
        return config;
    };
    let whole = if other == Task::MaskedLm { &changed } else { &config };
    match complaint::has_part_of_head(dir, &whole.table()) == (other == Task::MaskedLm) {
        true => changed,
        false => config,
    }
}

/// Renames aliases and compares the tensors with the table. Returns the optional tensors there are, and the comparison.
pub fn fit(dir: ModelDir, config: &ModelConfig) -> Result<(ModelDir, Vec<String>, Report), LoadError> {
    let table = config.table();
    let dir = with_base_prefix(unwrapped(dir, &table)?, &table)?.with_split(config.fused());
    let dir = ligo_growth::files::with_params(resolve_ties(dir, &table)?, &table);
    let optional = optional_tensors(&dir, &table);
    let params: Vec<_> = table
        .params()
        .filter(|p| p.spec.required || optional.contains(&p.name))
        .collect();
    let tensors = table.file_tensors(&params).into_iter();
    let specs: Vec<TensorSpec> = tensors.map(|t| TensorSpec::new(t.name, t.shape)).collect();
    let mut report = dir
        .check(&specs)
        .map_err(|error| complaint(error, &dir, config, &table))?;
    // Neither a tied tensor's second name nor a buffer of old checkpoints is anything that gets lost.
    report.extra = ligo_growth::files::beyond(&dir, &table);
    Ok((dir, optional, report))
}

/// The field of a Lightning module that holds the model.
const WRAPPER: &str = "model.";

/// Takes the name of a field from all names, where none of them is the family's with it.
fn unwrapped(dir: ModelDir, table: &ParamTable) -> Result<ModelDir, LoadError> {
    let names = Names::of(table);
    let is_known = |name: &str| names.in_files.contains(name) || names.other(name).is_some();
    let is_wrapped = dir.all_begin_with(WRAPPER) && !dir.names().any(is_known);
    let inner = |name: &str| name.strip_prefix(WRAPPER).is_some_and(is_known);
    if is_wrapped && dir.names().any(inner) {
        return Ok(dir.without_prefix(WRAPPER)?);
    }
    Ok(dir)
}

/// Gives the tensors of a bare model the names that they have under a head, or those under a head the names that a bare model's file has.
fn with_base_prefix(dir: ModelDir, table: &ParamTable) -> Result<ModelDir, LoadError> {
    let names = Names::of(table);
    Ok(dir.with_aliases(|name| names.other(name).filter(|_| !names.in_files.contains(name)))?)
}

/// What a model's tensors are called in files.
struct Names {
    in_files: HashSet<String>,
    /// What names below a head begin with.
    base: &'static str,
    /// Whether files leave that out.
    are_bare: bool,
}

impl Names {
    fn of(table: &ParamTable) -> Self {
        let params: Vec<_> = table.params().collect();
        let in_files: HashSet<String> = table.file_tensors(&params).into_iter().map(|t| t.name).collect();
        let base = table.base_prefix().unwrap_or_default();
        let are_bare = !in_files.iter().any(|name| name.starts_with(base));
        Self {
            in_files,
            base,
            are_bare,
        }
    }

    /// The name of a tensor with the beginning of those below a head where it has none, or without it.
    fn other(&self, name: &str) -> Option<String> {
        let other = match self.are_bare {
            true => name.strip_prefix(self.base)?.to_owned(),
            false => format!("{}{name}", self.base),
        };
        Some(other).filter(|other| self.in_files.contains(other))
    }
}

/// Makes tied tensors known under the name that the table has for them.
fn resolve_ties(dir: ModelDir, table: &ParamTable) -> Result<ModelDir, LoadError> {
    let mut renamed = HashMap::new();
    for (alias, source) in table.ties() {
        if !dir.contains(alias) {
            continue;
        }
        renamed.insert(alias.clone(), source.clone());
        if !dir.contains(source) {
            continue;
        }
        // Where a file holds both, they may differ. `transformers` computes with the decoder's own bias; of a matrix
        // that is tied and is not, nobody can say which one was meant.
        renamed.insert(source.clone(), alias.clone());
        let is_bias = table.get(source).is_some_and(|param| param.spec.role == Role::Bias);
        if !is_bias && !same(&dir, alias, source)? {
            return Err(LoadError::BrokenTie {
                path: dir.path().to_path_buf(),
                alias: alias.clone(),
                source_name: source.clone(),
            });
        }
    }
    Ok(dir.with_aliases(|name| renamed.get(name).cloned())?)
}

fn same(dir: &ModelDir, first: &str, second: &str) -> Result<bool, ligo_checkpoint::Error> {
    let kind = |name| dir.info(name).map(|info| (info.dtype, &info.shape));
    Ok(kind(first) == kind(second) && dir.read_bytes(first)? == dir.read_bytes(second)?)
}

/// The optional tensors of the table that the model has; a bias counts as had when its weight is there, and the other
/// way round, so that the lack of one is noticed.
fn optional_tensors(dir: &ModelDir, table: &ParamTable) -> Vec<String> {
    let module = |name: &str| {
        name.rsplit_once('.')
            .map_or(String::new(), |(module, _)| module.to_owned())
    };
    let optional: Vec<String> = table.params().filter(|p| !p.spec.required).map(|p| p.name).collect();
    let there: Vec<String> = optional.iter().filter(|n| dir.contains(n)).map(|n| module(n)).collect();
    optional
        .into_iter()
        .filter(|name| there.contains(&module(name)))
        .collect()
}

/// The sizes of a model in one line.
pub fn describe(config: &ModelConfig) -> String {
    let sizes = config.sizes();
    let reads = match config.vocab_size() {
        0 => format!("{} classes", sizes.outputs),
        words => format!("vocabulary {words}, {} positions", config.max_sequence_tokens()),
    };
    let experts = sizes.sparse.map_or(String::new(), |sparse| {
        format!(
            ", {} experts of {} in {} layers, {} for a token",
            sparse.experts, sparse.ffn, sparse.layers, sparse.active
        )
    });
    format!(
        "{}, {} layers, hidden {}, {} heads, feed-forward {}{experts}, {reads}",
        config.display_name(),
        sizes.layers + sizes.class_layers,
        sizes.hidden,
        sizes.heads,
        sizes.ffn,
    )
}
