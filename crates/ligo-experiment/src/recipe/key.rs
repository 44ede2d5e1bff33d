//! Which run of a comparison a run is. Its folder is named by what the key displays as, and nothing is read back from that name.

use std::fmt;

use ligo_train::ScheduleKind;
use serde::{Deserialize, Serialize};

use super::{MethodSection, Recipe};

/// What tells a run from all others of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunKey {
    /// The entry of the recipe that it is a run of: its `id`, or else its `name`.
    pub entry: String,
    /// Which of several settings of the entry it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<Variant>,
    /// Steps of a schedule that is shorter than the entry's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Its seed, where that is not the entry's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// What a trial of a search tries, or what the search of a method found.
    #[serde(skip)]
    pub tried: Option<Tried>,
}

/// One of several settings of an entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// Of a list of shares.
    Tau(f64),
    /// Of a sweep, by what it calls them.
    Settings(String),
}

/// What a trial tries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tried {
    /// The peak learning rate.
    pub rate: f64,
    /// The kind of schedule, where it is not the method's own.
    pub schedule: Option<ScheduleKind>,
}

/// Before the settings of a variant.
const INSIDE: char = '/';
/// Before a seed.
const SEED: &str = "-seed";
/// Before a learning rate.
const RATE: &str = "lr";
/// Before the steps of a shorter schedule.
const STEPS: &str = "steps=";
/// Before a share.
const TAU: &str = "tau=";
/// Ends the name of the method that takes the settings of a sweep's best variant.
pub(super) const BEST: &str = "-best";

impl RunKey {
    /// The plain run of an entry.
    pub fn of_entry(entry: impl Into<String>) -> Self {
        Self {
            entry: entry.into(),
            ..Self::default()
        }
    }

    /// What the runs of one method over seeds have in common.
    #[must_use]
    pub fn group(&self) -> Self {
        Self {
            seed: None,
            ..self.clone()
        }
    }

    /// What the runs of one method have in common whatever the length of their schedules.
    #[must_use]
    pub fn series(&self) -> Self {
        Self {
            steps: None,
            ..self.group()
        }
    }

    /// Whether it is a run of the entry as it stands in the recipe, whatever its seed.
    pub fn is_whole(&self) -> bool {
        self.variant.is_none() && self.steps.is_none()
    }

    /// The same run with what a search found.
    #[must_use]
    pub fn trying(&self, tried: Tried) -> Self {
        Self {
            tried: Some(tried),
            ..self.clone()
        }
    }
}

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.entry)?;
        if let Some(variant) = &self.variant {
            write!(f, "{INSIDE}{variant}")?;
        }
        if let Some(steps) = self.steps {
            let mark = if self.variant.is_some() { ',' } else { INSIDE };
            write!(f, "{mark}{STEPS}{steps}")?;
        }
        if let Some(seed) = self.seed {
            write!(f, "{SEED}{seed}")?;
        }
        match &self.tried {
            Some(tried) => write!(f, "-{tried}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tau(share) => write!(f, "{TAU}{share}"),
            Self::Settings(name) => f.write_str(name),
        }
    }
}

/// `lr2e-3`, `wsd-lr2e-3`.
impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(kind) = self.schedule {
            write!(f, "{}-", kind.name())?;
        }
        write!(f, "{RATE}{:e}", self.rate)
    }
}

impl MethodSection {
    /// The same without what it is called.
    pub(super) fn unnamed(&self) -> Self {
        Self {
            id: None,
            run: None,
            label: None,
            ..self.clone()
        }
    }

    /// Which run it is.
    pub fn key(&self) -> RunKey {
        if let Some(run) = &self.run {
            return run.clone();
        }
        RunKey {
            // The id of an entry says all, its seed included.
            seed: self.seed.filter(|_| self.id.is_none()),
            ..RunKey::of_entry(self.id.as_ref().unwrap_or(&self.name))
        }
    }

    /// The name of its folder.
    pub fn id(&self) -> String {
        self.key().to_string()
    }
}

