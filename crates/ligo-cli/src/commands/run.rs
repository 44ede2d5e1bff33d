//! `ligo run`: end to end.

use std::path::PathBuf;

use ligo_device::Picked;

use ligo_experiment::recipe::{self, CorpusSource};
use ligo_experiment::{Experiment, Workforce, hub, route};
use ligo_ops::Precision;

use super::ranks_args::RanksArgs;
use crate::dashboard::DashboardArgs;
use crate::{Failure, Ui};

/// Arguments of `ligo run`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ligo run                                          the demo\n  ligo run --recipe bert-mini --data my-texts/      your own text\n  ligo run --recipe vit-mini --data pictures/       images: a folder for each class, CIFAR or MNIST files\n  ligo run --recipe bert-mini --data a.txt --set seed=2 --set large.train.steps=3000\n\nBuilt-in recipes: demo; bert-micro, bert-mini, roberta-mini, gpt2-mini, llama-mini (text, on a CPU); vit-mini, deit-mini, cait-mini\n(images, on a CPU); and the LiGO paper's pairs, such as bert-small-to-base: see assets/recipes.\nThe same command again continues an interrupted run."
)]
pub struct RunArgs {
    /// A built-in recipe or a TOML file.
    #[arg(long, default_value = "demo", value_name = "NAME|FILE")]
    pub recipe: String,
    /// What to train on. Text: files or folders of .txt, .jsonl (field `text`), also .gz and .zst, and .parquet, or hf://datasets/OWNER/NAME/PATH.
    /// Images: a folder.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// What to validate on; without it, documents or images of --data are held out.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub valid: Vec<PathBuf>,
    /// A tokenizer (folder, tokenizer.json or vocab.txt) to use instead of training one or that of --small.
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
    /// A trained small model (Hugging Face directory) to grow instead of training one.
    #[arg(long, value_name = "DIR")]
    pub small: Option<PathBuf>,
    /// Numbers that matrix products are computed with: f32, tf32 or bf16; `ligo devices` lists what each device has. Weights, norms and losses
    /// are f32 in all of them. The same as precision of a recipe.
    #[arg(long, value_name = "NAME")]
    pub precision: Option<Precision>,
    /// Change a setting of the recipe, for example large.train.steps=500.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// The run's folder; runs/RECIPE-HASH by default.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// How it is shared.
    #[command(flatten)]
    pub ranks: RanksArgs,
    /// How it is shown.
    #[command(flatten)]
    pub shown: DashboardArgs,
}

/// The recipe with the options applied.
///
/// # Errors
/// As [`recipe::load`].
pub fn resolve(args: &RunArgs, ui: &Ui) -> Result<recipe::Recipe, Failure> {
    resolve_with(args, &[], ui)
}

/// The same with overrides of another option.
///
/// # Errors
/// As [`recipe::load`].
pub fn resolve_with(args: &RunArgs, more: &[String], ui: &Ui) -> Result<recipe::Recipe, Failure> {
    let mut overrides = Vec::new();
    let quoted = |path: &PathBuf| toml::Value::String(absolute(path).display().to_string()).to_string();
    let list = |paths: &[PathBuf]| format!("[{}]", paths.iter().map(quoted).collect::<Vec<_>>().join(","));
    if !args.data.is_empty() {
        overrides.push(format!("corpus.paths={}", list(&args.data)));
    }
    if !args.valid.is_empty() {
        overrides.push(format!("corpus.valid_paths={}", list(&args.valid)));
    }
    if let Some(path) = &args.tokenizer {
        overrides.push(format!("tokenizer.path={}", quoted(path)));
    }
    if let Some(path) = &args.small {
        // Before it is made absolute: a bare name of the hub is known as one.
        let path = hub::model(path, ui)?;
        overrides.push(format!("small.path={}", quoted(&path)));
    }
    overrides.extend(args.precision.into_iter().flat_map(recipe::precision_overrides));
    overrides.extend(args.overrides.iter().chain(more).cloned());
    let mut recipe = recipe::load_with(&args.recipe, &overrides, |recipe| {
        hub::small_of(recipe, ui)?;
        route::recommend(recipe)
    })?;
    if !args.data.is_empty() && recipe.corpus.source == CorpusSource::RustDocs {
        recipe.corpus.source = CorpusSource::Files;
    }
    Ok(recipe)
}

/// Addresses on the hub stay as they are.
fn absolute(path: &PathBuf) -> PathBuf {
    if hub::is_address(path) {
        return path.clone();
    }
    std::path::absolute(path).unwrap_or_else(|_| path.clone())
}

/// Runs the command.
///
/// # Errors
/// As [`Experiment::run`].
pub fn run(args: &RunArgs, picked: Picked, ui: &Ui) -> Result<(), Failure> {
    let experiment = Experiment::new(resolve(args, ui)?)?;
    let folder = args.out.clone().unwrap_or_else(|| experiment.default_folder());
    experiment.run(&folder, &[], Workforce::Here(picked), &*args.shown.listener(ui))?;
    Ok(())
}
