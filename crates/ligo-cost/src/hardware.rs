//! Accelerators by name: what their vendors promise, and what renting one costs.
//!
//! Peaks are those of dense products, without sparsity. Nothing reaches them; a plan multiplies them by a utilization.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::utilization::TimedStep;

/// The share of its peak that hardware is taken to reach where nobody measured it.
///
/// Published trainings of large transformers lie between 21 % (GPT-3) and 46 % (PaLM), see arXiv:2204.02311, table 3.
pub const ASSUMED_UTILIZATION: f64 = 0.35;

/// What numbers the products are computed with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Single precision with 10 bits of mantissa in the products (NVIDIA).
    Tf32,
    /// 16 bits with the exponent of single precision.
    Bf16,
}

impl Precision {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F32, Self::Tf32, Self::Bf16];

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|precision| precision.name() == text);
        found.ok_or_else(|| format!("expected {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// One kind of accelerator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hardware {
    /// Its short name.
    pub name: &'static str,
    /// Its whole name.
    pub full_name: &'static str,
    /// Its memory.
    pub memory_bytes: f64,
    /// Peak of products in single precision, FLOP/s.
    pub f32_flops: f64,
    /// Peak in [`Precision::Tf32`]; `None` where there is no such mode.
    pub tf32_flops: Option<f64>,
    /// Peak in [`Precision::Bf16`].
    pub bf16_flops: f64,
    /// Power of the board, or of the chip where it is part of one.
    pub watts: f64,
    /// Rent, US dollars an hour; `None` for what people own.
    pub usd_per_hour: Option<f64>,
    /// Whether it stands in a data center, whose cooling is charged too.
    pub in_data_center: bool,
    /// Where peak and power come from.
    pub source: &'static str,
    /// Training steps that were timed on it with `ligo`.
    pub timed: &'static [TimedStep],
}

/// Where the rents of [`KNOWN`] come from.
pub const RENT_SOURCE: &str =
    "what one provider asked on demand in spring 2026; others ask from half of it to twice as much";

/// The accelerators that are known by name.
pub const KNOWN: [Hardware; 4] = [
    Hardware {
        name: "h100",
        full_name: "NVIDIA H100 SXM 80 GB",
        memory_bytes: 80e9,
        f32_flops: 66.9e12,
        tf32_flops: Some(494.7e12),
        bf16_flops: 989.4e12,
        watts: 700.0,
        usd_per_hour: Some(2.69),
        in_data_center: true,
        source: "NVIDIA's H100 data sheet, board power at its limit",
        timed: &[TimedStep {
            precision: Precision::F32,
            layers: 6,
            hidden: 512,
            sequences: 32,
            seconds: 0.440,
            backend: "vulkan",
            circumstances: "driver 580.159, November 2026, before ligo had GPU kernels of its own, docs/RESULTS.md",
        }],
    },
    Hardware {
        name: "a100",
        full_name: "NVIDIA A100 SXM 80 GB",
        memory_bytes: 80e9,
        f32_flops: 19.5e12,
        tf32_flops: Some(156e12),
        bf16_flops: 312e12,
        watts: 400.0,
        usd_per_hour: Some(1.39),
        in_data_center: true,
        source: "NVIDIA's A100 data sheet, board power at its limit",
        timed: &[],
    },
    Hardware {
        name: "rtx4090",
        full_name: "NVIDIA GeForce RTX 4090",
        memory_bytes: 24e9,
        f32_flops: 82.6e12,
        tf32_flops: Some(82.6e12),
        bf16_flops: 165.2e12,
        watts: 450.0,
        usd_per_hour: Some(0.60),
        in_data_center: true,
        source: "NVIDIA's Ada architecture paper, board power at its limit",
        timed: &[],
    },
    Hardware {
        name: "m3",
        full_name: "Apple M3, 10 GPU cores",
        memory_bytes: 16e9,
        f32_flops: 3.58e12,
        tf32_flops: None,
        bf16_flops: 3.58e12,
        watts: 25.0,
        usd_per_hour: None,
        in_data_center: false,
        source: "1,280 lanes × 2 × 1.398 GHz; Apple publishes neither peak nor power, so the power is a guess",
        timed: &[],
    },
];

impl Hardware {
    /// The accelerator of that short name, in any case.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        KNOWN.iter().find(|known| known.name.eq_ignore_ascii_case(name))
    }

    /// The accelerator that a driver calls so, such as `NVIDIA H100 80GB HBM3`.
    #[must_use]
    pub fn by_driver_name(name: &str) -> Option<&'static Self> {
        let squeezed: String = name.to_ascii_lowercase().split_whitespace().collect();
        KNOWN.iter().find(|known| squeezed.contains(known.name))
    }

    /// Its peak with these numbers; `None` where it has no such mode.
    #[must_use]
    pub fn peak_flops(&self, precision: Precision) -> Option<f64> {
        match precision {
            Precision::F32 => Some(self.f32_flops),
            Precision::Tf32 => self.tf32_flops,
            Precision::Bf16 => Some(self.bf16_flops),
        }
    }

    /// The fastest training that was timed on it with these numbers, through one backend or through any.
    #[must_use]
    pub fn fastest(&self, precision: Precision, backend: Option<&str>) -> Option<&'static TimedStep> {
        let fits =
            |timed: &&TimedStep| timed.precision == precision && backend.is_none_or(|backend| timed.backend == backend);
        let timed = self.timed.iter().filter(fits);
        timed.max_by(|a, b| a.flops_per_second().total_cmp(&b.flops_per_second()))
    }
}
