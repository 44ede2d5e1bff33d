//! A metric that is written for burn-train, watching a run of ours.

use burn::data::dataloader::Progress;
use burn_train::metric::{Metric, MetricDefinition, MetricEntry, MetricId, MetricMetadata, Numeric, SerializedEntry};
use burn_train::renderer::MetricState;

use crate::Seen;

/// A metric of whatever kind.
pub(crate) trait Metered {
    fn definition(&self) -> MetricDefinition;

    /// What it makes of this, if anything.
    fn see(&mut self, seen: Seen<'_>, steps: u64) -> Option<MetricState>;
}

/// A metric, and what it is given.
pub(crate) struct Watching<M, F> {
    id: MetricId,
    train: M,
    // Running values of the two have nothing to do with each other.
    valid: M,
    input: F,
}

impl<M: Metric, F> Watching<M, F> {
    pub(crate) fn new(metric: M, input: F) -> Self {
        Self {
            id: MetricId::new(metric.name()),
            train: metric.clone(),
            valid: metric,
            input,
        }
    }
}

impl<M, F> Metered for Watching<M, F>
where
    M: Metric + Numeric,
    F: FnMut(Seen<'_>) -> Option<M::Input>,
{
    fn definition(&self) -> MetricDefinition {
        MetricDefinition::new(self.id.clone(), &self.train)
    }

    fn see(&mut self, seen: Seen<'_>, steps: u64) -> Option<MetricState> {
        let input = (self.input)(seen)?;
        let (metric, step, lr) = match seen {
            Seen::Step(report) => (&mut self.train, report.step, Some(report.lr.into())),
            Seen::Eval(point) => (&mut self.valid, point.step, None),
        };
        let metadata = MetricMetadata {
            progress: Progress {
                items_processed: items(step),
                items_total: items(steps),
                unit: Some("steps".into()),
            },
            iteration: Some(items(step)),
            lr,
        };
        Some(match metric.update(&input, &metadata) {
            Ok(shown) => MetricState::Numeric(MetricEntry::new(self.id.clone(), shown), metric.value()),
            // A tensor that could not be read: the run goes on, and its place in the plot stays empty.
            Err(_) => MetricState::Numeric(
                MetricEntry::new(self.id.clone(), SerializedEntry::not_available(None)),
                None,
            ),
        })
    }
}

/// A count as burn-train takes it.
pub(crate) fn items(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
