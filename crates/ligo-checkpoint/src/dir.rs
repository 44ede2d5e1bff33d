//! A model directory opened for reading.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::check::{TensorSpec, compare};
use crate::index::open_shards;
use crate::manifest::fingerprint;
use crate::names::{CONFIG_FILE, INDEX_FILE, TORCH_FILE, TORCH_INDEX_FILE, WEIGHTS_FILE, unfinished};
use crate::strict::{JsonFile, read_json};
use crate::{Error, Report, TensorFile, TensorInfo};

/// A Hugging Face model directory, or a single file of tensors.
///
/// Opening reads headers only; payloads are read one tensor at a time. Tensors are addressed by their name after aliases:
/// the names `…LayerNorm.gamma` and `…LayerNorm.beta` of the first BERT checkpoints become `…LayerNorm.weight` and `…LayerNorm.bias`.
#[derive(Debug)]
pub struct ModelDir {
    path: PathBuf,
    config: Option<Value>,
    files: Vec<TensorFile>,
    tensors: BTreeMap<String, Place>,
    parts: BTreeMap<String, Part>,
    stripped: String,
}

/// Prefixes of names with which a model is wrapped, and that no model has itself: DistributedDataParallel, `torch.compile`, FSDP.
const WRAPPERS: [&str; 3] = ["module.", "_orig_mod.", "_fsdp_wrapped_module."];

/// A tensor that is computed from a stored one.
struct Part {
    of: String,
    extract: Extract,
    /// Whether its values are not those of the stored tensor in another layout.
    computed: bool,
}

/// Computes the values of a part from those of the tensor that holds it.
pub type Extract = Box<dyn Fn(&[f32]) -> Vec<f32> + Send + Sync>;

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "part of {}", self.of)
    }
}

/// Where a tensor is: which file, under which stored name.
#[derive(Debug, Clone)]
struct Place {
    file: usize,
    stored: String,
}

