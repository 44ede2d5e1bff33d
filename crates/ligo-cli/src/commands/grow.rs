//! `ligo grow`: apply an operator, from file to file.

mod card;
mod compared;
mod sizes;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::ValueEnum;
use ligo_arch::{Axis, Change, ModelConfig};
use ligo_checkpoint::{CARD_FILE, CONFIG_FILE, Card, Dtype, JsonFile, plain};
use ligo_device::Picked;
use ligo_experiment::growing::{Proposal, Text, Vocabulary, propose, replaced_beside, run_more_often};
use ligo_experiment::recipe::nearest;
use ligo_experiment::run::faulty_card;
use ligo_experiment::{Counted, Listener, stop};
use ligo_growth::stream::{GrowOptions, Grown, grow_directory};
use ligo_growth::{LinearMap, OperatorSpec};
use ligo_pretrained::Source;
use serde_json::{Value, json};

use super::config_file::read_large;
use crate::{Failure, Ui};

/// Arguments of `ligo grow`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ligo grow --small hf://Qwen/Qwen3-0.6B --layers 2x --out bigger\n  ligo grow --small bert-small --width 1.5x --layers 12 --out bigger\n  ligo grow --small bert-small --operator operator --out bert-base-start\n  ligo grow --small bert-small --large bert-base.json --method stackbert --out start\n  ligo grow --small bert-small --large deep.json --layers 0,1,2,3,2,3,4,5 --out start --dtype bf16 --max-shard-mb 2000\n  ligo grow --small bert-small --large wide.json --method fpi --set choice=balanced --out start\n\nSizes that are not asked for follow from the width, or stay. Without --method the one that keeps what the model computes is taken, where one does.\nAfterwards both models run on the same inputs, and what they compute is compared.\n\nWorks tensor by tensor: memory does not grow with the number of layers. What the large model's file leaves out is as in the small model. With\n--max-shard-mb, the same command after an interruption goes on behind the last complete shard."
)]
pub struct GrowArgs {
    /// The small model's directory, or hf://OWNER/NAME.
    #[arg(long, value_name = "DIR|hf://…")]
    pub small: PathBuf,
    /// An operator that `ligo learn` (or a run) wrote.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["method", "layers", "width", "heads", "ffn"])]
    pub operator: Option<PathBuf>,
    /// The large model's config.json, instead of sizes; a learned operator knows it already.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["width", "heads", "ffn", "operator"])]
    pub large: Option<PathBuf>,
    /// The large model by its sizes.
    #[command(flatten)]
    pub sizes: sizes::SizeArgs,
    /// A fixed operator, such as stackbert, fpi or lemon; an unknown name lists all of them. One is proposed where none is named.
    #[arg(long, value_name = "NAME")]
    pub method: Option<String>,
    /// Change a setting of the method, such as form=noisy of hyper-cloning or choice=balanced of fpi.
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "method")]
    pub settings: Vec<String>,
    /// Seed of fresh entries, 1 by default; a learned operator draws nothing.
    #[arg(long, conflicts_with = "operator")]
    pub seed: Option<u64>,
    /// Number type of the written weights; the small model's by default.
    #[arg(long)]
    pub dtype: Option<DtypeArg>,
    /// Cut the weights into shards of at most so many megabytes; 0 gives every tensor a shard of its own.
    #[arg(long, value_name = "MB")]
    pub max_shard_mb: Option<u64>,
    /// Grow by the starting values of a method that is learned.
    #[arg(long, requires = "method")]
    pub unlearned: bool,
    /// Fields of the large model's file that may change what the model computes beside its size, such as rope_theta.
    #[arg(long, value_name = "FIELD", value_delimiter = ',', requires = "large")]
    pub allow_change: Vec<String>,
    /// Grow a model also when its weights hold NaN or infinity.
    #[arg(long)]
    pub allow_not_finite: bool,
    /// Do not compare what the two models compute afterwards; for models that do not fit into memory.
    #[arg(long)]
    pub no_check: bool,
    /// A text on which both losses are told afterwards: a file or folder, or hf://datasets/OWNER/NAME/PATH.
    #[arg(long, value_name = "PATH", conflicts_with = "no_check")]
    pub text: Option<PathBuf>,
    /// Where the grown model is written.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Replace a model that is there already.
    #[arg(long)]
    pub replace: bool,
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
pub fn run(args: &GrowArgs, picked: &Picked, ui: &Ui) -> Result<(), Failure> {
    check_target(args)?;
    if let Some((option, reason)) = args.sizes.without_effect() {
        return Err(without_effect(option, reason));
    }
    args.sizes
        .check(args.large.is_some(), args.operator.is_some(), args.method.is_some())?;
    let source = ligo_pretrained::open_model(&args.small)?;
    if !source.dir.stripped().is_empty() {
        let prefix = plain(source.dir.stripped());
        ui.say(&format!(
            "all tensors are named `{prefix}…`, of a wrapper; they are read without it"
        ));
    }
    let small = source.config.clone();
    let text = args
        .text
        .as_deref()
        .map(|file| Text::open(file, &source, ui))
        .transpose()?;
    let tokenizer = args.sizes.tokenizer.as_deref();
    let tokenizer = tokenizer
        .map(|given| Vocabulary::open(given, &source, ui))
        .transpose()?;
    let Prepared {
        mut source,
        map,
        large,
        name,
        identity,
    } = match &args.operator {
        Some(dir) => learned(args, dir, source, picked)?,
        None => fixed(args, tokenizer.as_ref(), source, picked, ui)?,
    };
    let large = complete(&large)?;
    if let Some(fault) = Card::fault(source.dir.path()) {
        ui.say(&faulty_card(&fault));
    }
    let card = card::of(&args.small, &small, &large, &name);
    let options = GrowOptions {
        dtype: args.dtype.map(|d| match d {
            DtypeArg::F32 => Dtype::F32,
            DtypeArg::F16 => Dtype::F16,
            DtypeArg::Bf16 => Dtype::Bf16,
        }),
        max_shard_bytes: args.max_shard_mb.map(|mb| mb.saturating_mul(1_000_000)),
        card: Some(card.clone()),
        tokenizer: tokenizer.as_ref().map(|vocabulary| vocabulary.files.clone()),
        replaced: replaced_beside(source.dir.path(), &small, &large, tokenizer.as_ref(), ui)?,
        // Devices differ in the last bits: shards of two of them do not belong together.
        identity: Some(json!([identity, picked.name])),
        keep_existing: !args.replace,
        allow_not_finite: args.allow_not_finite,
    };
    let _lock = ligo_checkpoint::RunLock::beside(&args.out)?;
    card::tidy(&args.out)?;
    let progress = ui.progress("growing", Counted::Items);
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
            progress.at(done as u64, total as u64);
            !stop::requested()
        },
    );
    drop(progress);
    stop::note_left(ligo_checkpoint::unfinished(&args.out)?);
    let grown = result.map_err(explained)?;
    tell(&grown, ui);
    if !grown.left_out.is_empty()
        && let Some(other) = other_class(&small, &args.out)
    {
        ui.say(&other);
    }
    let from = ligo_experiment::hub::name_of(&args.small).unwrap_or_else(|| args.small.display().to_string());
    let out = args.out.display();
    if grown.was_there {
        ui.result(&format!(
            "{out} was grown from {from} by {name} already; nothing was left to do"
        ));
    } else {
        ui.result(&format!(
            "grew {from} into {out} by {name}: {} → {} parameters in {}",
            small.table().num_parameters(),
            large.table().num_parameters(),
            ligo_cost::format::seconds(start.elapsed().as_secs_f64()),
        ));
    }
    // A card that is not as it was written here has the check's result, or somebody's words.
    let written = std::fs::read_to_string(args.out.join(CARD_FILE));
    if args.no_check || written.is_ok_and(|written| written != card.to_markdown()) {
        return Ok(());
    }
    compared::check(args, text.as_ref(), card, picked, ui)
}

