use std::io::Write;
use std::path::Path;

use ligo_arch::ModelConfig;
use ligo_checkpoint::plain;
use ligo_checkpoint::{ModelDir, Report};
use ligo_cost::format::whole;
use ligo_pretrained::{describe, fit, read_config};

use super::{Error, bytes, field, list, manifest, summary};

/// Prints a model directory or a single file of tensors.
pub fn inspect(path: &Path, tensors: bool, out: &mut dyn Write) -> Result<(), Error> {
    let mut dir = ModelDir::open(path)?;
    let config = path.is_dir().then(|| read_config(&dir));
    if let Some(Ok(config)) = &config {
        field(out, "model", describe(config))?;
        let parameters = config.table().num_parameters() as u64;
        field(
            out,
            "parameters",
            format!("{}, optional tensors not counted", whole(parameters)),
        )?;
    }
    for file in dir.files() {
        let size = std::fs::metadata(file.path()).map_or(0, |metadata| metadata.len());
        let name = file
            .path()
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let number = file.tensors().len();
        field(out, "file", format!("{name}, {}, {number} tensors", bytes(size)))?;
    }
    field(
        out,
        "tensors",
        summary(dir.files().iter().flat_map(|file| file.tensors())),
    )?;
    let damage = if path.is_dir() {
        manifest(path, |dir| ligo_checkpoint::verify_model(dir), out)?
    } else {
        None
    };

    let (mut fault, mut known) = (None, None);
    match config {
        None => {}
        Some(Err(error)) => {
            field(out, "config.json", format!("NOT USABLE: {error}"))?;
            fault = Some(error);
        }
        Some(Ok(config)) => {
            field(out, "decoder", decoder(&config, &dir))?;
            match fit(ModelDir::open(path)?, &config) {
                Ok((renamed, optional, report)) => {
                    dir = renamed;
                    if !dir.stripped().is_empty() {
                        field(
                            out,
                            "prefix",
                            format!("`{}` of all names, left out", plain(dir.stripped())),
                        )?;
                    }
                    print_fit(&optional, &report, out)?;
                    known = Some(config);
                }
                Err(error) => {
                    field(out, "fit", error.to_string())?;
                    fault = Some(error);
                }
            }
        }
    }
    let not_finite = not_finite(&dir, known.as_ref())?;
    if !not_finite.is_empty() {
        field(out, "not finite", ligo_growth::listed(&not_finite))?;
    }
    if tensors {
        list(dir.names().filter_map(|name| Some((name, dir.info(name)?))), out)?;
    } else {
        writeln!(out, "(--tensors lists every tensor)")?;
    }
    match (damage, fault) {
        (Some(damage), _) => Err(damage.into()),
        (None, Some(fault)) => Err(fault.into()),
        (None, None) if !not_finite.is_empty() => Err(Error::NotFinite {
            path: path.to_path_buf(),
            tensors: not_finite,
        }),
        (None, None) => Ok(()),
    }
}

/// Tensors with NaN or infinity: of a model its parameters, since buffers may hold them, of other files any.
fn not_finite(dir: &ModelDir, config: Option<&ModelConfig>) -> Result<Vec<(String, usize)>, Error> {
    if let Some(config) = config {
        return Ok(ligo_growth::files::not_finite(dir, &config.table())?);
    }
    let mut found = Vec::new();
    for name in dir.names() {
        let count = dir.not_finite(name)?;
        found.extend((count > 0).then(|| (name.to_owned(), count)));
    }
    Ok(found)
}

fn decoder(config: &ModelConfig, dir: &ModelDir) -> String {
    let table = config.table();
    let tied: Vec<&str> = table
        .ties()
        .iter()
        .filter(|(alias, _)| alias.ends_with("weight"))
        .map(|(_, source)| source.as_str())
        .collect();
    let copies: Vec<&str> = table
        .ties()
        .iter()
        .map(|(alias, _)| alias.as_str())
        .filter(|a| dir.contains(a))
        .collect();
    let mut text = match tied.as_slice() {
        [] => "untied: a matrix of its own".to_owned(),
        sources => format!("tied to {}", sources.join(", ")),
    };
    if !copies.is_empty() {
        text.push_str(&format!("; the file also holds {}", copies.join(", ")));
    }
    text
}

