use std::borrow::Cow;
use std::collections::HashMap;

use crate::Error;

/// Where the small model's tensors come from: memory, or a file that is read tensor by tensor.
pub trait WeightSource {
    /// The values of a tensor in row-major order.
    ///
    /// # Errors
    /// The tensor is missing or cannot be read.
    fn values(&mut self, name: &str) -> Result<Cow<'_, [f32]>, Error>;

    /// Whether the tensor exists.
    fn has(&self, name: &str) -> bool;
}

/// A model whose tensors are all in memory.
#[derive(Clone, Debug, Default)]
pub struct MemorySource {
    tensors: HashMap<String, Vec<f32>>,
}

impl MemorySource {
    /// Keeps `(name, shape, values)`.
    pub fn new(tensors: impl IntoIterator<Item = (String, Vec<usize>, Vec<f32>)>) -> Self {
        Self {
            tensors: tensors.into_iter().map(|(name, _, values)| (name, values)).collect(),
        }
    }
}

impl WeightSource for MemorySource {
    fn values(&mut self, name: &str) -> Result<Cow<'_, [f32]>, Error> {
        let values = self.tensors.get(name);
        let values = values.ok_or_else(|| Error::MissingTensor { name: name.into() })?;
        Ok(Cow::Borrowed(values))
    }

    fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }
}

impl WeightSource for ligo_checkpoint::ModelDir {
    fn values(&mut self, name: &str) -> Result<Cow<'_, [f32]>, Error> {
        Ok(Cow::Owned(self.read_f32(name)?))
    }

    fn has(&self, name: &str) -> bool {
        self.contains(name)
    }
}

impl WeightSource for &ligo_checkpoint::ModelDir {
    fn values(&mut self, name: &str) -> Result<Cow<'_, [f32]>, Error> {
        Ok(Cow::Owned(self.read_f32(name)?))
    }

    fn has(&self, name: &str) -> bool {
        self.contains(name)
    }
}
