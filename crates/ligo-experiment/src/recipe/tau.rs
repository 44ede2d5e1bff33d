//! One schedule over two models: the small one from scratch, and at a share of the steps the large one, grown from it.

use ligo_growth::OperatorSpec;
use ligo_train::TrainConfig;
use toml::{Table, Value};

use super::presets::Plan;
use super::{Fault, MethodSection, Recipe, RunKey, StageSchedule, StageSection, Variant};

const KEY: &str = "tau";

impl Recipe {
    /// The share of the steps after which a method grows its large model, if both models have one schedule.
    pub(crate) fn tau_of(&self, method: &MethodSection) -> Option<f64> {
        self.plan(method).and_then(|plan| plan.tau)
    }

    /// The method among these whose small model this one's goes on with: the same but for a lower share, and of those the one with the highest.
    pub(crate) fn trunk_before<'a>(
        &self,
        methods: &'a [MethodSection],
        method: &MethodSection,
    ) -> Option<&'a MethodSection> {
        let own = self.tau_of(method)?;
        let settings = |m: &MethodSection| MethodSection {
            tau: None,
            ..m.unnamed()
        };
        let same = settings(method);
        let lower = methods.iter().filter_map(|other| {
            let tau = self.tau_of(other).filter(|tau| *tau < own)?;
            (settings(other) == same).then_some((tau, other))
        });
        lower.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, other)| other)
    }
}

/// Whether a method stands in a list of shares under this name.
pub(super) fn is_of_list(method: &MethodSection, name: &str) -> bool {
    let key = method.key();
    key.entry == name && matches!(key.variant, Some(Variant::Tau(_))) && key.steps.is_none()
}

/// Makes one method for each share of a list, as `NAME/tau=SHARE`.
pub(super) fn spread(table: &mut Table, faults: &mut Vec<Fault>) {
    let Some(Value::Array(methods)) = table.get_mut("methods") else {
        return;
    };
    let mut all = Vec::with_capacity(methods.len());
    for (i, method) in std::mem::take(methods).into_iter().enumerate() {
        match listed(&method) {
            None => all.push(method),
            Some(Ok(several)) => all.extend(several),
            Some(Err(message)) => faults.push(Fault {
                key: format!("methods[{i}].{KEY}"),
                message,
            }),
        }
    }
    *methods = all;
}

fn listed(method: &Value) -> Option<Result<Vec<Value>, String>> {
    let table = method.as_table()?;
    let shares = table.get(KEY)?.as_array()?;
    if shares.is_empty() {
        return Some(Err("a list of shares has at least one".into()));
    }
    let called = ["id", "name"].into_iter().find_map(|key| table.get(key)?.as_str());
    let called = called.unwrap_or_default().to_owned();
    let one = |share: &Value| {
        let number = share
            .as_float()
            .ok_or_else(|| format!("a share is a number, found {share}"))?;
        let mut table = table.clone();
        table.insert(KEY.into(), share.clone());
        let key = RunKey {
            variant: Some(Variant::Tau(number)),
            ..RunKey::of_entry(&called)
        };
        table.insert("run".into(), Value::try_from(key).map_err(|error| error.to_string())?);
        if let Some(Value::String(label)) = table.get("label") {
            let label = format!("{label}, tau = {number}");
            table.insert("label".into(), label.into());
        }
        Ok(Value::Table(table))
    };
    Some(shares.iter().map(one).collect())
}

/// What is wrong with a method's share.
pub(super) fn check(method: &MethodSection, plan: &Plan) -> Result<(), String> {
    let Some(tau) = plan.tau else { return Ok(()) };
    if !(tau > 0.0 && tau < 1.0) {
        return Err(format!(
            "the share of the steps that train the small model lies between 0 and 1, found {tau}"
        ));
    }
    if method.tau.is_some() && (plan.is_staged || !method.stages.is_empty()) {
        return Err("is for methods without stages of their own".into());
    }
    if plan.select.is_some() {
        return Err("cannot be had together with `select`, which tries operators on the finished small model".into());
    }
    if plan.operator == OperatorSpec::Scratch {
        return Err("needs an operator that grows the large model from the small one".into());
    }
    Ok(())
}