/// Refuses an option that was given in vain: whoever gave it expects something of it.
fn without_effect(option: &str, reason: impl std::fmt::Display) -> Failure {
    Failure::other(
        format!("{option} would change nothing here: {reason}"),
        format!("leave {option} out"),
    )
}

/// What growing needs.
struct Prepared {
    source: Source,
    map: LinearMap,
    large: ModelConfig,
    /// For people.
    name: String,
    /// What decides the map.
    identity: Value,
}

/// By an operator that was learned.
fn learned(args: &GrowArgs, dir: &Path, source: Source, picked: &Picked) -> Result<Prepared, Failure> {
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
    let files = ligo_checkpoint::Manifest::read(dir)?;
    let identity = files.files().iter().map(|(file, entry)| json!([file, entry.sha256]));
    Ok(Prepared {
        source,
        map,
        large,
        name: info.operator.name().into(),
        identity: identity.collect(),
    })
}

/// By a fixed operator, or by the starting values of a learned one.
fn fixed(
    args: &GrowArgs,
    vocabulary: Option<&Vocabulary>,
    source: Source,
    picked: &Picked,
    ui: &Ui,
) -> Result<Prepared, Failure> {
    let (large, changes) = larger(args, &source.config)?;
    let asked_by_size = args.large.is_none() && args.sizes.sources().is_none() && vocabulary.is_none();
    // More positions of a rotated model are in no table.
    let is_as_large = large.table() == source.config.table()
        && (!args.sizes.resizes_rows() || large.to_json() == source.config.to_json());
    if asked_by_size && is_as_large {
        return Err(Failure::other(
            "with these sizes nothing grows: the large model would be as large as the small one",
            "ask for more, such as --layers 2x or --width 1.5x; `ligo inspect` shows the small model's sizes",
        ));
    }
    if let Some(told) = run_more_often(&source.config.table(), &large.table()) {
        ui.say(&told);
    }
    changes
        .iter()
        .for_each(|change| ui.say(&format!("changed as asked: {change}")));
    if args.sizes.new_positions.is_some() && source.config.table().size(Axis::POSITION) == 0 {
        return Err(without_effect(
            "--new-positions",
            "this model has no table of positions, it rotates",
        ));
    }
    let seed = args.seed.unwrap_or(1);
    let mut rules = args.sizes.rules(seed);
    let large = match vocabulary {
        Some(vocabulary) => {
            rules.pieces = Some(Arc::clone(&vocabulary.pieces));
            vocabulary.of(&large, args.sizes.pad_vocab_to)?
        }
        None => large,
    };
    let [tokens, positions] = [rules.tokens.to_string(), rules.positions.to_string()];
    let resized = args.sizes.resizes_rows();
    let source = source.at(&large)?;
    let source = if resized {
        source.extended(&large, rules)?
    } else {
        source
    };
    let spec = spec(args, &source.config, &large, picked, ui)?;
    let is_learned = matches!(spec, OperatorSpec::Ligo(_));
    if args.unlearned && !is_learned {
        return Err(without_effect("--unlearned", format!("{} is not learned", spec.name())));
    }
    if is_learned && !args.unlearned {
        return Err(Failure::other(
            format!("{} is an operator that is learned, and none is given", spec.name()),
            "learn one with `ligo learn` and pass --operator DIR, or pass --unlearned to grow by its starting values",
        ));
    }
    let asked = large.layer_lists();
    let large = spec.adjust(&source.config, &large);
    if args.large.is_some() && asked != large.layer_lists() {
        ui.say(&kept_kinds(&large.layer_lists()));
    }
    let map = spec.build(
        &source.config.table_for(&large),
        &large.table(),
        &picked.device,
        large.initializer_range(),
        seed,
    )?;
    let unlearned = if is_learned { ", not learned" } else { "" };
    Ok(Prepared {
        source,
        map,
        large,
        name: format!("{}{unlearned}", spec.name()),
        identity: match resized {
            true => json!([spec, seed, tokens, positions, vocabulary.map(|v| &v.hash)]),
            false => json!([spec, seed]),
        },
    })
}

