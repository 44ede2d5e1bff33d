//! One file of tensors.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use memmap2::{Mmap, UncheckedAdvice};

use crate::convert::{count_not_finite, decode};
use crate::disguise::recognize_tensors;
use crate::header::{self, TensorInfo};
use crate::strict::require_file;
use crate::torch::{self, Strides};
use crate::{Dtype, Error};

/// A safetensors file, or one of PyTorch (`.bin`, `.pt`, `.pth`, `.ckpt`), whose header has been validated and whose payload is read on demand.
///
/// Of a file of PyTorch no code runs: what is no dictionary of tensors is refused ([`Error::PickleGlobal`]).
///
/// # Mapped files
///
/// [`TensorFile::open`] maps the file into memory. As with every memory map, the process gets `SIGBUS` if another process
/// shortens the file while it is open. Files that this crate writes are replaced by rename and never changed in place.
pub struct TensorFile {
    path: PathBuf,
    content: Content,
    metadata: Vec<(String, String)>,
    tensors: Vec<TensorInfo>,
    by_name: HashMap<String, usize>,
    /// Tensors of a PyTorch file whose elements are not in the order of a matrix, and those once they were asked for.
    strided: HashMap<String, (Strides, OnceLock<Vec<u8>>)>,
}

enum Content {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

impl fmt::Debug for TensorFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TensorFile")
            .field("path", &self.path)
            .field("tensors", &self.tensors.len())
            .finish_non_exhaustive()
    }
}

