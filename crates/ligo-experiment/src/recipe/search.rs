use ligo_train::ScheduleKind;
use toml::{Table, Value};

use super::{Fault, MethodSection, Recipe, RunKey, SearchSection, Tried};

impl SearchSection {
    /// Whether there is nothing to search.
    pub fn is_off(&self) -> bool {
        self.peak_lr.is_empty()
    }

    /// All that is tried for a method, in the order of the schedules and then of the rates.
    pub fn tried(&self) -> Vec<Tried> {
        let with =
            |schedule: Option<ScheduleKind>| self.peak_lr.iter().map(move |rate| Tried { rate: *rate, schedule });
        match self.schedule.as_slice() {
            [] => with(None).collect(),
            kinds => kinds.iter().flat_map(|kind| with(Some(*kind))).collect(),
        }
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
            fault("peak_lr", format!("{} appears twice", rates[twice]));
        }
        let kinds = &self.schedule;
        if let Some(twice) = (1..kinds.len()).find(|i| kinds[..*i].contains(&kinds[*i])) {
            fault("schedule", format!("{} appears twice", kinds[twice].name()));
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

impl MethodSection {
    /// The method with what a trial tries.
    #[must_use]
    pub fn trying(mut self, tried: Tried) -> Self {
        let schedule = self
            .train
            .entry("schedule")
            .or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(schedule) = schedule {
            schedule.insert("peak_lr".into(), tried.rate.into());
            if let Some(kind) = tried.schedule {
                schedule.insert("kind".into(), kind.name().into());
            }
        }
        self
    }
}

impl Recipe {
    /// The method whose search decides this one's rate: itself over all seeds, and for a variant the entry that it is one of, unless it is a length
    /// that has a search of its own.
    pub fn searched_as(&self, method: &MethodSection) -> RunKey {
        if self.is_best_variant(method) {
            return RunKey::of_entry(&self.sweep.method);
        }
        let key = method.key().group();
        let has_own = self.search.each_length && !self.is_variant(method) && key.steps.is_some();
        match has_own {
            true => key,
            false => RunKey::of_entry(key.entry),
        }
    }

    /// The method that a search is made for.
    pub fn searched(&self, key: &RunKey) -> MethodSection {
        self.with_seed(&self.method(&key.to_string()), self.seed)
    }

    /// The trial that is this method's run, where trials are whole runs of its seed and settings.
    pub fn trial_of(&self, method: &MethodSection, tried: Tried) -> Option<MethodSection> {
        let search = &self.search;
        let key = method.key().group();
        let is_own = self.searched_as(method) == key;
        let is_whole = search.share == 1.0 && self.seed_of(method) == search.seed.unwrap_or(self.seed);
        if !(is_own && is_whole) {
            return None;
        }
        let trials = search.tried().into_iter().zip(self.trials(&key));
        let mut found = trials.filter(|(other, _)| *other == tried);
        found.next().map(|(_, trial)| trial)
    }

    /// A method, as its search tries it with each rate and schedule.
    pub fn trials(&self, key: &RunKey) -> Vec<MethodSection> {
        let search = &self.search;
        let method = self.searched(key);
        let own = method.train.get("steps").and_then(Value::as_integer);
        let steps = own.map_or(self.large.train.steps, |steps| steps.max(0) as u64);
        let trial = |tried: Tried| {
            let mut trial = method.clone().trying(tried);
            trial.run = Some(key.trying(tried));
            trial.seed = Some(search.seed.unwrap_or(self.seed));
            trial
                .train
                .insert("steps".into(), Value::Integer(search.steps(steps) as i64));
            trial
        };
        search.tried().into_iter().map(trial).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{RecipeError, Variant, load, merged};
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
        let groups: Vec<String> = recipe
            .methods
            .iter()
            .map(|m| recipe.searched_as(m).to_string())
            .collect();
        assert_eq!(groups, ["scratch", "scratch", "ligo", "ligo"]);
        let trials = recipe.trials(&RunKey::of_entry("ligo"));
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
            run: Some(RunKey {
                variant: Some(Variant::Settings("lr=1e-3,init=rand".into())),
                seed: Some(2),
                ..RunKey::of_entry("ligo")
            }),
            seed: Some(2),
            ..MethodSection::default()
        };
        assert_eq!(variant.key().group().to_string(), "ligo/lr=1e-3,init=rand");
        assert_eq!(recipe.searched_as(&variant), RunKey::of_entry("ligo"));
    }

    #[test]
    fn a_whole_trial_of_the_same_seed_is_the_methods_run() {
        let recipe = |share: &str| {
            let recipe = demo(&["search.peak_lr=[1e-3,2e-3]", share, "lengths=[0.5]"]).unwrap();
            recipe.comparing(&["ligo".into()], Some(2)).unwrap()
        };
        let trial = |recipe: &Recipe, id: &str| {
            let method = recipe.methods.iter().find(|m| m.id() == id).unwrap();
            recipe.trial_of(method, at(2e-3)).map(|trial| trial.id())
        };
        fn at(rate: f64) -> Tried {
            Tried { rate, schedule: None }
        }
        let whole = recipe("search.share=1.0");
        assert_eq!(trial(&whole, "ligo").as_deref(), Some("ligo-lr2e-3"));
        assert_eq!(whole.trial_of(&whole.methods[0], at(3e-3)), None);
        let steps = whole.large.train.steps / 2;
        for id in [&format!("ligo-seed{}", whole.seed + 1), &format!("ligo/steps={steps}")] {
            assert_eq!(trial(&whole, id), None);
        }
        assert_eq!(trial(&recipe("search.share=0.5"), "ligo"), None);
    }

    #[test]
    fn every_length_may_have_a_rate_and_a_schedule_of_its_own_from_the_same_search() {
        let given = [
            "search.peak_lr=[1e-3,2e-3]",
            "search.share=1.0",
            "search.schedule=[\"linear\",\"wsd\"]",
            "lengths=[0.5]",
            "large.train.steps=1000",
        ];
        let of = |more: &[&str]| {
            demo(&[&given, more].concat())
                .unwrap()
                .comparing(&["ligo".into()], Some(2))
                .unwrap()
        };
        let together = of(&[]);
        let own = of(&["search.each_length=true"]);
        let names = |recipe: &Recipe, key: &RunKey| -> Vec<String> {
            recipe.trials(key).iter().map(MethodSection::id).collect()
        };
        for id in ["scratch", "ligo"] {
            let whole = ["linear-lr1e-3", "linear-lr2e-3", "wsd-lr1e-3", "wsd-lr2e-3"];
            let entry = RunKey::of_entry(id);
            assert_eq!(names(&own, &entry), whole.map(|tried| format!("{id}-{tried}")));
            let key = RunKey {
                steps: Some(500),
                ..entry.clone()
            };
            let length = key.to_string();
            for (recipe, searched) in [(&together, &entry), (&own, &key)] {
                for seeded in [length.clone(), format!("{length}-seed{}", recipe.seed + 1)] {
                    let method = recipe.methods.iter().find(|m| m.id() == seeded).unwrap();
                    assert_eq!(recipe.searched_as(method), *searched);
                }
            }
            let trials = own.trials(&key);
            let train: ligo_train::TrainConfig = merged(&own.large.train, &trials[3].train, "train").unwrap();
            assert_eq!(
                (train.steps, train.schedule.peak_lr, train.schedule.kind),
                (500, 2e-3, ScheduleKind::Wsd)
            );
            // A whole trial of the length is the length's own run.
            let method = own.methods.iter().find(|m| m.id() == length).unwrap();
            let tried = own.search.tried()[3];
            assert_eq!(
                own.trial_of(method, tried).map(|trial| trial.id()),
                Some(format!("{length}-wsd-lr2e-3"))
            );
        }
        let twice = demo(&["search.peak_lr=[1e-3,2e-3]", "search.schedule=[\"wsd\",\"wsd\"]"]);
        assert!(twice.unwrap_err().to_string().contains("wsd appears twice"));
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