/// What became of a configuration that gave layers other kinds than those they come from have.
fn kept_kinds(lists: &[(&str, Vec<Value>)]) -> String {
    let entry = |kind: &Value| kind.as_str().map_or_else(|| kind.to_string(), str::to_owned);
    let list = |(field, kinds): &(&str, Vec<Value>)| {
        let entries: Vec<String> = kinds.iter().map(entry).collect();
        format!("{field} is {}", entries.join(", "))
    };
    let lists: Vec<String> = lists.iter().map(list).collect();
    format!(
        "each layer is of the kind of the one it comes from: {}",
        lists.join("; ")
    )
}

/// Adds to the configuration what other programs ask it for: the class of the model and the dtype of its weights, which is set when they are written.
fn complete(large: &ModelConfig) -> Result<ModelConfig, Failure> {
    let mut json = large.to_json();
    if let Some(fields) = json.as_object_mut() {
        if let (false, Some(class)) = (fields.contains_key("architectures"), large.architecture()) {
            fields.insert("architectures".into(), json!([class]));
        }
        let is_text = |key: &str| fields.get(key).is_some_and(Value::is_string);
        if !is_text("dtype") && !is_text("torch_dtype") {
            fields.insert("dtype".into(), json!("float32"));
        }
    }
    Ok(ModelConfig::from_json(&json)?)
}