fn print_fit(optional: &[String], report: &Report, out: &mut dyn Write) -> Result<(), Error> {
    field(out, "fit", "every tensor of the architecture is there, in its shape")?;
    if !optional.is_empty() {
        field(out, "optional", optional.join(", "))?;
    }
    if !report.extra.is_empty() {
        field(out, "not used", report.extra.join(", "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn fixture(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/fixtures/bert")
            .join(name)
    }

    fn shown(path: &Path, tensors: bool) -> (String, Result<(), Error>) {
        let mut out = Vec::new();
        let result = inspect(path, tensors, &mut out);
        (String::from_utf8(out).unwrap(), result)
    }

    #[test]
    fn a_model_is_described_with_its_files_and_ties() {
        let (text, result) = shown(&fixture("sharded"), false);
        result.unwrap();
        for part in ["BERT, ", "model-00003-of-00003.safetensors", "F32", "manifest     none"] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        let (text, _) = shown(&fixture("untied_3_heads"), false);
        assert!(text.contains("untied"), "{text}");
        let (text, _) = shown(&fixture("bf16_relu"), false);
        assert!(text.contains("BF16"), "{text}");
    }

    #[test]
    fn old_names_are_listed_beside_todays() {
        let (text, result) = shown(&fixture("pretraining_legacy_names"), true);
        result.unwrap();
        assert!(text.contains("embeddings.LayerNorm.weight"), "{text}");
        assert!(text.contains("stored as bert.embeddings.LayerNorm.gamma"), "{text}");
        assert!(text.contains("cls.seq_relationship.weight"), "{text}");
    }

    #[test]
    fn a_single_file_needs_no_configuration() {
        let (text, result) = shown(&fixture("tied_4_heads/reference.safetensors"), true);
        result.unwrap();
        assert!(text.contains("logits") && text.contains("[2, 12, 61]"), "{text}");
    }

    #[test]
    fn weights_that_are_no_numbers_are_named_and_buffers_may_hold_them() {
        let config = ModelConfig::Gpt2(ligo_arch::Gpt2Config::new(11, 8, 1, 2));
        let written = |buffer: f32, weight: f32| {
            let folder = tempfile::tempdir().unwrap();
            let table = config.table();
            let tensors = ligo_growth::init::initial_values(&table, 0.02, 1);
            let mut values: std::collections::HashMap<String, Vec<f32>> =
                tensors.map(|(name, _, values)| (name, values)).collect();
            values.get_mut("transformer.ln_f.weight").unwrap()[3] = weight;
            let table = config.table();
            let params: Vec<_> = table.params().collect();
            let mut tensors = ligo_growth::files::to_files(&table, &params, &values).unwrap();
            tensors.push(("transformer.h.0.attn.masked_bias".into(), vec![1], vec![buffer].into()));
            let path = folder.path().join("m");
            ligo_checkpoint::write_model(&path, &config.to_json(), tensors, &Default::default()).unwrap();
            shown(&path, false)
        };
        let (text, result) = written(f32::NEG_INFINITY, 1.0);
        assert!(result.is_ok() && !text.contains("not finite"), "{text}");
        for weight in [f32::NAN, f32::INFINITY] {
            let (text, result) = written(0.0, weight);
            let error = result.unwrap_err();
            assert!(matches!(error, Error::NotFinite { .. }), "{error}");
            for message in [text, error.to_string()] {
                assert!(
                    message.contains("`transformer.ln_f.weight` (1 of its values)"),
                    "{message}"
                );
            }
        }
    }

    #[test]
    fn a_directory_that_does_not_fit_is_printed_and_refused() {
        let folder = tempfile::tempdir().unwrap();
        let from = fixture("tied_4_heads");
        let config = std::fs::read_to_string(from.join("config.json")).unwrap();
        let config = config.replace("\"intermediate_size\": 64", "\"intermediate_size\": 65");
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        std::fs::copy(from.join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
        let (text, result) = shown(folder.path(), false);
        assert!(matches!(result, Err(Error::Load(_))));
        assert!(
            text.contains("intermediate.dense.weight: expected [65, 32], found [64, 32]"),
            "{text}"
        );
        assert!(text.contains("model.safetensors,"), "{text}");
    }
}
