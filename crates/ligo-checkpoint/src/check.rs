//! A model's tensors compared with what its architecture asks for.

use std::collections::HashSet;
use std::fmt;

use crate::{Dtype, ModelDir};

/// One tensor that an architecture has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// The name, as [`ModelDir::names`] gives it.
    pub name: String,
    /// The shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// Whether it may be absent, as a tied decoder weight may.
    pub optional: bool,
}

impl TensorSpec {
    /// A tensor that must be there.
    pub fn new(name: impl Into<String>, shape: impl Into<Vec<usize>>) -> Self {
        Self {
            name: name.into(),
            shape: shape.into(),
            optional: false,
        }
    }

    /// The same tensor, allowed to be absent.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
}

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

/// The outcome of [`ModelDir::check`].
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

pub(crate) fn compare(model: &ModelDir, table: &[TensorSpec]) -> Report {
    let mut report = Report::default();
    for TensorSpec { name, shape, optional } in table {
        let Some(info) = model.info(name) else {
            if *optional {
                report.absent.push(name.clone());
            } else {
                report.missing.push((name.clone(), shape.clone()));
            }
            continue;
        };
        if info.shape != *shape {
            let (expected, found) = (shape.clone(), info.shape.clone());
            report.misshapen.push(Misshapen {
                name: name.clone(),
                expected,
                found,
            });
        }
        if !info.dtype.is_float() {
            report.unreadable.push(Unreadable {
                name: name.clone(),
                found: info.dtype,
            });
        }
    }
    let known: HashSet<&str> = table.iter().map(|spec| spec.name.as_str()).collect();
    report.extra = model
        .names()
        .filter(|name| !known.contains(name))
        .map(String::from)
        .collect();
    report
}
