//! Recipes: one TOML file that says everything about a run.

mod annealed;
mod auto;
mod branches;
mod check;
mod compare;
mod everywhere;
mod faults;
mod key;
mod label;
mod lengths;
mod limits;
mod merge;
mod method;
mod methods;
mod moments;
mod pair;
mod parse;
mod precision;
mod presets;
mod resolved;
mod search;
mod sections;
mod select;
mod shape;
mod stage;
mod stages;
mod sweep;
mod tau;
#[cfg(test)]
mod tests;
mod words;

pub use annealed::Annealed;
pub use faults::{Fault, RecipeError, nearest};
pub use key::{RunKey, Tried, Variant};
pub use ligo_assets::{RECIPES as BUILTIN, recipe as builtin};
pub use limits::check_operator;
#[cfg(test)]
pub(crate) use merge::MERGES;
pub use merge::{differences, merged, overrides};
pub use method::Method;
pub use moments::{KeepMoments, MomentsError, SavedMoments};
pub use pair::Pair;
pub(crate) use parse::recorded;
pub use parse::{load, load_with, parse};
pub use precision::precision_overrides;
pub use presets::{PRESETS, Preset, USUAL_TAU};
pub use resolved::Resolved;
pub use sections::{
    AutoSection, CorpusSection, CorpusSource, DataSection, MethodSection, OperatorSection, Recipe, SearchSection,
    Settings, SweepMode, SweepSection, TokenizerSection, TrainedTokenizer,
};
pub use select::{Candidate, SelectSection, Selection};
pub use shape::{DataFacts, ModelSection, inherit};
pub use stage::{Rates, Stage, StageSchedule, StageSection, seeded, use_small_model};
