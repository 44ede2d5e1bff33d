//! A model's tensors compared with what its architecture asks for.

use std::collections::HashSet;

use crate::{Misshapen, ModelDir, Report, Unreadable};

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

/// What [`ModelDir::check`] finds.
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
