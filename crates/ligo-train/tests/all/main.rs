//! The training loop on a model of moments.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod averages;
mod branches;
mod continuations;
mod divided;
mod faults;
mod meter;
mod muon;
mod not_finite;
mod own_model;
mod ranks;
mod rates;
mod resume;
mod schedules;
mod sharded;
mod steps;
mod toy;
