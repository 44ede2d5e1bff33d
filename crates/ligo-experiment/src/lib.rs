//! Comparisons of growth methods as a library: a recipe becomes runs, the runs become results, and the results a table of what was saved.
//!
//! * [`recipe`] reads recipes: one TOML file says everything about a run.
//! * [`run`] does what a recipe says, from text or images to the table. Complete stages are skipped, interrupted ones go on.
//! * [`plan`] prices a recipe before anything is spent.
//! * [`route`] proposes ways to a large model, by what comparisons measured.
//! * A [`Listener`] hears what happens; [`stop`] asks it to end well.
//!
//! `ligo` is a terminal around this crate. Use `ligo-train` and `ligo-growth` instead where you have a loop or a comparison of your own.
//!
//! ```
//! let demo = ligo_experiment::recipe::load("demo", &["seed=2".into()]).unwrap();
//! assert_eq!(demo.seed, 2);
//! ```

pub mod cost;
mod experiment;
pub mod export;
mod fail;
mod files;
pub mod growing;
pub mod hub;
pub mod identity;
pub mod job_message;
pub mod json;
mod listener;
pub mod matrices;
pub mod plan;
mod precision;
pub mod recipe;
pub mod route;
pub mod run;
mod sealed;
pub mod stop;

pub use experiment::Experiment;
pub use fail::Failure;
pub use ligo_train::Silent;
pub use listener::{Board, Counted, Listener, Progress, Watched};
pub use precision::{check_precision, check_precisions};
pub use run::Workforce;
