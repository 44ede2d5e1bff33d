//! What a Phi-3 (arXiv:2404.14219) has otherwise than a Llama: fused matrices, a rotation of its own, dropout behind sub-layers.

use serde_json::{Map, Value};

use super::{LAYERS, LlamaConfig};
use crate::rope::Base;
use crate::rows::Row;
use crate::{Axis, Error, RopeParameters, Rotation, limits};

const SHARE: &str = "partial_rotary_factor";
const DROPOUT: &str = "resid_pdrop";

/// What the reference takes where a file does not say what the model was first trained on.
const ORIGINAL: usize = 4096;

/// Files hold queries, keys and values as one matrix, and gates and neurons as another.
pub(super) fn fuse(row: Row<'_>, module: &str) {
    let attention = (
        "self_attn.qkv_proj.weight",
        [Axis::QUERY, Axis::KEY, Axis::VALUE].as_slice(),
    );
    let neurons = ("mlp.gate_up_proj.weight", [Axis::FFN, Axis::FFN].as_slice());
    let ((name, parts), part) = match module {
        "query" => (attention, 0),
        "key" => (attention, 1),
        "value" => (attention, 2),
        "ffn_gate" => (neurons, 0),
        "ffn_in" => (neurons, 1),
        _ => return,
    };
    row.part(LAYERS.template(name), parts, part, false);
}

/// What is turned of each head.
pub(super) fn base(c: &LlamaConfig, whole: Base) -> Base {
    let beside = || c.extra.get(SHARE).and_then(Value::as_f64);
    let share = c
        .scaling()
        .and_then(RopeParameters::share)
        .or_else(beside)
        .unwrap_or(1.0);
    Base {
        head_dim: (whole.head_dim as f64 * share) as usize,
        share,
        original: whole.original.or(Some(ORIGINAL)),
        ..whole
    }
}

/// The rotation; by the names of older files too.
pub(super) fn rotation(c: &LlamaConfig) -> Result<Rotation, Error> {
    let Some(said) = c.scaling() else {
        return c.rope().rotation(None);
    };
    let kind = match said.kind() {
        "su" | "yarn" => "longrope",
        kind => kind,
    };
    if !["default", "longrope"].contains(&kind) {
        return Err(Error::Unsupported {
            field: "rope_type",
            found: kind.into(),
            supported: "default or longrope",
        });
    }
    let said = RopeParameters {
        rope_type: Some(kind.into()),
        ..said.clone()
    };
    c.rope().rotation(Some(&said))
}

/// Dropout on what a sub-layer gives.
pub(super) fn dropout(extra: &Map<String, Value>) -> f64 {
    extra.get(DROPOUT).and_then(Value::as_f64).unwrap_or(0.0)
}

pub(super) fn check(c: &LlamaConfig) -> Result<(), Error> {
    if let Some(given) = c.extra.get(DROPOUT).filter(|given| given.as_f64().is_none()) {
        return Err(Error::Unsupported {
            field: DROPOUT,
            found: given.to_string(),
            supported: "a number from 0 to below 1",
        });
    }
    limits::dropouts([(DROPOUT, dropout(&c.extra))])?;
    let Base { share, head_dim, .. } = c.rope();
    if !(share <= 1.0 && head_dim > 0 && head_dim.is_multiple_of(2)) {
        return Err(Error::Number {
            field: SHARE,
            found: share,
            expected: "a share of 0 to 1 of a head that is an even number of dimensions",
        });
    }
    Ok(())
}
