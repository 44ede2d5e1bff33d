//! `ligo plan`: the price before the run.

use std::path::PathBuf;

use ligo_cost::hardware::{Hardware, KNOWN, Precision};
use ligo_cost::ranks::{Cluster, Network};
use ligo_device::DeviceChoice;
use ligo_experiment::{Experiment, Listener};
use ligo_experiment::cost;
use ligo_experiment::hub;
use ligo_experiment::json::pretty;
use ligo_experiment::plan::{self, Asked, Machine, Terms, probe};
use ligo_experiment::recipe::{self, DataFacts, Recipe, nearest};
use ligo_experiment::route;
use ligo_train::TrainConfig;

use super::plan_route::{self, RouteArgs};
use crate::{Failure, Ui};

/// The machine that the program runs on.
const THIS: &str = "this";

/// The recipe where none is named.
pub(super) const DEMO: &str = "demo";

/// Hardware whose gradients are in the memory of the machine already, or are taken to be.
const WITHOUT_OWN_MEMORY: [&str; 2] = [THIS, "m3"];

/// More devices than anyone shares a run among.
const MOST_RANKS: usize = 1 << 16;

/// Arguments of `ligo plan`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ligo plan --recipe bert-small-to-base --hardware h100\n  ligo plan --recipe bert-mini                          on this machine, with a probe of some seconds\n  ligo plan --recipe bert-small-to-base --hardware h100 --ranks 8 --network 100gbit\n  ligo plan --recipe bert-small-to-base --hardware h100 --ranks 8 --optimizer-sharding\n  ligo plan --recipe gpt2-base-to-medium --hardware rtx4090 --price-per-hour 0.35 --carbon-intensity 56 --json\n  ligo plan --route demo --hardware h100               routes to the large model: cost, and loss where it is known\n  ligo plan --route --from runs/demo-1a2b3c4d --target-loss 2.2\n  ligo plan --route bert-micro --data texts/ --budget 5e13 --pilot 5% --json\n\nBut for a pilot nothing is trained and no data are read. Beneath the tables stands what each figure rests on."
)]
pub struct PlanArgs {
    /// A built-in recipe or a TOML file.
    #[arg(long, default_value = DEMO, value_name = "NAME|FILE")]
    pub recipe: String,
    /// Which way to the large model.
    #[command(flatten)]
    pub route: RouteArgs,
    /// h100, a100, rtx4090, m3, or this.
    #[arg(long, default_value = THIS, value_name = "NAME")]
    pub hardware: String,
    /// A trained small model (Hugging Face directory) to grow instead of training one.
    #[arg(long, value_name = "DIR")]
    pub small: Option<PathBuf>,
    /// Methods instead of the recipe's.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub methods: Vec<String>,
    /// Runs of each method, each with a seed of its own.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100))]
    pub seeds: Option<u64>,
    /// Change a setting of the recipe, for example large.train.steps=500.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Numbers that products are computed with, instead of the recipe's: f32, tf32 or bf16.
    #[arg(long, value_name = "NAME")]
    pub precision: Option<Precision>,
    /// Share of the hardware's peak that training reaches, 0 to 1.
    #[arg(long, alias = "utilisation", value_name = "X", value_parser = share)]
    pub utilization: Option<f64>,
    /// US dollars for an hour of the hardware.
    #[arg(long, value_name = "X", value_parser = amount)]
    pub price_per_hour: Option<f64>,
    /// Grams of CO2 for a kilowatt-hour.
    #[arg(long, value_name = "G", value_parser = amount)]
    pub carbon_intensity: Option<f64>,
    /// Energy drawn for each unit that reaches the hardware (power usage effectiveness).
    #[arg(long, value_name = "X", value_parser = at_least_one)]
    pub pue: Option<f64>,
    /// Power of the hardware while it computes.
    #[arg(long, value_name = "W", value_parser = amount)]
    pub watts: Option<f64>,
    /// Also price the run on up to so many devices that share it (docs/DISTRIBUTED.md).
    #[arg(long, value_name = "N", value_parser = ranks, conflicts_with_all = ["json", "csv"])]
    pub ranks: Option<usize>,
    /// What a machine sends in a second, where several share a run.
    #[arg(long, default_value = "100gbit", value_name = "SPEED", requires = "ranks")]
    pub network: Network,
    /// Devices of a machine, where several share a run.
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = ranks, requires = "ranks")]
    pub per_machine: usize,
    /// Where several share a run: each keeps a share of the optimizer's moments.
    #[arg(long, requires = "ranks")]
    pub optimizer_sharding: bool,
    /// Print JSON, as in a run's plan.json.
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Print CSV, one line for each run.
    #[arg(long)]
    pub csv: bool,
}

fn amount(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|x| x.is_finite() && *x >= 0.0);
    number.ok_or_else(|| "expected a number of at least 0".into())
}

fn share(text: &str) -> Result<f64, String> {
    let number = amount(text).ok().filter(|x| *x > 0.0 && *x <= 1.0);
    number.ok_or_else(|| "expected a share above 0 and up to 1, for example 0.4".into())
}

