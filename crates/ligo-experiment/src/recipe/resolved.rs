//! Every run that a recipe may come to, resolved once for its models and data.

use std::collections::HashMap;
use std::sync::Arc;

use ligo_train::TrainConfig;

use super::methods::settings_of;
use super::{DataFacts, Fault, Method, MethodSection, Pair, Recipe, RunKey, Stage, merged};

/// Every run that a recipe may come to: its methods, the variants of its sweep and the trials of its searches, each also with every rate that a search
/// may find for it. Nothing of what they say can be wrong any more.
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    methods: HashMap<String, Ready>,
    /// By what is searched for, in the order of what is tried.
    trials: HashMap<String, Vec<Method>>,
    variants: Vec<MethodSection>,
}

/// A method as it stands, and with each rate and schedule that its search tries.
#[derive(Clone, Debug)]
struct Ready {
    plain: Method,
    tried: Vec<Method>,
}

impl Resolved {
    /// A method as it stands.
    pub fn method(&self, key: &RunKey) -> Option<&Method> {
        Some(&self.methods.get(&key.to_string())?.plain)
    }

    /// A method with what its search tried as number `tried`.
    pub fn method_trying(&self, key: &RunKey, tried: usize) -> Option<&Method> {
        self.methods.get(&key.to_string())?.tried.get(tried)
    }

    /// The trials of a search, in the order of what is tried.
    pub fn trials(&self, searched: &RunKey) -> &[Method] {
        self.trials.get(&searched.to_string()).map_or(&[], Vec::as_slice)
    }

    /// The methods of the sweep.
    pub fn variants(&self) -> &[MethodSection] {
        &self.variants
    }
}

impl Recipe {
    /// Resolves all that the recipe may come to. A plain method is one stage: grow, then train the large model.
    ///
    /// # Errors
    /// All faults of all methods: a stage's model is not valid or cannot grow from the one before, a setting does not fit, or the shares exceed
    /// the whole.
    pub fn resolve(&self, pair: &Pair, facts: &DataFacts) -> Result<Resolved, Vec<Fault>> {
        let variants = self.variants()?;
        let mut resolver = Resolver {
            recipe: self,
            pair,
            facts,
            by_settings: HashMap::new(),
            faults: Vec::new(),
        };
        let mut methods = HashMap::new();
        let reference = self.with_seed(&self.reference(), self.seed);
        let of_best = self.methods.iter().filter(|method| self.is_best_variant(method));
        // Whichever variant is the best, a method that is to be that one is run with its own seed.
        let best = of_best.flat_map(|best| {
            variants
                .iter()
                .map(|variant| self.with_seed(variant, self.seed_of(best)))
        });
        let all = self.methods.iter().cloned().chain(best);
        for method in all.chain(variants.iter().cloned()).chain([reference]) {
            let id = method.id();
            if methods.contains_key(&id) {
                continue;
            }
            let with = |tried| resolver.method(&method.clone().trying(tried));
            let tried = self.search.tried().into_iter().map(with).collect::<Option<_>>();
            if let (Some(tried), Some(plain)) = (tried, resolver.method(&method)) {
                methods.insert(id, Ready { plain, tried });
            }
        }
        let mut trials = HashMap::new();
        let searched = self.methods.iter().chain(&variants).filter(|_| !self.search.is_off());
        for key in searched.map(|method| self.searched_as(method)) {
            if trials.contains_key(&key.to_string()) {
                continue;
            }
            let of_key = self.trials(&key);
            let ready = of_key.iter().map(|trial| resolver.method(trial)).collect::<Option<_>>();
            trials.insert(key.to_string(), ready.unwrap_or_default());
        }
        match resolver.faults.is_empty() {
            true => Ok(Resolved {
                methods,
                trials,
                variants,
            }),
            false => Err(resolver.faults),
        }
    }
}

/// Resolves methods, those of equal settings once.
struct Resolver<'a> {
    recipe: &'a Recipe,
    pair: &'a Pair,
    facts: &'a DataFacts,
    /// Nothing for settings with faults, which are told once.
    by_settings: HashMap<String, Option<(Arc<[Stage]>, TrainConfig)>>,
    faults: Vec<Fault>,
}

