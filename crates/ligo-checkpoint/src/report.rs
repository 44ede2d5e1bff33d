//! What a model lacks and has beyond what its architecture asks for.

use std::fmt;

use crate::Dtype;

/// A tensor whose shape is not the expected one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misshapen {
    /// The tensor.
    pub name: String,
    /// What the architecture asks for.
    pub expected: Vec<usize>,
    /// What the file holds.
    pub found: Vec<usize>,
}

/// A tensor whose dtype cannot be read as `f32`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The tensor.
    pub name: String,
    /// Its dtype.
    pub found: Dtype,
}

/// The outcome of [`ModelDir::check`](crate::ModelDir::check).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Required tensors that are not there, with the expected shape.
    pub missing: Vec<(String, Vec<usize>)>,
    /// Tensors of a wrong shape.
    pub misshapen: Vec<Misshapen>,
    /// Tensors of a dtype that cannot be read as `f32`.
    pub unreadable: Vec<Unreadable>,
    /// Optional tensors that are not there.
    pub absent: Vec<String>,
    /// Tensors that the table does not have.
    pub extra: Vec<String>,
}

impl Report {
    /// Whether the model cannot be used with the table.
    pub fn is_fatal(&self) -> bool {
        !(self.missing.is_empty() && self.misshapen.is_empty() && self.unreadable.is_empty())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (missing, misshapen, unreadable) = (self.missing.len(), self.misshapen.len(), self.unreadable.len());
        write!(
            f,
            "{missing} missing, {misshapen} misshapen, {unreadable} of a wrong dtype, {} extra",
            self.extra.len()
        )?;
        for (name, expected) in &self.missing {
            write!(f, "\n  missing   {name} {expected:?}")?;
        }
        for Misshapen { name, expected, found } in &self.misshapen {
            write!(f, "\n  misshapen {name}: expected {expected:?}, found {found:?}")?;
        }
        if self.misshapen.iter().any(|tensor| tensor.found == [0]) {
            write!(
                f,
                "\n  Tensors of shape [0] are what DeepSpeed ZeRO 3 saves in place of weights that lie on several devices; join these with its \
                 zero_to_fp32.py, which lies beside the checkpoint"
            )?;
        }
        for Unreadable { name, found } in &self.unreadable {
            write!(f, "\n  dtype     {name}: expected F32, F64, F16 or BF16, found {found}")?;
        }
        if !self.unreadable.is_empty() {
            write!(
                f,
                "\n  Quantized weights have no meaning without their scales; take the model that was not quantized, or \
                 call dequantize() on it in transformers and save it"
            )?;
        }
        for name in &self.extra {
            write!(f, "\n  extra     {name}")?;
        }
        Ok(())
    }
}
