//! One way to start the large model: learn the operator if it has one, grow, train.

use std::path::{Path, PathBuf};

use ligo_arch::ModelConfig;
use ligo_growth::stream::{GrowOptions, grow_directory};
use ligo_growth::{LigoOperator, LinearMap, OperatorInfo, OperatorSpec};
use ligo_train::{OperatorObjective, TrainConfig};
use serde_json::json;

use super::dataset::Dataset;
use super::stage::stage;
use super::training::{Session, Training, read_result, save_result};
use super::{Small, faults, seeded};
use crate::recipe::{DataSection, MethodSection, Recipe, merged};
use crate::stop;
use crate::store::open_source;
use crate::{Failure, cost};

/// The folder of a method.
pub fn folder_of(run: &Path, method: &MethodSection) -> PathBuf {
    run.join("methods").join(method.id())
}

/// Runs one method from operator to trained large model.
///
/// # Errors
/// Whatever a stage ends with.
pub fn run(
    recipe: &Recipe,
    method: &MethodSection,
    large: &ModelConfig,
    run: &Path,
    dataset: &Dataset,
    small: &Small,
    session: &Session,
) -> Result<(), Failure> {
    let folder = folder_of(run, method);
    let id = method.id();
    let seed = recipe.seed_of(method);
    // The recipe was checked when it was read.
    let Some(spec) = recipe.operator_of(method) else {
        return Err(Failure::other(
            format!("unknown method `{}`", method.name),
            "see `ligo run --help`",
        ));
    };
    let train: TrainConfig = merged(&recipe.large.train, &method.train, &format!("{id}.train")).map_err(faults)?;
    let train = seeded(&train, seed);

    let operator_dir = folder.join("operator");
    let upstream = json!([small.fingerprint, spec, seed, large.to_json()]);
    let grown_from = if let OperatorSpec::Ligo(config) = &spec {
        let learn: TrainConfig =
            merged(&recipe.operator.train, &method.learn, &format!("{id}.learn")).map_err(faults)?;
        let learning = Learning {
            label: format!("{id}: operator"),
            folder: folder.join("learn"),
            operator_dir: operator_dir.clone(),
            spec: spec.clone(),
            operator: LigoOperator::new(&small.config.table(), &large.table(), config, seed)?,
            small_dir: &small.model,
            small: &small.config,
            large,
            train: seeded(&learn, seed.wrapping_add(LEARN_SEED)),
            data: &recipe.data,
            upstream,
        };
        learning.run(dataset, session)?
    } else {
        stage(
            session.ui,
            &format!("{id}: operator"),
            &folder.join("map"),
            &upstream,
            || {
                let map = spec.build(
                    &small.config.table(),
                    &large.table(),
                    &session.device,
                    large.initializer_range(),
                    seed,
                )?;
                let info = OperatorInfo::new(spec.clone(), &small.config, large, json!({"seed": seed}));
                ligo_growth::save_operator(&operator_dir, &map, info)?;
                Ok(())
            },
        )?
    };
    let start_dir = folder.join("start");
    let grown = json!([grown_from, large.to_json()]);
    stage(
        session.ui,
        &format!("{id}: growing"),
        &folder.join("grow"),
        &grown,
        || {
            let (map, _) = ligo_growth::load_operator(&operator_dir, &session.device)?;
            grow(
                &map,
                small,
                large,
                &start_dir,
                dataset.tokenizer(),
                &spec,
                recipe,
                session,
            )
        },
    )?;
    session.train(Training {
        label: &id,
        folder: &folder,
        config: large,
        start: &mut || Ok(crate::load_store(&start_dir, &session.device)?.1),
        train: &train,
        dataset,
        data: &recipe.data,
        upstream: grown,
        optional: &open_source(&start_dir)?.optional,
        card: session.card(&format!("large model by {id}"), Some(&small.model), spec.name(), recipe),
    })?;
    Ok(())
}

/// The operator sees other batches than the training that follows.
const LEARN_SEED: u64 = 0x4c69_474f;

