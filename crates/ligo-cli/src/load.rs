//! From a model directory to a model with weights.

mod complaint;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use ligo_arch::{ModelConfig, ParamTable, Role, Task};
use ligo_checkpoint::{CONFIG_FILE, MANIFEST_FILE, ModelDir, Report, TensorSpec};
use ligo_growth::rows::Rules;
use ligo_models::Model;
use serde_json::Value;
use thiserror::Error;

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

/// Why a directory is not a model that can be used.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A file is damaged or absent, or a tensor is missing, misshapen or of a wrong dtype.
    #[error(transparent)]
    Checkpoint(#[from] ligo_checkpoint::Error),
    /// `config.json` describes no model that ligo knows.
    #[error("{}: {source}", path.display())]
    Config {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        source: ligo_arch::Error,
    },
    /// `config.json` says that two tensors are one, and the file holds two that differ.
    #[error(
        "{}: config.json says that `{alias}` and `{source_name}` are the same, and they differ; \
         if they are meant to, set \"tie_word_embeddings\": false",
        path.display()
    )]
    BrokenTie {
        /// The directory.
        path: PathBuf,
        /// The tensor that should follow the other.
        alias: String,
        /// The tensor that is tied to.
        source_name: String,
    },
    /// `config.json` is another model's.
    #[error(
        "{}: config.json says {says}, the tensors are those of {found}; the files of two models seem to be mixed",
        path.display()
    )]
    OtherFamily {
        /// The directory.
        path: PathBuf,
        /// The family of `config.json`.
        says: String,
        /// The family of the tensors.
        found: String,
    },
    /// A file is not the one that was written.
    #[error(
        "{source}; the file is damaged or was changed. If the change is meant, remove {} there: nothing is checked without it",
        MANIFEST_FILE
    )]
    Changed {
        /// The file.
        source: ligo_checkpoint::Error,
    },
    /// There is the body of a model, and not the head that ligo trains it with.
    #[error(
        "{}: the {family} model here has no {head} head{named}: `{missing}` and what belongs to it are not in the file. \
         {}transformers can add a fresh head: {class}.from_pretrained(DIR).save_pretrained(NEW)",
        path.display(), body.as_ref().map_or(String::new(), |body| format!("to read the body alone, write \"architectures\": [\"{body}\"] into config.json; "))
    )]
    NoHead {
        /// The directory.
        path: PathBuf,
        /// The family.
        family: String,
        /// What the head would predict.
        head: String,
        /// What `architectures` says.
        named: String,
        /// The first tensor of the head.
        missing: String,
        /// The class of `transformers` that has it.
        class: String,
        /// The class without a head, where ligo reads it.
        body: Option<String>,
    },
    /// A model is a folder.
    #[error("{} is a file, expected a model's folder{}", path.display(), folder.as_ref().map_or(String::new(), |folder| format!(": pass {}", folder.display())))]
    NotAFolder {
        /// The file.
        path: PathBuf,
        /// The folder around it, where that is a model's.
        folder: Option<PathBuf>,
    },
    /// The weights do not fit the model.
    #[error(transparent)]
    Model(#[from] ligo_models::Error),
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
pub(crate) fn read_config(dir: &ModelDir) -> Result<ModelConfig, LoadError> {
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
pub(crate) fn fit(dir: ModelDir, config: &ModelConfig) -> Result<(ModelDir, Vec<String>, Report), LoadError> {
    let table = config.table();
    let dir = with_base_prefix(unwrapped(dir, &table)?, &table)?;
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

/// A `model_type` as people write it.
pub(crate) fn family_name(model_type: &str) -> &str {
    match model_type {
        "bert" => "BERT",
        "roberta" => "RoBERTa",
        "xlm-roberta" => "XLM-RoBERTa",
        "camembert" => "CamemBERT",
        "distilbert" => "DistilBERT",
        "gpt2" => "GPT-2",
        "gpt_neox" => "GPT-NeoX",
        "llama" => "Llama",
        "mistral" => "Mistral",
        "qwen2" => "Qwen2",
        "qwen3" => "Qwen3",
        "gemma" => "Gemma",
        "gemma2" => "Gemma 2",
        "gemma3_text" => "Gemma 3",
        "smollm3" => "SmolLM3",
        "phi3" => "Phi-3",
        "olmo2" => "OLMo 2",
        "opt" => "OPT",
        "vit" => "ViT",
        "deit" => "DeiT",
        "cait" => "CaiT",
        other => other,
    }
}

/// The sizes of a model in one line.
pub(crate) fn describe(config: &ModelConfig) -> String {
    let sizes = config.sizes();
    let reads = match config.vocab_size() {
        0 => format!("{} classes", sizes.outputs),
        words => format!("vocabulary {words}, {} positions", config.max_sequence_tokens()),
    };
    format!(
        "{}, {} layers, hidden {}, {} heads, feed-forward {}, {reads}",
        family_name(config.model_type()),
        sizes.layers + sizes.class_layers,
        sizes.hidden,
        sizes.heads,
        sizes.ffn,
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use ligo_arch::BertConfig;
    use ligo_checkpoint::{WriteOptions, write_model};

    use super::*;

    type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

    fn config() -> ModelConfig {
        ModelConfig::Bert(BertConfig::new(11, 8, 1, 2))
    }

    fn tensors() -> Tensors {
        ligo_growth::init::initial_values(&config().table(), 0.02, 1).collect()
    }

    fn directory(tensors: Tensors) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let tensors = tensors
            .into_iter()
            .map(|(name, shape, values)| (name, shape, values.into()));
        write_model(
            folder.path().join("m"),
            &config().to_json(),
            tensors,
            &WriteOptions::default(),
        )
        .unwrap();
        folder
    }

    fn open(tensors: Tensors) -> Result<Source, LoadError> {
        open_model(&directory(tensors).path().join("m"))
    }

    #[test]
    fn every_missing_and_misshapen_tensor_is_named() {
        let mut tensors = tensors();
        tensors.retain(|(name, ..)| name != "bert.embeddings.LayerNorm.bias" && name != "cls.predictions.bias");
        let query = tensors
            .iter_mut()
            .find(|(name, ..)| name.ends_with("query.weight"))
            .unwrap();
        (query.1, query.2) = (vec![4, 8], vec![0.0; 32]);
        let message = open(tensors).unwrap_err().to_string();
        for part in [
            "embeddings.LayerNorm.bias",
            "cls.predictions.bias",
            "query.weight",
            "[8, 8]",
            "[4, 8]",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn the_decoders_own_bias_is_the_one_that_counts() {
        let mut tensors = tensors();
        tensors.push(("cls.predictions.decoder.bias".into(), vec![11], vec![0.5; 11]));
        let dir = open(tensors).unwrap().dir;
        assert_eq!(dir.read_f32("cls.predictions.bias").unwrap(), [0.5; 11]);
    }

    #[test]
    fn a_token_table_known_only_as_decoder_is_found() {
        let mut tensors = tensors();
        let words = tensors
            .iter_mut()
            .find(|(name, ..)| name.ends_with("word_embeddings.weight"))
            .unwrap();
        words.0 = "cls.predictions.decoder.weight".into();
        let dir = open(tensors).unwrap().dir;
        assert_eq!(
            dir.info("bert.embeddings.word_embeddings.weight").unwrap().shape,
            [11, 8]
        );
    }

    #[test]
    fn tied_matrices_that_differ_are_refused() {
        let mut tensors = tensors();
        tensors.push(("cls.predictions.decoder.weight".into(), vec![11, 8], vec![0.5; 88]));
        let error = open(tensors).unwrap_err();
        assert!(
            matches!(&error, LoadError::BrokenTie { alias, .. } if alias == "cls.predictions.decoder.weight"),
            "{error}"
        );
    }

    #[test]
    fn half_a_pooler_is_a_missing_tensor() {
        let mut tensors = tensors();
        tensors.retain(|(name, ..)| !name.starts_with("bert.pooler"));
        tensors.push(("bert.pooler.dense.weight".into(), vec![8, 8], vec![0.0; 64]));
        let message = open(tensors).unwrap_err().to_string();
        assert!(message.contains("bert.pooler.dense.bias"), "{message}");
    }

    #[test]
    fn a_flipped_bit_is_noticed_through_the_manifest() {
        let folder = directory(tensors());
        let file = folder.path().join("m/model.safetensors");
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let error = open_model(&folder.path().join("m")).unwrap_err();
        assert!(matches!(error, LoadError::Changed { .. }), "{error}");
    }

    #[test]
    fn a_flipped_bit_of_the_configuration_is_noticed_and_named() {
        let folder = directory(tensors());
        let file = folder.path().join("m/config.json");
        let text = std::fs::read_to_string(&file).unwrap();
        // One bit: 0x32 and 0x30 differ in it; no size of the tensors does.
        let changed = text.replace("\"num_attention_heads\": 2", "\"num_attention_heads\": 4");
        assert_ne!(text, changed);
        std::fs::write(&file, changed).unwrap();
        let message = open_model(&folder.path().join("m")).unwrap_err().to_string();
        for part in ["config.json", "sha256", "manifest.json"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        std::fs::remove_file(folder.path().join("m/manifest.json")).unwrap();
        open_model(&folder.path().join("m")).unwrap();
    }

    #[test]
    fn a_manifest_that_does_not_list_the_configuration_still_reads() {
        let folder = directory(tensors());
        let path = folder.path().join("m/manifest.json");
        let mut manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        manifest["files"]
            .as_object_mut()
            .unwrap()
            .remove("config.json")
            .unwrap();
        std::fs::write(&path, format!("{manifest:#}\n")).unwrap();
        open_model(&folder.path().join("m")).unwrap();
    }

    #[test]
    fn a_bare_encoder_is_called_that() {
        let mut tensors = tensors();
        tensors.retain(|(name, ..)| name.starts_with("bert."));
        let message = open(tensors.clone()).unwrap_err().to_string();
        for part in ["BERT", "no language-model head", "BertForMaskedLM.from_pretrained"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        // With the names that a bare model's file has.
        for (name, ..) in &mut tensors {
            *name = name.trim_start_matches("bert.").to_owned();
        }
        let message = open(tensors).unwrap_err().to_string();
        assert!(message.contains("no language-model head"), "{message}");
    }

    /// A directory with these tensors whose configuration names this class, or none.
    fn open_as(class: Option<&str>, tensors: Tensors) -> Result<Source, LoadError> {
        let folder = directory(tensors);
        let path = folder.path().join("m");
        let mut json = config().to_json();
        match class {
            Some(class) => json["architectures"] = serde_json::json!([class]),
            None => drop(json.as_object_mut().unwrap().remove("architectures")),
        }
        std::fs::write(path.join("config.json"), json.to_string()).unwrap();
        std::fs::remove_file(path.join(MANIFEST_FILE)).unwrap();
        open_model(&path)
    }

    #[test]
    fn an_encoder_is_read_without_a_head_where_none_is_there_and_none_is_named() {
        let mut body = tensors();
        body.retain(|(name, ..)| name.starts_with("bert."));
        let mut bare = body.clone();
        for (name, ..) in &mut bare {
            *name = name.trim_start_matches("bert.").to_owned();
        }
        bare.push(("pooler.dense.weight".into(), vec![8, 8], vec![0.5; 64]));
        bare.push(("pooler.dense.bias".into(), vec![8], vec![0.5; 8]));
        for (class, tensors) in [(Some("BertModel"), &bare), (Some("BertModel"), &body), (None, &bare)] {
            let source = open_as(class, tensors.clone()).unwrap();
            assert_eq!(source.config.task(), Task::HiddenStates);
            let expected = if tensors.len() == bare.len() { 2 } else { 0 };
            assert_eq!(source.optional.len(), expected);
            let table = source.dir.read_f32("bert.embeddings.word_embeddings.weight").unwrap();
            assert_eq!(table.len(), 88);
            source.model(&Device::flex()).unwrap();
        }
        // The same as the field of a module that was saved whole.
        let wrapped = |tensors: &Tensors| -> Tensors {
            let renamed = tensors.iter().cloned();
            renamed
                .map(|(name, shape, values)| (format!("model.{name}"), shape, values))
                .collect()
        };
        for (class, tensors) in [(Some("BertModel"), &body), (None, &bare)] {
            let source = open_as(class, wrapped(tensors)).unwrap();
            assert_eq!(
                (source.config.task(), source.dir.stripped()),
                (Task::HiddenStates, "model.")
            );
        }
        // A head that is there counts, whatever class is named.
        assert_eq!(
            open_as(None, wrapped(&self::tensors())).unwrap().config.task(),
            Task::MaskedLm
        );
        for class in [Some("BertModel"), None] {
            assert_eq!(open_as(class, tensors()).unwrap().config.task(), Task::MaskedLm);
        }
        let fault = open_as(Some("BertForMaskedLM"), bare).unwrap_err().to_string();
        assert!(fault.contains("\"architectures\": [\"BertModel\"]"), "{fault}");
    }

    #[test]
    fn an_edited_card_and_a_file_more_do_no_harm() {
        let folder = directory(tensors());
        std::fs::write(folder.path().join("m/README.md"), "mine").unwrap();
        std::fs::write(folder.path().join("m/notes.txt"), "mine").unwrap();
        open_model(&folder.path().join("m")).unwrap();
    }

    #[test]
    fn an_unknown_family_is_named_with_the_directory() {
        let folder = directory(tensors());
        let path = folder.path().join("m");
        std::fs::remove_file(path.join(MANIFEST_FILE)).unwrap();
        std::fs::write(path.join("config.json"), r#"{"model_type": "bart"}"#).unwrap();
        let error = open_model(&path).unwrap_err();
        assert!(
            matches!(&error, LoadError::Config { path: p, .. } if *p == path),
            "{error}"
        );
        assert!(error.to_string().contains("bart"), "{error}");
    }
}