/// Refuses to write over what is read, whatever --replace says.
fn check_target(args: &GrowArgs) -> Result<(), Failure> {
    let out = ligo_checkpoint::resolved(&args.out);
    for read in [Some(&args.small), args.operator.as_ref()].into_iter().flatten() {
        let whole = ligo_checkpoint::resolved(read);
        if out.starts_with(&whole) && out != whole && read.is_dir() {
            return Err(Failure::other(
                format!(
                    "--out {} is inside of {}, which is read",
                    args.out.display(),
                    read.display()
                ),
                "choose another folder",
            ));
        }
    }
    // What does not exist holds nothing.
    if !out.exists() {
        return Ok(());
    }
    for read in [Some(&args.small), args.operator.as_ref(), args.large.as_ref()]
        .into_iter()
        .flatten()
    {
        if read.canonicalize().is_ok_and(|read| read.starts_with(&out)) {
            return Err(Failure::other(
                format!(
                    "--out {} would replace {}, which is read",
                    args.out.display(),
                    read.display()
                ),
                "choose another folder",
            ));
        }
    }
    Ok(())
}

/// What the command's options have to do with a failure.
fn explained(error: ligo_growth::Error) -> Failure {
    let help = match &error {
        ligo_growth::Error::Exists { .. } => "pass --replace to replace it, or choose another --out",
        ligo_growth::Error::NotFinite { .. } | ligo_growth::Error::MapNotFinite { .. } => {
            "such a model computes nothing but NaN; pass --allow-not-finite to grow it all the same"
        }
        _ => return error.into(),
    };
    Failure::other(error.to_string(), help)
}

/// Says what is otherwise than in the small model.
fn tell(grown: &Grown, ui: &Ui) {
    let list = |names: &[String]| plain(&names.join(", "));
    if grown.resumed > 0 {
        ui.say(&format!(
            "{} shards were complete from an interrupted call",
            grown.resumed
        ));
    }
    if grown.narrowed > 0 {
        ui.say(&format!(
            "{} tensors of float64 were written as float32",
            grown.narrowed
        ));
    }
    if !grown.carried.is_empty() {
        ui.say(&format!(
            "do not grow, and were taken over as they are: {}",
            list(&grown.carried)
        ));
    }
    if !grown.left_out.is_empty() {
        ui.say(&format!("do not grow, and were left out: {}", list(&grown.left_out)));
    }
    if !grown.side_files.left.is_empty() {
        ui.say(&format!("files that stayed behind: {}", list(&grown.side_files.left)));
    }
}

/// What became of a model whose head does not grow.
fn other_class(small: &ModelConfig, out: &Path) -> Option<String> {
    let class = |json: &Value| json.pointer("/architectures/0").and_then(Value::as_str).map(plain);
    let before = class(&small.to_json())?;
    let written = ligo_checkpoint::read_json(out.join(CONFIG_FILE), JsonFile::Config).ok()?;
    let after = class(&written).filter(|after| *after != before)?;
    Some(format!(
        "the head of a {before} does not grow: what is written is a {after}"
    ))
}

/// The large model: that of the file, or the small one with the sizes that are asked for.
fn larger(args: &GrowArgs, small: &ModelConfig) -> Result<(ModelConfig, Vec<Change>), Failure> {
    match &args.large {
        Some(file) => read_large(file, small, &args.allow_change),
        None => Ok((small.resized(&args.sizes.resize())?, Vec::new())),
    }
}

/// The method that is asked for, or a proposal.
fn spec(
    args: &GrowArgs,
    small: &ModelConfig,
    large: &ModelConfig,
    picked: &Picked,
    ui: &Ui,
) -> Result<OperatorSpec, Failure> {
    if let Some(layers) = args.sizes.sources() {
        return Ok(OperatorSpec::Layers { layers });
    }
    let Some(name) = args.method.as_deref() else {
        let builds = |spec: &OperatorSpec| {
            let large = spec.adjust(small, large);
            let range = large.initializer_range();
            let seed = args.seed.unwrap_or(1);
            spec.build(&small.table_for(&large), &large.table(), &picked.device, range, seed)
                .is_ok()
        };
        let Proposal { spec, reason } = propose(small, large, builds);
        ui.say(&format!("by {} ({}): {reason}", spec.label(), spec.name()));
        return Ok(spec);
    };
    let spec = OperatorSpec::from_name(&name.to_lowercase()).ok_or_else(|| {
        let near = nearest(name, OperatorSpec::NAMES)
            .map(|n| format!("did you mean `{n}`? "))
            .unwrap_or_default();
        Failure::other(
            format!("unknown method `{name}`"),
            format!("{near}known ones are {}", OperatorSpec::NAMES.join(", ")),
        )
    })?;
    let settings = ligo_experiment::recipe::overrides(&args.settings)?
        .into_iter()
        .map(|(key, value)| {
            let value = serde_json::to_value(value).unwrap_or_default();
            (key, value)
        });
    Ok(spec.with_settings(&settings.collect())?)
}
