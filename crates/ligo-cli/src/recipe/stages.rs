use ligo_arch::{ModelConfig, check_growable};
use ligo_growth::OperatorSpec;
use ligo_train::TrainConfig;
use serde::{Deserialize, Serialize};
use toml::Table;

use super::{DataFacts, Fault, MethodSection, ModelSection, Pair, Recipe, merged};

/// One stretch of a method that trains several models one after the other; the last one is the large model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StageSection {
    /// Fields of `[large.model]` that differ, such as the number of layers. Nothing in the last stage.
    pub model: Table,
    /// What makes this model of the one before. By default the method's operator in the first stage, and StackBERT's
    /// layers in the others; between models of one size that is a copy.
    pub operator: Option<OperatorSpec>,
    /// Share of the large model's steps; the last stage takes what the others leave.
    pub share: f64,
    /// Settings that differ from `[large.train]`.
    pub train: Table,
}

/// One stretch of a method's training, ready to run.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The folder inside the method's own; the last stage has none.
    pub folder: Option<String>,
    /// The model that is trained.
    pub model: ModelConfig,
    /// What makes it of the one before.
    pub operator: OperatorSpec,
    /// How it is trained, but for the seed.
    pub train: TrainConfig,
}

impl Recipe {
    /// What a method does, in order. A plain method is one stage: grow, then train the large model.
    ///
    /// # Errors
    /// A stage's model is not valid or cannot grow from the one before, a setting does not fit, or the shares exceed the
    /// whole.
    pub fn stages_of(&self, method: &MethodSection, pair: &Pair, facts: &DataFacts) -> Result<Vec<Stage>, Vec<Fault>> {
        let id = method.id();
        let train: TrainConfig = merged(&self.large.train, &method.train, &format!("{id}.train"))?;
        let Some(own) = self.operator_of(method) else {
            return Err(fault(id, format!("unknown method `{}`", method.name)));
        };
        let whole = [StageSection::default()];
        let sections = match method.stages.as_slice() {
            [] => &whole,
            sections => sections,
        };
        let facts = &self.facts(facts.clone(), pair);
        let steps = steps(sections, train.steps).map_err(|message| fault(format!("{id}.stages"), message))?;
        let mut stages: Vec<Stage> = Vec::new();
        for (i, (section, steps)) in sections.iter().zip(steps).enumerate() {
            let key = format!("{id}.stages[{i}]");
            let is_last = i + 1 == sections.len();
            let mut model = ModelSection {
                model: self.large.model.clone(),
                ..ModelSection::default()
            };
            model.model.extend(section.model.clone());
            let model = model.config(&key, facts)?;
            if is_last && model != pair.large {
                return Err(fault(
                    key,
                    "the last stage trains the large model; leave its `model` out".into(),
                ));
            }
            let before = stages.last().map_or(&pair.small, |stage| &stage.model);
            check_growable(&before.table(), &model.table()).map_err(|error| fault(key.clone(), error.to_string()))?;
            let usual = if i == 0 { own.clone() } else { OperatorSpec::Stackbert };
            let operator = section.operator.clone().unwrap_or(usual);
            let train = TrainConfig { steps, ..train.clone() };
            stages.push(Stage {
                folder: (!is_last).then(|| format!("stage-{}", i + 1)),
                model: operator.adjust(before, &model),
                operator,
                train: merged(&train, &section.train, &format!("{key}.train"))?,
            });
        }
        Ok(stages)
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

fn fault(key: String, message: String) -> Vec<Fault> {
    vec![Fault { key, message }]
}
