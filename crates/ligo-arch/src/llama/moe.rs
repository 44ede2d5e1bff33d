//! What a Mixtral (arXiv:2401.04088) and a Qwen3 mixture of experts (arXiv:2505.09388) have otherwise than a Llama: layers with several feed-forward
//! networks, of which each token goes through a few.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{LAYERS, LlamaConfig};
use crate::family::SparseSizes;
use crate::rows::Rows;
use crate::{Axis, Error, Role, limits};

/// The experts of a model's sparse layers, and how tokens come to them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Experts {
    /// Experts of a layer.
    pub count: usize,
    /// Experts that a token goes through: those of the largest probabilities.
    pub active: usize,
    /// Neurons of an expert.
    pub neurons: usize,
    /// Whether the probabilities of those are divided by their sum.
    pub normalized: bool,
    /// How much the loss that balances experts weighs in training, where it is asked for.
    pub balance: Option<f64>,
}

/// One of them has a field for the numbers of layers without experts, and for each so many-th layer that has some.
pub(crate) const DENSE_LAYERS: &str = "mlp_only_layers";
pub(crate) const STEP: &str = "decoder_sparse_step";

/// What files call the number of experts; the latter where the former is not there.
pub(crate) const COUNTS: [&str; 2] = ["num_local_experts", "num_experts"];
pub(crate) const ACTIVE: &str = "num_experts_per_tok";
pub(crate) const NEURONS: &str = "moe_intermediate_size";
pub(crate) const NORMALIZED: &str = "norm_topk_prob";
const BALANCED: &str = "output_router_logits";
const BALANCE: &str = "router_aux_loss_coef";
const JITTER: &str = "router_jitter_noise";

/// Far above every published model; of all layers together so many that a table of them fits into memory.
const MOST: usize = 1 << 12;
const MOST_OF_ALL_LAYERS: usize = 1 << 17;

/// The matrices of an expert: here, in a Mixtral's files, and the module.
const MATRICES: [(&str, &str, &str); 3] = [
    ("gate_proj", "w1", "expert_gate"),
    ("up_proj", "w3", "expert_in"),
    ("down_proj", "w2", "expert_out"),
];

/// Those of a layer without experts.
const DENSE: [(&str, &str); 3] = [
    ("gate_proj", "ffn_gate"),
    ("up_proj", "ffn_in"),
    ("down_proj", "ffn_out"),
];

impl LlamaConfig {
    fn is_mixture(&self) -> bool {
        ["mixtral", "qwen3_moe"].contains(&self.model_type.as_str())
    }

