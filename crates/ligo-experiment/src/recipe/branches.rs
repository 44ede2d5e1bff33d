//! Methods that differ in their length alone: under `wsd` the shorter one is the beginning of the longer one, up to where its decay begins.

use ligo_train::{ScheduleKind, TrainConfig};

use super::{MethodSection, Recipe, RunKey, merged};

impl Recipe {
    /// Whether another method is the one of this key but for more steps: it may go on from where this one's decay begins.
    pub(crate) fn has_longer(&self, key: &RunKey) -> bool {
        let longer = |method: &MethodSection| {
            let steps = self.steps_of(method);
            self.lengths_of(&self.methods, method)
                .any(|other| self.steps_of(other) > steps)
        };
        // Whatever rate is tried, or was found.
        let plain = |key: &RunKey| RunKey {
            tried: None,
            ..key.clone()
        };
        let key = plain(key);
        self.methods
            .iter()
            .filter(|method| plain(&method.key()) == key)
            .any(longer)
    }

    /// The longest method among these that is this one but for fewer steps, if both have a constant rate to share.
    pub(crate) fn branch_before<'a>(
        &self,
        methods: &'a [MethodSection],
        method: &MethodSection,
    ) -> Option<&'a MethodSection> {
        let own = self.steps_of(method);
        let may_share =
            |m: &MethodSection| !self.search.schedule.is_empty() || self.kind_of(m) == Some(ScheduleKind::Wsd);
        let shorter = self
            .lengths_of(methods, method)
            .filter(|other| self.steps_of(other) < own);
        let shorter = shorter.filter(|other| may_share(other) && may_share(method));
        shorter.max_by_key(|other| self.steps_of(other))
    }

    /// Its steps where there are other lengths of it, for an order in which the shorter ones come first; 0 for all others.
    pub(crate) fn steps_among(&self, method: &MethodSection) -> u64 {
        let has_others = self.lengths_of(&self.methods, method).next().is_some();
        if has_others { self.steps_of(method) } else { 0 }
    }

    /// The other lengths of a method that has one stage: the same name, operator and seed. Whether their steps are the same is found when they run.
    fn lengths_of<'a>(
        &self,
        methods: &'a [MethodSection],
        method: &MethodSection,
    ) -> impl Iterator<Item = &'a MethodSection> {
        let settings = |m: &MethodSection| {
            let mut m = MethodSection {
                id: None,
                run: None,
                label: None,
                ..m.clone()
            };
            m.train.remove("steps");
            m.train.remove("schedule");
            m
        };
        let own = settings(method);
        let steps = self.steps_of(method);
        let is_one_stage = method.stages.is_empty() && self.tau_of(method).is_none();
        methods
            .iter()
            .filter(move |other| is_one_stage && settings(other) == own && self.steps_of(other) != steps)
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
        let before = |id: &str| recipe.branch_before(&recipe.methods, method(id)).map(MethodSection::id);
        let seed = recipe.seed + 1;
        assert_eq!(before("scratch").as_deref(), Some("scratch/steps=500"));
        assert_eq!(before("ligo/steps=500").as_deref(), Some("ligo/steps=250"));
        assert_eq!(before("ligo/steps=250"), None);
        assert_eq!(
            before(&format!("ligo-seed{seed}")),
            Some(format!("ligo/steps=500-seed{seed}"))
        );
        assert!(recipe.has_longer(&method("ligo/steps=500").key()) && !recipe.has_longer(&method("ligo").key()));
        assert_eq!(recipe.steps_among(method("ligo/steps=250")), 250);
        // A rate that falls from the beginning has nothing to share.
        let linear = demo("linear");
        let scratch = linear.methods.iter().find(|m| m.id() == "scratch").unwrap();
        assert_eq!(linear.branch_before(&linear.methods, scratch), None);
    }
}