impl TensorFile {
    /// Opens a file and validates its header; reads no payload.
    ///
    /// # Errors
    ///
    /// An I/O error, or the first fault of the header, naming the file and the tensor.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let metadata = require_file(path)?;
        if metadata.len() < 8 {
            return Err(Error::FileTooShort {
                file: path.to_path_buf(),
                found: metadata.len(),
            });
        }
        let file = File::open(path).map_err(Error::io("open", path))?;
        // SAFETY: the map is read-only and only handed out as bytes that outlive nothing but `self`. A concurrent writer
        // could change them; no code here relies on two reads of the same byte being equal.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io("map", path))?;
        Self::new(path, Content::Mapped(map))
    }

    /// A file that is already in memory; `name` stands for its path in errors.
    ///
    /// # Errors
    ///
    /// As [`TensorFile::open`].
    pub fn from_bytes(name: impl AsRef<Path>, content: Vec<u8>) -> Result<Self, Error> {
        Self::new(name.as_ref(), Content::Owned(content))
    }

    fn new(path: &Path, content: Content) -> Result<Self, Error> {
        let bytes = content.bytes();
        if is_of_torch(path) {
            return Self::of_torch(path, content);
        }
        let header = header::parse(path, bytes).map_err(|error| recognize_tensors(path, bytes).unwrap_or(error))?;
        Ok(Self::assemble(path, content, header.metadata, header.tensors))
    }

    fn of_torch(path: &Path, content: Content) -> Result<Self, Error> {
        let found = match torch::parse(path, content.bytes()) {
            // What a download leaves when it goes wrong, and no pickle of older versions.
            Err(error @ Error::PytorchBin { .. }) if !content.bytes().starts_with(b"\x80") => {
                return Err(recognize_tensors(path, content.bytes()).unwrap_or(error));
            }
            found => found?,
        };
        let mut strided = HashMap::new();
        let tensors = found.into_iter().map(|(info, strides)| {
            strided.extend(strides.map(|strides| (info.name.clone(), (strides, OnceLock::new()))));
            info
        });
        let tensors = tensors.collect();
        let file = Self::assemble(path, content, Vec::new(), tensors);
        Ok(Self { strided, ..file })
    }

    fn assemble(path: &Path, content: Content, metadata: Vec<(String, String)>, tensors: Vec<TensorInfo>) -> Self {
        let named = tensors.iter().enumerate();
        Self {
            path: path.to_path_buf(),
            by_name: named.map(|(i, info)| (info.name.clone(), i)).collect(),
            content,
            metadata,
            tensors,
            strided: HashMap::new(),
        }
    }

    /// A tensor's payload, in the order of a matrix.
    fn payload(&self, info: &TensorInfo) -> &[u8] {
        let bytes = self.content.bytes();
        match self.strided.get(&info.name) {
            Some((strides, gathered)) => gathered.get_or_init(|| strides.gather(bytes, info)),
            None => &bytes[info.range.clone()],
        }
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tensors, in the order of their payloads.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The value of a key in the header's `__metadata__`.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// What the header says about a tensor.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.by_name.get(name).map(|&i| &self.tensors[i])
    }

    /// A tensor's payload, little-endian.
    ///
    /// # Errors
    ///
    /// [`Error::NoTensor`].
    pub fn read_bytes(&self, name: &str) -> Result<&[u8], Error> {
        let info = self.require(name)?;
        Ok(self.payload(info))
    }

    /// A tensor's elements as `f32`: `f32` bit for bit, `f16` and `bf16` exactly, `f64` rounded to nearest.
    ///
    /// # Errors
    ///
    /// [`Error::NoTensor`]; [`Error::NotFloat`] for other dtypes.
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>, Error> {
        let info = self.require(name)?;
        decode(info.dtype, self.payload(info)).ok_or_else(|| self.not_float(&info.name, info.dtype))
    }

    /// How many elements are NaN or infinite as `f32`; 0 for dtypes that are no floating-point numbers.
    ///
    /// # Errors
    ///
    /// [`Error::NoTensor`].
    pub fn not_finite(&self, name: &str) -> Result<usize, Error> {
        let info = self.require(name)?;
        Ok(count_not_finite(info.dtype, self.payload(info)))
    }

    /// Gives back the memory that mapped a tensor's payload; it is read from the file again where it is asked for again.
    pub fn release(&self, name: &str) {
        #[cfg(unix)]
        if let (Some(info), Content::Mapped(map)) = (self.info(name), &self.content) {
            // SAFETY: the map is a read-only one of a file: pages that are dropped come back with the file's content.
            let _ =
                unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, info.range.start, info.range.len()) };
        }
    }

    /// Makes several tensors of one, which lie in it one behind the other. One that has not exactly their elements stays, as does one whose elements are not in
    /// the order of a matrix, and nothing is done then.
    pub(crate) fn split(&mut self, name: &str, parts: &[(String, Vec<usize>)]) -> bool {
        let count = |shape: &[usize]| shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
        let counts: Option<Vec<usize>> = parts.iter().map(|(_, shape)| count(shape)).collect();
        let (Some(&at), Some(counts)) = (self.by_name.get(name), counts) else {
            return false;
        };
        let whole = &self.tensors[at];
        let is_filled = counts.iter().try_fold(0usize, |sum, count| sum.checked_add(*count)) == count(&whole.shape);
        if !is_filled || !whole.dtype.bits().is_multiple_of(8) || self.strided.contains_key(name) {
            return false;
        }
        let (dtype, mut begin) = (whole.dtype, whole.range.start);
        let made = parts.iter().zip(counts).map(|((name, shape), count)| {
            let end = begin + count * dtype.bits() / 8;
            let info = TensorInfo {
                name: name.clone(),
                dtype,
                shape: shape.clone(),
                range: begin..end,
            };
            begin = end;
            info
        });
        let made: Vec<TensorInfo> = made.collect();
        self.tensors.splice(at..=at, made);
        let named = self.tensors.iter().enumerate();
        self.by_name = named.map(|(i, info)| (info.name.clone(), i)).collect();
        true
    }

    fn require(&self, name: &str) -> Result<&TensorInfo, Error> {
        self.info(name).ok_or_else(|| Error::NoTensor {
            path: self.path.clone(),
            tensor: name.to_string(),
        })
    }

    fn not_float(&self, tensor: &str, found: Dtype) -> Error {
        Error::NotFloat {
            file: self.path.clone(),
            tensor: tensor.to_string(),
            found,
        }
    }
}

impl Content {
    fn bytes(&self) -> &[u8] {
        match self {
            Content::Mapped(map) => map,
            Content::Owned(bytes) => bytes,
        }
    }
}

/// Whether a file's name is that of one of PyTorch.
fn is_of_torch(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ["bin", "pt", "pth", "ckpt"].contains(&ending.to_ascii_lowercase().as_str())
}
