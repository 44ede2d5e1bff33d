use ligo_arch::ModelConfig;
use ligo_growth::OperatorSpec;
use ligo_train::{ScheduleKind, TrainConfig};

use super::presets::{Plan, known_names, preset};
use super::{
    Candidate, DataFacts, Fault, KeepMoments, MethodSection, ModelSection, Pair, Recipe, SavedMoments, SelectSection,
    Selection, Stage, StageSchedule, StageSection, merged, nearest, tau,
};

impl Recipe {
    /// What a method does, in order. A plain method is one stage: grow, then train the large model.
    ///
    /// # Errors
    /// A stage's model is not valid or cannot grow from the one before, a setting does not fit, or the shares exceed the
    /// whole.
    pub(super) fn stages_of(
        &self,
        method: &MethodSection,
        pair: &Pair,
        facts: &DataFacts,
    ) -> Result<Vec<Stage>, Vec<Fault>> {
        let id = method.id();
        let plan = self
            .plan(method)
            .ok_or_else(|| fault(&id, unknown_method(&method.name)))?;
        let train: TrainConfig = merged(&self.large.train, &plan.train, &format!("{id}.train"))?;
        let train: TrainConfig = merged(&train, &method.train, &format!("{id}.train"))?;
        tau::check(method, &plan).map_err(|message| fault(&format!("{id}.tau"), message))?;
        let sections = match (method.stages.as_slice(), plan.tau) {
            ([], Some(tau)) => tau::stages(tau, &plan.operator),
            ([], None) => (plan.stages)(pair.large.sizes().layers),
            (sections, _) => sections.to_vec(),
        };
        let has_trunk = method.stages.is_empty() && plan.tau.is_some();
        let facts = &self.facts(facts.clone(), pair);
        let steps = steps(&sections, train.steps).map_err(|message| fault(&format!("{id}.stages"), message))?;
        let whole = train.steps;
        let mut done = 0;
        let mut stages: Vec<Stage> = Vec::new();
        for (i, (section, steps)) in sections.iter().zip(steps).enumerate() {
            let key = match sections.len() {
                1 => id.clone(),
                _ => format!("{id}.stages[{i}]"),
            };
            let is_last = i + 1 == sections.len();
            let model = match section.small {
                true => pair.small.clone(),
                false => self.stage_model(section, &key, facts)?,
            };
            if is_last && model != pair.large {
                return Err(fault(
                    &key,
                    "the last stage trains the large model; leave its `model` out".into(),
                ));
            }
            let before = stages.last().map_or(&pair.small, |stage| &stage.model);
            let select = plan.select.as_ref().filter(|_| i == 0);
            let select = select
                .map(|select| self.selection(select, before, &model, &key))
                .transpose()?;
            let usual = if i == 0 {
                plan.operator.clone()
            } else {
                OperatorSpec::Stackbert
            };
            let operator = match &select {
                Some(selection) => fixed(&selection.candidates).ok_or_else(|| {
                    let message = "needs at least one candidate that is not learned";
                    fault(&format!("{key}.select"), message.into())
                })?,
                None => section.operator.clone().unwrap_or(usual),
            };
            can_grow(&operator, before, &model).map_err(|reason| fault(&key, reason))?;
            let train = TrainConfig { steps, ..train.clone() };
            let mut train = merged(&train, &section.train, &format!("{key}.train"))?;
            if section.schedule == StageSchedule::Continued {
                train.schedule = train.schedule.over(whole);
                train.schedule.first_step += done;
            }
            if i > 0
                && let Some(message) = decayed(&train, section.schedule)
            {
                return Err(fault(&key, message));
            }
            let until = (has_trunk && i == 0).then_some(steps);
            if until.is_some() {
                train = tau::trunk(&train, whole);
            }
            train.matrix_lr_factor *= method.rates.unwrap_or_default().factor(&pair.small, &model);
            done += steps;
            let keep_moments = section
                .keep_moments
                .or(method.keep_moments)
                .unwrap_or(plan.keep_moments);
            let stage = Stage {
                folder: (!is_last).then(|| format!("stage-{}", i + 1)),
                model: match &select {
                    Some(_) => model,
                    None => operator.adjust(before, &model),
                },
                operator,
                select,
                keep_moments,
                train,
                until,
            };
            let before = match stages.last() {
                Some(stage) => Some(&stage.train),
                // What trained a model that is given is not known before it is opened.
                None => self.small.path.is_none().then_some(&self.small.train),
            };
            self.check_stage(&stage, before, i, &key)?;
            stages.push(stage);
        }
        Ok(stages)
    }

