//! The method `auto`: which one it is is decided when a recipe is read, and stands in the resolved recipe.

use toml::Value;

use super::presets::AUTO;
use super::{AutoSection, Fault, MethodSection, USUAL_TAU};

impl AutoSection {
    /// Puts the method that is recommended in the place of each `auto`.
    pub(super) fn settle(&self, methods: &mut [MethodSection], faults: &mut Vec<Fault>) {
        let mut autos = methods.iter_mut().filter(|method| method.name == AUTO).peekable();
        if autos.peek().is_none() {
            return;
        }
        if let Some(folders) = self.unread() {
            return faults.push(Fault {
                key: "auto.from".into(),
                message: format!(
                    "what {} measured was not read (ligo_experiment::route::recommend); or give auto.tau",
                    folders
                        .iter()
                        .map(|folder| folder.display().to_string())
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            });
        }
        let chosen = self.tau.unwrap_or(USUAL_TAU);
        let steps = self.steps;
        for method in autos {
            // Its folder and its seeds are called after what was asked for.
            let id = method.id();
            let tau = method.tau.unwrap_or(chosen);
            let mut settled = MethodSection {
                name: "one-schedule".into(),
                id: Some(id),
                tau: Some(tau),
                ..method.clone()
            };
            settled
                .label
                .get_or_insert_with(|| format!("auto: one schedule, tau = {tau}"));
            if let (Some(steps), false) = (steps, settled.train.contains_key("steps")) {
                let steps = i64::try_from(steps).unwrap_or(i64::MAX);
                settled.train.insert("steps".into(), Value::Integer(steps));
            }
            *method = settled;
        }
    }
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
        assert_eq!((auto.name.as_str(), auto.tau), ("one-schedule", Some(USUAL_TAU)));
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
        assert!(named.methods[2..].iter().all(|method| method.tau == Some(USUAL_TAU)));
        let nowhere = load(
            "demo",
            &["methods=[{name=\"auto\"}]".into(), "auto.from=[\"nowhere\"]".into()],
        );
        let message = nowhere.unwrap_err().to_string();
        assert!(
            message.contains("auto.from") && message.contains("was not read"),
            "{message}"
        );
        let told = load(
            "demo",
            &[
                "methods=[{name=\"auto\"}]".into(),
                "auto={from=[\"nowhere\"],tau=0.3,steps=1200}".into(),
            ],
        )
        .unwrap();
        assert_eq!(told.methods[0].tau, Some(0.3));
        assert_eq!(told.methods[0].train["steps"].as_integer(), Some(1200));
    }
}