fn ranks(text: &str) -> Result<usize, String> {
    let number = text.parse::<usize>().ok().filter(|n| (1..=MOST_RANKS).contains(n));
    number.ok_or_else(|| format!("expected a number of devices from 1 to {MOST_RANKS}"))
}

fn at_least_one(text: &str) -> Result<f64, String> {
    let number = amount(text).ok().filter(|x| *x >= 1.0);
    number.ok_or_else(|| "expected a number of at least 1, for example 1.2".into())
}

/// Runs the command.
///
/// # Errors
/// The recipe or the hardware is unknown, a setting does not fit, or the probe fails.
pub fn run(args: &PlanArgs, choice: DeviceChoice, ui: &Ui) -> Result<(), Failure> {
    if args.route.is_asked() {
        return plan_route::run(args, choice, ui);
    }
    let recipe = resolve(args, ui)?;
    let facts = DataFacts::expected(&recipe);
    let terms = terms(args, &recipe, choice, ui)?;

    let plan = plan::plan(&recipe, &facts, terms)?;
    ui.result(&if args.json {
        pretty(&plan)?
    } else if args.csv {
        plan::csv(&plan).trim_end().to_owned()
    } else {
        plan::text(&plan).trim_end().to_owned()
    });
    if let Some(most) = args.ranks {
        let cluster = Cluster {
            per_machine: args.per_machine,
            network: args.network,
            is_gpu: !WITHOUT_OWN_MEMORY.contains(&args.hardware.as_str()),
        };
        let devices = plan::Devices {
            cluster,
            most,
            shares: args.optimizer_sharding,
        };
        ui.result(&format!("\n{}", plan::on_ranks(&recipe, &facts, &plan, devices)?));
    }
    Ok(())
}

/// What time, energy and money rest on.
pub(super) fn terms(args: &PlanArgs, recipe: &Recipe, choice: DeviceChoice, ui: &Ui) -> Result<Terms, Failure> {
    let asked = Asked {
        precision: args.precision.unwrap_or(cost::counted(recipe.large.train.precision)),
        utilization: args.utilization,
        usd_per_hour: args.price_per_hour,
        grams_co2_per_kwh: args.carbon_intensity,
        pue: args.pue,
        watts: args.watts,
    };
    match args.hardware.as_str() {
        THIS => this(recipe, &DataFacts::expected(recipe), &asked, choice, ui),
        name => plan::of_known(known(name)?, &asked),
    }
}

/// The recipe with the options applied; data that it does not name are made up, since none are read.
fn resolve(args: &PlanArgs, ui: &Ui) -> Result<Recipe, Failure> {
    let data = vec!["corpus.paths=[\"data\"]".to_owned()];
    let recipe = load(args, &args.recipe, data, ui)?;
    Ok(Experiment::comparing(&recipe, &args.methods, args.seeds)?.recipe().clone())
}

/// A recipe with these overrides and the options applied.
pub(super) fn load(args: &PlanArgs, named: &str, mut overrides: Vec<String>, ui: &Ui) -> Result<Recipe, Failure> {
    if let Some(path) = &args.small {
        let path = hub::model(path, ui)?;
        let path = std::path::absolute(&path).unwrap_or(path);
        let path = toml::Value::String(path.display().to_string());
        overrides.push(format!("small.path={path}"));
    }
    overrides.extend(args.overrides.iter().cloned());
    recipe::load_with(named, &overrides, |recipe| -> Result<(), Failure> {
        // Nothing is computed with the weights of a model of the hub.
        if let Some(path) = recipe.small.path.as_mut().filter(|path| hub::is_address(path)) {
            *path = hub::config(path, ui)?;
            path.pop();
        }
        route::recommend(recipe)
    })
}

fn known(name: &str) -> Result<&'static Hardware, Failure> {
    Hardware::by_name(name).ok_or_else(|| {
        let names = || KNOWN.iter().map(|known| known.name).chain([THIS]);
        let near = nearest(&name.to_lowercase(), names());
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        Failure::other(
            format!("no hardware is known by the name `{name}`{near}"),
            format!(
                "known are {}; for other hardware take one of them, with --utilization, --watts and --price-per-hour of yours",
                names().collect::<Vec<_>>().join(", ")
            ),
        )
    })
}

/// The terms of this machine, measured unless the user knows better.
fn this(recipe: &Recipe, facts: &DataFacts, asked: &Asked, choice: DeviceChoice, ui: &Ui) -> Result<Terms, Failure> {
    let precision = cost::computed(asked.precision);
    let picked = ligo_device::pick(choice)?;
    ligo_experiment::check_precision(&picked, precision)?;
    let machine = Machine::measured(&picked, precision);
    if asked.utilization.is_some() {
        return Ok(plan::of_this(&machine, asked, None));
    }
    ui.say(&format!("measuring some steps of the large model on {}", picked.name));
    let large = recipe.pair(facts)?.large;
    let dims = cost::dims(&large, recipe.data.seq_len, recipe.data.mask_probability);
    let train = TrainConfig {
        precision,
        ..recipe.large.train.clone()
    };
    let probed = probe::probe(&large, &train, &dims, &machine, &picked.device)?;
    Ok(plan::of_this(&machine, asked, Some(&probed)))
}