/// Grows the small model into `target`.
fn grow(
    map: &LinearMap,
    small: &Small,
    large: &ModelConfig,
    target: &Path,
    tokenizer: &Path,
    spec: &OperatorSpec,
    recipe: &Recipe,
    session: &Session,
) -> Result<(), Failure> {
    let mut source = open_source(&small.model)?.at(&small.config)?;
    let options = GrowOptions {
        tokenizer: Some(tokenizer.to_path_buf()),
        card: Some(session.card(
            "large model before its first step",
            Some(&small.model),
            spec.name(),
            recipe,
        )),
        ..GrowOptions::default()
    };
    grow_directory(
        map,
        &mut source.dir,
        &source.config,
        large,
        target,
        &options,
        &session.device,
        &mut |_, _| !stop::requested(),
    )?;
    Ok(())
}

/// Learning an operator as a stage.
pub struct Learning<'a> {
    /// For messages.
    pub label: String,
    /// Metrics and checkpoints.
    pub folder: PathBuf,
    /// Where the operator is written.
    pub operator_dir: PathBuf,
    /// The operator's description.
    pub spec: OperatorSpec,
    /// The operator.
    pub operator: LigoOperator,
    /// The small model's directory.
    pub small_dir: &'a Path,
    /// The small model.
    pub small: &'a ModelConfig,
    /// The large model.
    pub large: &'a ModelConfig,
    /// How it is learned.
    pub train: TrainConfig,
    /// How tokens become samples.
    pub data: &'a DataSection,
    /// What else decides the outcome.
    pub upstream: serde_json::Value,
}

impl Learning<'_> {
    /// Learns the operator and writes it; returns the fingerprint of the outcome.
    ///
    /// # Errors
    /// Whatever training ends with.
    pub fn run(self, dataset: &Dataset, session: &Session) -> Result<String, Failure> {
        let inputs = json!({"train": self.train, "data": self.data, "upstream": self.upstream});
        let folder = self.folder.clone();
        let label = self.label.clone();
        let print = stage(session.ui, &label, &folder, &inputs, || {
            self.learn(dataset, session, &inputs)
        })?;
        let result = read_result(&folder)?;
        session.ui.say(format!(
            "{label}: loss {:.3} → {:.3} in {} steps, {}",
            result.curve.first().map_or(f64::NAN, |p| p.loss),
            result.final_loss().unwrap_or(f64::NAN),
            result.steps,
            crate::ui::duration(result.seconds),
        ));
        Ok(print)
    }

    fn learn(self, dataset: &Dataset, session: &Session, inputs: &serde_json::Value) -> Result<(), Failure> {
        let mut source = open_source(self.small_dir)?.at(self.small)?;
        let learned = self.operator.num_parameters();
        let sharing = self.operator.config().sharing;
        let objective = OperatorObjective::new(self.operator, self.large, &mut source.dir, &session.device)?;
        let start = objective.start(&session.device)?;
        let dims = |config| cost::dims(config, self.data.seq_len, self.data.mask_probability);
        let (small, large) = (dims(self.small), dims(self.large));
        let cost = cost::learn_step(
            (self.small, &small),
            (self.large, &large),
            self.train.sequences_per_step(),
            sharing,
        );
        let (store, result) = session.steps(
            &self.label,
            &self.folder,
            &objective,
            self.large,
            start,
            &self.train,
            dataset,
            self.data,
            cost,
            inputs,
        )?;
        let training = json!({
            "learned_parameters": learned,
            "steps": result.steps,
            "seconds": result.seconds,
            "flops_exact": result.flops_exact,
            "flops_electra": result.flops_electra,
            "validation_loss_before": result.curve.first().map(|p| p.loss),
            "validation_loss_after": result.final_loss(),
            "train": self.train,
        });
        let info = OperatorInfo::new(self.spec, self.small, self.large, training);
        ligo_growth::save_operator(&self.operator_dir, &objective.map(&store), info)?;
        save_result(&self.folder, &result)
    }
}