impl ModelDir {
    /// Opens a directory with `config.json` and `model.safetensors` (or shards with an index), else `pytorch_model.bin` (or its shards), or one
    /// file of tensors.
    ///
    /// A `config.json` is not required here; [`ModelDir::config`] fails when there is none.
    /// Where both a single file and an index exist the single file is read, as `transformers` does.
    ///
    /// # Errors
    ///
    /// [`Error::NoWeights`], [`Error::PytorchBin`], [`Error::PickleGlobal`], any fault of a header, of the index or of `config.json`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let metadata = std::fs::metadata(path).map_err(Error::io("open", path))?;
        if !metadata.is_dir() {
            return Self::assemble(path, None, vec![TensorFile::open(path)?]);
        }
        let config = match path.join(CONFIG_FILE) {
            file if file.exists() => Some(read_config(&file)?),
            _ => None,
        };
        let mut kinds = [(WEIGHTS_FILE, INDEX_FILE), (TORCH_FILE, TORCH_INDEX_FILE)].into_iter();
        let files = kinds.find_map(|(single, index)| {
            let [single, index] = [single, index].map(|name| path.join(name));
            if single.exists() {
                Some(TensorFile::open(&single).map(|file| vec![file]))
            } else {
                index.exists().then(|| open_shards(&index))
            }
        });
        let no_weights = || Error::NoWeights {
            path: path.to_path_buf(),
            unfinished: unfinished(path),
        };
        Self::assemble(path, config, files.ok_or_else(no_weights)??)
    }

    fn assemble(path: &Path, config: Option<Value>, files: Vec<TensorFile>) -> Result<Self, Error> {
        let repeated = repeated(&files)?;
        let stored = files.iter().enumerate().flat_map(|(file, content)| {
            let once = |info: &&TensorInfo| !repeated.contains(&(file, info.name.clone()));
            let tensors: Vec<&TensorInfo> = content.tensors().iter().filter(once).collect();
            tensors.into_iter().map(move |info| {
                let place = Place {
                    file,
                    stored: info.name.clone(),
                };
                (old_layer_norm(&info.name).unwrap_or_else(|| info.name.clone()), place)
            })
        });
        let tensors = rename(path, stored)?;
        let mut dir = Self {
            path: path.to_path_buf(),
            config,
            files,
            tensors,
            parts: BTreeMap::new(),
            stripped: String::new(),
        };
        while let Some(prefix) = WRAPPERS.into_iter().find(|prefix| dir.all_begin_with(prefix)) {
            dir = dir.without_prefix(prefix)?;
        }
        Ok(dir)
    }

    /// Whether the names of all tensors begin so.
    pub fn all_begin_with(&self, prefix: &str) -> bool {
        !self.tensors.is_empty()
            && self
                .names()
                .all(|name| name.len() > prefix.len() && name.starts_with(prefix))
    }

    /// Takes a prefix from all names, and notes it in [`ModelDir::stripped`].
    ///
    /// # Errors
    ///
    /// [`Error::AliasClash`].
    pub fn without_prefix(self, prefix: &str) -> Result<Self, Error> {
        let mut dir = self.with_aliases(|name| name.strip_prefix(prefix).map(str::to_owned))?;
        dir.stripped.push_str(prefix);
        Ok(dir)
    }

    /// What was taken from the names of all tensors: the prefixes of DistributedDataParallel, `torch.compile` and other wrappers. Empty for most models.
    pub fn stripped(&self) -> &str {
        &self.stripped
    }

    /// Takes tensors for several ones that lie in them one behind the other: `(tensor, [(name, shape)])`. For families whose libraries have fused what
    /// their files hold one by one. A tensor that is not there, or does not have exactly the elements of its parts, stays what it is.
    #[must_use]
    pub fn with_split(mut self, tensors: impl IntoIterator<Item = (String, Vec<(String, Vec<usize>)>)>) -> Self {
        for (tensor, parts) in tensors {
            let is_free = |name: &String| *name == tensor || !self.tensors.contains_key(name);
            let Some(place) = self
                .tensors
                .get(&tensor)
                .filter(|_| parts.iter().all(|(name, _)| is_free(name)))
            else {
                continue;
            };
            let (file, stored) = (place.file, place.stored.clone());
            if self.files[file].split(&stored, &parts) {
                self.tensors.remove(&tensor);
                let parts = parts.into_iter().map(|(name, _)| {
                    let stored = name.clone();
                    (name, Place { file, stored })
                });
                self.tensors.extend(parts);
            }
        }
        self
    }

    /// Makes parts of tensors known under names of their own: `(name of the part, name of the tensor, computation)`.
    ///
    /// For tensors that a family's files fuse or transpose. Parts have values ([`ModelDir::read_f32`]) and are not among
    /// [`ModelDir::names`]; a part of a tensor that is not there is not there either.
    #[must_use]
    pub fn with_parts(self, parts: impl IntoIterator<Item = (String, String, Extract)>) -> Self {
        self.with(parts, false)
    }

    /// As [`ModelDir::with_parts`], for values that no file holds, such as those of positions that are resampled.
    #[must_use]
    pub fn with_computed(self, parts: impl IntoIterator<Item = (String, String, Extract)>) -> Self {
        self.with(parts, true)
    }

    /// As [`ModelDir::with_parts`], of a directory that others hold.
    pub fn add_parts(&mut self, parts: impl IntoIterator<Item = (String, String, Extract)>) {
        self.add(parts, false);
    }

    fn with(mut self, parts: impl IntoIterator<Item = (String, String, Extract)>, computed: bool) -> Self {
        self.add(parts, computed);
        self
    }

    fn add(&mut self, parts: impl IntoIterator<Item = (String, String, Extract)>, computed: bool) {
        let parts = parts.into_iter().map(|(name, of, extract)| {
            let part = Part { of, extract, computed };
            (name, part)
        });
        self.parts.extend(parts);
    }

    /// Whether the values of a tensor or part are computed, so that no file holds them.
    pub fn is_computed(&self, name: &str) -> bool {
        self.parts.get(name).is_some_and(|part| part.computed)
    }

    /// Gives back the memory that mapped a tensor; see [`TensorFile::release`].
    pub fn release(&self, name: &str) {
        let stored = self.parts.get(name).map_or(name, |part| &part.of);
        if let Some(place) = self.tensors.get(stored) {
            self.files[place.file].release(&place.stored);
        }
    }

    /// Renames tensors: where `alias` returns a name, the tensor is known by it from now on.
    ///
    /// For rules that only a family knows, such as a prefix that some of its checkpoints lack.
    ///
    /// # Errors
    ///
    /// [`Error::AliasClash`] when two tensors would have the same name.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn main() -> Result<(), ligo_checkpoint::Error> {
    /// let model = ligo_checkpoint::ModelDir::open("bert")?
    ///     .with_aliases(|name| (!name.starts_with("bert.")).then(|| format!("bert.{name}")))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_aliases(mut self, alias: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let renamed = self
            .tensors
            .into_iter()
            .map(|(name, place)| (alias(&name).unwrap_or(name), place));
        self.tensors = rename(&self.path, renamed)?;
        Ok(self)
    }

    /// The path that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `config.json` as it is.
    ///
    /// # Errors
    ///
    /// [`Error::NoConfig`] when there is none.
    pub fn config(&self) -> Result<&Value, Error> {
        self.config.as_ref().ok_or_else(|| Error::NoConfig {
            path: self.path.clone(),
        })
    }

    /// The files of tensors, in the order of their names.
    pub fn files(&self) -> &[TensorFile] {
        &self.files
    }

    /// All names, sorted, after aliases.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether there is a tensor or a part of this name.
    pub fn contains(&self, name: &str) -> bool {
        match self.parts.get(name) {
            Some(part) => self.tensors.contains_key(&part.of),
            None => self.tensors.contains_key(name),
        }
    }

    /// Shape, dtype and stored name of a tensor, or of the tensor that holds a part; reads no payload.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        let stored = self.parts.get(name).map_or(name, |part| &part.of);
        let place = self.tensors.get(stored)?;
        self.files[place.file].info(&place.stored)
    }

    /// A tensor's elements as `f32`; see [`TensorFile::read_f32`].
    ///
    /// # Errors
    ///
    /// [`Error::NoTensor`], [`Error::NotFloat`].
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>, Error> {
        if let Some(part) = self.parts.get(name) {
            let place = self.require(&part.of)?;
            return Ok((part.extract)(&self.files[place.file].read_f32(&place.stored)?));
        }
        let place = self.require(name)?;
        self.files[place.file].read_f32(&place.stored)
    }

    /// A tensor's payload, little-endian.
    ///
    /// # Errors
    ///
    /// [`Error::NoTensor`].
    pub fn read_bytes(&self, name: &str) -> Result<&[u8], Error> {
        let place = self.require(name)?;
        self.files[place.file].read_bytes(&place.stored)
    }

    /// How many elements of a tensor are NaN or infinite as `f32`; 0 for dtypes that are no floating-point numbers.
    ///
    /// # Errors
    ///
    /// [`Error::NoTensor`].
    pub fn not_finite(&self, name: &str) -> Result<usize, Error> {
        let stored = self.parts.get(name).map_or(name, |part| &part.of);
        let place = self.require(stored)?;
        self.files[place.file].not_finite(&place.stored)
    }

    /// A hash of what decides the model: configuration and weights, whatever else lies beside them and wherever they are.
    ///
    /// Hashes come from the manifest where there is one, which is not checked here; otherwise every byte is read.
    ///
    /// # Errors
    ///
    /// Those of [`Manifest::read`](crate::Manifest::read); [`Error::Io`].
    pub fn fingerprint(&self) -> Result<String, Error> {
        let config = self.path.join(CONFIG_FILE);
        let config = (self.path.is_dir() && config.exists()).then_some(config.as_path());
        let files = config.into_iter().chain(self.files.iter().map(TensorFile::path));
        fingerprint(&self.path, files)
    }

    /// Compares the model with a family's table; tensors beyond the table are reported and accepted.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] with everything that is missing, misshapen or of a dtype that cannot be read, all at once.
    pub fn check(&self, table: &[TensorSpec]) -> Result<Report, Error> {
        self.judge(compare(self, table), false)
    }

    /// As [`ModelDir::check`], and tensors beyond the table are an error too.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`].
    pub fn check_exact(&self, table: &[TensorSpec]) -> Result<Report, Error> {
        self.judge(compare(self, table), true)
    }

    fn judge(&self, report: Report, refuse_extra: bool) -> Result<Report, Error> {
        if report.is_fatal() || (refuse_extra && !report.extra.is_empty()) {
            return Err(Error::Mismatch {
                path: self.path.clone(),
                report: Box::new(report),
            });
        }
        Ok(report)
    }

    fn require(&self, name: &str) -> Result<&Place, Error> {
        self.tensors.get(name).ok_or_else(|| Error::NoTensor {
            path: self.path.clone(),
            tensor: name.to_string(),
        })
    }
}

