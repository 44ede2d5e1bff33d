//! `ligo train`: train one model on tokens or images.

use std::path::{Path, PathBuf};

use ligo_arch::ModelConfig;
use ligo_train::TrainConfig;
use serde_json::json;

use super::config_file::read_config;
use super::data_args::DataArgs;
use crate::device::{self, Picked};
use crate::load::Source;
use crate::recipe::Recipe;
use crate::run::{Dataset, Extras, Session, Training};
use crate::{Failure, Ui};

/// Arguments of `ligo train`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ligo train --model assets/models/bert-mini-small.json --tokens corpus --out runs/small\n  ligo train --init grown/ --tokens corpus --out runs/large --set steps=5000\n  ligo train --model vit.json --images set --out runs/vit --augmentation light\n\nThe trained model is in OUT/model; the same command again continues an interrupted run."
)]
pub struct TrainArgs {
    /// A config.json for a model that starts fresh.
    #[arg(long, value_name = "FILE", required_unless_present = "init", conflicts_with = "init")]
    pub model: Option<PathBuf>,
    /// A model directory to start from.
    #[arg(long, value_name = "DIR")]
    pub init: Option<PathBuf>,
    /// A model that teaches beside the labels and fades; `--set distillation.share=0.44` says for how long.
    #[arg(long, value_name = "DIR")]
    pub teacher: Option<PathBuf>,
    /// Data and settings.
    #[command(flatten)]
    pub data: DataArgs,
    /// Seed of fresh weights, order, masks and dropout.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The run's folder.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// Whatever training ends with.
pub fn run(args: &TrainArgs, picked: &Picked, ui: Ui) -> Result<(), Failure> {
    let mut train = crate::run::seeded(&args.data.settings(&TrainConfig::default())?, args.seed);
    if args.teacher.is_some() {
        train.distillation.get_or_insert_default();
    }
    device::check_precision(picked, train.precision)?;
    std::fs::create_dir_all(&args.out).map_err(Failure::io("create", &args.out))?;
    let _lock = ligo_checkpoint::RunLock::acquire(&args.out)?;
    let session = Session::new(ui, picked, train.precision);
    let data = args.data.open()?;
    let (config, given, upstream) = match (&args.init, &args.model) {
        (Some(dir), _) => {
            let (config, store, optional) = crate::load_store(dir, &session.device)?;
            (config, Some((store, optional)), json!({"init": dir}))
        }
        (None, Some(file)) => {
            let config = read_config(file, data.decides())?;
            (config, None, json!({"seed": args.seed}))
        }
        (None, None) => {
            return Err(Failure::other(
                "neither --model nor --init is given",
                "see `ligo train --help`",
            ));
        }
    };
    let dataset = data.dataset(config.task());
    if let Some(dir) = &args.init {
        dataset.check_pretrained(&config, dir)?;
    }
    let (start, optional) = match given {
        Some(given) => given,
        None => {
            let table = config.table();
            let values = ligo_growth::init::initial_values(&table, config.initializer_range(), args.seed);
            (crate::host_store(&table, values, &session.device)?, Vec::new())
        }
    };
    args.data.check_fit(&config, &dataset)?;
    let teacher = args.teacher.as_ref().map(|dir| teacher(args, dir, &config, &dataset));
    let teacher = teacher.transpose()?;
    let recipe = Recipe {
        name: "ligo train".into(),
        ..Recipe::default()
    };
    let (result, _) = session.train(Training {
        label: "training",
        folder: &args.out,
        config: &config,
        start: &mut || Ok(start.clone().into()),
        train: &train,
        dataset: &dataset,
        data: &args.data.data(),
        upstream: match &args.teacher {
            None => json!([dataset.fingerprint, upstream]),
            Some(teacher) => json!([dataset.fingerprint, upstream, {"teacher": teacher}]),
        },
        optional: &optional,
        card: session.card("trained model", args.init.as_deref(), "training", &recipe),
        extras: Extras {
            teacher: teacher.as_ref(),
            ..Extras::default()
        },
    })?;
    let context_free = dataset.baselines.context_free;
    let context_free = context_free.map(|loss| format!(", context-free {loss:.4}"));
    ui.result(format!(
        "validation loss {:.4} ({} {:.4}{}); model in {}",
        result.final_loss().unwrap_or(f64::NAN),
        dataset.prior_name(),
        dataset.baselines.unigram,
        context_free.unwrap_or_default(),
        args.out.join("model").display()
    ));
    Ok(())
}

/// The model that teaches: it must read the same samples and know the same tokens or classes.
fn teacher(args: &TrainArgs, dir: &Path, student: &ModelConfig, dataset: &Dataset) -> Result<Source, Failure> {
    let source = crate::store::open_source(dir)?.at(student)?;
    dataset.check_pretrained(&source.config, dir)?;
    args.data.check_fit(&source.config, dataset)?;
    Ok(source)
}
