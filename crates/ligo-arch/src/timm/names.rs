//! What `timm` calls the tensors of a vision transformer that `transformers` calls otherwise.

use crate::rows::{Row, Rows, Stack};
use crate::{Axis, Extent, Stored};

/// Its layers.
const BLOCKS: Stack = Stack {
    name: "blocks",
    path: "blocks",
};

/// Names outside of layers, behind the name of the model or of the head.
const OUTSIDE: [(&str, &str); 8] = [
    ("embeddings.cls_token", "cls_token"),
    ("embeddings.distillation_token", "dist_token"),
    ("embeddings.position_embeddings", "pos_embed"),
    ("embeddings.patch_embeddings.projection", "patch_embed.proj"),
    ("layernorm", "norm"),
    ("classifier", "head"),
    ("cls_classifier", "head"),
    ("distillation_classifier", "head_dist"),
];

/// Names inside of a layer.
const INSIDE: [(&str, &str); 5] = [
    ("layernorm_before", "norm1"),
    ("attention.output.dense", "attn.proj"),
    ("layernorm_after", "norm2"),
    ("intermediate.dense", "mlp.fc1"),
    ("output.dense", "mlp.fc2"),
];

/// Parts of the fused `attn.qkv`, in order.
const FUSED: [&str; 3] = [
    "attention.attention.query",
    "attention.attention.key",
    "attention.attention.value",
];

/// Says of every row how `timm` stores it. What it has no name for, the pooler, is left out.
pub(crate) fn stored_as_in_timm(rows: &mut Rows, base: &str, layers: Stack) {
    let (inside, base) = (layers.template(""), format!("{base}."));
    rows.0.retain_mut(|spec| {
        let name = spec.template.clone();
        let (path, stack) = match name.strip_prefix(&inside) {
            Some(path) => (path, Some(BLOCKS)),
            None => (name.strip_prefix(&base).unwrap_or(&name), None),
        };
        let (module, end) = match path.rsplit_once('.') {
            Some((module, end @ ("weight" | "bias"))) => (module, format!(".{end}")),
            _ => (path, String::new()),
        };
        if let Some(part) = FUSED.iter().position(|name| *name == module) {
            let parts = [Axis::QUERY, Axis::KEY, Axis::VALUE];
            Row::of(spec).part(BLOCKS.template(&format!("attn.qkv{end}")), &parts, part, false);
            return true;
        }
        let names: &[(&str, &str)] = if stack.is_some() { &INSIDE } else { &OUTSIDE };
        let Some((_, called)) = names.iter().find(|(name, _)| *name == module) else {
            return false;
        };
        let called = format!("{called}{end}");
        let template = stack.map_or(called.clone(), |stack| stack.template(&called));
        let shape = spec.axes.iter().map(|axis| Extent::Axis(*axis)).collect();
        let stored = spec.stored.get_or_insert_with(|| Stored {
            template: String::new(),
            shape,
            transposed: false,
            parts: spec.axes[..1].to_vec(),
            part: 0,
            interleaved: None,
            columns: None,
            from_one: false,
        });
        stored.template = template;
        true
    });
}
