//! Model directories written tensor by tensor.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::card::Card;
use crate::convert::encode;
use crate::header::{self, check_name};
use crate::index::index_json;
use crate::names::{CONFIG_FILE, INDEX_FILE, WEIGHTS_FILE, printable};
use crate::{
    AtomicDir, Declared, Disk, DiskFile, Dtype, Error, Manifest, TOKENIZER_FILES, copy_side_files, copy_tokenizer,
    require_free_space,
};

/// Room asked for beyond payload and headers: index, manifest, configuration, card.
const SLACK_BYTES: u64 = 64 << 10;

/// Writes declared tensors in order, into `model.safetensors` or into shards with an index.
///
/// One block of converted elements is in memory at a time; headers are written first. Files are synced by
/// [`ModelWriter::finish`] and appear with the directory they are written into.
///
/// # Example
///
/// ```
/// use ligo_checkpoint::{AtomicDir, Declared, Dtype, ModelDir, ModelWriter};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// let dir = AtomicDir::begin(folder.path().join("model"))?;
/// let declared = |name: &str| Declared { name: name.into(), dtype: Dtype::F16, shape: vec![3] };
/// let mut writer = ModelWriter::new(&dir, vec![declared("a"), declared("b")], 6)?;
/// writer.write_f32("a", &[1.0, 2.0, 3.0])?;
/// writer.write_f32("b", &[4.0, 5.0, 6.0])?;
/// writer.finish()?;
/// dir.commit()?;
/// assert!(folder.path().join("model/model-00002-of-00002.safetensors").exists());
/// assert_eq!(ModelDir::open(folder.path().join("model"))?.read_f32("b")?, [4.0, 5.0, 6.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ModelWriter<'a> {
    dir: &'a AtomicDir,
    tensors: Vec<Declared>,
    /// Each tensor's shard and bytes inside it.
    places: Vec<(usize, Range<usize>)>,
    shards: Vec<Shard>,
    open: Option<(usize, DiskFile)>,
    next: usize,
    /// Bytes of the next tensor that are written.
    filled: usize,
}

#[derive(Debug)]
struct Shard {
    name: String,
    head: Vec<u8>,
}

impl<'a> ModelWriter<'a> {
    /// Plans the files for these tensors and checks that there is room for them.
    ///
    /// A shard holds tensors up to `max_shard_bytes` of payload together, and at least one.
    ///
    /// # Errors
    ///
    /// [`Error::TensorName`], [`Error::DuplicateTensor`], [`Error::ShapeTooLarge`], [`Error::NoSpace`].
    pub fn new(dir: &'a AtomicDir, tensors: Vec<Declared>, max_shard_bytes: u64) -> Result<Self, Error> {
        let groups = group(dir.target(), &tensors, max_shard_bytes)?;
        let names = match groups.len() {
            0 | 1 => vec![WEIGHTS_FILE.to_string()],
            n => (1..=n).map(|i| format!("model-{i:05}-of-{n:05}.safetensors")).collect(),
        };
        Self::plan(
            dir,
            tensors,
            groups.into_iter().zip(names).collect(),
            &[("format".into(), "pt".into())],
        )
    }

    /// All tensors in one file of this name, with this metadata.
    pub(crate) fn single(
        dir: &'a AtomicDir,
        file: &str,
        tensors: Vec<Declared>,
        metadata: Vec<(String, String)>,
    ) -> Result<Self, Error> {
        let groups = group(dir.target(), &tensors, u64::MAX)?;
        let files = groups.into_iter().map(|range| (range, file.to_string())).collect();
        Self::plan(dir, tensors, files, &metadata)
    }

