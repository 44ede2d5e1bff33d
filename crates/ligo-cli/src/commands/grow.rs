//! `ligo grow`: apply an operator, from file to file.

use std::path::PathBuf;
use std::time::Instant;

use clap::ValueEnum;
use ligo_checkpoint::{Card, Dtype};
use ligo_growth::OperatorSpec;
use ligo_growth::stream::{GrowOptions, grow_directory};

use super::config_file::{kept, read_config};
use crate::device::Picked;
use crate::recipe::nearest;
use crate::{Failure, Ui, stop};

/// Arguments of `ligo grow`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ligo grow --small bert-small --operator operator --out bert-base-start\n  ligo grow --small bert-small --large bert-base.json --method stackbert --out start\n  ligo grow --small bert-small --large deep.json --layers 0,1,2,3,2,3,4,5 --out start --dtype bf16 --max-shard-mb 2000\n  ligo grow --small bert-small --large wide.json --method fpi --set choice=balanced --out start\n\nWorks tensor by tensor: memory does not grow with the number of layers."
)]
pub struct GrowArgs {
    /// The small model's directory.
    #[arg(long, value_name = "DIR")]
    pub small: PathBuf,
    /// An operator that `ligo learn` (or a run) wrote.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["method", "layers"])]
    pub operator: Option<PathBuf>,
    /// The large model's config.json; a learned operator knows it already.
    #[arg(long, value_name = "FILE", required_unless_present = "operator")]
    pub large: Option<PathBuf>,
    /// A fixed operator, such as stackbert, fpi or lemon; an unknown name lists all of them.
    #[arg(long, value_name = "NAME", required_unless_present_any = ["operator", "layers"])]
    pub method: Option<String>,
    /// Change a setting of the method, such as form=noisy of hyper-cloning or choice=balanced of fpi.
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "method")]
    pub settings: Vec<String>,
    /// Source layers, one for each layer of the large model, such as 0,1,0,1.
    #[arg(long, value_name = "LIST", value_delimiter = ',', conflicts_with = "method")]
    pub layers: Option<Vec<usize>>,
    /// Seed of fresh entries.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Number type of the written weights; the small model's by default.
    #[arg(long)]
    pub dtype: Option<DtypeArg>,
    /// Cut the weights into shards of at most so many megabytes.
    #[arg(long, value_name = "MB")]
    pub max_shard_mb: Option<u64>,
    /// Where the grown model is written.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Number types that can be written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DtypeArg {
    /// 32 bits.
    F32,
    /// 16 bits, IEEE.
    F16,
    /// 16 bits, the upper half of f32.
    Bf16,
}

/// Runs the command.
///
/// # Errors
/// The pair cannot be grown, or files cannot be read or written.
pub fn run(args: &GrowArgs, picked: &Picked, ui: Ui) -> Result<(), Failure> {
    let source = crate::store::open_source(&args.small)?;
    let (mut source, map, large, name) = match &args.operator {
        Some(dir) => {
            let (map, info) = ligo_growth::load_operator(dir, &picked.device)?;
            let large = info.large()?;
            let source = source.at(&large)?;
            if info.small()?.table() != source.config.table() {
                return Err(Failure::other(
                    format!(
                        "the operator in {} was made for another small model than {}",
                        dir.display(),
                        args.small.display()
                    ),
                    "ligo inspect shows the sizes of both",
                ));
            }
            (source, map, large, info.operator.name())
        }
        None => {
            let spec = spec(args)?;
            let file = args
                .large
                .as_ref()
                .ok_or_else(|| Failure::other("--large is missing", "see `ligo grow --help`"))?;
            let large = read_config(file, kept(&source.config))?;
            let source = source.at(&large)?;
            let large = spec.adjust(&source.config, &large);
            let map = spec.build(
                &source.config.table(),
                &large.table(),
                &picked.device,
                large.initializer_range(),
                args.seed,
            )?;
            (source, map, large, spec.name())
        }
    };
    let options = GrowOptions {
        dtype: args.dtype.map(|d| match d {
            DtypeArg::F32 => Dtype::F32,
            DtypeArg::F16 => Dtype::F16,
            DtypeArg::Bf16 => Dtype::Bf16,
        }),
        max_shard_bytes: args.max_shard_mb.map(|mb| mb.saturating_mul(1_000_000)),
        card: Some(Card {
            title: "grown model before its first step".into(),
            base_model: Some(args.small.display().to_string()),
            method: Some(name.into()),
            ..Card::default()
        }),
        tokenizer: None,
    };
    let bar = ui.items_bar("growing", 0);
    let start = Instant::now();
    let result = grow_directory(
        &map,
        &mut source.dir,
        &source.config,
        &large,
        &args.out,
        &options,
        &picked.device,
        &mut |done, total| {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
            !stop::requested()
        },
    );
    bar.finish_and_clear();
    result?;
    ui.result(format!(
        "grew {} into {} by {name}: {} → {} parameters in {}",
        args.small.display(),
        args.out.display(),
        source.config.table().num_parameters(),
        large.table().num_parameters(),
        crate::ui::duration(start.elapsed().as_secs_f64()),
    ));
    Ok(())
}

fn spec(args: &GrowArgs) -> Result<OperatorSpec, Failure> {
    if let Some(layers) = &args.layers {
        return Ok(OperatorSpec::Layers { layers: layers.clone() });
    }
    let name = args.method.as_deref().unwrap_or_default();
    let spec = OperatorSpec::from_name(name).ok_or_else(|| {
        let near = nearest(name, OperatorSpec::NAMES)
            .map(|n| format!("did you mean `{n}`? "))
            .unwrap_or_default();
        Failure::other(
            format!("unknown method `{name}`"),
            format!("{near}known ones are {}", OperatorSpec::NAMES.join(", ")),
        )
    })?;
    let settings = crate::recipe::overrides(&args.settings)?
        .into_iter()
        .map(|(key, value)| {
            let value = serde_json::to_value(value).unwrap_or_default();
            (key, value)
        });
    Ok(spec.with_settings(&settings.collect())?)
}