/// Whether a name is one of a folder on every system.
pub(super) fn is_folder_name(name: &str) -> bool {
    let odd = |c: char| c.is_control() || "/\\:*?\"<>|".contains(c);
    !name.is_empty() && !name.starts_with(['.', ' ']) && !name.ends_with(['.', ' ']) && !name.contains(odd)
}

/// Why a user's own name could be taken for one that the program makes; nothing when it cannot.
pub(super) fn taken(entry: &str) -> Option<String> {
    let number_after = |mark: &str, is_number: fn(&str) -> bool| {
        let found = entry.rsplit_once(mark);
        found.is_some_and(|(_, rest)| is_number(rest))
    };
    let meaning = if entry.contains(INSIDE) {
        "`/` stands between a method and the settings of its variants"
    } else if number_after(SEED, |rest| rest.parse::<u64>().is_ok()) {
        "`-seedN` at the end tells the seeds of a method apart"
    } else if number_after(&format!("-{RATE}"), |rest| rest.parse::<f64>().is_ok()) {
        "`-lrRATE` at the end tells the trials of a search apart"
    } else {
        return None;
    };
    let other = entry.replace(SEED, "-s").replace(&format!("-{RATE}"), "-rate-");
    let other = other.replace(INSIDE, "-");
    Some(format!(
        "`{entry}` could be taken for a run that ligo names: {meaning}; take another id, for example `{other}`"
    ))
}

/// Gives the methods of a folder's recipe that was written by an earlier version their keys: those had all in their `id`. What stands in an id is
/// believed only where the rest of the entry says the same, so that no name of a user's own is taken apart.
pub(super) fn read_earlier(recipe: &mut Recipe) {
    let swept = (!recipe.sweep.is_off()).then(|| recipe.sweep.method.clone());
    for method in recipe.methods.iter_mut().filter(|method| method.run.is_none()) {
        let Some(key) = earlier(method, swept.as_deref()) else {
            continue;
        };
        method.id = (key.entry != method.name).then(|| key.entry.clone());
        method.run = Some(key);
    }
}

