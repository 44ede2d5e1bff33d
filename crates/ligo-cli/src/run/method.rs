//! One way to start the large model: learn the operator if it has one, grow, train.

use std::path::{Path, PathBuf};

use ligo_arch::ModelConfig;
use ligo_checkpoint::Card;
use ligo_growth::stream::{GrowOptions, grow_directory};
use ligo_growth::{LigoOperator, LinearMap, OperatorInfo, OperatorSpec};
use ligo_train::{OperatorObjective, TrainConfig};
use serde_json::json;

use super::dataset::Dataset;
use super::stage::stage as stage_of;
use super::training::{Session, Training, read_result, save_result};
use super::{Small, faults, seeded};
use crate::recipe::{DataSection, MethodSection, Pair, Recipe, Stage, merged};
use crate::stop;
use crate::store::open_source;
use crate::{Failure, cost};

/// The folder of a method.
pub fn folder_of(run: &Path, method: &MethodSection) -> PathBuf {
    run.join("methods").join(method.id())
}

/// Runs one method from the small model to the trained large one.
///
/// # Errors
/// Whatever a stage ends with.
pub fn run(
    recipe: &Recipe,
    method: &MethodSection,
    pair: &Pair,
    run: &Path,
    dataset: &Dataset,
    small: &Small,
    session: &Session,
) -> Result<(), Failure> {
    let id = method.id();
    let stages = recipe
        .stages_of(method, pair, &dataset.facts(&recipe.data))
        .map_err(faults)?;
    let mut before = Source {
        dir: small.model.clone(),
        config: small.config.clone(),
        fingerprint: small.fingerprint.clone(),
    };
    for (i, stage) in stages.iter().enumerate() {
        let label = match stages.len() {
            1 => id.clone(),
            count => format!("{id}, stage {} of {count}", i + 1),
        };
        let grown = Growing {
            recipe,
            method,
            label,
            folder: stage_folder(&folder_of(run, method), stage),
            seed: recipe.seed_of(method),
        };
        before = grown.run(stage, &before, dataset, session)?;
    }
    Ok(())
}

/// The folder of a stage of a method.
pub fn stage_folder(method: &Path, stage: &Stage) -> PathBuf {
    match &stage.folder {
        Some(name) => method.join(name),
        None => method.to_path_buf(),
    }
}

/// The model that a stage starts from.
struct Source {
    dir: PathBuf,
    config: ModelConfig,
    fingerprint: String,
}

/// One stage: the operator, the grown model, its training.
struct Growing<'a> {
    recipe: &'a Recipe,
    method: &'a MethodSection,
    label: String,
    folder: PathBuf,
    seed: u64,
}

impl Growing<'_> {
    fn run(&self, stage: &Stage, before: &Source, dataset: &Dataset, session: &Session) -> Result<Source, Failure> {
        let (label, folder) = (&self.label, &self.folder);
        let operator_dir = folder.join("operator");
        let grown_from = self.operator(stage, before, &operator_dir, dataset, session)?;
        let start_dir = folder.join("start");
        let grown = json!([grown_from, stage.model.to_json()]);
        stage_of(
            session.ui,
            &format!("{label}: growing"),
            &folder.join("grow"),
            &grown,
            || {
                let (map, _) = ligo_growth::load_operator(&operator_dir, &session.device)?;
                self.grow(&map, before, stage, &start_dir, dataset.tokenizer(), session)
            },
        )?;
        let (_, fingerprint) = session.train(Training {
            label,
            folder,
            config: &stage.model,
            start: &mut || Ok(crate::load_store(&start_dir, &session.device)?.1),
            train: &seeded(&stage.train, self.seed),
            dataset,
            data: &self.recipe.data,
            upstream: grown,
            optional: &open_source(&start_dir)?.optional,
            card: self.card(&format!("large model by {label}"), before, stage, session),
        })?;
        Ok(Source {
            dir: folder.join("model"),
            config: stage.model.clone(),
            fingerprint,
        })
    }

    /// Learns or builds the operator; returns the fingerprint of the outcome.
    fn operator(
        &self,
        stage: &Stage,
        before: &Source,
        operator_dir: &Path,
        dataset: &Dataset,
        session: &Session,
    ) -> Result<String, Failure> {
        let (id, label) = (self.method.id(), format!("{}: operator", self.label));
        let upstream = json!([before.fingerprint, stage.operator, self.seed, stage.model.to_json()]);
        let (small, large) = (&before.config, &stage.model);
        let OperatorSpec::Ligo(config) = &stage.operator else {
            return stage_of(session.ui, &label, &self.folder.join("map"), &upstream, || {
                let map = stage.operator.build(
                    &small.table(),
                    &large.table(),
                    &session.device,
                    large.initializer_range(),
                    self.seed,
                )?;
                let info = OperatorInfo::new(stage.operator.clone(), small, large, json!({"seed": self.seed}));
                ligo_growth::save_operator(operator_dir, &map, info)?;
                Ok(())
            });
        };
        let learn = &self.method.learn;
        let learn: TrainConfig = merged(&self.recipe.operator.train, learn, &format!("{id}.learn")).map_err(faults)?;
        let learning = Learning {
            label,
            folder: self.folder.join("learn"),
            operator_dir: operator_dir.to_path_buf(),
            spec: stage.operator.clone(),
            operator: LigoOperator::new(&small.table(), &large.table(), config, self.seed)?,
            small_dir: &before.dir,
            small,
            large,
            train: seeded(&learn, self.seed.wrapping_add(LEARN_SEED)),
            data: &self.recipe.data,
            upstream,
        };
        learning.run(dataset, session)
    }

    fn grow(
        &self,
        map: &LinearMap,
        before: &Source,
        stage: &Stage,
        target: &Path,
        tokenizer: &Path,
        session: &Session,
    ) -> Result<(), Failure> {
        let mut source = open_source(&before.dir)?.at(&before.config)?;
        let options = GrowOptions {
            tokenizer: Some(tokenizer.to_path_buf()),
            card: Some(self.card("large model before its first step", before, stage, session)),
            ..GrowOptions::default()
        };
        grow_directory(
            map,
            &mut source.dir,
            &source.config,
            &stage.model,
            target,
            &options,
            &session.device,
            &mut |_, _| !stop::requested(),
        )?;
        Ok(())
    }

    fn card(&self, title: &str, before: &Source, stage: &Stage, session: &Session) -> Card {
        session.card(title, Some(&before.dir), stage.operator.name(), self.recipe)
    }
}

/// The operator sees other batches than the training that follows.
const LEARN_SEED: u64 = 0x4c69_474f;

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
        let print = stage_of(session.ui, &label, &folder, &inputs, || {
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
        let config = self.operator.config().clone();
        let objective = OperatorObjective::new(self.operator, self.large, &mut source.dir, &session.device)?;
        let start = objective.start(&session.device)?;
        let dims = |config| cost::dims(config, self.data.seq_len, self.data.mask_probability);
        let (small, large) = (dims(self.small), dims(self.large));
        let cost = cost::learn_step(
            (self.small, &small),
            (self.large, &large),
            self.train.sequences_per_step(),
            &config,
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
