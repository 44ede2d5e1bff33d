use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::{Fault, MethodSection, Recipe};

/// The search for each method's learning rate: the same small one for all, so that nobody wins by tuning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchSection {
    /// The rates that every method is tried with; without any there is no search.
    pub peak_lr: Vec<f64>,
    /// Length of a trial, as a share of `large.train.steps`; its schedule is as much shorter. The best rate of a short run is too high for a
    /// long one; with 1 the trials are whole runs, and the best of them is the method's own run.
    pub share: f64,
    /// Seed of all trials; by default the recipe's.
    pub seed: Option<u64>,
}

impl Default for SearchSection {
    fn default() -> Self {
        Self {
            peak_lr: Vec::new(),
            share: 0.5,
            seed: None,
        }
    }
}

impl SearchSection {
    /// Whether there is nothing to search.
    pub fn is_off(&self) -> bool {
        self.peak_lr.is_empty()
    }

    pub(super) fn check(&self, recipe: &Recipe, faults: &mut Vec<Fault>) {
        if self.is_off() {
            return;
        }
        let mut fault = |key: &str, message: String| {
            faults.push(Fault {
                key: format!("search.{key}"),
                message,
            });
        };
        let rates = &self.peak_lr;
        if rates.len() < 2 {
            fault("peak_lr", "a search needs at least two rates".into());
        }
        if let Some(bad) = rates.iter().find(|rate| !(rate.is_finite() && **rate > 0.0)) {
            fault("peak_lr", format!("rates must be above 0, found {bad}"));
        }
        if let Some(twice) = (1..rates.len()).find(|i| rates[..*i].contains(&rates[*i])) {
            fault("peak_lr", format!("{} is there twice", rates[twice]));
        }
        if !(self.share > 0.0 && self.share <= 1.0) {
            fault("share", format!("must be above 0 and at most 1, found {}", self.share));
        } else if self.steps(recipe.large.train.steps) == 0 {
            fault("share", format!("leaves no step of {}", recipe.large.train.steps));
        }
    }

    fn steps(&self, steps: u64) -> u64 {
        (steps as f64 * self.share).round() as u64
    }
}

/// How a learning rate is written in the names of folders: `2e-3`.
pub fn rate_name(rate: f64) -> String {
    format!("{rate:e}")
}

impl MethodSection {
    /// The id without the seed: what the runs of one method over seeds have in common.
    pub fn base_id(&self) -> String {
        let id = self.id();
        match self.seed.and_then(|seed| id.strip_suffix(&format!("-seed{seed}"))) {
            Some(base) => base.to_owned(),
            None => id,
        }
    }

    /// The method with another peak learning rate.
    #[must_use]
    pub fn at_rate(mut self, rate: f64) -> Self {
        let schedule = self
            .train
            .entry("schedule")
            .or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(schedule) = schedule {
            schedule.insert("peak_lr".into(), rate.into());
        }
        self
    }
}

impl Recipe {
    /// The id of the method whose search decides this one's rate: its own over all seeds, and for a variant `a/b` that of `a`.
    pub fn searched_as(&self, method: &MethodSection) -> String {
        if self.is_best_variant(method) {
            return self.sweep.method.clone();
        }
        let base = method.base_id();
        match base.split_once('/') {
            Some((family, _)) => family.to_owned(),
            None => base,
        }
    }

    /// The method that a search of this id is made for.
    pub fn searched(&self, id: &str) -> MethodSection {
        self.with_seed(&self.method(id), self.seed)
    }

    /// The trial that is this method's run, where trials are whole runs of its seed and settings.
    pub fn trial_of(&self, method: &MethodSection, rate: f64) -> Option<MethodSection> {
        let search = &self.search;
        let is_own = self.searched_as(method) == method.base_id();
        let is_whole = search.share == 1.0 && self.seed_of(method) == search.seed.unwrap_or(self.seed);
        if !(is_own && is_whole) {
            return None;
        }
        let rates = search.peak_lr.iter();
        let trials = rates.zip(self.trials(&method.base_id()));
        let mut found = trials.filter(|(tried, _)| **tried == rate);
        found.next().map(|(_, trial)| trial)
    }