    /// The experts, in families that have some.
    pub fn experts(&self) -> Option<Experts> {
        if !self.is_mixture() {
            return None;
        }
        let is_qwen = self.model_type == "qwen3_moe";
        let count = |default: usize, fields: &[&'static str]| number(&self.extra, fields).unwrap_or(default);
        let says = |field: &str| self.extra.get(field).and_then(Value::as_bool);
        let balance = || self.extra.get(BALANCE).and_then(Value::as_f64).unwrap_or(0.001);
        Some(Experts {
            count: count(if is_qwen { 128 } else { 8 }, &COUNTS),
            active: count(if is_qwen { 8 } else { 2 }, &[ACTIVE]),
            neurons: match is_qwen {
                true => count(768, &[NEURONS]),
                false => self.intermediate_size,
            },
            normalized: !is_qwen || says(NORMALIZED) == Some(true),
            balance: (says(BALANCED) == Some(true)).then(balance),
        })
    }

    /// Whether a layer has experts.
    pub fn is_sparse(&self, layer: usize) -> bool {
        let dense = self.extra.get(DENSE_LAYERS).and_then(Value::as_array);
        let step = number(&self.extra, &[STEP]).unwrap_or(1).max(1);
        match self.model_type.as_str() {
            "mixtral" => true,
            "qwen3_moe" => {
                let is_dense = dense.is_some_and(|dense| dense.iter().any(|i| i.as_u64() == Some(layer as u64)));
                (layer + 1).is_multiple_of(step) && !is_dense
            }
            _ => false,
        }
    }

    /// The layers with experts, and those without.
    fn split(&self) -> [BTreeSet<usize>; 2] {
        let (sparse, dense) = (0..self.num_hidden_layers).partition(|layer| self.is_sparse(*layer));
        [sparse, dense]
    }

    /// Whether some layer has one feed-forward network.
    pub(super) fn has_dense_layers(&self) -> bool {
        (0..self.num_hidden_layers).any(|layer| !self.is_sparse(layer))
    }

    pub(super) fn sparse_sizes(&self) -> Option<SparseSizes> {
        self.experts().map(|experts| SparseSizes {
            layers: self.split()[0].len(),
            experts: experts.count,
            active: experts.active,
            ffn: experts.neurons,
        })
    }
}

/// The first of these fields that is a number.
fn number(extra: &Map<String, Value>, fields: &[&'static str]) -> Option<usize> {
    let found = fields.iter().find_map(|field| extra.get(*field)?.as_u64());
    found.and_then(|n| usize::try_from(n).ok())
}

/// The feed-forward networks of a mixture.
pub(super) fn rows(c: &LlamaConfig, experts: Experts, rows: &mut Rows) {
    let h = Axis::HIDDEN;
    let [sparse, dense] = c.split();
    let mut add = |name: String, axes: [Axis; 2], module, layers: &BTreeSet<usize>, stored: Option<String>| {
        if layers.is_empty() {
            return;
        }
        let mut row = rows.layered(LAYERS, &name, &axes, module, Role::Weight);
        if layers.len() < c.num_hidden_layers {
            row = row.in_layers(layers.iter().copied());
        }
        if let Some(stored) = stored {
            row.called(LAYERS.template(&stored));
        }
    };
    let axes = |matrix: &str, neurons| match matrix {
        "down_proj" => [h, neurons],
        _ => [neurons, h],
    };
    for (matrix, module) in DENSE {
        let name = format!("mlp.dense.{matrix}.weight");
        add(
            name,
            axes(matrix, Axis::FFN),
            module,
            &dense,
            Some(format!("mlp.{matrix}.weight")),
        );
    }
    let is_mixtral = c.model_type == "mixtral";
    let router = is_mixtral.then(|| "block_sparse_moe.gate.weight".into());
    add("mlp.gate.weight".into(), [Axis::EXPERTS, h], "router", &sparse, router);
    for expert in 0..experts.count {
        for (matrix, stored, module) in MATRICES {
            let name = format!("mlp.experts.{expert}.{matrix}.weight");
            let stored = is_mixtral.then(|| format!("block_sparse_moe.experts.{expert}.{stored}.weight"));
            add(name, axes(matrix, Axis::EXPERT_FFN), module, &sparse, stored);
        }
    }
}

/// Refuses what is no mixture, or one of another kind.
pub(super) fn check(c: &LlamaConfig) -> Result<(), Error> {
    let Some(experts) = c.experts() else { return Ok(()) };
    let is_number = |value: &Value| value.as_u64().is_some();
    for field in COUNTS.into_iter().chain([ACTIVE, NEURONS, STEP]) {
        expect(&c.extra, field, is_number, "a whole number of 1 or more")?;
    }
    for field in [NORMALIZED, BALANCED] {
        expect(&c.extra, field, Value::is_boolean, "true or false")?;
    }
    let is_weight = |value: &Value| value.as_f64().is_some_and(|weight| (0.0..=1e3).contains(&weight));
    expect(&c.extra, BALANCE, is_weight, "a number from 0 to 1000, such as 0.001")?;
    let is_off = |value: &Value| value.as_f64() == Some(0.0);
    expect(&c.extra, JITTER, is_off, "0.0")?;
    let are_numbers = |value: &Value| value.as_array().is_some_and(|layers| layers.iter().all(is_number));
    expect(&c.extra, DENSE_LAYERS, are_numbers, "a list of the numbers of layers")?;
    if c.model_type == "qwen3_moe" {
        limits::sizes([(STEP, number(&c.extra, &[STEP]).unwrap_or(1), limits::LAYERS)])?;
    }
    limits::sizes([
        (COUNTS[usize::from(c.model_type == "qwen3_moe")], experts.count, MOST),
        (ACTIVE, experts.active, experts.count),
        (NEURONS, experts.neurons, limits::NEURONS),
        (
            "num_hidden_layers · experts",
            experts.count.saturating_mul(c.num_hidden_layers),
            MOST_OF_ALL_LAYERS,
        ),
    ])
}

/// Refuses a field that is there and says something else.
fn expect(
    extra: &Map<String, Value>,
    field: &'static str,
    fits: impl Fn(&Value) -> bool,
    supported: &'static str,
) -> Result<(), Error> {
    match extra.get(field).filter(|value| !value.is_null() && !fits(value)) {
        None => Ok(()),
        Some(found) => Err(Error::Unsupported {
            field,
            found: found.to_string(),
            supported,
        }),
    }
}
