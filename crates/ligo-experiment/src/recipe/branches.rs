//! Methods that differ in their length alone: under `wsd` the shorter one is the beginning of the longer one, up to where its decay begins.

use std::collections::HashMap;

use ligo_train::{ScheduleKind, TrainConfig};

use super::{MethodSection, Recipe, RunKey, merged};

/// Methods by all that they are but their length, so that those that differ in it alone are found without comparing every method with every other one.
pub(crate) struct Lengths<'a> {
    recipe: &'a Recipe,
    /// Steps and methods.
    by_settings: HashMap<String, Vec<(u64, &'a MethodSection)>>,
}

impl<'a> Lengths<'a> {
    /// Whether another method is the one of this key but for more steps: it may go on from where this one's decay begins.
    pub(crate) fn has_longer(&self, key: &RunKey) -> bool {
        // Whatever rate is tried, or was found.
        let plain = |key: &RunKey| RunKey {
            tried: None,
            ..key.clone()
        };
        let key = plain(key);
        let of_key = self.recipe.methods.iter().filter(|method| plain(&method.key()) == key);
        let mut longer = of_key.flat_map(|method| {
            let steps = self.recipe.steps_of(method);
            self.others(method).filter(move |(other, _)| *other > steps)
        });
        longer.next().is_some()
    }

    /// The longest method that is this one but for fewer steps, if both have a constant rate to share.
    pub(crate) fn before(&self, method: &MethodSection) -> Option<&'a MethodSection> {
        let recipe = self.recipe;
        let own = recipe.steps_of(method);
        let may_share =
            |m: &MethodSection| !recipe.search.schedule.is_empty() || recipe.kind_of(m) == Some(ScheduleKind::Wsd);
        let shorter = self.others(method).filter(|(steps, _)| *steps < own);
        let shorter = shorter.filter(|(_, other)| may_share(other) && may_share(method));
        shorter.max_by_key(|(steps, _)| *steps).map(|(_, other)| other)
    }

    /// Its steps where there are other lengths of it, for an order in which the shorter ones come first; 0 for all others.
    pub(crate) fn steps_among(&self, method: &MethodSection) -> u64 {
        let has_others = self.others(method).next().is_some();
        if has_others { self.recipe.steps_of(method) } else { 0 }
    }

    /// The other lengths of a method that has one stage: the same name, operator and seed. Whether their steps are the same is found when they run.
    fn others(&self, method: &MethodSection) -> impl Iterator<Item = (u64, &'a MethodSection)> {
        let own = self.recipe.steps_of(method);
        let settings = self.recipe.settings_but_length(method);
        let alike = settings.and_then(|settings| self.by_settings.get(&settings));
        alike
            .into_iter()
            .flatten()
            .copied()
            .filter(move |(steps, _)| *steps != own)
    }
}

impl Recipe {
    /// These methods by what they are but for their length.
    pub(crate) fn lengths_of<'a>(&'a self, methods: &'a [MethodSection]) -> Lengths<'a> {
        let mut by_settings = HashMap::<_, Vec<_>>::new();
        for method in methods {
            if let Some(settings) = self.settings_but_length(method) {
                let alike = by_settings.entry(settings).or_default();
                alike.push((self.steps_of(method), method));
            }
        }
        Lengths {
            recipe: self,
            by_settings,
        }
    }

    /// What a method of one stage is, whatever its name, its length and its schedule; keys in one order.
    fn settings_but_length(&self, method: &MethodSection) -> Option<String> {
        let is_one_stage = method.stages.is_empty() && self.tau_of(method).is_none();
        let mut settings = is_one_stage.then(|| method.unnamed())?;
        settings.train.remove("steps");
        settings.train.remove("schedule");
        let mut settings = serde_json::to_value(settings).ok()?;
        settings.sort_all_objects();
        Some(settings.to_string())
    }

    fn train_of(&self, method: &MethodSection) -> Option<TrainConfig> {
        let named = self.plan(method)?.train;
        let train = merged(&self.large.train, &named, "train").ok()?;
        merged(&train, &method.train, "train").ok()
    }

    fn steps_of(&self, method: &MethodSection) -> u64 {
        let own = method.train.get("steps").and_then(toml::Value::as_integer);
        own.and_then(|steps| u64::try_from(steps).ok())
            .unwrap_or(self.large.train.steps)
    }

    fn kind_of(&self, method: &MethodSection) -> Option<ScheduleKind> {
        Some(self.train_of(method)?.schedule.kind)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::load;
    use super::*;

    fn demo(kind: &str) -> Recipe {
        let overrides = [
            "lengths=[0.25,0.5]".to_owned(),
            "large.train.steps=1000".into(),
            format!("large.train.schedule.kind=\"{kind}\""),
        ];
        let recipe = load("demo", &overrides).unwrap();
        recipe.comparing(&["scratch".into(), "ligo".into()], Some(2)).unwrap()
    }

    #[test]
    fn a_length_goes_on_from_the_next_shorter_one_of_its_method_and_seed() {
        let recipe = demo("wsd");
        let method = |id: &str| recipe.methods.iter().find(|m| m.id() == id).unwrap();
        let lengths = recipe.lengths_of(&recipe.methods);
        let before = |id: &str| lengths.before(method(id)).map(MethodSection::id);
        let seed = recipe.seed + 1;
        assert_eq!(before("scratch").as_deref(), Some("scratch/steps=500"));
        assert_eq!(before("ligo/steps=500").as_deref(), Some("ligo/steps=250"));
        assert_eq!(before("ligo/steps=250"), None);
        assert_eq!(
            before(&format!("ligo-seed{seed}")),
            Some(format!("ligo/steps=500-seed{seed}"))
        );
        assert!(lengths.has_longer(&method("ligo/steps=500").key()) && !lengths.has_longer(&method("ligo").key()));
        assert_eq!(lengths.steps_among(method("ligo/steps=250")), 250);
        // A rate that falls from the beginning has nothing to share.
        let linear = demo("linear");
        let scratch = linear.methods.iter().find(|m| m.id() == "scratch").unwrap();
        assert_eq!(linear.lengths_of(&linear.methods).before(scratch), None);
    }
}
