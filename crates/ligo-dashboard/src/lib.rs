//! Runs of `ligo` on burn-train's terminal dashboard, and before renderers and metrics that are written for burn-train.
//!
//! `Feed` is an [`Observer`](ligo_train::Observer) that tells a renderer of burn-train what each step and each evaluation brought;
//! `Feed::with_metric` lets a metric of burn-train watch beside it. `Dashboard` is a [`Listener`](ligo_experiment::Listener) around another
//! one: while something trains, the terminal is the dashboard's, and lines that are said meanwhile come when it closes.
//!
//! All of it is behind the feature `tui`, without which this crate is empty: burn-train turns on parts of burn that a program without a
//! dashboard has no use for.

#[cfg(feature = "tui")]
mod dashboard;
#[cfg(feature = "tui")]
mod feed;
#[cfg(feature = "tui")]
mod metered;
#[cfg(feature = "tui")]
mod series;
#[cfg(feature = "tui")]
mod terminal;

#[cfg(feature = "tui")]
pub use dashboard::Dashboard;
#[cfg(feature = "tui")]
pub use feed::{Feed, Seen};
#[cfg(feature = "tui")]
pub use terminal::{is_there, restore};
