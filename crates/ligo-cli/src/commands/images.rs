//! `ligo images`: from pictures to a set of decoded ones.

use std::path::PathBuf;

use clap::ValueEnum;
use ligo_checkpoint::RunLock;
use ligo_data::{DamagedImages, Preprocessor};
use ligo_experiment::Listener;
use ligo_experiment::run::images::{Wanted, decode};

use crate::{Failure, Ui};

/// Arguments of `ligo images`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ligo images --data pictures/ --size 224 --out set        a folder for each class\n  ligo images --data cifar/ --size 32 --out set            data_batch_1.bin … of CIFAR, or MNIST's IDX files\n  ligo images --data pictures/ --like deit-small/ --out set\n\nThe folder then holds images/ for `ligo train --images` and `ligo learn --images`."
)]
pub struct ImagesArgs {
    /// A folder with one of JPEG or PNG files for each class, CIFAR's or MNIST's files, or parquet files.
    #[arg(long, value_name = "PATH")]
    pub data: PathBuf,
    /// Images to validate on; without it, some of --data are held out.
    #[arg(long, value_name = "PATH")]
    pub valid: Option<PathBuf>,
    /// Share of images held out.
    #[arg(long, default_value_t = 0.1)]
    pub valid_fraction: f64,
    /// Height and width that a model reads, in pixels.
    #[arg(long, required_unless_present = "like", value_name = "PIXELS")]
    pub size: Option<usize>,
    /// A model whose preprocessor_config.json says size, mean and standard deviation; ImageNet's otherwise.
    #[arg(long, value_name = "DIR")]
    pub like: Option<PathBuf>,
    /// What becomes of an image that cannot be decoded.
    #[arg(long, value_enum, default_value = "fail")]
    pub damaged: Damaged,
    /// Where to write.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// What becomes of an image that cannot be decoded.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Damaged {
    /// The first one ends the command.
    Fail,
    /// Each is named and left out.
    Skip,
}

/// Runs the command.
///
/// # Errors
/// The images cannot be read, or the folder cannot be written.
pub fn run(args: &ImagesArgs, ui: &Ui) -> Result<(), Failure> {
    let like = args
        .like
        .as_ref()
        .map(|dir| Preprocessor::open(dir))
        .transpose()?
        .flatten();
    let preprocessor = match (like, args.size) {
        (Some(like), None) => like,
        (Some(like), Some(size)) => like.at(size),
        (None, Some(size)) => Preprocessor::imagenet(size),
        (None, None) => {
            return Err(Failure::other(
                "the model of --like has no preprocessor_config.json, nor a config.json of timm's",
                "--size PIXELS says how large images are; mean and standard deviation are then ImageNet's",
            ));
        }
    };
    let wanted = Wanted {
        paths: std::slice::from_ref(&args.data),
        valid_paths: args.valid.as_slice(),
        valid_fraction: args.valid_fraction,
        damaged: match args.damaged {
            Damaged::Fail => DamagedImages::Fail,
            Damaged::Skip => DamagedImages::Skip,
        },
        preprocessor,
    };
    let _lock = RunLock::acquire(&args.out)?;
    let images = decode(&wanted, &args.out, ui)?;
    ui.result(&format!(
        "train      {} images of {} classes\nvalid      {} images",
        images.train.len(),
        images.train.num_classes(),
        images.valid.len()
    ));
    Ok(())
}
