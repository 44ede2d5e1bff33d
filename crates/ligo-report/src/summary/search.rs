//! What was tried before the runs that are compared: learning rates, and settings of one method.

use serde::{Deserialize, Serialize};

use super::Cost;

/// The search for one method's learning rate. It is the same for every method, so its cost is stated and charged to none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Search {
    /// What it was made for, without a seed: `ligo`.
    pub method: String,
    /// The name in tables: `LiGO`.
    pub label: String,
    /// In the order of the rates.
    pub trials: Vec<Trial>,
    /// The rate with the lowest final loss; absent when none ended with a number.
    pub chosen: Option<f64>,
    /// The schedule of that trial, where several were tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen_schedule: Option<String>,
    /// The chosen rate is the lowest or highest that was tried, so a better one may lie beyond.
    pub at_edge: bool,
}

/// One learning rate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trial {
    /// Peak learning rate.
    #[serde(with = "ligo_cost::nan_is_null")]
    pub learning_rate: f64,
    /// Kind of schedule, where several were tried: `wsd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Validation loss at the end; NaN when the run diverged.
    #[serde(with = "ligo_cost::nan_is_null")]
    pub loss: f64,
    /// What it cost, the operator included.
    pub cost: Cost,
}

/// Settings of one method that were tried against each other.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sweep {
    /// The method: `ligo`.
    pub method: String,
    /// The best first.
    pub variants: Vec<Variant>,
}

/// One choice of settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Variant {
    /// The run's id: `ligo/lr=1e-3,width_init=rand`.
    pub id: String,
    /// Share of scratch's FLOPs (exact count) that was saved, the operator charged; absent when scratch's loss was not
    /// reached.
    pub saving: Option<f64>,
    /// Validation loss before the first step.
    #[serde(with = "ligo_cost::nan_is_null")]
    pub loss_start: f64,
    /// Validation loss at the end; NaN when the run diverged.
    #[serde(with = "ligo_cost::nan_is_null")]
    pub loss_final: f64,
    /// What the operator cost.
    pub operator_cost: Cost,
}
