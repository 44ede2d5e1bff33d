//! A method that is resolved for certain models and data.

use std::sync::Arc;

use ligo_train::TrainConfig;

use super::{RunKey, Stage, use_small_model};

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
    pub stages: Arc<[Stage]>,
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
