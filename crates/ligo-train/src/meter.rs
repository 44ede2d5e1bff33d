use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What a meter shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EnergyReading {
    /// Joules since a moment of the meter's choice.
    pub joules: f64,
    /// Whether an instrument counted them; otherwise they are time multiplied by an assumed power.
    pub measured: bool,
}

/// Tells what a run uses. The loop reads it around the training steps, so that evaluation and saving are not in.
pub trait Meter {
    /// A session begins; the largest use of memory counts from here, as far as the system can start anew.
    fn begin(&mut self) {}

    /// What is shown now; `None` where nobody can tell.
    fn read(&mut self) -> Option<EnergyReading>;

    /// The most memory that was in use at once so far.
    fn peak_memory_bytes(&mut self) -> Option<u64> {
        None
    }
}

/// Counters of instruments begin again from zero, some after minutes of a heavy load, so they are read this often.
const READ_EVERY: Duration = Duration::from_secs(10);

/// What a run has used, over all its sessions. Part of the state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Usage {
    joules: f64,
    /// Whether some of them were estimated.
    estimated: bool,
    /// Steps that they are the joules of.
    steps: u64,
    pub(crate) peak_memory_bytes: Option<u64>,
}

impl Usage {
    /// Joules of all `steps`, and whether they were measured; `None` when some step went by without a reading.
    pub(crate) fn energy(&self, steps: u64) -> Option<EnergyReading> {
        (steps > 0 && self.steps == steps).then_some(EnergyReading {
            joules: self.joules,
            measured: !self.estimated,
        })
    }
}

/// A meter that is on while steps are done.
#[derive(Default)]
pub(crate) struct Gauge {
    meter: Option<Box<dyn Meter>>,
    /// The last reading, its step and its time, while the gauge is on.
    last: Option<(Option<EnergyReading>, u64, Instant)>,
}

impl Gauge {
    pub(crate) fn new(meter: impl Meter + 'static) -> Self {
        Self {
            meter: Some(Box::new(meter)),
            last: None,
        }
    }

    /// A session begins.
    pub(crate) fn begin(&mut self) {
        self.last = None;
        if let Some(meter) = &mut self.meter {
            meter.begin();
        }
    }

    /// Before step `step`, counted from 0.
    pub(crate) fn before_step(&mut self, step: u64, usage: &mut Usage) {
        match self.last {
            Some((_, _, since)) if since.elapsed() < READ_EVERY => {}
            _ => self.read(step, usage),
        }
    }

    /// After the last of some steps, when `step` are done.
    pub(crate) fn pause(&mut self, step: u64, usage: &mut Usage) {
        if self.last.is_some() {
            self.read(step, usage);
            self.last = None;
        }
    }

    fn read(&mut self, step: u64, usage: &mut Usage) {
        let Some(meter) = &mut self.meter else { return };
        let now = meter.read();
        if let (Some((Some(before), at, _)), Some(now)) = (self.last, now) {
            usage.joules += now.joules - before.joules;
            usage.estimated |= !now.measured;
            usage.steps += step - at;
        }
        usage.peak_memory_bytes = usage.peak_memory_bytes.max(meter.peak_memory_bytes());
        self.last = Some((now, step, Instant::now()));
    }
}