fn earlier(method: &MethodSection, swept: Option<&str>) -> Option<RunKey> {
    let id = method.id.as_deref()?;
    let seed = method.seed.filter(|seed| id.ends_with(&format!("{SEED}{seed}")));
    let base = seed.and_then(|seed| id.strip_suffix(&format!("{SEED}{seed}")));
    let base = base.unwrap_or(id);
    let (entry, settings) = base.split_once(INSIDE).map_or((base, None), |(a, b)| (a, Some(b)));
    let mut key = RunKey {
        seed,
        ..RunKey::of_entry(entry)
    };
    if let Some(mut rest) = settings {
        let steps = method.train.get("steps").and_then(toml::Value::as_integer);
        let steps = steps.and_then(|steps| u64::try_from(steps).ok());
        let length = steps.and_then(|steps| Some((steps, rest.strip_suffix(&format!("{STEPS}{steps}"))?)));
        if let Some((steps, before)) = length.filter(|(_, before)| before.is_empty() || before.ends_with(',')) {
            key.steps = Some(steps);
            rest = before.trim_end_matches(',');
        }
        let share = method.tau.filter(|share| rest == format!("{TAU}{share}"));
        key.variant = match share {
            Some(share) => Some(Variant::Tau(share)),
            None if rest.is_empty() => None,
            None if swept == Some(entry) => Some(Variant::Settings(rest.to_owned())),
            None => return None,
        };
    }
    (key != RunKey::of_entry(id)).then_some(key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::load;
    use super::*;

    fn key(variant: Option<Variant>, steps: Option<u64>, seed: Option<u64>, tried: Option<Tried>) -> RunKey {
        RunKey {
            variant,
            steps,
            seed,
            tried,
            ..RunKey::of_entry("ligo")
        }
    }

    #[test]
    fn folders_keep_their_names() {
        let settings = || Some(Variant::Settings("terms=2,lr=0.02".into()));
        let at = |schedule| Some(Tried { rate: 2e-3, schedule });
        for (key, name) in [
            (key(None, None, None, None), "ligo"),
            (key(None, None, Some(4), None), "ligo-seed4"),
            (key(Some(Variant::Tau(0.3)), None, Some(4), None), "ligo/tau=0.3-seed4"),
            (key(settings(), None, None, None), "ligo/terms=2,lr=0.02"),
            (
                key(settings(), Some(10), Some(4), None),
                "ligo/terms=2,lr=0.02,steps=10-seed4",
            ),
            (key(None, Some(10), None, at(None)), "ligo/steps=10-lr2e-3"),
            (
                key(None, None, Some(4), at(Some(ScheduleKind::Wsd))),
                "ligo-seed4-wsd-lr2e-3",
            ),
        ] {
            assert_eq!(key.to_string(), name);
        }
    }

    #[test]
    fn an_id_that_could_be_one_of_ours_is_refused_at_once_with_another_one() {
        for (id, other) in [
            ("mine/x", "mine-x"),
            ("ligo/lr=1e-3", "ligo-lr=1e-3"),
            ("ligo-seed7", "ligo-s7"),
            ("ligo-lr1e-3", "ligo-rate-1e-3"),
        ] {
            let methods = format!("methods=[{{name=\"scratch\"}},{{name=\"ligo\",id=\"{id}\"}}]");
            for search in ["search.peak_lr=[1e-3,2e-3]", "search.peak_lr=[]"] {
                let message = load("demo", &[methods.clone(), search.into()]).unwrap_err().to_string();
                assert!(message.contains("methods[1].id"), "{message}");
                assert!(message.contains(&format!("`{other}`")), "{message}");
            }
        }
        for id in ["ligo-seed", "seed7", "ligo-lr", "lr1e-3", "ligo-stack-8", "lr=2"] {
            assert_eq!(taken(id), None, "{id}");
        }
        let best = "methods=[{name=\"scratch\"},{name=\"stackbert\",id=\"ligo-best\"}]";
        let swept = load("demo", &[best.into(), "sweep.learn.steps=[3,4]".into()]);
        assert!(swept.unwrap_err().to_string().contains("best variant"));
        assert!(load("demo", &[best.into()]).is_ok());
    }

    #[test]
    fn a_recipe_of_an_earlier_version_has_the_same_runs() {
        let methods = "methods=[{name=\"scratch\"},{name=\"scratch\",id=\"plain-seed7\",seed=7},\
            {name=\"one-schedule\",id=\"one-schedule/tau=0.3\",tau=0.3},\
            {name=\"ligo\",id=\"ligo/steps=3,steps=250-seed4\",seed=4,learn={steps=3},train={steps=250}}]";
        let recipe = load("demo", &[methods.into(), "sweep.learn.steps=[3,4]".into()]).unwrap();
        let keys: Vec<RunKey> = recipe.methods.iter().map(MethodSection::key).collect();
        let plain = RunKey {
            seed: Some(7),
            ..RunKey::of_entry("plain")
        };
        let share = RunKey {
            variant: Some(Variant::Tau(0.3)),
            ..RunKey::of_entry("one-schedule")
        };
        let variant = key(Some(Variant::Settings("steps=3".into())), Some(250), Some(4), None);
        assert_eq!(keys, [RunKey::of_entry("scratch"), plain, share, variant]);
        let ids: Vec<String> = recipe.methods.iter().map(MethodSection::id).collect();
        assert_eq!(ids[3], "ligo/steps=3,steps=250-seed4");
        // Where the entry does not say the same, an id is the user's own.
        for id in ["plain-seed8", "ligo/steps=251"] {
            let methods = format!("methods=[{{name=\"ligo\",id=\"{id}\",seed=7,train={{steps=250}}}}]");
            assert!(load("demo", &[methods]).is_err(), "{id}");
        }
        // What is written now is read as it was.
        let text = recipe.to_toml().unwrap();
        assert_eq!(super::super::parse(&text, "again", &[]).unwrap(), recipe);
    }
}
