//! The parts of a run: data, small model, learned operator, grown large models, and the table of what was saved.

pub(crate) mod array;
mod branch;
mod compare;
mod copying;
pub mod dataset;
mod folder;
mod guard;
pub mod images;
pub(crate) mod inputs;
pub(crate) mod jobs;
mod learning;
mod leftovers;
mod method;
mod moments;
mod operators;
mod origin;
mod outcome;
mod outputs;
mod prediction;
mod prepared;
pub(crate) mod provenance;
pub mod ranks;
pub(crate) mod record;
mod results;
pub(crate) mod reuse;
mod revisions;
mod room;
mod saving;
mod search;
mod select;
mod session;
mod share;
mod show;
mod small;
pub mod stage;
mod steps;
mod sweep;
mod task;
pub mod text;
mod training;
mod training_run;
mod trunk;
mod units;

pub use compare::compare;
pub use dataset::Dataset;
pub use folder::RunFolder;
pub use jobs::{Workers, Workforce};
pub use learning::Learning;
pub use leftovers::claim;
pub use record::RECIPE_TOML;
pub use session::Session;
pub use share::Share;
pub use show::show;
pub use small::{FOLDER as SMALL, Small};
pub use training::Training;
pub use training_run::{Extras, Start, TrainingRun};
pub use units::{Failed, Runner, Unit, units};

/// What a [fault](ligo_checkpoint::Card::fault) of a given model's card costs, for people.
pub fn faulty_card(fault: &str) -> String {
    format!(
        "{fault}; license and language are taken over as far as they could be read: look at the card that is written"
    )
}