    /// The operator of a method.
    pub fn operator_of(&self, method: &MethodSection) -> Option<OperatorSpec> {
        match &method.operator {
            Some(spec) => Some(spec.clone()),
            // Until the best variant is known.
            None if self.is_best_variant(method) => self.operator_of(&self.method(&self.sweep.method)),
            None => preset(&method.name, &self.operator.ligo).map(|plan| plan.operator),
        }
    }

    /// What a method is meant to be, its own words first.
    pub(super) fn plan(&self, method: &MethodSection) -> Option<Plan> {
        // Until the best variant is known.
        if self.is_best_variant(method) {
            return self.plan(&self.method(&self.sweep.method));
        }
        let ligo = &self.operator.ligo;
        let named = preset(&method.name, ligo);
        let mut plan = match &method.operator {
            Some(operator) => Plan {
                operator: operator.clone(),
                ..named.unwrap_or_else(|| Plan::new(operator.clone()))
            },
            None => named?,
        };
        if let Some(select) = &method.select {
            plan.select = Some(select.clone());
        }
        plan.tau = method.tau.or(plan.tau);
        Some(plan)
    }

    fn stage_model(&self, section: &StageSection, key: &str, facts: &DataFacts) -> Result<ModelConfig, Vec<Fault>> {
        let mut model = ModelSection {
            model: self.large.model.clone(),
            ..ModelSection::default()
        };
        model.model.extend(section.model.clone());
        if let Some(layers) = section.layers {
            model = model.with_layers(layers, facts);
        }
        model.config(key, facts)
    }

    /// The operators that are tried for a pair. Without a list these are all fixed ones that can grow it.
    fn selection(
        &self,
        select: &SelectSection,
        small: &ModelConfig,
        large: &ModelConfig,
        key: &str,
    ) -> Result<Selection, Vec<Fault>> {
        let lag_steps = select.lag_steps;
        if lag_steps == 0 {
            return Err(fault(
                &format!("{key}.select.lag_steps"),
                "must be at least 1, found 0".into(),
            ));
        }
        let operator = |candidate: &Candidate| {
            let found = candidate.operator(&self.operator.ligo);
            found.ok_or_else(|| match candidate {
                Candidate::Name(name) => unknown_operator(name),
                Candidate::Operator(spec) => spec.name().to_owned(),
            })
        };
        let mut candidates = Vec::new();
        for (i, candidate) in select.candidates.iter().enumerate() {
            let spec = operator(candidate).and_then(|spec| can_grow(&spec, small, large).map(|()| spec));
            candidates.push(spec.map_err(|message| fault(&format!("{key}.select.candidates[{i}]"), message))?);
        }
        if candidates.is_empty() {
            let named = OperatorSpec::NAMES.into_iter().filter_map(OperatorSpec::from_name);
            candidates = named
                .filter(|spec| !spec.is_learned() && *spec != OperatorSpec::Scratch)
                .filter(|spec| can_grow(spec, small, large).is_ok())
                .collect();
        }
        Ok(Selection { candidates, lag_steps })
    }