impl Resolver<'_> {
    fn method(&mut self, method: &MethodSection) -> Option<Method> {
        let settings = settings_of(method);
        if !self.by_settings.contains_key(&settings) {
            let found = self.settings(method);
            let found = found.map_err(|faults| self.faults.extend(faults)).ok();
            self.by_settings.insert(settings.clone(), found);
        }
        let (stages, learn) = self.by_settings.get(&settings)?.clone()?;
        Some(Method {
            stages,
            learn,
            name: method.name.clone(),
            label: self.recipe.label_of(method),
            seed: self.recipe.seed_of(method),
            key: method.key(),
        })
    }

    fn settings(&self, method: &MethodSection) -> Result<(Arc<[Stage]>, TrainConfig), Vec<Fault>> {
        let stages = self.recipe.stages_of(method, self.pair, self.facts)?;
        let learn = merged(
            &self.recipe.operator.train,
            &method.learn,
            &format!("{}.learn", method.id()),
        )?;
        Ok((stages.into(), learn))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::load;
    use super::*;

    fn resolved(recipe: &Recipe) -> Result<Resolved, Vec<Fault>> {
        let facts = DataFacts::expected(recipe);
        recipe.resolve(&recipe.pair(&facts).unwrap(), &facts)
    }

    fn demo(overrides: &[&str], methods: &[&str]) -> Recipe {
        let overrides: Vec<String> = overrides.iter().map(|o| (*o).to_owned()).collect();
        let methods: Vec<String> = methods.iter().map(|m| (*m).to_owned()).collect();
        load("demo", &overrides).unwrap().comparing(&methods, Some(2)).unwrap()
    }

    #[test]
    fn all_that_may_run_is_there() {
        let recipe = demo(
            &[
                "search.peak_lr=[1e-3,2e-3,4e-3]",
                "sweep.learn.steps=[3,4]",
                "lengths=[0.5]",
            ],
            &["ligo-best", "stackbert"],
        );
        let all = resolved(&recipe).unwrap();
        assert_eq!(all.variants().len(), 2);
        for method in &recipe.methods {
            let key = method.key();
            assert_eq!(all.method(&key).unwrap().seed, recipe.seed_of(method));
            for (i, tried) in recipe.search.tried().into_iter().enumerate() {
                let ready = all.method_trying(&key, i).unwrap();
                assert_eq!(ready.key, key);
                assert_eq!(ready.stages.last().unwrap().train.schedule.peak_lr, tried.rate);
            }
            let trials = all.trials(&recipe.searched_as(method));
            let keys: Vec<&RunKey> = trials.iter().map(|trial| &trial.key).collect();
            let sections = recipe.trials(&recipe.searched_as(method));
            assert_eq!(
                keys,
                sections.iter().map(|t| t.run.as_ref().unwrap()).collect::<Vec<_>>()
            );
            assert_eq!(keys.len(), 3);
        }
        // The second seed of `ligo-best` may come to be any variant with that seed.
        let seed = recipe.seed + 1;
        for variant in all.variants() {
            let other = all.method(&recipe.with_seed(variant, seed).key()).unwrap();
            assert_eq!(
                (other.seed, other.learn.steps),
                (seed, all.method(&variant.key()).unwrap().learn.steps)
            );
        }
    }

    #[test]
    fn every_fault_is_told_at_once_and_once() {
        let mut recipe = demo(&[], &["stackbert", "ligo"]);
        for method in recipe.methods.iter_mut().filter(|method| method.name != "scratch") {
            method.train.insert("steps".into(), "many".into());
        }
        let faults = resolved(&recipe).unwrap_err();
        let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(keys, ["stackbert.train.steps", "ligo.train.steps"], "{faults:?}");
    }

    #[test]
    fn seeds_share_their_stages() {
        let recipe = demo(&[], &["stackbert"]);
        let all = resolved(&recipe).unwrap();
        let of = |seed| {
            let found = recipe
                .methods
                .iter()
                .find(|m| m.name == "stackbert" && recipe.seed_of(m) == seed);
            all.method(&found.unwrap().key()).unwrap()
        };
        let (one, other) = (of(recipe.seed), of(recipe.seed + 1));
        assert!(Arc::ptr_eq(&one.stages, &other.stages));
        assert_ne!(one.seed, other.seed);
    }
}
