//! `ligo verify`: runs a model on fixed inputs and compares the result with `transformers` or with an earlier run.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use burn::tensor::Device;
use clap::Args;
use ligo_checkpoint::{Plain, plain};
use ligo_cost::format::whole;
use ligo_pretrained::{LoadError, Source, describe, open_model};
use ligo_verify::{Answer, Comparison, Dump, Inputs, Question, Values};
use sha2::{Digest, Sha256};

use crate::Failure;

const EXAMPLE: &str = "\
Examples:
  ligo verify runs/demo/methods/ligo/model
  ligo verify model --dump cpu.safetensors
  ligo verify model --device gpu --against cpu.safetensors --tolerance 1e-3

The token ids are always the same for models of the same vocabulary and length, so two runs can be compared.
`transformers` (of a CaiT and of folders of timm's, `timm`) is asked when --python, LIGO_PYTHON, python3 or python has it.";

/// Run a model on fixed inputs and compare it with `transformers`.
///
/// Checks the directory (hashes, names, shapes), computes logits and hidden states, prints their summary, and compares the
/// logits with what `transformers` computes from the same directory, where Python has it. The exit code is 1 when they differ.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct VerifyArgs {
    /// Model directory: config.json and model.safetensors or shards.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,

    /// Write inputs, logits and hidden states.
    ///
    /// The file holds input_ids, attention_mask, token_type_ids (i64), logits and hidden.0, hidden.1, ... (f32; 0 is after
    /// the embeddings). It is replaced at once or not at all.
    #[arg(long, value_name = "FILE.safetensors")]
    pub dump: Option<PathBuf>,

    /// Run on the inputs of this dump and compare the logits with its logits.
    #[arg(long, value_name = "FILE.safetensors")]
    pub against: Option<PathBuf>,

    /// The Python that has `transformers` and `torch`; it is an error when it lacks them.
    #[arg(long, value_name = "PROGRAM")]
    pub python: Option<PathBuf>,

    /// Largest allowed difference of a logit.
    #[arg(long, value_name = "NUMBER", default_value_t = 1e-4)]
    pub tolerance: f64,
}

