//! One way to start the large model: learn the operator if it has one, grow, train.

use std::path::{Path, PathBuf};

use ligo_arch::ModelConfig;
use ligo_checkpoint::Card;
use ligo_cost::Cost;
use ligo_growth::stream::{GrowOptions, grow_directory};
use ligo_growth::{LigoOperator, OperatorInfo, OperatorSpec};
use ligo_pretrained::Source;
use ligo_pretrained::{Beside, open_model};
use ligo_train::ParamInfo;
use serde_json::json;

use super::Session;
use super::dataset::Dataset;
use super::learning::Learning;
use super::revisions::{self, Part};
use super::training::Training;
use super::training_run::{Extras, Start, TrainingRun};
use super::{Small, moments, stage};
use crate::recipe::{KeepMoments, Method, Recipe, RunKey, Stage, seeded};
use crate::{Failure, stop};

/// The folder of a method inside the run's own.
pub fn folder_of(key: &RunKey) -> String {
    format!("methods/{key}")
}

/// Runs one method from the small model to the trained large one, in this folder.
///
/// # Errors
/// Whatever a stage ends with.
pub fn run(
    recipe: &Recipe,
    method: &Method,
    folder: &Path,
    dataset: &Dataset,
    small: &Small,
    session: &Session,
) -> Result<(), Failure> {
    let id = method.id();
    let stages = &method.stages;
    let teacher = Before {
        dir: small.model.clone(),
        config: small.config.clone(),
        fingerprint: small.fingerprint.clone(),
        is_stage: false,
    };
    let mut before = teacher.clone();
    for (i, stage) in stages.iter().enumerate() {
        let label = match stages.len() {
            1 => id.clone(),
            count => format!("{id}, stage {} of {count}", i + 1),
        };
        let growing = Growing {
            recipe,
            method,
            label,
            folder: stage_folder(folder, stage),
            stage,
            before: &before,
            teacher: &teacher,
            dataset,
            session,
        };
        before = growing.run()?;
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
#[derive(Clone, Debug)]
pub(super) struct Before {
    dir: PathBuf,
    config: ModelConfig,
    fingerprint: String,
    /// Whether a stage of the same method wrote it.
    is_stage: bool,
}

impl Before {
    fn open(&self) -> Result<Source, Failure> {
        let source = match self.is_stage {
            true => open_own(&self.dir)?,
            false => open_model(&self.dir)?,
        };
        Ok(source.at(&self.config)?)
    }
}

/// Opens a model that this run wrote, and can write again.
fn open_own(dir: &Path) -> Result<Source, Failure> {
    open_model(dir).map_err(|error| stage::to_make_again(dir, &error.into()))
}

/// One stage: the operator, the grown model, its training.
#[derive(Clone)]
pub(super) struct Growing<'a> {
    recipe: &'a Recipe,
    method: &'a Method,
    pub(super) label: String,
    pub(super) folder: PathBuf,
    stage: &'a Stage,
    before: &'a Before,
    teacher: &'a Before,
    dataset: &'a Dataset,
    pub(super) session: &'a Session<'a>,
}

/// A finished operator.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    pub(super) spec: OperatorSpec,
    pub(super) dir: PathBuf,
    /// What it depends on.
    pub(super) fingerprint: String,
}