/// What a shard holds that an earlier one holds already, to the byte.
fn repeated(files: &[TensorFile]) -> Result<HashSet<(usize, String)>, Error> {
    let mut first: HashMap<&str, usize> = HashMap::new();
    let mut repeated = HashSet::new();
    for (file, content) in files.iter().enumerate() {
        for info in content.tensors() {
            let earlier = *first.entry(&info.name).or_insert(file);
            let of = |at: usize| files[at].info(&info.name).map(|info| (info.dtype, &info.shape));
            if earlier == file {
                continue;
            }
            if of(earlier) != of(file) || files[earlier].read_bytes(&info.name)? != content.read_bytes(&info.name)? {
                return Err(Error::Contradiction {
                    tensor: info.name.clone(),
                    first: files[earlier].path().to_path_buf(),
                    second: content.path().to_path_buf(),
                });
            }
            repeated.insert((file, info.name.clone()));
        }
    }
    Ok(repeated)
}

/// The present name of a LayerNorm parameter of the first BERT checkpoints.
fn old_layer_norm(name: &str) -> Option<String> {
    let rename = |old, new| name.strip_suffix(old).map(|stem| format!("{stem}{new}"));
    rename("LayerNorm.gamma", "LayerNorm.weight").or_else(|| rename("LayerNorm.beta", "LayerNorm.bias"))
}

fn rename(path: &Path, named: impl Iterator<Item = (String, Place)>) -> Result<BTreeMap<String, Place>, Error> {
    let mut tensors = BTreeMap::new();
    for (name, place) in named {
        let stored = place.stored.clone();
        if let Some(other) = tensors.insert(name.clone(), place) {
            let path = path.to_path_buf();
            return Err(Error::AliasClash {
                path,
                tensor: name,
                first: other.stored,
                second: stored,
            });
        }
    }
    Ok(tensors)
}

fn read_config(file: &Path) -> Result<Value, Error> {
    let config = read_json(file, JsonFile::Config)?;
    if !config.is_object() {
        return Err(Error::json(file, "expected a JSON object"));
    }
    Ok(config)
}