/// The small model from scratch, then the large one, with one schedule over both.
pub(super) fn stages(tau: f64, operator: &OperatorSpec) -> Vec<StageSection> {
    let stage = |operator: &OperatorSpec| StageSection {
        operator: Some(operator.clone()),
        schedule: StageSchedule::Continued,
        ..StageSection::default()
    };
    vec![
        StageSection {
            small: true,
            share: tau,
            ..stage(&OperatorSpec::Scratch)
        },
        stage(operator),
    ]
}

/// How the small model is trained: as the beginning of a run over all steps, so that one run serves every share. What is for a grown model, and an
/// average that would stand where its weights are to be grown, it does not have.
pub(super) fn trunk(train: &TrainConfig, whole: u64) -> TrainConfig {
    TrainConfig {
        steps: whole,
        new_lr_factor: 1.0,
        rewarm_new: None,
        average: None,
        ..train.clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ligo_train::ScheduleKind;

    use super::super::{DataFacts, KeepMoments, Stage, load, use_small_model};
    use super::*;

    fn demo(methods: &str, more: &[&str]) -> Result<Recipe, super::super::RecipeError> {
        let mut overrides = vec![format!("methods=[{{name=\"scratch\"}}, {methods}]")];
        overrides.extend(more.iter().map(|text| (*text).to_owned()));
        load("demo", &overrides)
    }

    fn stages_of(recipe: &Recipe, method: usize) -> Vec<Stage> {
        let facts = DataFacts::expected(recipe);
        let pair = recipe.pair(&facts).unwrap();
        recipe.stages_of(&recipe.methods[method], &pair, &facts).unwrap()
    }

    #[test]
    fn a_list_of_shares_is_as_many_methods_of_one_name() {
        let recipe = demo("{name=\"one-schedule\", tau=[0.6, 0.3]}", &[]).unwrap();
        let ids: Vec<String> = recipe.methods.iter().map(MethodSection::id).collect();
        assert_eq!(ids, ["scratch", "one-schedule/tau=0.6", "one-schedule/tau=0.3"]);
        assert_eq!(recipe.label_of(&recipe.methods[2]), "one schedule tau=0.3");
        let named = recipe.comparing(&["one-schedule".into()], Some(2)).unwrap();
        let ids: Vec<String> = named.methods.iter().map(MethodSection::id).collect();
        let seed = recipe.seed + 1;
        let expected = [
            "scratch".to_owned(),
            format!("scratch-seed{seed}"),
            "one-schedule/tau=0.6".into(),
            format!("one-schedule/tau=0.6-seed{seed}"),
            "one-schedule/tau=0.3".into(),
            format!("one-schedule/tau=0.3-seed{seed}"),
        ];
        assert_eq!(ids, expected);
        // The small model of the higher share goes on with that of the lower one, of the same seed.
        let before = |id: &str| {
            let method = named.methods.iter().find(|m| m.id() == id).unwrap();
            named.trunk_before(&named.methods, method).map(MethodSection::id)
        };
        assert_eq!(before("one-schedule/tau=0.6").as_deref(), Some("one-schedule/tau=0.3"));
        assert_eq!(before(&expected[3]), Some(expected[5].clone()));
        assert_eq!(before("one-schedule/tau=0.3"), None);
        // What was written is read as it was.
        let text = recipe.to_toml().unwrap();
        assert_eq!(super::super::parse(&text, "again", &[]).unwrap(), recipe);
    }

    #[test]
    fn small_and_large_have_one_schedule_and_nothing_is_owed_for_the_small_model() {
        let recipe = demo(
            "{name=\"one-schedule\", tau=0.3, train={rewarm_new={}, average={ema=0.9}}}, {name=\"ligo\", tau=0.5}",
            &[],
        )
        .unwrap();
        let stages = stages_of(&recipe, 1);
        let whole = recipe.large.train.steps;
        let facts = DataFacts::expected(&recipe);
        let pair = recipe.pair(&facts).unwrap();
        assert_eq!((&stages[0].model, &stages[1].model), (&pair.small, &pair.large));
        let at = (whole as f64 * 0.3).round() as u64;
        assert_eq!((stages[0].steps(), stages[1].steps()), (at, whole - at));
        assert_eq!(
            (stages[0].train.steps, stages[0].until, stages[1].until),
            (whole, Some(at), None)
        );
        assert!(!use_small_model(&stages));
        assert_eq!(stages[1].operator, OperatorSpec::Stackbert);
        assert_eq!(stages[1].keep_moments, KeepMoments::All);
        // What is for the grown model is not the small one's.
        let small = &stages[0].train;
        assert!(small.average.is_none() && small.rewarm_new.is_none());
        assert!(stages[1].train.average.is_some() && stages[1].train.rewarm_new.is_some());
        let mut one = recipe.large.train.schedule;
        one.kind = ScheduleKind::Wsd;
        let one = one.over(whole);
        let rates = |stage: &Stage| (0..stage.steps()).map(|step| stage.train.lr(step)).collect::<Vec<_>>();
        let expected: Vec<f64> = (0..whole).map(|step| one.lr(step)).collect();
        assert_eq!([rates(&stages[0]), rates(&stages[1])].concat(), expected);
        // Any operator may grow it.
        let ligo = stages_of(&recipe, 2);
        assert!(ligo[1].operator.is_learned() && ligo[0].operator == OperatorSpec::Scratch);
    }

    #[test]
    fn shares_that_cannot_be_are_refused_at_once() {
        for (methods, part) in [
            ("{name=\"one-schedule\", tau=0.0}", "lies between 0 and 1, found 0"),
            ("{name=\"one-schedule\", tau=1.0}", "lies between 0 and 1, found 1"),
            ("{name=\"one-schedule\", tau=-0.5}", "lies between 0 and 1"),
            ("{name=\"one-schedule\", tau=[]}", "at least one"),
            ("{name=\"one-schedule\", tau=[0.3, \"half\"]}", "a share is a number"),
            (
                "{name=\"one-schedule\", tau=0.85}",
                "would never be trained at the full rate",
            ),
            ("{name=\"midas\", tau=0.3}", "without stages of their own"),
            ("{name=\"select\", tau=0.3}", "`select`"),
            ("{name=\"scratch\", id=\"s\", tau=0.3}", "needs an operator"),
            (
                "{name=\"zero-one\", train={schedule={decay_share=0.5}}}",
                "would never be trained at the full rate",
            ),
            (
                "{name=\"stackbert-moments\", train={optimizer={kind=\"muon\"}}}",
                "whose states differ",
            ),
        ] {
            let message = demo(methods, &[]).unwrap_err().to_string();
            assert!(message.contains(part), "{methods}: {message}");
        }
        let averaged = demo("{name=\"stackbert-moments\"}", &["small.train.average.ema=0.9"]);
        assert!(averaged.unwrap_err().to_string().contains("an average of weights"));
        let learned = demo("{name=\"ligo\"}", &["operator.train.optimizer.kind=\"muon\""]);
        assert!(learned.unwrap_err().to_string().contains("an operator has none"));
        // A decay that begins later, or a schedule that falls from the beginning, is what was asked for.
        for train in ["{schedule={decay_share=0.1}}", "{schedule={kind=\"linear\"}}"] {
            let methods = format!("{{name=\"one-schedule\", tau=0.85, train={train}}}");
            assert!(demo(&methods, &[]).is_ok(), "{train}");
        }
    }
}
