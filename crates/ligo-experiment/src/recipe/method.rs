//! A method that is resolved for certain models and data.

use ligo_train::TrainConfig;

use super::{DataFacts, Fault, MethodSection, Pair, Recipe, RunKey, Stage, merged, use_small_model};

/// One run of a method, ready: nothing of what it says can be wrong any more.
#[derive(Clone, Debug)]
pub struct Method {
    /// Which run it is.
    pub key: RunKey,
    /// What the method is called in recipes.
    pub name: String,
    /// What people call it, the same for all seeds.
    pub label: String,
    /// Its seed.
    pub seed: u64,
    /// What it does, in order; the last stage trains the large model.
    pub stages: Vec<Stage>,
    /// How its operators are learned, but for the seed.
    pub learn: TrainConfig,
}

impl Method {
    /// The name of its folder.
    pub fn id(&self) -> String {
        self.key.to_string()
    }

    /// Whether it owes for the training of the small model.
    pub fn uses_small(&self) -> bool {
        use_small_model(&self.stages)
    }
}

impl Recipe {
    /// Resolves a method. A plain one is one stage: grow, then train the large model.
    ///
    /// # Errors
    /// A stage's model is not valid or cannot grow from the one before, a setting does not fit, or the shares exceed the
    /// whole.
    pub fn resolve(&self, method: &MethodSection, pair: &Pair, facts: &DataFacts) -> Result<Method, Vec<Fault>> {
        let key = method.key();
        Ok(Method {
            stages: self.stages_of(method, pair, facts)?,
            learn: merged(&self.operator.train, &method.learn, &format!("{key}.learn"))?,
            name: method.name.clone(),
            label: self.label_of(method),
            seed: self.seed_of(method),
            key,
        })
    }
}
