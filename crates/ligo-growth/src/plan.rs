//! What a grown directory will hold: which tensors, of which dtypes, and what its configuration calls it.

use std::collections::HashMap;

use ligo_arch::{FileTensor, ModelConfig, Param, ParamTable};
use ligo_checkpoint::{Declared, Dtype, ModelDir};
use serde_json::{Value, json};

use crate::files;

const ARCHITECTURES: &str = "architectures";

/// The tensors and the configuration of a model that is to be grown.
pub(crate) struct Plan {
    /// By name, as the `safetensors` library orders a file.
    pub tensors: Vec<Planned>,
    /// What `config.json` will say.
    pub config: Value,
    /// Tensors beyond the table that are taken over as they are, and those that cannot be.
    pub carried: Vec<String>,
    pub left_out: Vec<String>,
    /// Tensors of 64 bits that are written with 32.
    pub narrowed: usize,
}

/// One tensor that will be written.
pub(crate) struct Planned {
    pub declared: Declared,
    /// What it is grown from; nothing when it is taken over as it is.
    pub grown: Option<FileTensor>,
}

impl Plan {
    /// Each tensor has the dtype that it has in the small model, unless another one is asked for.
    pub fn new(
        source: &ModelDir,
        small: &ParamTable,
        large: &ModelConfig,
        params: &[Param<'_>],
        dtype: Option<Dtype>,
    ) -> Self {
        let table = large.table();
        let own = dtypes(source, small);
        let templates: HashMap<&str, &str> = params
            .iter()
            .map(|p| (p.name.as_str(), p.spec.template.as_str()))
            .collect();
        let mut narrowed = 0;
        let mut tensors = Vec::new();
        for tensor in table.written_tensors(params) {
            let parts = tensor
                .parts
                .iter()
                .filter_map(|part| own.get(templates[part.param.as_str()]));
            let found = parts.copied().reduce(|a, b| if a == b { a } else { a.joined(b) });
            let kept = found.map_or(Dtype::F32, |found| found.joined(found));
            narrowed += usize::from(found == Some(Dtype::F64) && dtype.is_none());
            tensors.push(Planned {
                declared: Declared {
                    name: tensor.name.clone(),
                    dtype: dtype.unwrap_or(kept),
                    shape: tensor.shape.clone(),
                },
                grown: Some(tensor),
            });
        }
        let beyond = files::beyond(source, small);
        let (carried, left_out): (Vec<String>, Vec<String>) =
            beyond.into_iter().partition(|name| stays_as_it_is(name, small, &table));
        for info in carried.iter().filter_map(|name| Some((name, source.info(name)?))) {
            let (name, info) = info;
            let kept = if info.dtype.is_float() {
                info.dtype.joined(info.dtype)
            } else {
                info.dtype
            };
            let asked = dtype.filter(|_| info.dtype.is_float());
            tensors.push(Planned {
                declared: Declared {
                    name: name.clone(),
                    dtype: asked.unwrap_or(kept),
                    shape: info.shape.clone(),
                },
                grown: None,
            });
        }
        tensors.sort_by(|a, b| a.declared.name.cmp(&b.declared.name));
        Self {
            tensors,
            config: config(large, !left_out.is_empty()),
            carried,
            left_out,
            narrowed,
        }
    }

    /// For the writer.
    pub fn declared(&self) -> Vec<Declared> {
        self.tensors.iter().map(|tensor| tensor.declared.clone()).collect()
    }

    /// What tells this plan from another one.
    pub fn identity(&self) -> Value {
        let tensors = self.tensors.iter().map(|tensor| &tensor.declared);
        tensors.map(|t| json!([t.name, t.dtype.name(), t.shape])).collect()
    }
}

/// The dtype of each row of the small model's table: of layers that differ, one that holds all of them. Buffers have no row.
fn dtypes<'a>(source: &ModelDir, small: &'a ParamTable) -> HashMap<&'a str, Dtype> {
    let mut dtypes: HashMap<&str, Dtype> = HashMap::new();
    for param in small.params() {
        if let Some(info) = source.info(&param.name) {
            let row = dtypes.entry(param.spec.template.as_str()).or_insert(info.dtype);
            if *row != info.dtype {
                *row = row.joined(info.dtype);
            }
        }
    }
    dtypes
}

/// Whether a tensor that no table knows fits the large model as it is: only the number of layers grows, and the tensor belongs to none of them.
fn stays_as_it_is(name: &str, small: &ParamTable, large: &ParamTable) -> bool {
    let same_sizes = large.sizes().all(|(axis, size)| small.size(axis) == size);
    let same_depths = large.depths().all(|(stack, depth)| small.depth(stack) == depth);
    let in_a_layer = name.split('.').any(|part| part.parse::<usize>().is_ok());
    same_sizes && (same_depths || !in_a_layer)
}

/// Where tensors are left out, the class that had a use for them does not describe the model any more.
fn config(large: &ModelConfig, something_is_left_out: bool) -> Value {
    let mut config = large.to_file();
    if let (true, Some(class), Some(fields)) = (something_is_left_out, large.architecture(), config.as_object_mut()) {
        fields.insert(ARCHITECTURES.into(), json!([class]));
    }
    config
}
