//! What share of its peak some hardware reaches in training, and how that is known.

use serde::{Deserialize, Serialize};

use crate::hardware::Precision;
use crate::{TransformerDims, exact};

/// How the share of the peak that a plan counts with is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "known", rename_all = "lowercase")]
pub enum Utilization {
    /// Training steps were timed.
    Measured {
        /// What computed: the program and the way it reached the hardware.
        by: String,
        /// What was timed, on what, and when.
        on: String,
    },
    /// Whoever asked for the plan named it.
    Given,
    /// Nobody measured it.
    #[default]
    Assumed,
}

impl Utilization {
    /// In a word, for a table.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Measured { .. } => "measured",
            Self::Given => "as asked",
            Self::Assumed => "assumed",
        }
    }
}

/// A training step of a BERT on sequences of 128 tokens, timed with `ligo`.
///
/// The time is kept instead of the share, so that the share follows from the same count of FLOPs that a plan divides by it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimedStep {
    /// The numbers that products were computed with.
    pub precision: Precision,
    /// The model's layers.
    pub layers: usize,
    /// The model's width.
    pub hidden: usize,
    /// Sequences of a step.
    pub sequences: usize,
    /// Seconds of a step, the median.
    pub seconds: f64,
    /// How the hardware was reached: `vulkan`, `cuda`, …
    pub backend: &'static str,
    /// The driver and the day.
    pub circumstances: &'static str,
}

impl TimedStep {
    /// FLOPs that were done in a second, by the exact count.
    #[must_use]
    pub fn flops_per_second(&self) -> f64 {
        exact::train_step_flops(&TransformerDims::bert(self.layers, self.hidden), self.sequences) / self.seconds
    }

    /// How a share that follows from it is known.
    #[must_use]
    pub fn utilization(&self) -> Utilization {
        Utilization::Measured {
            by: format!("ligo through {}", self.backend),
            on: format!(
                "a step of BERT ({}, {}) with {} × 128 tokens took {:.0} ms; {}",
                self.layers,
                self.hidden,
                self.sequences,
                1e3 * self.seconds,
                self.circumstances
            ),
        }
    }
}
