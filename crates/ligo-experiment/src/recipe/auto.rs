//! The method `auto`: which one it is is decided when a recipe is read, and stands in the resolved recipe.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml::Value;

use super::{Fault, MethodSection, Recipe, tau};
use crate::plan::route;

/// The name in recipes.
pub(super) const AUTO: &str = "auto";

/// What the method `auto` is chosen by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoSection {
    /// Folders of comparisons on the same text and family. Their losses say where to grow under one schedule for what scratch costs; without any, a rule does.
    pub from: Vec<PathBuf>,
}

impl AutoSection {
    pub(super) fn is_off(&self) -> bool {
        self.from.is_empty()
    }
}

impl Recipe {
    /// Puts the method that is recommended in the place of each `auto`.
    pub(super) fn settle_auto(&mut self, faults: &mut Vec<Fault>) {
        if self.methods.iter().all(|method| method.name != AUTO) {
            return;
        }
        let chosen = match self.recommended() {
            Ok(chosen) => chosen,
            Err(message) => {
                return faults.push(Fault {
                    key: "auto.from".into(),
                    message,
                });
            }
        };
        for method in self.methods.iter_mut().filter(|method| method.name == AUTO) {
            // Its folder and its seeds are called after what was asked for.
            let id = method.id();
            let tau = method.tau.unwrap_or(chosen.tau);
            let mut settled = MethodSection {
                name: "one-schedule".into(),
                id: Some(id),
                tau: Some(tau),
                ..method.clone()
            };
            settled
                .label
                .get_or_insert_with(|| format!("auto: one schedule, tau = {tau}"));
            if let (Some(steps), false) = (chosen.steps, settled.train.contains_key("steps")) {
                settled.train.insert("steps".into(), Value::Integer(steps as i64));
            }
            *method = settled;
        }
    }

    fn recommended(&self) -> Result<Chosen, String> {
        if self.auto.is_off() {
            return Ok(Chosen {
                tau: tau::USUAL,
                steps: None,
            });
        }
        let (tau, steps) = route::best_schedule(self, &self.auto.from).map_err(|failure| failure.to_string())?;
        Ok(Chosen {
            tau,
            steps: Some(steps),
        })
    }
}

/// Where to grow, and for how many steps in all if not the recipe's.
struct Chosen {
    tau: f64,
    steps: Option<u64>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{load, parse};
    use super::*;

    #[test]
    fn auto_is_settled_when_it_is_read_and_stays_what_it_was() {
        let recipe = load("demo", &["methods=[{name=\"scratch\"},{name=\"auto\"}]".into()]).unwrap();
        let auto = &recipe.methods[1];
        assert_eq!((auto.name.as_str(), auto.tau), ("one-schedule", Some(tau::USUAL)));
        assert_eq!(auto.id(), "auto");
        assert_eq!(recipe.label_of(auto), "auto: one schedule, tau = 0.45");
        let text = recipe.to_toml().unwrap();
        assert!(text.contains("tau = 0.45"), "{text}");
        assert_eq!(parse(&text, "again", &[]).unwrap(), recipe);
        // By its name alone, with seeds.
        let named = load("demo", &[]).unwrap().comparing(&[AUTO.into()], Some(2)).unwrap();
        let seed = named.seed + 1;
        let ids: Vec<String> = named.methods.iter().map(MethodSection::id).collect();
        assert_eq!(
            ids,
            [
                "scratch".to_owned(),
                format!("scratch-seed{seed}"),
                "auto".into(),
                format!("auto-seed{seed}")
            ]
        );
        assert!(named.methods[2..].iter().all(|method| method.tau == Some(tau::USUAL)));
        let nowhere = load(
            "demo",
            &["methods=[{name=\"auto\"}]".into(), "auto.from=[\"nowhere\"]".into()],
        );
        let message = nowhere.unwrap_err().to_string();
        assert!(
            message.contains("auto.from") && message.contains("holds no results"),
            "{message}"
        );
    }
}
