//! `ligo export`: a model, its tokens and its settings as a script for another program.

use std::path::PathBuf;

use clap::ValueEnum;
use ligo_experiment::Listener;
use ligo_experiment::export::{Exported, accelerate, torchtitan};
use ligo_experiment::recipe::seeded;
use ligo_experiment::run::dataset::Content;
use ligo_train::TrainConfig;

use super::data_args::DataArgs;
use crate::{Failure, Ui};

/// Who trains the model further.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Program {
    /// Hugging Face Accelerate, over PyTorch and transformers.
    Accelerate,
    /// torchtitan, which divides layers among GPUs: Llama and Qwen3 alone.
    Torchtitan,
}

/// Arguments of `ligo export`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ligo export --for accelerate there --init start --tokens corpus --set steps=2000 --set schedule.peak_lr=5e-4\n  PROCESSES=2 CPU=1 there/launch.sh --out runs/there\n  ligo export --for torchtitan there --init start --tokens corpus --set steps=2000\n  there/launch.sh --dump_folder runs/there --parallelism.tensor_parallel_degree 8\n\nOptions are those of `ligo train`, and so are order, masks, rates and updates: without dropout the losses are the same but for rounding.\nThe model and the tokens stay where they are."
)]
pub struct ExportArgs {
    /// Who trains it.
    #[arg(long = "for", value_name = "PROGRAM")]
    pub program: Program,
    /// Where script and settings go.
    #[arg(value_name = "DIR")]
    pub out: PathBuf,
    /// The model directory to start from.
    #[arg(long, value_name = "DIR")]
    pub init: PathBuf,
    /// Data and settings.
    #[command(flatten)]
    pub data: DataArgs,
    /// Seed of order, masks and dropout.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Runs the command.
///
/// # Errors
/// Model and data do not fit each other, the model or a setting has no counterpart there, or the directory cannot be written.
pub fn run(args: &ExportArgs, ui: &Ui) -> Result<(), Failure> {
    let train = seeded(&args.data.settings(&TrainConfig::default())?, args.seed);
    train.validate()?;
    let samples = args.data.data();
    samples.check()?;
    let source = ligo_pretrained::open_model(&args.init)?;
    let dataset = args.data.open()?.dataset(source.config.task());
    dataset.check_pretrained(&source.config, &args.init)?;
    args.data.check_fit(&source.config, &dataset)?;
    let Content::Text(tokens) = &dataset.content else {
        return Err(Failure::other(
            "what is written reads tokens, and these are images",
            "train with `ligo train --images`",
        ));
    };
    // Refuses what cannot be batched, as training would.
    dataset.batches(&source.config, &samples, &train)?;
    let run = Exported {
        model: &args.init,
        config: &source.config,
        train: &train,
        data: &samples,
        tokens: &tokens.train,
    };
    match args.program {
        Program::Accelerate => accelerate(&run, &args.out)?,
        Program::Torchtitan => torchtitan(&run, &args.out)?,
    }
    ui.result(&format!("start it with {}", args.out.join("launch.sh").display()));
    Ok(())
}
