//! The parts of a run: data, small model, learned operator, grown large models, and the table of what was saved.

mod branch;
mod compare;
pub mod dataset;
mod folder;
mod guard;
pub mod images;
pub(crate) mod inputs;
pub(crate) mod jobs;
mod leftovers;
mod method;
mod moments;
mod operators;
mod outputs;
mod prediction;
mod prepared;
pub(crate) mod provenance;
pub mod ranks;
pub(crate) mod record;
mod results;
pub(crate) mod reuse;
mod room;
mod saving;
pub(crate) mod sealed;
mod search;
mod select;
mod session;
mod show;
mod small;
pub mod stage;
mod sweep;
pub mod text;
mod training;
mod trunk;
mod units;

use ligo_train::TrainConfig;

pub use compare::compare;
pub use dataset::Dataset;
pub use folder::RunFolder;
pub use jobs::Workers;
pub use leftovers::claim;
pub use method::Learning;
pub use moments::lacks_moments;
pub use record::RECIPE_TOML;
pub use session::Session;
pub use show::show;
pub use small::{FOLDER as SMALL, Small};
pub use training::{Extras, Start, Training};
pub use units::{Failed, Runner, Unit, units};

use crate::Failure;
use crate::recipe;

/// Settings with the seeds of one run: its dropout and its order of data.
pub fn seeded(train: &TrainConfig, seed: u64) -> TrainConfig {
    TrainConfig {
        seed: train.seed.wrapping_add(seed),
        data_order_seed: train.data_order_seed.wrapping_add(seed),
        ..train.clone()
    }
}

/// What a [fault](ligo_checkpoint::Card::fault) of a given model's card costs, for people.
pub fn faulty_card(fault: &str) -> String {
    format!(
        "{fault}; license and language are taken over as far as they could be read: look at the card that is written"
    )
}

/// The faults of a recipe as one.
pub fn faults(faults: Vec<recipe::Fault>) -> Failure {
    Failure::Recipe(recipe::RecipeError::Faults {
        origin: "the recipe".into(),
        faults,
    })
}
