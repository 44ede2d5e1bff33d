//! `ligo inspect`: what a model directory, a safetensors file, an operator or a checkpoint holds.

mod checkpoint;
mod model;
mod norms;
mod operator;

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use ligo_checkpoint::{CONFIG_FILE, MANIFEST_FILE, Manifest, Plain, TensorInfo, plain};
use ligo_cost::format::whole;
use ligo_growth::OPERATOR_JSON;
use ligo_pretrained::LoadError;
use serde_json::Value;

use crate::Failure;

const EXAMPLE: &str = "\
Examples:
  ligo inspect bert-base-uncased --tensors
  ligo inspect runs/demo/methods/ligo/operator --picture operator.svg
  ligo inspect runs/demo/small/checkpoints/step-500

The exit code is 1 when hashes do not hold, tensors are missing or weights are NaN or infinite; everything that can be read is printed all the same.";

/// Print what a model directory, a safetensors file, a growth operator or a training checkpoint holds.
///
/// For an operator: its settings, the shapes it maps between, every depth matrix as a heat map in text, the norms of the
/// width matrices (rows that stand for channels of the small model, and new ones), and how it was learned.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct InspectArgs {
    /// Model directory, .safetensors or PyTorch file, operator directory or checkpoint directory.
    pub path: PathBuf,

    /// List every tensor with dtype and shape.
    #[arg(long)]
    pub tensors: bool,

    /// Draw an operator: FILE.svg and FILE.png are written both.
    #[arg(long, value_name = "FILE.svg|FILE.png")]
    pub picture: Option<PathBuf>,
}

/// Why something cannot be shown, or what is wrong with it.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// A file is damaged or absent.
    #[error(transparent)]
    Checkpoint(#[from] ligo_checkpoint::Error),
    /// A directory is no model, or a tensor is missing or misshapen.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Weights cannot be read.
    #[error(transparent)]
    Growth(#[from] ligo_growth::Error),
    /// The picture cannot be drawn or written.
    #[error(transparent)]
    Report(#[from] ligo_report::Error),
    /// A configuration inside an operator is not valid.
    #[error("{}: {source}", path.display())]
    Config {
        /// The operator.
        path: PathBuf,
        /// What is wrong.
        source: ligo_arch::Error,
    },
    /// There is nothing at this place.
    #[error("{} does not exist", path.display())]
    Nothing {
        /// The path.
        path: PathBuf,
    },
    /// A description without what it describes.
    #[error(
        "{} is a file of JSON, expected a folder of a model, an operator or a checkpoint, or a file of tensors{}",
        path.display(), folder.as_ref().map_or(String::new(), |folder| format!(": pass {}", folder.display()))
    )]
    Description {
        /// The file.
        path: PathBuf,
        /// The folder around it, where that can be inspected.
        folder: Option<PathBuf>,
    },
    /// Weights are no numbers.
    #[error("{}: NaN or infinity in {}", path.display(), ligo_growth::listed(tensors))]
    NotFinite {
        /// The model.
        path: PathBuf,
        /// Tensors, and how many of their elements.
        tensors: Vec<(String, usize)>,
    },
    /// Only operators are drawn.
    #[error("--picture draws operators (directories with {}); {} is something else", OPERATOR_JSON, path.display())]
    NotAnOperator {
        /// What was inspected.
        path: PathBuf,
    },
    /// The picture's name has another ending.
    #[error("--picture {}: expected a name that ends in .svg or .png", path.display())]
    PictureName {
        /// The name.
        path: PathBuf,
    },
    /// Standard output cannot be written.
    #[error("cannot print: {0}")]
    Print(std::io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Program(Box::new(error))
    }
}

impl From<std::io::Error> for Error {
    fn from(source: std::io::Error) -> Self {
        Self::Print(source)
    }
}