    fn plan(
        dir: &'a AtomicDir,
        tensors: Vec<Declared>,
        files: Vec<(Range<usize>, String)>,
        metadata: &[(String, String)],
    ) -> Result<Self, Error> {
        let mut seen = HashSet::new();
        for Declared { name, .. } in &tensors {
            check_name(dir.target(), name)?;
            if !seen.insert(name) {
                return Err(Error::DuplicateTensor {
                    file: dir.target().to_path_buf(),
                    tensor: name.clone(),
                });
            }
        }
        let mut places = Vec::with_capacity(tensors.len());
        let mut shards = Vec::with_capacity(files.len());
        for (range, name) in files {
            let built = header::build(&tensors[range.clone()], metadata);
            let (head, ranges) = built.ok_or_else(|| too_large(dir.target(), &tensors[range.start]))?;
            places.extend(ranges.into_iter().map(|bytes| (shards.len(), bytes)));
            shards.push(Shard { name, head });
        }
        let payload = places.iter().map(|(_, bytes)| bytes.len() as u64);
        let heads = shards.iter().map(|shard: &Shard| shard.head.len() as u64);
        let needed = payload.chain(heads).fold(SLACK_BYTES, u64::saturating_add);
        // Files that were complete when an earlier process was killed.
        let there = shards
            .iter()
            .filter_map(|shard| std::fs::metadata(dir.path().join(&shard.name)).ok());
        let there: u64 = there.map(|metadata| metadata.len()).sum();
        require_free_space(dir.path(), needed.saturating_sub(there))?;
        Ok(Self {
            dir,
            tensors,
            places,
            shards,
            open: None,
            next: 0,
            filled: 0,
        })
    }

    /// The tensor that must be written next.
    pub fn next_tensor(&self) -> Option<&Declared> {
        self.tensors.get(self.next)
    }

