use ligo_train::TrainConfig;
use toml::Value;

use super::{Fault, MethodSection, Recipe, RunKey, merged};

impl Recipe {
    /// A method, and after it the same with every shorter schedule, as `METHOD/steps=N`. Its steps are whole ones of the method's own
    /// number, and its learning rate falls to its final value at the end of them.
    ///
    /// A loss on the way of a long schedule is that of a high learning rate; how soon a method can be as good as scratch shows where its
    /// schedule ends there.
    pub(super) fn with_shorter(&self, method: &MethodSection) -> Vec<MethodSection> {
        let train: Result<TrainConfig, _> = merged(&self.large.train, &method.train, "train");
        let steps = train.map_or(self.large.train.steps, |train| train.steps);
        let shorter = |share: &f64| {
            let mut shorter = method.clone();
            let steps = (steps as f64 * share).round() as u64;
            shorter.run = Some(RunKey {
                steps: Some(steps),
                ..method.key().group()
            });
            shorter.label = Some(format!("{} ({steps} steps)", self.label_of(method)));
            shorter.train.insert("steps".into(), Value::Integer(steps as i64));
            shorter
        };
        std::iter::once(method.clone())
            .chain(self.lengths.iter().map(shorter))
            .collect()
    }

    pub(super) fn check_lengths(&self, faults: &mut Vec<Fault>) {
        let mut fault = |message: String| {
            faults.push(Fault {
                key: "lengths".into(),
                message,
            });
        };
        let lengths = &self.lengths;
        if let Some(bad) = lengths.iter().find(|share| !(**share > 0.0 && **share < 1.0)) {
            fault(format!("a share of the steps is above 0 and below 1, found {bad}"));
        }
        if let Some(twice) = (1..lengths.len()).find(|i| lengths[..*i].contains(&lengths[*i])) {
            fault(format!("{} appears twice", lengths[twice]));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::load;
    use super::*;

    fn demo(overrides: &[&str]) -> Result<Recipe, super::super::RecipeError> {
        let overrides: Vec<String> = overrides.iter().map(|o| (*o).to_owned()).collect();
        load("demo", &overrides)
    }

    #[test]
    fn every_method_is_also_trained_for_less() {
        let recipe = demo(&[
            "lengths=[0.25,0.5]",
            "large.train.steps=1000",
            "search.peak_lr=[1e-3,2e-3]",
        ])
        .unwrap();
        let compared = recipe.comparing(&["scratch".into(), "ligo".into()], Some(2)).unwrap();
        let ids: Vec<String> = compared.methods.iter().map(MethodSection::id).collect();
        let seed = recipe.seed + 1;
        assert_eq!(
            ids,
            [
                "scratch".to_owned(),
                format!("scratch-seed{seed}"),
                "scratch/steps=250".into(),
                format!("scratch/steps=250-seed{seed}"),
                "scratch/steps=500".into(),
                format!("scratch/steps=500-seed{seed}"),
                "ligo".into(),
                format!("ligo-seed{seed}"),
                "ligo/steps=250".into(),
                format!("ligo/steps=250-seed{seed}"),
                "ligo/steps=500".into(),
                format!("ligo/steps=500-seed{seed}"),
            ]
        );
        let steps = |i: usize| merged(&compared.large.train, &compared.methods[i].train, "train").map(|t| t.steps);
        assert_eq!(
            [0, 2, 5, 6, 8, 11].map(|i| steps(i).unwrap()),
            [1000, 250, 500, 1000, 250, 500]
        );
        // One search for all lengths of a method.
        assert!(
            compared.methods[6..]
                .iter()
                .all(|m| compared.searched_as(m) == RunKey::of_entry("ligo"))
        );
        // They are methods now, and a second comparison of them adds none.
        assert_eq!(compared.comparing(&[], None).unwrap().methods.len(), 12);
        // Scratch has all lengths, whether it was named or not.
        let unnamed = recipe.comparing(&["ligo".into()], Some(2)).unwrap();
        let mut found: Vec<String> = unnamed.methods.iter().map(MethodSection::id).collect();
        assert_eq!(found[0], "scratch");
        found.sort();
        let mut ids = ids;
        ids.sort();
        assert_eq!(found, ids);
    }

    #[test]
    fn shares_that_are_none_are_refused() {
        for (given, part) in [
            ("lengths=[0.0]", "above 0"),
            ("lengths=[1.0]", "below 1"),
            ("lengths=[0.5,0.25,0.5]", "twice"),
        ] {
            let message = demo(&[given]).unwrap_err().to_string();
            assert!(
                message.contains("lengths") && message.contains(part),
                "{given}: {message}"
            );
        }
    }
}
