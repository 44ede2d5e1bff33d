//! BERT and RoBERTa: their parameters and what they compute, under each head.

mod behavior;
mod heads;
mod parameters;
mod roberta;

use std::collections::BTreeMap;

use ligo_arch::ModelConfig;

/// Name and shape of every parameter in the table.
fn table_shapes(config: &ModelConfig, with_optional: bool) -> BTreeMap<String, Vec<usize>> {
    let table = config.table();
    let params = table.params().filter(|p| p.spec.required || with_optional);
    params.map(|p| (p.name, p.shape)).collect()
}