/// Runs `ligo inspect` and prints to standard output.
///
/// # Errors
/// See [`Error`]. Faults of the content are returned after everything was printed.
pub fn run(args: &InspectArgs) -> Result<(), Error> {
    match run_to(args, &mut Plain(std::io::stdout().lock())) {
        // `ligo inspect … | head` is no error.
        Err(Error::Print(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn run_to(args: &InspectArgs, out: &mut dyn Write) -> Result<(), Error> {
    let path = args.path.as_path();
    if !path.exists() {
        return Err(Error::Nothing {
            path: path.to_path_buf(),
        });
    }
    if path.is_file() && path.extension().is_some_and(|extension| extension == "json") {
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let known = [OPERATOR_JSON, CONFIG_FILE]
            .iter()
            .any(|file| folder.join(file).is_file());
        return Err(Error::Description {
            path: path.to_path_buf(),
            folder: (known || checkpoint::is_checkpoint(folder)).then(|| folder.to_path_buf()),
        });
    }
    if path.join(OPERATOR_JSON).exists() {
        let stem = args.picture.as_deref().map(stem_of).transpose()?;
        return operator::inspect(path, stem.as_deref(), args.tensors, out);
    }
    if args.picture.is_some() {
        return Err(Error::NotAnOperator {
            path: path.to_path_buf(),
        });
    }
    if checkpoint::is_checkpoint(path) {
        return checkpoint::inspect(path, args.tensors, out);
    }
    model::inspect(path, args.tensors, out)
}

/// The picture's path without its ending.
fn stem_of(picture: &Path) -> Result<PathBuf, Error> {
    match picture.extension().and_then(|extension| extension.to_str()) {
        Some("svg" | "png") => Ok(picture.with_extension("")),
        _ => Err(Error::PictureName {
            path: picture.to_path_buf(),
        }),
    }
}

/// A name and its value, aligned with the others.
fn field(out: &mut dyn Write, name: &str, value: impl std::fmt::Display) -> Result<(), Error> {
    Ok(writeln!(out, "{name:<12} {value}")?)
}

/// Prints the state of a directory's manifest and returns what is wrong with it, as `check` has it: of a model it is what decides the model, since
/// people and hubs add files; of what only ligo writes it is everything.
fn manifest(
    dir: &Path,
    check: fn(&Path) -> Result<(), ligo_checkpoint::Error>,
    out: &mut dyn Write,
) -> Result<Option<ligo_checkpoint::Error>, Error> {
    if !dir.join(MANIFEST_FILE).exists() {
        field(out, "manifest", "none: nothing to check the files against")?;
        return Ok(None);
    }
    let checked = Manifest::read(dir).and_then(|manifest| check(dir).map(|()| manifest));
    match checked {
        Ok(manifest) => {
            let (files, size) = (manifest.files().len(), bytes(manifest.total_bytes()));
            field(out, "manifest", format!("{files} files, {size}, all hashes hold"))?;
            Ok(None)
        }
        Err(error) => {
            field(out, "manifest", format!("DAMAGED: {error}"))?;
            Ok(Some(error))
        }
    }
}

/// Tensors, elements and bytes for each dtype: `42 tensors, 12,345 elements: F32`.
fn summary<'a>(tensors: impl Iterator<Item = &'a TensorInfo>) -> String {
    let (mut number, mut elements, mut size) = (0_u64, 0_u64, 0_u64);
    let mut dtypes: Vec<(String, u64)> = Vec::new();
    for tensor in tensors {
        number += 1;
        elements += tensor.shape.iter().product::<usize>() as u64;
        size += tensor.range.len() as u64;
        let name = tensor.dtype.to_string();
        match dtypes.iter_mut().find(|(found, _)| *found == name) {
            Some((_, number)) => *number += 1,
            None => dtypes.push((name, 1)),
        }
    }
    let dtypes: Vec<String> = match dtypes.as_slice() {
        [(name, _)] => vec![name.clone()],
        several => several
            .iter()
            .map(|(name, number)| format!("{number} {name}"))
            .collect(),
    };
    let (elements, size, dtypes) = (whole(elements), bytes(size), dtypes.join(", "));
    format!("{number}, {elements} elements, {size}, {dtypes}")
}

/// One line for each tensor.
fn list<'a>(tensors: impl Iterator<Item = (&'a str, &'a TensorInfo)>, out: &mut dyn Write) -> Result<(), Error> {
    let tensors: Vec<_> = tensors.collect();
    let widest = tensors.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, tensor) in tensors {
        let stored = if tensor.name == name {
            String::new()
        } else {
            format!("  stored as {}", tensor.name)
        };
        let dtype = tensor.dtype.to_string();
        writeln!(out, "  {name:<widest$}  {dtype:<4}  {:?}{stored}", tensor.shape)?;
    }
    Ok(())
}

/// Every leaf of a JSON value as `dotted.key  value`; long arrays by their length.
fn leaves(value: &Value, prefix: &str, out: &mut dyn Write) -> Result<(), Error> {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let key = plain(key);
                let prefix = if prefix.is_empty() {
                    key
                } else {
                    format!("{prefix}.{key}")
                };
                leaves(value, &prefix, out)?;
            }
            Ok(())
        }
        Value::Null => Ok(()),
        Value::Array(items) if items.len() > 16 || items.iter().any(Value::is_object) => {
            Ok(writeln!(out, "  {prefix} = [{} entries]", items.len())?)
        }
        Value::String(text) => Ok(writeln!(out, "  {prefix} = {}", plain(text))?),
        other => Ok(writeln!(out, "  {prefix} = {other}")?),
    }
}

/// A size as people read it: `50.3 kB`.
fn bytes(value: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match UNITS.iter().find(|(size, _)| value >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", value as f64 / *size as f64),
        None => format!("{value} bytes"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(50_312), "50.3 kB");
        assert_eq!(bytes(438_000_000), "438.0 MB");
    }

    #[test]
    fn nested_values_become_dotted_keys() {
        let value = json!({"steps": 100, "loss": {"first": 4.5, "curve": [1, 2]}, "points": [{"a": 1}], "none": null});
        let mut out = Vec::new();
        leaves(&value, "", &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "  steps = 100\n  loss.first = 4.5\n  loss.curve = [1,2]\n  points = [1 entries]\n"
        );
    }

    #[test]
    fn what_a_file_says_forges_no_line_and_no_color() {
        let value = json!({"ke\u{1b}[31my": "fine\nmanifest     all hashes hold", "list": ["\u{9b}2J"]});
        let mut out = Vec::new();
        leaves(&value, "", &mut Plain(&mut out)).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }

    #[test]
    fn pictures_are_svg_or_png() {
        assert_eq!(stem_of(Path::new("a/op.svg")).unwrap(), Path::new("a/op"));
        assert_eq!(stem_of(Path::new("v1.2.png")).unwrap(), Path::new("v1.2"));
        for name in ["op", "op.jpg", "op.SVG.bak"] {
            assert!(
                matches!(stem_of(Path::new(name)), Err(Error::PictureName { .. })),
                "{name}"
            );
        }
    }

    #[test]
    fn only_an_operator_is_drawn() {
        let args = InspectArgs {
            path: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/bert/tied_4_heads"),
            tensors: false,
            picture: Some("picture.svg".into()),
        };
        let error = run_to(&args, &mut Vec::new()).unwrap_err();
        assert!(matches!(error, Error::NotAnOperator { .. }), "{error}");
    }
}