    /// Writes `config.json`. Where it names the dtype of the weights (`dtype`, or `torch_dtype` before `transformers` 5), it names that of the
    /// declared ones, since `transformers` converts them to what it finds there.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn write_config(&self, config: &Value) -> Result<(), Error> {
        let mut config = config.clone();
        // The one that holds all of them: a narrower one would round the wider ones when the model is read.
        let dtypes = self.tensors.iter().map(|tensor| tensor.dtype);
        let written = dtypes
            .filter(|dtype| dtype.config_name().is_some())
            .reduce(Dtype::joined);
        if let (Some(fields), Some(written)) = (config.as_object_mut(), written.and_then(Dtype::config_name)) {
            for key in ["dtype", "torch_dtype"] {
                if let Some(name @ Value::String(_)) = fields.get_mut(key) {
                    *name = written.into();
                }
            }
        }
        self.dir.write(CONFIG_FILE, format!("{config:#}\n").as_bytes())
    }

    /// The file of each tensor, in their order.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.places.iter().map(|(shard, _)| self.shards[*shard].name.as_str())
    }

    /// The file that the next tensor belongs into; `None` when all are written.
    pub fn next_file(&self) -> Option<&str> {
        let (shard, _) = self.places.get(self.next)?;
        Some(&self.shards[*shard].name)
    }

    /// Passes over the tensors of the next tensor's file, which is complete already; returns how many they are.
    pub fn skip_file(&mut self) -> usize {
        let Some(shard) = self.places.get(self.next).map(|(shard, _)| *shard) else {
            return 0;
        };
        let rest = self.places[self.next..].iter();
        let skipped = rest.take_while(|(other, _)| *other == shard).count();
        self.next += skipped;
        skipped
    }

    /// Forces a file to the disk whose last tensor was just written, and returns its name.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn close_complete(&mut self) -> Result<Option<String>, Error> {
        let next = self.places.get(self.next).map(|(shard, _)| *shard);
        match self.open.take() {
            Some((shard, file)) if next != Some(shard) => {
                file.finish()?;
                Ok(Some(self.shards[shard].name.clone()))
            }
            other => {
                self.open = other;
                Ok(None)
            }
        }
    }

    /// Writes the next tensor, converted to its declared dtype.
    ///
    /// # Errors
    ///
    /// [`Error::WriteOrder`], [`Error::PayloadLength`], [`Error::NotWritable`], [`Error::Overflow`], [`Error::Write`].
    pub fn write_f32(&mut self, name: &str, values: &[f32]) -> Result<(), Error> {
        let declared = self.require_next(name)?.clone();
        let Declared { dtype, shape, .. } = declared;
        self.check_length(name, "elements", shape.iter().product(), values.len())?;
        let target = self.dir.target().to_path_buf();
        let file = self.seek_to_next()?;
        encode(dtype, values, |first, block| match block {
            Ok(block) => file.write_all(block),
            Err(fault) => Err(fault.of_tensor(&target, name, dtype, first)),
        })?;
        self.next += 1;
        Ok(())
    }

    /// Writes the next tensor's bytes as they are: little-endian, of the declared dtype.
    ///
    /// # Errors
    ///
    /// [`Error::WriteOrder`], [`Error::PayloadLength`], [`Error::Write`].
    pub fn write_bytes(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.require_next(name)?;
        self.check_length(name, "bytes", self.places[self.next].1.len(), bytes.len())?;
        self.seek_to_next()?.write_all(bytes)?;
        self.next += 1;
        Ok(())
    }

    /// Writes the next bytes of the next tensor, which [`ModelWriter::complete`] ends.
    ///
    /// # Errors
    ///
    /// [`Error::WriteOrder`], [`Error::PayloadLength`], [`Error::Write`].
    pub fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.require_next(name)?;
        let (whole, filled) = (self.places[self.next].1.len(), self.filled);
        if bytes.len() > whole - filled {
            self.check_length(name, "bytes", whole, filled.saturating_add(bytes.len()))?;
        }
        let file = self.seek_to_next()?;
        file.write_all(bytes)?;
        self.filled += bytes.len();
        Ok(())
    }

    /// Ends a tensor that was written by [`ModelWriter::append`].
    ///
    /// # Errors
    ///
    /// [`Error::WriteOrder`], [`Error::PayloadLength`].
    pub fn complete(&mut self, name: &str) -> Result<(), Error> {
        self.require_next(name)?;
        self.check_length(name, "bytes", self.places[self.next].1.len(), self.filled)?;
        // A file of nothing but empty tensors is a file, too.
        self.seek_to_next()?;
        (self.next, self.filled) = (self.next + 1, 0);
        Ok(())
    }

    /// A file whose last tensor was just written, and its name: whoever takes it forces it to the disk.
    pub fn take_complete(&mut self) -> Option<(String, DiskFile)> {
        let next = self.places.get(self.next).map(|(shard, _)| *shard);
        let (shard, file) = self.open.take_if(|(shard, _)| next != Some(*shard))?;
        Some((self.shards[shard].name.clone(), file))
    }

    /// The file that is being written.
    pub fn open_file(&self) -> Option<&DiskFile> {
        self.open.as_ref().map(|(_, file)| file)
    }

    /// What the file of the next tensor begins with, and whether its tensors are written in the order in which they lie there.
    pub fn next_head(&self) -> Option<(&[u8], bool)> {
        let (shard, _) = self.places.get(self.next)?;
        let own = || self.places.iter().filter(|(other, _)| other == shard);
        Some((
            &self.shards[*shard].head,
            own().is_sorted_by_key(|(_, bytes)| bytes.start),
        ))
    }

    /// Forces the last file to the disk and writes the index of a sharded model.
    ///
    /// # Errors
    ///
    /// [`Error::Unfinished`], [`Error::Write`].
    pub fn finish(mut self) -> Result<(), Error> {
        if let Some(first) = self.next_tensor() {
            let (missing, first) = (self.tensors.len() - self.next, first.name.clone());
            return Err(Error::Unfinished {
                path: self.dir.target().to_path_buf(),
                missing,
                first,
            });
        }
        if self.tensors.is_empty() {
            self.open_shard(0)?;
        }
        if let Some((_, file)) = self.open.take() {
            file.finish()?;
        }
        if self.shards.len() > 1 {
            let total = self.places.iter().map(|(_, bytes)| bytes.len() as u64).sum();
            let placed = self.tensors.iter().zip(&self.places);
            let placed = placed.map(|(tensor, (shard, _))| (tensor.name.as_str(), self.shards[*shard].name.as_str()));
            self.dir.write(INDEX_FILE, index_json(total, placed).as_bytes())?;
        }
        Ok(())
    }

    fn require_next(&self, name: &str) -> Result<&Declared, Error> {
        match self.next_tensor() {
            Some(declared) if declared.name == name => Ok(declared),
            other => Err(Error::WriteOrder {
                path: self.dir.target().to_path_buf(),
                expected: other.map(|declared| declared.name.clone()),
                found: printable(name),
            }),
        }
    }

    fn check_length(&self, name: &str, unit: &'static str, expected: usize, found: usize) -> Result<(), Error> {
        if expected == found {
            return Ok(());
        }
        let (path, tensor) = (self.dir.target().to_path_buf(), name.to_string());
        Err(Error::PayloadLength {
            path,
            tensor,
            unit,
            expected,
            found,
        })
    }

    /// The file of the next tensor, at its position; finishes the file before it.
    fn seek_to_next(&mut self) -> Result<&mut DiskFile, Error> {
        let (shard, begin) = (self.places[self.next].0, self.places[self.next].1.start + self.filled);
        let file = self.open_shard(shard)?;
        file.seek(begin as u64)?;
        Ok(file)
    }

    fn open_shard(&mut self, shard: usize) -> Result<&mut DiskFile, Error> {
        let current = match self.open.take() {
            Some((open, file)) if open == shard => file,
            before => {
                if let Some((_, file)) = before {
                    file.finish()?;
                }
                let mut file = self.dir.create(&self.shards[shard].name)?;
                file.write_all(&self.shards[shard].head)?;
                file
            }
        };
        Ok(&mut self.open.insert((shard, current)).1)
    }
}

