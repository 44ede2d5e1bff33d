//! Models as `timm` (pytorch-image-models) writes them: a `config.json` that names an architecture and the arguments of its constructor.
//!
//! Such a file becomes a configuration of a family that is known, which keeps what the file says under [`FIELD`]. Its tensors are then stored under
//! `timm`'s names, and [`written`] makes the file again.

mod architectures;
mod arguments;
mod names;

use serde_json::{Map, Value, json};

use crate::{Error, Sides};
use architectures::Kind;

pub(crate) use arguments::{Arguments, ClassAttention, EPSILON};
pub(crate) use names::stored_as_in_timm;

/// The field of a configuration that holds what `timm`'s file said.
pub(crate) const FIELD: &str = "timm";

/// Whether this is a file of `timm`'s.
pub(crate) fn is_one(json: &Value) -> bool {
    json.get("model_type").is_none() && json.get("architecture").is_some_and(Value::is_string)
}

/// Whether a configuration was one, from its further fields.
pub(crate) fn is_kept(extra: &Map<String, Value>) -> bool {
    extra.contains_key(FIELD)
}

/// The file's architecture, and its content.
fn parsed(file: &Value) -> Result<(architectures::Architecture, &Map<String, Value>), Error> {
    let name = file.get("architecture").and_then(Value::as_str).unwrap_or_default();
    let architecture = architectures::find(name).ok_or_else(|| Error::TimmArchitecture {
        found: name.escape_debug().to_string(),
        nearest: architectures::nearest(name),
        known: architectures::NAMES,
    })?;
    let content = file.as_object().ok_or_else(|| Error::TimmArgument {
        argument: FIELD.into(),
        found: file.to_string(),
        expected: "an object".into(),
    })?;
    Ok((architecture, content))
}

/// The same in the words of `transformers`, with the file under [`FIELD`].
pub(crate) fn translated(file: &Value) -> Result<Value, Error> {
    let (architecture, content) = parsed(file)?;
    let arguments = Arguments::of(content, architecture)?;
    let mut fields = json!({
        "model_type": match architecture.kind {
            Kind::Vit => "vit",
            Kind::Distilled => "deit",
            Kind::Cait => "cait",
        },
        "hidden_size": arguments.embed_dim,
        "num_hidden_layers": arguments.depth,
        "num_attention_heads": arguments.num_heads,
        "intermediate_size": arguments.neurons,
        "hidden_act": arguments.act,
        "qkv_bias": arguments.qkv_bias,
        "layer_norm_eps": EPSILON,
        "image_size": Sides::of(arguments.img_size),
        "patch_size": Sides::of(arguments.patch_size),
        "num_channels": arguments.in_chans,
        "num_labels": arguments.num_classes,
        "attention_probs_dropout_prob": arguments.attn_drop_rate,
        "drop_path_rate": arguments.drop_path_rate,
        FIELD: file,
    });
    if let Some(class) = arguments.class_attention {
        fields["depth_token_only"] = json!(class.depth);
        fields["intermediate_size_token_only"] = json!(class.neurons);
        fields["init_values"] = json!(class.init_values);
    }
    Ok(fields)
}

/// Checks that a configuration whose files are `timm`'s can be written as one: no argument says another ε or other dropout.
pub(crate) fn check(
    extra: &Map<String, Value>,
    epsilon: f64,
    dropout: f64,
    arguments: impl FnOnce() -> Arguments,
) -> Result<(), Error> {
    if !is_kept(extra) {
        return Ok(());
    }
    for (field, found, only, supported) in [
        ("layer_norm_eps", epsilon, EPSILON, "1e-6 where files are timm's"),
        ("hidden_dropout_prob", dropout, 0.0, "0 where files are timm's"),
    ] {
        if found != only {
            return Err(Error::Unsupported {
                field,
                found: found.to_string(),
                supported,
            });
        }
    }
    file(extra, &arguments()).map(|_| ())
}

/// The `config.json` of `timm`'s for a configuration that came from one, from its further fields and what such a file would say of it.
pub(crate) fn written(extra: &Map<String, Value>, arguments: &Arguments) -> Option<Value> {
    file(extra, arguments).ok().flatten()
}

fn file(extra: &Map<String, Value>, arguments: &Arguments) -> Result<Option<Value>, Error> {
    let Some(kept) = extra.get(FIELD) else { return Ok(None) };
    let (architecture, content) = parsed(kept)?;
    let mut content = content.clone();
    arguments.write(&mut content, architecture)?;
    // What is written is what is read again.
    let again = Arguments::of(&content, architecture)?;
    if again != *arguments {
        return Err(Error::TimmArgument {
            argument: "model_args".into(),
            found: format!("{arguments:?}"),
            expected: "sizes and settings that arguments of timm's can say".into(),
        });
    }
    if let Some(names) = class_names(extra) {
        content.insert("label_names".into(), names);
    }
    Ok(Some(content.into()))
}

/// Names that classes got here, in their order.
fn class_names(extra: &Map<String, Value>) -> Option<Value> {
    let names = extra.get("id2label")?.as_object()?;
    let listed = (0..names.len()).map(|class| names.get(&class.to_string()).cloned());
    listed.collect::<Option<Vec<Value>>>().map(Value::from)
}

#[cfg(test)]
mod tests;
