//! The `ligo` program as a library: recipes, the whole road from text to a grown model, and the commands that run its
//! stages alone.
//!
//! Embed the other crates in your own program instead; this one talks to a terminal. It is a library so that tests and
//! benches can reach [`recipe`] and [`run`].
//!
//! ```
//! let demo = ligo_cli::recipe::load("demo", &["seed=2".into()]).unwrap();
//! assert_eq!(demo.seed, 2);
//! ```

mod allocator;
mod args;
pub mod commands;
pub mod cost;
pub mod device;
mod fail;
mod hub;
mod identity;
pub mod load;
mod matrices;
mod observer;
mod peak;
mod plain;
pub mod plan;
pub mod power;
pub mod recipe;
pub mod run;
mod stop;
mod store;
mod told;
mod ui;
mod world;

pub use allocator::Telling;
pub use args::main;
pub use fail::Failure;
pub use store::{Beside, host_store, load_store, save_model};
pub use ui::Ui;
