//! The whole road: text, small model, learned operator, grown large models, and the table of what was saved.

mod compare;
pub mod dataset;
pub mod images;
mod method;
pub mod stage;
pub mod text;
mod training;

use std::path::{Path, PathBuf};

use ligo_arch::ModelConfig;
use ligo_checkpoint::RunLock;
use ligo_train::TrainConfig;
use serde_json::json;

pub(crate) use compare::label;
pub use compare::{compare, show};
pub use dataset::Dataset;
pub use method::Learning;
pub(crate) use stage::write_whole;
pub use training::{Session, Training};

use crate::device::Picked;
use crate::recipe::{CorpusSource, DataFacts, Recipe};
use crate::{Failure, Ui};

/// A folder holds any number of methods, as long as everything else is the same.
fn without_methods(recipe: &Recipe) -> Recipe {
    Recipe {
        methods: Vec::new(),
        ..recipe.clone()
    }
}

/// Where a run's files go unless the user says otherwise: named by the recipe and a hash of all that its methods have in
/// common, so that another setting never meets another run's files, and another method finds what can be used again.
pub fn default_folder(recipe: &Recipe) -> PathBuf {
    let settings = serde_json::to_value(without_methods(recipe)).unwrap_or_default();
    let hash = stage::fingerprint(&settings);
    Path::new("runs").join(format!("{}-{}", recipe.name, &hash[..8]))
}

/// Runs a recipe from text to table. Complete stages are skipped; an interrupted run continues where it stopped.
///
/// # Errors
/// Whatever a stage ends with; [`Failure::Interrupted`] after a stop that was asked for.
pub fn run(recipe: &Recipe, folder: &Path, picked: &Picked, ui: Ui) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(Failure::io("create", folder))?;
    let _lock = RunLock::acquire(folder)?;
    write_recipe(recipe, folder)?;
    ui.say(format!("run: {} in {}", recipe.name, folder.display()));
    let session = Session::new(ui, picked);

    // What kind of model it is, but for what comes with the data: the vocabulary, the number of classes.
    let kind = recipe.pair(&DataFacts::expected(recipe)).map_err(faults)?.small;
    let dataset = match recipe.corpus.source {
        CorpusSource::Images => images::prepare(recipe, &kind, folder, ui)?,
        CorpusSource::Files | CorpusSource::RustDocs => text::prepare(recipe, &kind, folder, ui)?,
    };
    let pair = recipe.pair(&dataset.facts(&recipe.data)).map_err(faults)?;
    crate::plan::write(recipe, &dataset.facts(&recipe.data), &session.machine, folder)?;
    let small = small_model(recipe, pair.small.clone(), folder, &dataset, &session)?;
    for method in &recipe.methods {
        method::run(recipe, method, &pair, folder, &dataset, &small, &session)?;
    }
    compare(recipe, &pair, folder, &dataset, &small, ui)
}

fn write_recipe(recipe: &Recipe, folder: &Path) -> Result<(), Failure> {
    let path = folder.join("recipe.toml");
    let fault = |e: toml::ser::Error| Failure::other(e.to_string(), "this is a fault of ligo; please report it");
    let text = recipe.to_toml().map_err(fault)?;
    if let Ok(old) = std::fs::read_to_string(&path) {
        let common = without_methods(recipe).to_toml().map_err(fault)?;
        let old = toml::from_str(&old)
            .ok()
            .and_then(|old| without_methods(&old).to_toml().ok());
        if old != Some(common) {
            return Err(Failure::other(
                format!(
                    "{} holds a run with other settings (see its recipe.toml)",
                    folder.display()
                ),
                "choose another folder with --out, or remove that one",
            ));
        }
    }
    write_whole(&path, text.as_bytes())
}

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
    /// Decides all that follows.
    pub fingerprint: String,
}

fn small_model(
    recipe: &Recipe,
    config: ModelConfig,
    folder: &Path,
    dataset: &Dataset,
    session: &Session,
) -> Result<Small, Failure> {
    let train = seeded(&recipe.small.train, recipe.seed);
    if let Some(path) = &recipe.small.path {
        dataset.check_pretrained(&config, path)?;
        let source = crate::store::open_source(path)?.at(&config)?;
        let store = crate::store::read(&source, &session.device)?;
        let loss = session.evaluate(&config, &store, dataset, &recipe.data, &train)?;
        session.ui.say(format!(
            "small model: {} with validation loss {loss:.3}",
            path.display()
        ));
        let fingerprint = stage::fingerprint(&json!([dataset.fingerprint, path, config.to_json(), loss.to_bits()]));
        return Ok(Small {
            model: path.clone(),
            config,
            trained: None,
            loss,
            fingerprint,
        });
    }
    let dir = folder.join("small");
    let table = config.table();
    let start = crate::host_store(
        &table,
        ligo_growth::init::initial_values(&table, config.initializer_range(), recipe.seed),
        &session.device,
    )?;
    let (result, fingerprint) = session.train(Training {
        label: "small model",
        folder: &dir,
        config: &config,
        start: &mut || Ok(start.clone()),
        train: &train,
        dataset,
        data: &recipe.data,
        upstream: json!([dataset.fingerprint, recipe.seed]),
        optional: &[],
        card: session.card("the small model", None, "scratch", recipe),
    })?;
    let loss = result.final_loss().unwrap_or(f64::NAN);
    Ok(Small {
        model: dir.join("model"),
        config,
        trained: Some(result),
        loss,
        fingerprint,
    })
}

/// Settings with the seeds of one run: its dropout and its order of data.
pub fn seeded(train: &TrainConfig, seed: u64) -> TrainConfig {
    TrainConfig {
        seed: train.seed.wrapping_add(seed),
        data_order_seed: train.data_order_seed.wrapping_add(seed),
        ..train.clone()
    }
}

pub(crate) fn faults(faults: Vec<crate::recipe::Fault>) -> Failure {
    Failure::Recipe(crate::recipe::RecipeError::Faults {
        origin: "the recipe".into(),
        faults,
    })
}