    /// A method of this id, as the search tries it with each rate.
    pub fn trials(&self, id: &str) -> Vec<MethodSection> {
        let search = &self.search;
        let method = self.searched(id);
        let own = method.train.get("steps").and_then(Value::as_integer);
        let steps = own.map_or(self.large.train.steps, |steps| steps.max(0) as u64);
        let trial = |rate: &f64| {
            let mut trial = method.clone().at_rate(*rate);
            trial.id = Some(format!("{id}-lr{}", rate_name(*rate)));
            trial.seed = Some(search.seed.unwrap_or(self.seed));
            trial
                .train
                .insert("steps".into(), Value::Integer(search.steps(steps) as i64));
            trial
        };
        search.peak_lr.iter().map(trial).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{RecipeError, load, merged};
    use super::*;

    fn demo(overrides: &[&str]) -> Result<Recipe, RecipeError> {
        let overrides: Vec<String> = overrides.iter().map(|o| (*o).to_owned()).collect();
        load("demo", &overrides)
    }

    #[test]
    fn every_seed_of_a_method_shares_its_search() {
        let recipe = demo(&[
            "search.peak_lr=[1e-3,2.5e-3]",
            "search.share=0.25",
            "large.train.steps=1000",
        ])
        .unwrap();
        let recipe = recipe.comparing(&["ligo".into()], Some(2)).unwrap();
        let groups: Vec<String> = recipe.methods.iter().map(|m| recipe.searched_as(m)).collect();
        assert_eq!(groups, ["scratch", "scratch", "ligo", "ligo"]);
        let trials = recipe.trials("ligo");
        let ids: Vec<String> = trials.iter().map(MethodSection::id).collect();
        assert_eq!(ids, ["ligo-lr1e-3", "ligo-lr2.5e-3"]);
        let train = merged(&recipe.large.train, &trials[1].train, "train").unwrap();
        assert_eq!((train.steps, train.schedule.peak_lr), (250, 2.5e-3));
        assert_eq!(train.schedule.warmup_steps, recipe.large.train.schedule.warmup_steps);
        assert!(trials.iter().all(|t| recipe.seed_of(t) == recipe.seed));
    }

    #[test]
    fn a_variant_takes_the_rate_of_its_method() {
        let recipe = demo(&[]).unwrap();
        let variant = MethodSection {
            name: "ligo".into(),
            id: Some("ligo/lr=1e-3,init=rand-seed2".into()),
            seed: Some(2),
            ..MethodSection::default()
        };
        assert_eq!(variant.base_id(), "ligo/lr=1e-3,init=rand");
        assert_eq!(recipe.searched_as(&variant), "ligo");
    }

    #[test]
    fn a_whole_trial_of_the_same_seed_is_the_methods_run() {
        let recipe = |share: &str| {
            let recipe = demo(&["search.peak_lr=[1e-3,2e-3]", share, "lengths=[0.5]"]).unwrap();
            recipe.comparing(&["ligo".into()], Some(2)).unwrap()
        };
        let trial = |recipe: &Recipe, id: &str| {
            let method = recipe.methods.iter().find(|m| m.id() == id).unwrap();
            recipe.trial_of(method, 2e-3).map(|trial| trial.id())
        };
        let whole = recipe("search.share=1.0");
        assert_eq!(trial(&whole, "ligo").as_deref(), Some("ligo-lr2e-3"));
        assert_eq!(whole.trial_of(&whole.methods[0], 3e-3), None);
        let steps = whole.large.train.steps / 2;
        for id in [&format!("ligo-seed{}", whole.seed + 1), &format!("ligo/steps={steps}")] {
            assert_eq!(trial(&whole, id), None);
        }
        assert_eq!(trial(&recipe("search.share=0.5"), "ligo"), None);
    }

    #[test]
    fn a_search_that_cannot_be_is_refused() {
        for (given, part) in [
            ("search.peak_lr=[1e-3]", "at least two"),
            ("search.peak_lr=[1e-3,-1e-3]", "above 0"),
            ("search.peak_lr=[1e-3,2e-3,1e-3]", "twice"),
        ] {
            let message = demo(&[given]).unwrap_err().to_string();
            assert!(message.contains(part), "{given}: {message}");
        }
        for share in ["0.0", "1.5", "1e-9"] {
            let given = format!("search.share={share}");
            let message = demo(&["search.peak_lr=[1e-3,2e-3]", &given]).unwrap_err().to_string();
            assert!(message.contains("search.share"), "{message}");
        }
    }
}
