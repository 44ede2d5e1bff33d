//! Handing a model over to another program that trains it further, with the same tokens, masks, schedule and update rule.

mod refused;
mod torchtitan;

use std::collections::BTreeMap;
use std::path::Path;

use ligo_arch::{ModelConfig, Task};
use ligo_checkpoint::AtomicDir;
use ligo_data::{Masking, TokenStore};
use ligo_train::{OptimizerKind, TrainConfig};
use serde_json::{Value, json};

use crate::Failure;
use crate::json::pretty;
use crate::recipe::DataSection;

pub use refused::Refused;
pub use torchtitan::torchtitan;

/// Batches as `ligo train` makes them, for both programs.
const TOKENS_PY: (&str, &str) = ("tokens.py", include_str!("tokens.py"));
const LAUNCH: &str = "launch.sh";
/// Settings that the script reads.
const SETTINGS: &str = "ligo.json";
/// The learning rate of each step, as little-endian doubles.
const RATES: &str = "rates.f64";
const FORMAT: u32 = 1;

/// A training run as `ligo train` would do it.
#[derive(Clone, Copy, Debug)]
pub struct Exported<'a> {
    /// The directory of the model that it starts from.
    pub model: &'a Path,
    /// Its configuration.
    pub config: &'a ModelConfig,
    /// The settings, with the seeds of the run.
    pub train: &'a TrainConfig,
    /// How tokens become samples.
    pub data: &'a DataSection,
    /// The training tokens, of which batches can be made for the model.
    pub tokens: &'a TokenStore,
}

/// Writes a directory with a script for Hugging Face Accelerate that does the run: `train.py`, how it is started, and its settings.
///
/// # Errors
/// The run asks for something that the script cannot do ([`Refused`]); the directory cannot be written.
pub fn accelerate(run: &Exported<'_>, out: &Path) -> Result<(), Failure> {
    check(run, "Accelerate")?;
    let mut settings = settings(run)?;
    let table = run.config.table();
    let decay: BTreeMap<String, bool> = table
        .params()
        .map(|param| (param.name.clone(), param.spec.role.decays()))
        .collect();
    settings["decay"] = json!(decay);
    if run.config.task() == Task::MaskedLm {
        settings["masking"] = masking(run);
    }
    let files = [
        ("train.py", include_str!("accelerate/train.py")),
        (LAUNCH, include_str!("accelerate/launch.sh")),
    ];
    write(run, &settings, &files, out)
}

/// Writes settings, rates and scripts, and makes the one executable that starts them.
fn write(run: &Exported<'_>, settings: &Value, scripts: &[(&str, &str)], out: &Path) -> Result<(), Failure> {
    let dir = AtomicDir::begin(out)?;
    dir.write(SETTINGS, pretty(settings)?.as_bytes())?;
    let rates = (0..run.train.steps).flat_map(|step| run.train.lr(step).to_le_bytes());
    dir.write(RATES, &rates.collect::<Vec<u8>>())?;
    for (name, text) in scripts.iter().chain([&TOKENS_PY]) {
        dir.write(name, text.as_bytes())?;
    }
    dir.commit()?;
    let launch = out.join(LAUNCH);
    make_executable(&launch).map_err(Failure::io("make executable", &launch))
}

#[cfg(unix)]
fn make_executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Refuses what the scripts have no counterpart of.
fn check(run: &Exported<'_>, program: &'static str) -> Result<(), Refused> {
    let train = run.train;
    let mut asked: Vec<String> = train.special_passes().into_iter().map(str::to_owned).collect();
    if train.optimizer.kind != OptimizerKind::Adamw {
        asked.push("optimizer.kind other than adamw".into());
    }
    if train.average.is_some() {
        asked.push("average".into());
    }
    if train.matrix_lr_factor != 1.0 {
        asked.push("matrix_lr_factor".into());
    }
    if train.needs_new_entries() {
        asked.push("rates of their own for new weights".into());
    }
    if run.data.stay_in_document {
        asked.push("--stay-in-document".into());
    }
    if !matches!(run.config.task(), Task::MaskedLm | Task::CausalLm) {
        asked.push("a model that is no language model".into());
    }
    if asked.is_empty() {
        return Ok(());
    }
    Err(Refused::Settings { program, asked })
}

/// What both programs are told.
fn settings(run: &Exported<'_>) -> Result<Value, Failure> {
    let Exported {
        train, data, tokens, ..
    } = *run;
    let info = tokens.info();
    let absolute = |path: &Path| std::path::absolute(path).map_err(Failure::io("find", path));
    Ok(json!({
        "format": FORMAT,
        "model": absolute(run.model)?,
        "tokens": absolute(&tokens.path().join("tokens.bin"))?,
        "tokens_sha256": info.tokens_sha256,
        "dtype": info.dtype,
        "vocab_size": info.vocab_size,
        "special_ids": info.special.ids().collect::<Vec<u32>>(),
        "seq_len": data.seq_len,
        "data_seed": train.data_order_seed,
        "seed": train.seed,
        "steps": train.steps,
        "batch_size": train.batch_size,
        "accumulation": train.accumulation,
        "clip_norm": train.clip_norm,
        "log_every": train.log_every,
        "checkpoint_every": train.checkpoint_every,
        "precision": train.precision.name(),
        "optimizer": {
            "beta1": train.optimizer.beta1,
            "beta2": train.optimizer.beta2,
            "eps": train.optimizer.eps,
            "weight_decay": train.optimizer.weight_decay,
        },
    }))
}

/// How tokens are masked. Their numbers are there, or there would be no batches.
fn masking(run: &Exported<'_>) -> Value {
    let special = run.tokens.info().special;
    let masking = Masking::default();
    json!({
        "rate": run.data.mask_probability,
        "mask_share": masking.mask_share,
        "random_share": masking.random_share,
        "cls": special.cls,
        "sep": special.sep,
        "mask": special.mask,
    })
}
