//! A `config.json` that a user wrote for a model that is yet to be made.

use std::path::Path;

use ligo_arch::{Axis, Change, ModelConfig};
use ligo_checkpoint::{CONFIG_FILE, JsonFile, plain};
use ligo_experiment::recipe::inherit;
use ligo_pretrained::LoadError;
use serde_json::{Map, Value};

use crate::Failure;

/// Reads a configuration file and adds one field, such as the vocabulary size, when the file leaves it out.
///
/// # Errors
/// The file cannot be read or is not a valid configuration.
pub fn read_config(path: &Path, (field, value): (&str, usize)) -> Result<ModelConfig, Failure> {
    let mut fields = read_fields(path)?;
    let named = field == "num_labels" && fields.contains_key("id2label");
    if !named {
        fields.entry(field).or_insert_with(|| value.into());
    }
    config(path, fields)
}

/// Reads the configuration of the model that a small one becomes: what the file leaves out is as it is there, as in a recipe.
///
/// Returned with it are the changes, no sizes, by which the large model would compute something else with the same weights; all of them are among `allowed`.
///
/// # Errors
/// As [`read_config`]; the file asks for a change that is not allowed.
pub fn read_large(path: &Path, small: &ModelConfig, allowed: &[String]) -> Result<(ModelConfig, Vec<Change>), Failure> {
    let mut fields = read_fields(path)?;
    if let Some(other) = fields.get("model_type").and_then(Value::as_str)
        && ModelConfig::MODEL_TYPES.contains(&other)
        && other != small.model_type()
    {
        return Err(Failure::Arch(ligo_arch::Error::FamiliesDiffer {
            small: small.model_type().into(),
            large: other.into(),
        }));
    }
    inherit(&mut fields, &small.to_json());
    let large = config(path, fields)?;
    check_rows(path, small, &large)?;
    let changes = small.changes_to(&large);
    if let Some(field) = allowed
        .iter()
        .find(|field| !changes.iter().any(|change| change.field == **field))
    {
        let names: Vec<&str> = changes.iter().map(|change| change.field).collect();
        return Err(Failure::other(
            format!(
                "--allow-change {}: {} changes no such field",
                plain(field),
                path.display()
            ),
            match names.as_slice() {
                [] => "leave it out: the file changes nothing but sizes".to_owned(),
                names => format!("what it changes beside sizes is {}", names.join(", ")),
            },
        ));
    }
    let is_allowed = |change: &&Change| allowed.iter().any(|field| field == change.field);
    let refused: Vec<&Change> = changes.iter().filter(|change| !is_allowed(change)).collect();
    if refused.is_empty() {
        return Ok((large, changes));
    }
    let names: Vec<&str> = refused.iter().map(|change| change.field).collect();
    let list: Vec<String> = refused.iter().map(ToString::to_string).collect();
    Err(Failure::other(
        format!(
            "{} changes what the model computes, beside its size: {}",
            path.display(),
            list.join(", ")
        ),
        format!(
            "leave {} out to have the small model's value, or pass --allow-change {}",
            if names.len() == 1 { "the field" } else { "the fields" },
            names.join(",")
        ),
    ))
}

/// Refuses another vocabulary or other positions: these tables become longer before anything else grows, by options of their own.
fn check_rows(path: &Path, small: &ModelConfig, large: &ModelConfig) -> Result<(), Failure> {
    let tables = [small.table(), large.table()];
    for (axis, option) in [(Axis::VOCAB, "--vocab"), (Axis::POSITION, "--positions")] {
        let [few, many] = [&tables[0], &tables[1]].map(|table| table.size(axis));
        if few == many || large.image_shape().is_some() {
            continue;
        }
        let leave_out = "leave the field out to have the small model's";
        return Err(Failure::other(
            format!(
                "{} asks for a {axis} of {many}, and the small model has {few}",
                path.display()
            ),
            match many > few {
                true => format!(
                    "{leave_out}, or make the table longer first: ligo grow --small SMALL {option} {many} --out LONGER, then --small LONGER"
                ),
                false => format!("{leave_out}; no table becomes shorter"),
            },
        ));
    }
    Ok(())
}

fn read_fields(path: &Path) -> Result<Map<String, Value>, Failure> {
    let not_json = |message: String| {
        Failure::other(
            format!("{} is not JSON: {message}", path.display()),
            "expected a Hugging Face config.json",
        )
    };
    if path.is_dir() {
        let config = path.join(CONFIG_FILE);
        return Err(Failure::other(
            format!("{} is a folder, expected a Hugging Face config.json", path.display()),
            match config.is_file() {
                true => format!("pass {}", config.display()),
                false => format!("there is no {CONFIG_FILE} in it"),
            },
        ));
    }
    match ligo_checkpoint::read_json(path, JsonFile::Config) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(not_json("it holds no object".into())),
        Err(ligo_checkpoint::Error::Json { message, .. }) => Err(not_json(message)),
        Err(other) => Err(other.into()),
    }
}

fn config(path: &Path, fields: Map<String, Value>) -> Result<ModelConfig, Failure> {
    let config = ModelConfig::from_json(&Value::Object(fields));
    let path = path.to_path_buf();
    config.map_err(|source| Failure::Load(LoadError::Config { path, source }))
}