impl Growing<'_> {
    fn run(&self) -> Result<Before, Failure> {
        let (operator, spent) = match &self.stage.select {
            Some(selection) => self.select(selection)?,
            None => (self.operator(&self.stage.operator)?, Cost::default()),
        };
        let fingerprint = self.train(&operator, spent, None)?;
        Ok(Before {
            dir: self.folder.join("model"),
            config: self.model(&operator.spec),
            fingerprint,
            is_stage: true,
        })
    }

    /// The model that an operator makes; some ask for another ε.
    fn model(&self, operator: &OperatorSpec) -> ModelConfig {
        let Stage { model, select, .. } = self.stage;
        match select {
            Some(_) => operator.adjust(&self.before.config, model),
            None => model.clone(),
        }
    }

    /// The same stage under another name and in a folder inside its own.
    pub(super) fn beside(&self, label: String, folder: impl AsRef<Path>) -> Self {
        Self {
            label,
            folder: self.folder.join(folder),
            ..self.clone()
        }
    }

    /// Grows the model and trains it, up to step `until` if there is one.
    pub(super) fn train(&self, operator: &Operator, spent: Cost, until: Option<u64>) -> Result<String, Failure> {
        let Self { stage, session, .. } = *self;
        let (label, folder) = (&self.label, &self.folder);
        let start_dir = folder.join("start");
        let model = self.model(&operator.spec);
        let grown = json!([operator.fingerprint, model.to_json()]);
        let growing = format!("{label}: growing");
        session.stage(&growing, &folder.join("grow"), &grown, &["../start"], || {
            self.grow(operator, &start_dir)
        })?;
        let train = seeded(&stage.train, self.method.seed);
        let teacher = train.distillation.map(|_| self.teacher.open()).transpose()?;
        let optional = match session.only_looks {
            true => Vec::new(),
            false => open_own(&start_dir)?.optional,
        };
        let run = TrainingRun {
            label,
            folder,
            config: &model,
            train: &train,
            dataset: self.dataset,
            data: &self.recipe.data,
            extras: Extras {
                teacher: teacher.as_ref(),
                side_files: Some(&start_dir),
                spent,
                until: until.or(stage.until),
                goes_on: until.is_none() && stage.until.is_some(),
                branch_at: stage
                    .train
                    .branches_at()
                    .filter(|_| until.is_none() && stage.until.is_none())
                    .filter(|_| {
                        self.recipe
                            .lengths_of(&self.recipe.methods)
                            .has_longer(&self.method.key)
                    }),
            },
        };
        let (_, fingerprint) = session.train(Training {
            run,
            start: &mut || self.start(operator, &start_dir),
            upstream: self.upstream(grown.clone(), spent),
            optional: &optional,
            card: self.card(&format!("large model by {label}"), &operator.spec),
        })?;
        Ok(fingerprint)
    }

    /// All that a training run starts from. What a plain run does not have is not in it, so that its fingerprint stays as it was.
    fn upstream(&self, grown: serde_json::Value, spent: Cost) -> serde_json::Value {
        let mut more = Vec::new();
        if self.stage.keep_moments != KeepMoments::No {
            more.push(json!({"keep_moments": self.stage.keep_moments}));
        }
        if self.stage.train.distillation.is_some() {
            more.push(json!({"teacher": self.teacher.fingerprint}));
        }
        if spent != Cost::default() {
            more.push(json!({"spent": [spent.flops.exact, spent.flops.electra]}));
        }
        if more.is_empty() { grown } else { json!([grown, more]) }
    }

    /// The grown weights, and with them what the stage keeps of the run before.
    fn start(&self, operator: &Operator, start_dir: &Path) -> Result<Start, Failure> {
        let Self { stage, session, .. } = *self;
        let device = &session.device;
        let store = ligo_pretrained::load_store(start_dir, device)?.1;
        let marks_new = stage.train.needs_new_entries();
        if operator.spec == OperatorSpec::Scratch {
            let all = |info: &ParamInfo| (info.name.clone(), vec![true; info.num_elements()]);
            let new = marks_new.then(|| store.infos().iter().map(all).collect());
            return Ok(Start {
                store,
                moments: None,
                new,
            });
        }
        if !marks_new && stage.keep_moments == KeepMoments::No {
            return Ok(store.into());
        }
        let (map, _) = ligo_growth::load_operator(&operator.dir, device)?;
        let before = self.before.open()?;
        let model = self.model(&operator.spec);
        let new = marks_new.then(|| moments::new_masks(&map, &before, &model));
        Ok(Start {
            store,
            moments: moments::grown(stage.keep_moments, &map, &before, &model, device)?,
            new: new.transpose()?,
        })
    }

    /// Learns or builds the operator.
    pub(super) fn operator(&self, spec: &OperatorSpec) -> Result<Operator, Failure> {
        let Self { before, session, .. } = *self;
        let (seed, label) = (self.method.seed, format!("{}: operator", self.label));
        let dir = self.folder.join("operator");
        let large = &self.model(spec);
        // What starts fresh is the same whatever the model before is.
        let upstream = match spec {
            OperatorSpec::Scratch => json!([self.dataset.fingerprint, spec, self.method.seed, large.to_json()]),
            _ => json!([before.fingerprint, spec, self.method.seed, large.to_json()]),
        };
        let upstream = revisions::noted(upstream, &[Part::Operator(spec)]);
        let OperatorSpec::Ligo(config) = spec else {
            // What starts fresh may be smaller than the model before.
            let small = if *spec == OperatorSpec::Scratch {
                large
            } else {
                &before.config
            };
            let fingerprint = session.stage(&label, &self.folder.join("map"), &upstream, &["../operator"], || {
                let map = spec.build(
                    &small.table_for(large),
                    &large.table(),
                    &session.device,
                    large.initializer_range(),
                    self.method.seed,
                )?;
                let info = OperatorInfo::new(spec.clone(), small, large, json!({"seed": self.method.seed}));
                ligo_growth::save_operator(&dir, &map, info)?;
                Ok(())
            })?;
            return Ok(Operator {
                spec: spec.clone(),
                dir,
                fingerprint,
            });
        };
        let small = &before.config;
        let train = seeded(&self.method.learn, seed.wrapping_add(LEARN_SEED));
        let learning = Learning {
            run: TrainingRun {
                label: &label,
                folder: &self.folder.join("learn"),
                config: large,
                train: &train,
                dataset: self.dataset,
                data: &self.recipe.data,
                extras: Extras::default(),
            },
            operator_dir: &dir,
            spec,
            operator: LigoOperator::new(&small.table(), &large.table(), config, seed)?,
            small_dir: &before.dir,
            small,
            upstream,
        };
        let fingerprint = learning.run(session)?;
        Ok(Operator {
            spec: spec.clone(),
            dir,
            fingerprint,
        })
    }

    fn grow(&self, operator: &Operator, target: &Path) -> Result<(), Failure> {
        let session = self.session;
        let card = self.card("large model before its first step", &operator.spec);
        let tokenizer = self.dataset.tokenizer();
        let model = self.model(&operator.spec);
        if operator.spec == OperatorSpec::Scratch {
            let table = model.table();
            let values = ligo_growth::init::initial_values(&table, model.initializer_range(), self.method.seed);
            let store = ligo_pretrained::host_store(&table, values, &session.device)?;
            let beside = Beside {
                tokenizer: Some(tokenizer),
                others: None,
                card: Some(card),
            };
            return Ok(ligo_pretrained::save_model(&store, &model, target, beside)?);
        }
        let (map, _) = ligo_growth::load_operator(&operator.dir, &session.device)?;
        let mut source = self.before.open()?;
        let options = GrowOptions {
            tokenizer: Some(tokenizer.to_path_buf()),
            card: Some(card),
            ..GrowOptions::default()
        };
        grow_directory(
            &map,
            &mut source.dir,
            &source.config,
            &model,
            target,
            &options,
            &session.device,
            &mut |_, _| !stop::requested(),
        )?;
        Ok(())
    }

    fn card(&self, title: &str, operator: &OperatorSpec) -> Card {
        let base = (*operator != OperatorSpec::Scratch).then_some(self.before.dir.as_path());
        self.session.card(title, base, operator.name(), self.recipe)
    }
}

/// The operator sees other batches than the training that follows.
const LEARN_SEED: u64 = 0x4c69_474f;
