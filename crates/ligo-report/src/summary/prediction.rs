//! What a plan said before the runs, beside what they did.

use serde::{Deserialize, Serialize};

/// A plan's figures for a comparison.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Prediction {
    /// The hardware that it was made for.
    pub hardware: String,
    /// What it rests on, a sentence each: `achieved utilization 31 %, measured by a probe`.
    pub assumptions: Vec<String>,
    /// What it said of each part.
    pub runs: Vec<PredictedRun>,
}

/// One part of the work: the small model, or a method.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PredictedRun {
    /// The name in tables: `small model`, `LiGO`.
    pub label: String,
    /// What the plan said.
    pub predicted: Figures,
    /// What was measured; the mean over seeds.
    pub measured: Figures,
}

/// The figures that a plan predicts; absent where nothing is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// FLOPs by the exact count.
    pub flops_exact: Option<f64>,
    /// Wall time of the training steps.
    pub seconds: Option<f64>,
    /// The most memory held on the device.
    pub memory_bytes: Option<f64>,
    /// Energy.
    pub energy_kwh: Option<f64>,
}
