//! What the dashboard shows, and what other renderers and metrics are told.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod feed;
mod listener;
mod run;
