//! `ligo plan --route`: which way to the large model.

use std::path::PathBuf;

use ligo_device::DeviceChoice;
use ligo_experiment::json::pretty;
use ligo_experiment::recipe::Recipe;
use ligo_experiment::route::{self, Evidence, Goal, Pilot, Question, parse_flops, parse_share, parse_size};
use ligo_experiment::{Listener, Workforce};

use super::plan::{DEMO, PlanArgs, load, terms};
use crate::{Failure, Ui};

/// Options of `ligo plan` that ask for routes.
#[derive(Debug, clap::Args)]
pub struct RouteArgs {
    /// Propose routes to the recipe's large model (that of --recipe where none is named, or of --from): from scratch, grown, or under one schedule.
    #[arg(long, value_name = "NAME|FILE", num_args = 0..=1, conflicts_with_all = ["methods", "seeds", "ranks", "csv"])]
    pub route: Option<Option<String>>,
    /// Folders of comparisons whose losses tell what a route ends with.
    #[arg(long, value_name = "FOLDERS", num_args = 1.., value_delimiter = ',', requires = "route")]
    pub from: Vec<PathBuf>,
    /// FLOPs of training steps to spend, such as 2.5e15 or 2.5PFLOP; by default what the recipe spends on scratch.
    #[arg(long, value_name = "FLOPS", value_parser = parse_flops, requires = "route", conflicts_with = "target_loss")]
    pub budget: Option<f64>,
    /// The validation loss to come to, in nats.
    #[arg(long, value_name = "X", requires = "route")]
    pub target_loss: Option<f64>,
    /// Layers and width of small models to grow from, such as 3x256,6x512, instead of the recipe's.
    #[arg(long, value_name = "SIZES", value_parser = parse_size, value_delimiter = ',', requires = "route", conflicts_with = "small")]
    pub small_sizes: Vec<(usize, usize)>,
    /// Train this share of the budget to learn what is not known, such as 0.05 or 5%.
    #[arg(long, value_name = "SHARE", value_parser = parse_share, requires = "route")]
    pub pilot: Option<f64>,
    /// Files and folders of text for the pilot.
    #[arg(long, value_name = "PATHS", num_args = 1.., requires = "pilot")]
    pub data: Vec<PathBuf>,
}

impl RouteArgs {
    /// Whether routes are asked for.
    pub fn is_asked(&self) -> bool {
        self.route.is_some()
    }

    fn goal(&self) -> Result<Option<Goal>, Failure> {
        match (self.budget, self.target_loss) {
            (Some(flops), _) => Ok(Some(Goal::Budget { flops })),
            (None, Some(loss)) if loss.is_finite() && loss > 0.0 => Ok(Some(Goal::Loss { loss })),
            (None, Some(loss)) => Err(Failure::other(
                format!("--target-loss must be a number above 0, found {loss}"),
                "it is a validation loss in nats, for example 2.2",
            )),
            (None, None) => Ok(None),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// A folder holds no results or too few, no operator can grow the pair, the budget is too small, or the pilot diverges.
pub fn run(args: &PlanArgs, choice: DeviceChoice, ui: &Ui) -> Result<(), Failure> {
    let asked = &args.route;
    let goal = asked.goal()?;
    let (named, recipe) = recipe(args, ui)?;
    let mut evidence = Evidence::read(&asked.from)?;
    if let Some(share) = asked.pilot {
        let budget = match goal {
            Some(Goal::Budget { flops }) => flops,
            _ => route::of_recipe(&recipe)?,
        };
        match Pilot::new(&recipe, budget, share, evidence.as_ref())? {
            Some(pilot) => {
                ui.say(&pilot.told());
                let folder = pilot.run(Workforce::Here(ligo_device::pick(choice)?), ui)?;
                let folders = [asked.from.clone(), vec![folder]].concat();
                evidence = Evidence::read(&folders)?;
            }
            None => {
                ui.note("no pilot is needed: the folders of --from have scratch and grown models at several lengths")
            }
        }
    }
    let question = Question {
        recipe: &recipe,
        named: &named,
        sizes: &asked.small_sizes,
        goal,
        evidence: evidence.as_ref(),
    };
    let plan = route::propose(&question, terms(args, &recipe, choice, ui)?)?;
    ui.result(&match args.json {
        true => pretty(&plan)?,
        false => route::text(&plan).trim_end().to_owned(),
    });
    Ok(())
}

/// What people call the recipe, and the recipe.
fn recipe(args: &PlanArgs, ui: &Ui) -> Result<(String, Recipe), Failure> {
    let asked = &args.route;
    let named = asked.route.clone().flatten();
    let of_folder = asked.from.first().filter(|_| named.is_none() && args.recipe == DEMO);
    let named = match of_folder {
        Some(folder) => folder.join(route::RECIPE).display().to_string(),
        None => named.unwrap_or_else(|| args.recipe.clone()),
    };
    // Data that nobody reads are made up.
    let data = match (asked.data.as_slice(), asked.pilot) {
        ([], None) if of_folder.is_none() => vec!["corpus.paths=[\"data\"]".to_owned()],
        ([], _) => Vec::new(),
        (paths, _) => {
            let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
            let quoted = |path| toml::Value::String(absolute(path).display().to_string()).to_string();
            let paths: Vec<String> = paths.iter().map(quoted).collect();
            vec![
                format!("corpus.paths=[{}]", paths.join(",")),
                "corpus.source=\"files\"".into(),
            ]
        }
    };
    let mut recipe = load(args, &named, data, ui)?;
    if of_folder.is_some() {
        // As it was before it was compared.
        recipe.lengths.clear();
    }
    Ok((named, recipe))
}
