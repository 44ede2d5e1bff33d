//! `ligo train`: train one model on tokens or images.

use std::path::{Path, PathBuf};

use ligo_arch::ModelConfig;
use ligo_checkpoint::Card;
use ligo_device::Picked;
use ligo_experiment::recipe::Recipe;
use ligo_experiment::run::{Dataset, Extras, Session, Start, Training, TrainingRun, claim, faulty_card};
use ligo_experiment::{Listener, identity};
use ligo_pretrained::{Source, open_model};
use ligo_train::TrainConfig;
use serde_json::{Value, json};

use super::config_file::read_config;
use super::data_args::DataArgs;
use super::ranks_args::RanksArgs;
use crate::dashboard::DashboardArgs;
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
    /// How it is shared.
    #[command(flatten)]
    pub ranks: RanksArgs,
    /// How it is shown.
    #[command(flatten)]
    pub shown: DashboardArgs,
}

/// Runs the command.
///
/// # Errors
/// Whatever training ends with.
pub fn run(args: &TrainArgs, picked: &Picked, ui: &Ui) -> Result<(), Failure> {
    let mut train = ligo_experiment::recipe::seeded(&args.data.settings(&TrainConfig::default())?, args.seed);
    if args.teacher.is_some() {
        train.distillation.get_or_insert_default();
    }
    ligo_experiment::check_precision(picked, train.precision)?;
    let samples = args.data.data();
    samples.check()?;
    let data = args.data.open()?;
    let (config, init, upstream) = match (&args.init, &args.model) {
        (Some(dir), _) => {
            let source = open_model(dir)?;
            let upstream = json!({"init": identity::of_model(&source)?});
            (source.config.clone(), Some(source), upstream)
        }
        (None, Some(file)) => {
            let config = data.named(&read_config(file, data.decides())?);
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
    args.data.check_fit(&config, &dataset)?;
    let teacher = args.teacher.as_ref().map(|dir| teacher(args, dir, &config, &dataset));
    let (teacher, taught_by) = teacher.transpose()?.unzip();
    if let Some(fault) = args.init.as_deref().and_then(Card::fault) {
        ui.say(&faulty_card(&fault));
    }
    // All that was given fits: only now the folder is taken.
    let _lock = claim(&args.out)?;
    let listener = args.shown.listener(ui);
    let session = Session::new(&*listener, picked, train.precision);
    let mut start = || -> Result<Start, Failure> {
        let store = match &init {
            Some(source) => ligo_pretrained::read(source, &session.device)?,
            None => {
                let table = config.table();
                let values = ligo_growth::init::initial_values(&table, config.initializer_range(), args.seed);
                ligo_pretrained::host_store(&table, values, &session.device)?
            }
        };
        Ok(store.into())
    };
    let recipe = Recipe {
        name: "ligo train".into(),
        ..Recipe::default()
    };
    let run = TrainingRun {
        label: "training",
        folder: &args.out,
        config: &config,
        train: &train,
        dataset: &dataset,
        data: &samples,
        extras: Extras {
            teacher: teacher.as_ref(),
            side_files: args.init.as_deref(),
            ..Extras::default()
        },
    };
    let (result, _) = session.train(Training {
        run,
        start: &mut start,
        upstream: upstream_of(&dataset, upstream, taught_by),
        optional: init.as_ref().map_or(&[][..], |source| source.optional.as_slice()),
        card: session.card("trained model", args.init.as_deref(), "training", &recipe),
    })?;
    let context_free = dataset.baselines.context_free;
    let context_free = context_free.map(|loss| format!(", context-free {loss:.4}"));
    let model = args.out.join("model");
    ui.result(&format!(
        "validation loss {:.4} ({} {:.4}{}){}",
        result.final_loss().unwrap_or(f64::NAN),
        dataset.prior_name(),
        dataset.baselines.unigram,
        context_free.unwrap_or_default(),
        match model.is_dir() {
            true => format!("; model in {}", model.display()),
            false => String::new(),
        }
    ));
    Ok(())
}

/// What decides the run beside its settings, each part by its name where there are models among them.
fn upstream_of(dataset: &Dataset, mut start: Value, teacher: Option<Value>) -> Value {
    if teacher.is_none() && start.get("init").is_none() {
        return json!([dataset.fingerprint, start]);
    }
    start["tokens"] = dataset.fingerprint.clone().into();
    if let Some(teacher) = teacher {
        start["teacher"] = teacher;
    }
    start
}

/// The model that teaches, and what it is: it must read the same samples and know the same tokens or classes.
fn teacher(args: &TrainArgs, dir: &Path, student: &ModelConfig, dataset: &Dataset) -> Result<(Source, Value), Failure> {
    let source = open_model(dir)?;
    let identity = identity::of_model(&source)?;
    let source = source.at(student)?;
    dataset.check_pretrained(&source.config, dir)?;
    args.data.check_fit(&source.config, dataset)?;
    Ok((source, identity))
}