/// Consecutive tensors whose payloads fit into one shard.
fn group(target: &Path, tensors: &[Declared], max_shard_bytes: u64) -> Result<Vec<Range<usize>>, Error> {
    let mut groups = Vec::new();
    let (mut begin, mut filled) = (0, 0u64);
    for (i, tensor) in tensors.iter().enumerate() {
        let bytes = tensor
            .dtype
            .bytes_of(&tensor.shape)
            .ok_or_else(|| too_large(target, tensor))? as u64;
        if i > begin && filled.saturating_add(bytes) > max_shard_bytes {
            groups.push(begin..i);
            (begin, filled) = (i, 0);
        }
        filled = filled.saturating_add(bytes);
    }
    groups.push(begin..tensors.len());
    Ok(groups)
}

fn too_large(target: &Path, tensor: &Declared) -> Error {
    Error::ShapeTooLarge {
        file: target.to_path_buf(),
        tensor: tensor.name.clone(),
        shape: tensor.shape.clone(),
    }
}

/// How [`write_model`] writes.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// The dtype the tensors are stored in: F32, F16 or BF16.
    pub dtype: Dtype,
    /// Payload of one shard; 5 GB unless changed.
    pub max_shard_bytes: u64,
    /// A folder whose tokenizer files are copied along.
    pub tokenizer_from: Option<PathBuf>,
    /// A model directory whose other side files are copied along.
    pub side_files_from: Option<PathBuf>,
    /// The model card.
    pub card: Option<Card>,
    /// Where changes go; a hook for tests.
    pub disk: Disk,
}

impl Default for WriteOptions {
    fn default() -> Self {
        let disk = Disk::default();
        Self {
            dtype: Dtype::F32,
            max_shard_bytes: 5_000_000_000,
            tokenizer_from: None,
            side_files_from: None,
            card: None,
            disk,
        }
    }
}

/// Writes a whole model directory from tensors in memory and commits it.
///
/// # Errors
///
/// As [`AtomicDir::begin`], [`ModelWriter`] and [`AtomicDir::commit`]. An earlier model at `target` is kept unless all
/// went well.
pub fn write_model<'a>(
    target: impl AsRef<Path>,
    config: &Value,
    tensors: impl IntoIterator<Item = (String, Vec<usize>, Cow<'a, [f32]>)>,
    options: &WriteOptions,
) -> Result<Manifest, Error> {
    let tensors: Vec<_> = tensors.into_iter().collect();
    let declare = |(name, shape, _): &(String, Vec<usize>, _)| {
        let (name, shape) = (name.clone(), shape.clone());
        Declared {
            name,
            dtype: options.dtype,
            shape,
        }
    };
    let dir = AtomicDir::begin_on(&options.disk, target)?;
    let mut writer = ModelWriter::new(&dir, tensors.iter().map(declare).collect(), options.max_shard_bytes)?;
    writer.write_config(config)?;
    if let Some(from) = &options.tokenizer_from {
        copy_tokenizer(from, &dir)?;
    }
    if let Some(from) = &options.side_files_from {
        copy_side_files(from, &dir, &TOKENIZER_FILES)?;
    }
    if let Some(card) = &options.card {
        card.write(&dir)?;
    }
    for (name, _, values) in &tensors {
        writer.write_f32(name, values)?;
    }
    writer.finish()?;
    dir.commit()
}
