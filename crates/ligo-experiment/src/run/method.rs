//! One way to start the large model: learn the operator if it has one, grow, train.

use std::path::{Path, PathBuf};

use ligo_arch::ModelConfig;
use ligo_checkpoint::Card;
use ligo_cost::{Cost, format};
use ligo_growth::stream::{GrowOptions, grow_directory};
use ligo_growth::{LigoOperator, OperatorInfo, OperatorSpec};
use ligo_pretrained::Source;
use ligo_pretrained::{Beside, open_model};
use ligo_train::{OperatorObjective, ParamInfo, TrainConfig};
use serde_json::json;

use super::Session;
use super::dataset::Dataset;
use super::outcome::{RESULT_JSON, read_result, save_result};
use super::ranks;
use super::revisions::{self, Part};
use super::task::Task;
use super::training::{Extras, Start, Steps, Training};
use super::{Small, moments, stage};
use crate::recipe::{DataSection, KeepMoments, Method, Recipe, RunKey, Stage, seeded};
use crate::stop;
use crate::{Failure, cost};

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
        let (_, fingerprint) = session.train(Training {
            label,
            folder,
            config: &model,
            start: &mut || self.start(operator, &start_dir),
            train: &train,
            dataset: self.dataset,
            data: &self.recipe.data,
            upstream: self.upstream(grown.clone(), spent),
            optional: &optional,
            card: self.card(&format!("large model by {label}"), &operator.spec),
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
        let learning = Learning {
            label,
            folder: self.folder.join("learn"),
            operator_dir: dir.clone(),
            spec: spec.clone(),
            operator: LigoOperator::new(&small.table(), &large.table(), config, self.method.seed)?,
            small_dir: &before.dir,
            small,
            large,
            train: seeded(&self.method.learn, seed.wrapping_add(LEARN_SEED)),
            data: &self.recipe.data,
            upstream,
        };
        Ok(Operator {
            spec: spec.clone(),
            dir,
            fingerprint: learning.run(self.dataset, session)?,
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
        let inputs = json!({"train": self.train.deciding(), "data": self.data, "upstream": self.upstream, stage::KERNELS: session.kernels});
        let inputs = revisions::noted(inputs, &revisions::of_learning(self.large.task()));
        let folder = self.folder.clone();
        let label = self.label.clone();
        // The operator lies beside the folder.
        let operator = self.operator_dir.file_name().unwrap_or_default();
        let operator = format!("../{}", operator.to_string_lossy());
        let outputs = [RESULT_JSON, &operator];
        session.check_same_run(&folder, &self.train, &inputs)?;
        let print = session.stage(&label, &folder, &inputs, &outputs, || {
            self.learn(dataset, session, &inputs)
        })?;
        let result = read_result(&folder)?;
        session.listener.say(&format!(
            "{label}: loss {:.3} → {:.3} in {} steps, {}",
            result.curve.first().map_or(f64::NAN, |p| p.loss),
            result.final_loss().unwrap_or(f64::NAN),
            result.steps,
            format::seconds(result.cost.seconds),
        ));
        Ok(print)
    }

    fn learn(self, dataset: &Dataset, session: &Session, inputs: &serde_json::Value) -> Result<(), Failure> {
        let mut source = open_model(self.small_dir)?.at(self.small)?;
        let learned = self.operator.num_parameters();
        let config = self.operator.config().clone();
        let pair = (self.small, self.large);
        let memory = crate::plan::learning_memory(pair, &self.operator, &self.train, self.data);
        session.check_memory(&self.label, &memory)?;
        let task = Task::Learn {
            small_dir: ranks::whole(self.small_dir)?,
            small: self.small.to_json(),
            operator: Box::new(config.clone()),
            seed: self.operator.seed(),
        };
        let objective = OperatorObjective::new(self.operator, self.large, &mut source.dir, &session.device)?;
        let start = objective.start(&session.device)?;
        let dims = |config| cost::dims(config, self.data.seq_len, self.data.mask_probability);
        let (small, large) = (dims(self.small), dims(self.large));
        let step = cost::learn_step((self.small, &small), (self.large, &large), &self.train, &config);
        let cost = cost::LearningCost::new(large, step, &self.train);
        let (store, result) = session.steps(Steps {
            label: &self.label,
            folder: &self.folder,
            objective: &objective,
            task,
            config: self.large,
            start: start.into(),
            train: &self.train,
            dataset,
            data: self.data,
            cost: Box::new(cost),
            extras: Extras::default(),
            inputs,
        })?;
        let training = json!({
            "learned_parameters": learned,
            "steps": result.steps,
            "seconds": result.cost.seconds,
            "flops_exact": result.cost.flops.exact,
            "flops_electra": result.cost.flops.electra,
            "validation_loss_before": result.curve.first().map(|p| p.loss),
            "validation_loss_after": result.final_loss(),
            "train": self.train,
        });
        let info = OperatorInfo::new(self.spec, self.small, self.large, training);
        ligo_growth::save_operator(&self.operator_dir, &objective.map(&store), info)?;
        save_result(&self.folder, &result)
    }
}
