//! `ligo learn`: learn a growth operator.

use std::path::PathBuf;

use ligo_device::Picked;
use ligo_experiment::Listener;
use ligo_experiment::identity;
use ligo_experiment::recipe::{OperatorSection, merged, seeded};
use ligo_experiment::run::{Extras, Learning, Session, TrainingRun, claim};
use ligo_growth::{LigoOperator, OperatorSpec};
use serde_json::json;

use super::config_file::read_large;
use super::data_args::DataArgs;
use super::ranks_args::RanksArgs;
use crate::dashboard::DashboardArgs;
use crate::{Failure, Ui};

/// Arguments of `ligo learn`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ligo learn --small runs/small/model --large assets/models/bert-mini-large.json --tokens corpus --out operator\n  ligo learn --small SMALL --large LARGE.json --tokens corpus --out operator \\\n      --set steps=100 --set schedule.peak_lr=1e-3 --operator sharing=per-large-layer --operator width_init=select\n\nThen: ligo grow --small SMALL --operator operator --out grown"
)]
pub struct LearnArgs {
    /// The small model's directory.
    #[arg(long, value_name = "DIR")]
    pub small: PathBuf,
    /// The large model's config.json.
    #[arg(long, value_name = "FILE")]
    pub large: PathBuf,
    /// Fields of the large model's file that may change what the model computes beside its size, such as rope_theta.
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    pub allow_change: Vec<String>,
    /// Data and training settings.
    #[command(flatten)]
    pub data: DataArgs,
    /// Change a setting of the operator: sharing, width_init, width_noise, depth_init, depth_noise, fixed_identity,
    /// terms, further, tied, tune_width, tune_depth, tune_small_model, tune_residual, residual_noise, and what docs/OPERATORS.md lists.
    #[arg(long = "operator", value_name = "KEY=VALUE")]
    pub operator: Vec<String>,
    /// Seed of starting values, order and masks.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where the operator is written; metrics and checkpoints go to OUT.learn beside it.
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
/// Whatever learning ends with.
pub fn run(args: &LearnArgs, picked: &Picked, ui: &Ui) -> Result<(), Failure> {
    let defaults = OperatorSection::default();
    let samples = args.data.data();
    samples.check()?;
    let source = ligo_pretrained::open_model(&args.small)?;
    let identity = identity::of_model(&source)?;
    let small = source.config;
    let data = args.data.open()?;
    let (large, changes) = read_large(&args.large, &small, &args.allow_change)?;
    changes
        .iter()
        .for_each(|change| ui.say(&format!("changed as asked: {change}")));
    let small = small.at_resolution_of(&large)?;
    let dataset = data.dataset(small.task());
    let changes = ligo_experiment::recipe::overrides(&args.operator)?;
    let ligo = merged(&defaults.ligo, &changes, "--operator")?;
    ligo_experiment::recipe::check_operator(&ligo)?;
    // Layers see as far as those that they begin as.
    let large = OperatorSpec::Ligo(ligo.clone()).adjust(&small, &large);
    let train = seeded(&args.data.settings(&defaults.train)?, args.seed);
    dataset.check_pretrained(&small, &args.small)?;
    args.data.check_fit(&small, &dataset)?;
    args.data.check_fit(&large, &dataset)?;
    let operator = LigoOperator::new(&small.table(), &large.table(), &ligo, args.seed)?;
    ligo_experiment::check_precision(picked, train.precision)?;
    let mut name = args.out.file_name().unwrap_or_default().to_os_string();
    name.push(".learn");
    let folder = args.out.with_file_name(name);
    let _lock = claim(&folder)?;
    let listener = args.shown.listener(ui);
    let session = Session::new(&*listener, picked, train.precision);
    let learning = Learning {
        run: TrainingRun {
            label: "operator",
            folder: &folder,
            config: &large,
            train: &train,
            dataset: &dataset,
            data: &samples,
            extras: Extras::default(),
        },
        operator_dir: &args.out,
        spec: &OperatorSpec::Ligo(ligo.clone()),
        operator,
        small_dir: &args.small,
        small: &small,
        upstream: json!({
            "tokens": dataset.fingerprint,
            "small": identity,
            "operator": ligo,
            "seed": args.seed,
            "large": large.to_json(),
        }),
    };
    learning.run(&session)?;
    ui.result(&format!(
        "operator in {}; look at it with: ligo inspect {}",
        args.out.display(),
        args.out.display()
    ));
    Ok(())
}