    /// What would only come out when the stage's turn comes.
    fn check_stage(
        &self,
        stage: &Stage,
        before: Option<&TrainConfig>,
        index: usize,
        key: &str,
    ) -> Result<(), Vec<Fault>> {
        let mut faults = stage.train.depth_faults(stage.model.sizes().layers);
        if let Some(select) = &stage.select
            && select.lag_steps >= stage.train.steps
        {
            faults.push(format!(
                "select.lag_steps must be fewer than the {} steps of the stage, found {}",
                stage.train.steps, select.lag_steps
            ));
        }
        // Scratch takes nothing from the model before.
        let takes_moments = stage.keep_moments != KeepMoments::No && stage.operator != OperatorSpec::Scratch;
        if takes_moments && index == 0 {
            let given = self.small.path.as_deref();
            faults.extend(given.and_then(|path| SavedMoments::beside(path).fault()));
        }
        if let Some(before) = before.filter(|_| takes_moments) {
            faults.extend(moments_fault(before, &stage.train));
        }
        if faults.is_empty() {
            return Ok(());
        }
        let fault = |message| Fault {
            key: key.to_owned(),
            message,
        };
        Err(faults.into_iter().map(fault).collect())
    }
}

/// Why a stage cannot take the optimizer's state of the training before it.
fn moments_fault(before: &TrainConfig, now: &TrainConfig) -> Option<String> {
    let (was, is) = (before.optimizer.kind, now.optimizer.kind);
    if was != is {
        return Some(format!(
            "keep_moments: the model before is trained by {was:?} and this one by {is:?}, whose states differ; give both one optimizer, or leave keep_moments out"
        ));
    }
    let message = "keep_moments: the model before is an average of weights, which has no moments; leave out its `average` or keep_moments";
    before.average.map(|_| message.into())
}

/// Why a model that goes on with a schedule would never be trained at its full rate. Other schedules than `wsd` fall from the beginning.
fn decayed(train: &TrainConfig, schedule: StageSchedule) -> Option<String> {
    let rates = train.schedule;
    let (grown_at, falls_at) = (rates.first_step, rates.decay_begins());
    let is_late = schedule == StageSchedule::Continued && rates.kind == ScheduleKind::Wsd && grown_at >= falls_at;
    is_late.then(|| {
        format!(
            "is grown after {grown_at} steps, and the rate falls from step {falls_at} of {} on: it would never be trained at the full rate; grow it sooner, or              let less decay (schedule.decay_share is {})",
            rates.total_steps, rates.decay_share
        )
    })
}

/// A candidate that is not learned.
fn fixed(candidates: &[OperatorSpec]) -> Option<OperatorSpec> {
    candidates.iter().find(|spec| !spec.is_learned()).cloned()
}

/// Whether an operator can make one model of the other, and if not, why.
fn can_grow(operator: &OperatorSpec, small: &ModelConfig, large: &ModelConfig) -> Result<(), String> {
    if *operator == OperatorSpec::Scratch {
        return Ok(());
    }
    let outcome = operator.check(&small.table_for(large), &large.table());
    outcome.map_err(|error| error.to_string())
}

/// The message for a method that nobody knows.
pub(super) fn unknown_method(name: &str) -> String {
    unknown("method", name, &known_names())
}

fn unknown_operator(name: &str) -> String {
    unknown("operator", name, &OperatorSpec::NAMES)
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("unknown {what} `{name}`; did you mean `{near}`?"),
        None => format!("unknown {what} `{name}`; known ones are {}", known.join(", ")),
    }
}

/// Steps of each stage; together `total`.
fn steps(sections: &[StageSection], total: u64) -> Result<Vec<u64>, String> {
    let Some((_, earlier)) = sections.split_last() else {
        return Ok(Vec::new());
    };
    let shares = || earlier.iter().map(|section| section.share);
    let taken: f64 = shares().sum();
    if !(0.0..1.0).contains(&taken) || shares().any(|share| share <= 0.0) {
        return Err(format!(
            "every share but the last must be above 0, and together they must be below 1; found {taken} in all"
        ));
    }
    let mut steps: Vec<u64> = shares().map(|share| (total as f64 * share).round() as u64).collect();
    steps.push(total.saturating_sub(steps.iter().sum()));
    Ok(steps)
}

fn fault(key: &str, message: String) -> Vec<Fault> {
    vec![Fault {
        key: key.to_owned(),
        message,
    }]
}
