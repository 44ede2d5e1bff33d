//! The curves that every run has.

use std::sync::Arc;

use burn_train::metric::{
    MetricDefinition, MetricEntry, MetricId, NumericAttributes, NumericEntry, SerializedEntry, format_float,
};
use burn_train::renderer::MetricState;
use ligo_cost::format;

/// A number that is followed.
pub(crate) struct Series {
    name: Arc<String>,
    unit: Option<&'static str>,
    higher_is_better: bool,
    shown: fn(f64) -> String,
}

/// As burn-train's own metrics are shown.
fn plain(value: f64) -> String {
    format_float(value, 4)
}

fn percent(value: f64) -> String {
    format!("{value:.1} %")
}

impl Series {
    fn new(name: &str, unit: Option<&'static str>, higher_is_better: bool, shown: fn(f64) -> String) -> Self {
        Self {
            name: Arc::new(name.into()),
            unit,
            higher_is_better,
            shown,
        }
    }

    pub(crate) fn loss() -> Self {
        Self::new("Loss", None, false, plain)
    }

    pub(crate) fn learning_rate() -> Self {
        Self::new("Learning rate", None, false, |rate| format!("{rate:.3e}"))
    }

    pub(crate) fn gradient_norm() -> Self {
        Self::new("Gradient norm", None, false, plain)
    }

    pub(crate) fn speed(reads_images: bool) -> Self {
        match reads_images {
            true => Self::new("Images per second", Some("images/s"), true, format::images_per_second),
            false => Self::new("Tokens per second", Some("tokens/s"), true, format::tokens_per_second),
        }
    }

    pub(crate) fn share_of_peak() -> Self {
        Self::new("Share of peak", Some("%"), true, percent)
    }

    pub(crate) fn definition(&self) -> MetricDefinition {
        let attributes = NumericAttributes {
            unit: self.unit.map(str::to_owned),
            higher_is_better: self.higher_is_better,
        };
        MetricDefinition {
            metric_id: MetricId::new(Arc::clone(&self.name)),
            name: Arc::clone(&self.name),
            description: None,
            attributes: attributes.into(),
        }
    }

    /// A value as renderers take it. What is not finite has no place in a plot.
    pub(crate) fn state(&self, value: f64) -> MetricState {
        let entry = MetricEntry::new(
            MetricId::new(Arc::clone(&self.name)),
            SerializedEntry::new((self.shown)(value), value.to_string()),
        );
        MetricState::Numeric(entry, value.is_finite().then_some(NumericEntry::Value(value)))
    }
}