/// Why a model is not verified.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// The directory cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A dump, the device or the reference.
    #[error(transparent)]
    Compared(#[from] ligo_verify::Error),
    /// Standard output is closed.
    #[error("cannot print: {0}")]
    Print(#[from] std::io::Error),
    /// The model computes infinities or NaN.
    #[error("{found} of {count} logits are not finite numbers")]
    NotFinite {
        /// How many.
        found: usize,
        /// Out of how many.
        count: usize,
    },
    /// The logits are not the expected ones.
    #[error("the logits differ from those of {other} by up to {}, allowed is {tolerance:e}", number(*difference))]
    Differs {
        /// What they were compared with.
        other: String,
        /// The largest difference; `None` when it is no finite number.
        difference: Option<f64>,
        /// The largest allowed difference.
        tolerance: f64,
    },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Program(Box::new(error))
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or("NaN or infinity".into(), |value| format!("{value:.1e}"))
}

/// Runs `ligo verify` and prints to standard output.
///
/// # Errors
/// See [`Error`]; a difference beyond the tolerance is one.
pub fn run(args: &VerifyArgs, device: &Device) -> Result<(), Error> {
    match run_to(args, device, &mut Plain(std::io::stdout().lock())) {
        // `ligo verify … | head` is no error.
        Err(Error::Print(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn run_to(args: &VerifyArgs, device: &Device, out: &mut dyn Write) -> Result<(), Error> {
    let source = open_model(&args.dir)?;
    let model = source.model(device)?;
    let shapes = model.param_shapes();
    let parameters: usize = shapes.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
    writeln!(out, "{}", describe(&source.config))?;
    writeln!(
        out,
        "{} parameters in {} tensors",
        whole(parameters as u64),
        shapes.len()
    )?;

    let other = args.against.as_deref().map(Dump::open).transpose()?;
    let inputs = match &other {
        Some(other) => other.inputs(&source.config)?,
        None => Inputs::fixed(&source.config),
    };
    writeln!(out, "inputs: {inputs}")?;
    let features = inputs.features(device);
    let states = model.hidden_states(&features).map_err(LoadError::from)?;
    let hidden = states.into_iter().map(Values::of).collect::<Result<Vec<_>, _>>()?;
    let logits = Values::of(model.logits(&features).map_err(LoadError::from)?)?;
    summarize(&logits, out)?;
    if let Some(path) = &args.dump {
        ligo_verify::write(path, &inputs, &logits, &hidden)?;
        writeln!(out, "written: {}", path.display())?;
    }
    let not_finite = logits.values.iter().filter(|value| !value.is_finite()).count();
    if not_finite > 0 {
        let count = logits.values.len();
        return Err(Error::NotFinite {
            found: not_finite,
            count,
        });
    }
    if let Some(other) = &other {
        let comparison = other.compare(&logits, &hidden)?;
        judge(&comparison, args.tolerance, out)?;
    }
    ask_reference(args, &source, &inputs, &logits, &hidden, out)
}

fn summarize(logits: &Values, out: &mut dyn Write) -> Result<(), Error> {
    let n = logits.values.len().max(1) as f64;
    let values = || logits.values.iter().map(|value| f64::from(*value));
    let mean = values().sum::<f64>() / n;
    let deviation = (values().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt();
    let digest = digest(&logits.values);
    writeln!(
        out,
        "logits: {:?}, mean {mean:.6}, std {deviation:.6}, sha256 of 3 decimals {digest}",
        logits.shape
    )?;
    Ok(())
}

/// The begin of the hash of the values rounded to three decimals: equal on machines that differ in the last bits only,
/// but for values that are just between two roundings.
fn digest(values: &[f32]) -> String {
    let mut hasher = Sha256::new();
    for value in values {
        // `+ 0.0` makes one zero of two.
        hasher.update(format!("{:.3};", (f64::from(*value) * 1e3).round() / 1e3 + 0.0));
    }
    hasher
        .finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn judge(comparison: &Comparison, tolerance: f64, out: &mut dyn Write) -> Result<(), Error> {
    let Comparison {
        other,
        difference,
        per_layer,
    } = comparison;
    // A NaN is no agreement.
    let agrees = difference.is_some_and(|difference| difference <= tolerance);
    let verdict = if agrees { "agrees" } else { "DIFFERS" };
    writeln!(
        out,
        "{verdict}: largest logit difference from {other} {}, allowed {tolerance:e}",
        number(*difference)
    )?;
    for (name, difference) in per_layer {
        if !difference.is_some_and(|difference| difference <= tolerance) {
            writeln!(out, "  {name} differs by {}", number(*difference))?;
        }
    }
    if agrees {
        return Ok(());
    }
    Err(Error::Differs {
        other: other.clone(),
        difference: *difference,
        tolerance,
    })
}

fn ask_reference(
    args: &VerifyArgs,
    source: &Source,
    inputs: &Inputs,
    logits: &Values,
    hidden: &[Values],
    out: &mut dyn Write,
) -> Result<(), Error> {
    let scratch = tempfile::tempdir()?;
    let dump = scratch.path().join("dump.safetensors");
    ligo_verify::write(&dump, inputs, logits, hidden)?;
    out.flush()?;
    let table = source.config.table();
    let beyond = ligo_growth::files::beyond(&source.dir, &table);
    let class = source.config.architecture();
    // Neither a CaiT nor what `timm` writes is a model of `transformers`.
    let library = if class.is_some() { "transformers" } else { "timm" };
    let question = Question {
        model: &args.dir,
        class: class.as_deref(),
        library,
        is_carried: &|key| source.optional.iter().chain(&beyond).any(|name| name == key),
        is_buffer: &|key| table.is_buffer(key),
        tolerance: args.tolerance,
    };
    match ligo_verify::ask(&question, &dump, scratch.path(), args.python.as_deref())? {
        Answer::Nobody(reason) => writeln!(
            out,
            "not compared with {library}: {reason}; --python PATH (or LIGO_PYTHON) names a Python that has {library} and torch"
        )?,
        Answer::Compared {
            comparison,
            keys,
            carried,
        } => {
            judge(&comparison, args.tolerance, out)?;
            if let Some(error) = keys {
                return Err(error.into());
            }
            if carried.is_empty() {
                writeln!(out, "{library} finds no missing and no unexpected key")?;
            } else {
                let carried = plain(&carried.join(", "));
                writeln!(
                    out,
                    "{library} finds no missing key, and none that its class should have; carried along: {carried}"
                )?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_ignores_the_last_bits_and_the_sign_of_zero() {
        assert_eq!(digest(&[0.123_401, -0.0]), digest(&[0.123_399, 0.0]));
        assert_ne!(digest(&[0.123]), digest(&[0.124]));
        assert_eq!(digest(&[1.0]).len(), 16);
    }

    #[test]
    fn a_difference_beyond_the_tolerance_and_a_nan_are_errors_with_their_layers() {
        let comparison = |difference| Comparison {
            other: "a dump".into(),
            difference,
            per_layer: vec![("hidden.0".into(), Some(1e-7)), ("hidden.1".into(), Some(0.5))],
        };
        let mut out = Vec::new();
        assert!(judge(&comparison(Some(1e-5)), 1e-4, &mut out).is_ok());
        for difference in [Some(0.2), None] {
            let mut out = Vec::new();
            let error = judge(&comparison(difference), 1e-4, &mut out);
            assert!(matches!(error, Err(Error::Differs { .. })));
            let text = String::from_utf8_lossy(&out).into_owned();
            assert!(
                text.contains("hidden.1 differs by 5.0e-1") && !text.contains("hidden.0"),
                "{text}"
            );
        }
    }
}
