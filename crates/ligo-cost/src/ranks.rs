//! What a step costs on many devices that share its micro-batches: each computes its part, and all gradients are summed at the end of the step.
//!
//! A model and no measurement: stragglers, the optimizer's update, which every device does whole, and evaluations are left out, and nothing is
//! sent while a step computes. Within a machine gradients are summed first where the number of its devices is a power of two.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a machine sends and receives in a second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// In each direction.
    pub bytes_per_second: f64,
}

/// Time of a message beside its bytes.
const SECONDS_PER_MESSAGE: f64 = 2e-5;
/// What a machine moves in its memory when its ranks exchange gradients, each byte read and written.
const MEMORY_BYTES_PER_SECOND: f64 = 1e10;
/// Between a GPU and its host.
const DEVICE_BYTES_PER_SECOND: f64 = 1.2e10;

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix("gbit").and_then(|number| number.parse::<f64>().ok());
        let number = number.filter(|gigabits| gigabits.is_finite() && *gigabits > 0.0);
        number
            .map(|gigabits| Self {
                bytes_per_second: gigabits * 1e9 / 8.0,
            })
            .ok_or_else(|| "expected the speed of a machine's network, for example 100gbit".into())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}gbit", self.bytes_per_second * 8.0 / 1e9)
    }
}

/// Devices and what connects them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Devices of a machine.
    pub per_machine: usize,
    /// Between machines.
    pub network: Network,
    /// Whether devices have a memory of their own, which gradients leave and come back to.
    pub is_gpu: bool,
}

/// A step on so many devices.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SharedStep {
    /// Devices.
    pub ranks: usize,
    /// Seconds that each computes.
    pub compute_seconds: f64,
    /// Seconds that gradients take.
    pub sum_seconds: f64,
    /// How many times faster than on one device.
    pub times_faster: f64,
}

impl SharedStep {
    /// Share of the devices' time that is computing.
    #[must_use]
    pub fn efficiency(&self) -> f64 {
        self.times_faster / self.ranks as f64
    }
}

impl Cluster {
    /// A step that one device does in `seconds`, with gradients of so many bytes.
    #[must_use]
    pub fn step(&self, ranks: usize, seconds: f64, gradient_bytes: f64) -> SharedStep {
        self.timed(ranks, seconds, self.sum_seconds(ranks, gradient_bytes))
    }

    /// The same where each device updates its share of the parameters and gives the new weights to the others; `largest` is the largest share.
    ///
    /// As many bytes are sent as otherwise, and whoever has more than an even share holds up the others.
    #[must_use]
    pub fn step_with_shares(&self, ranks: usize, seconds: f64, gradient_bytes: f64, largest: f64) -> SharedStep {
        let uneven = (largest * ranks as f64).max(1.0);
        let mut sum_seconds = self.sum_seconds(ranks, gradient_bytes);
        if ranks > 1 {
            let copies = self.copy_seconds(gradient_bytes);
            // Beside gradients that leave and what comes back, the weights of the own share leave.
            sum_seconds = (sum_seconds - copies) * uneven + copies * (1.0 + largest / 2.0);
        }
        self.timed(ranks, seconds, sum_seconds)
    }

    fn timed(&self, ranks: usize, seconds: f64, sum_seconds: f64) -> SharedStep {
        let compute_seconds = seconds / ranks as f64;
        SharedStep {
            ranks,
            compute_seconds,
            sum_seconds,
            times_faster: seconds / (compute_seconds + sum_seconds),
        }
    }

    /// From the device to its host and back.
    fn copy_seconds(&self, bytes: f64) -> f64 {
        match self.is_gpu {
            true => 2.0 * bytes / DEVICE_BYTES_PER_SECOND,
            false => 0.0,
        }
    }

    fn sum_seconds(&self, ranks: usize, bytes: f64) -> f64 {
        if ranks < 2 {
            return 0.0;
        }
        let here = self.per_machine.clamp(1, ranks);
        let machines = ranks.div_ceil(here);
        let copies = self.copy_seconds(bytes);
        // Each rank gives all but its own part away, twice.
        let inside = 2.0 * (here - 1) as f64 * bytes / MEMORY_BYTES_PER_SECOND;
        let across = if here.is_power_of_two() && ranks.is_multiple_of(here) {
            2.0 * (machines - 1) as f64 / machines as f64 * bytes
        } else {
            2.0 * here as f64 * (ranks - here) as f64 / ranks as f64 * bytes
        };
        let messages = 2.0 * (machines - 1) as f64 * SECONDS_PER_MESSAGE;
        copies + inside + across / self.network.bytes_per_second + messages
    }

    /// The step on 1 device and on as many as divide its micro-batches, up to `most`.
    #[must_use]
    pub fn steps(&self, most: usize, accumulation: usize, seconds: f64, gradient_bytes: f64) -> Vec<SharedStep> {
        let counts = counts(most, accumulation);
        counts.map(|ranks| self.step(ranks, seconds, gradient_bytes)).collect()
    }
}

/// Numbers of devices, up to `most`, that so many micro-batches can be shared out to evenly.
pub fn counts(most: usize, accumulation: usize) -> impl Iterator<Item = usize> {
    (1..=most.min(accumulation)).filter(move |ranks| accumulation.is_multiple_of(*ranks))
}

/// The largest number of devices up to which all numbers compute for at least half of their time.
#[must_use]
pub fn pays_up_to(steps: &[SharedStep]) -> usize {
    let paying = steps.iter().take_while(|step| step.efficiency() >= 0.5);
    paying.map(|step| step.ranks).last().unwrap_or(1)
}
