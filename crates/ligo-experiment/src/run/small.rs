//! The small model: trained as the first run, or given and only measured.

use std::path::{Path, PathBuf};

use ligo_arch::ModelConfig;
use ligo_checkpoint::Card;
use ligo_report::summary::AnnealedSmall;
use ligo_train::TrainConfig;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Session;
use super::branch;
use super::dataset::Dataset;
use super::outcome::{MODEL, read_result};
use super::stage::{self, read_json};
use super::training::Training;
use super::training_run::{Extras, TrainingRun};
use crate::files::write_whole;
use crate::recipe::{Recipe, seeded};
use crate::{Failure, identity};

/// The folder of the small model, or of what was measured of a given one, inside the run's own.
pub const FOLDER: &str = "small";
const LOSS_JSON: &str = "loss.json";
/// The folder inside its own of the branch whose rate falls.
const ANNEALED: &str = "annealed";

/// The small model, trained or given.
pub struct Small {
    /// Its directory.
    pub model: PathBuf,
    /// Its configuration.
    pub config: ModelConfig,
    /// How it was trained; nothing when it was given.
    pub trained: Option<ligo_train::TrainResult>,
    /// Its validation loss on the fixed batches.
    pub loss: f64,
    /// What it would have come to with a rate that falls at the end, where it has none and somebody asked.
    pub annealed: Option<AnnealedSmall>,
    /// Decides all that follows.
    pub fingerprint: String,
}

impl Small {
    /// A small model that is still to be trained; nothing that was made of one fits it.
    pub fn not_yet(config: &ModelConfig) -> Self {
        Self {
            model: PathBuf::new(),
            config: config.clone(),
            trained: None,
            loss: f64::NAN,
            annealed: None,
            fingerprint: String::new(),
        }
    }
}

/// What was measured of a model that was given.
#[derive(Serialize, Deserialize)]
struct Measured {
    loss: f64,
    /// Of which content.
    #[serde(default)]
    model: Value,
}

/// Trains the small model, or measures the given one, unless that is done.
///
/// # Errors
/// The given model cannot be read or does not fit the data; whatever training ends with.
pub fn prepare(
    recipe: &Recipe,
    config: &ModelConfig,
    run: &Path,
    dataset: &Dataset,
    session: &Session,
) -> Result<(), Failure> {
    let folder = run.join(FOLDER);
    let train = seeded(&recipe.small.train, recipe.seed);
    if let Some(path) = &recipe.small.path {
        dataset.check_pretrained(config, path)?;
        let source = ligo_pretrained::open_model(path)?;
        let model = identity::of_model(&source)?;
        let inputs = json!({"data": [dataset.fingerprint, json!(recipe.data)], "train": train.deciding(), "config": config.to_json(), "model": model});
        // Measured once: another device may differ in the last bits, and all that follows depends on them.
        session.stage("small model", &folder, &inputs, &[LOSS_JSON], || {
            let source = source.at(config)?;
            let store = ligo_pretrained::read(&source, &session.device)?;
            if let Some(fault) = Card::fault(path) {
                session.listener.say(&super::faulty_card(&fault));
            }
            let loss = session.evaluate(config, &store, dataset, &recipe.data, &train)?;
            if !loss.is_finite() {
                return Err(Failure::other(
                    format!("the small model in {} has a validation loss of {loss}", path.display()),
                    "its weights are not usable; `ligo inspect` shows what they hold",
                ));
            }
            write_whole(
                &folder.join(LOSS_JSON),
                json!(Measured { loss, model }).to_string().as_bytes(),
            )
        })?;
        let small = read(recipe, config, run, dataset)?;
        session.listener.say(&format!(
            "small model: {} with validation loss {:.3}",
            path.display(),
            small.loss
        ));
        return Ok(());
    }
    // Everything is grown from it.
    let model = folder.join(MODEL);
    if !session.only_looks
        && stage::complete(&folder).is_some()
        && model.is_dir()
        && let Err(damage) = ligo_checkpoint::verify_model(&model)
    {
        session
            .listener
            .say(&format!("small model: {damage}; it is made again"));
        stage::unmark(&folder)?;
    }
    let table = config.table();
    let start = ligo_pretrained::host_store(
        &table,
        ligo_growth::init::initial_values(&table, config.initializer_range(), recipe.seed),
        &session.device,
    )?;
    let annealed = recipe.small.annealed.map(|annealed| annealed.of(&train));
    let run = |label: &str, folder: &Path, train: &TrainConfig, branch_at: Option<u64>| {
        let run = TrainingRun {
            label,
            folder,
            config,
            train,
            dataset,
            data: &recipe.data,
            extras: Extras {
                branch_at,
                ..Extras::default()
            },
        };
        session.train(Training {
            run,
            start: &mut || Ok(start.clone().into()),
            upstream: json!([dataset.fingerprint, recipe.seed]),
            optional: &[],
            card: session.card("the small model", None, "scratch", recipe),
        })
    };
    let branch_at = annealed.as_ref().and_then(TrainConfig::branches_at);
    run("small model", &folder, &train, branch_at)?;
    if let Some(train) = annealed {
        run("small model, annealed", &folder.join(ANNEALED), &train, None)?;
    }
    Ok(())
}

/// What the small model's branch with a falling rate came to.
fn annealed(folder: &Path) -> Option<AnnealedSmall> {
    let folder = folder.join(ANNEALED);
    stage::complete(&folder)?;
    let result = read_result(&folder).ok()?;
    let shared = branch::shared(&folder).unwrap_or_default();
    Some(AnnealedSmall {
        loss: result.final_loss()?,
        cost: result.cost - shared.cost,
    })
}

/// The small model that [`prepare`] left.
///
/// # Errors
/// It is not complete, or a file is damaged.
pub fn read(recipe: &Recipe, config: &ModelConfig, run: &Path, dataset: &Dataset) -> Result<Small, Failure> {
    let folder = run.join(FOLDER);
    let fingerprint = stage::complete(&folder).ok_or_else(|| {
        Failure::other(
            format!("the small model in {} is not complete", folder.display()),
            "the same command as before completes it",
        )
    })?;
    let config = config.clone();
    let Some(path) = &recipe.small.path else {
        let result = read_result(&folder)?;
        return Ok(Small {
            model: folder.join(MODEL),
            config,
            loss: result.final_loss().unwrap_or(f64::NAN),
            trained: Some(result),
            annealed: recipe.small.annealed.and_then(|_| annealed(&folder)),
            fingerprint,
        });
    };
    stage::check_file(&folder, LOSS_JSON)?;
    let Measured { loss, model } = read_json(&folder.join(LOSS_JSON))?;
    Ok(Small {
        model: path.clone(),
        loss,
        annealed: None,
        trained: None,
        fingerprint: identity::fingerprint(&json!([dataset.fingerprint, model, config.to_json(), loss.to_bits()])),
        config,
    })
}
