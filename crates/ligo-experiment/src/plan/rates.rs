use std::time::Duration;

use burn::tensor::Device;
use ligo_cost::energy::{DATA_CENTER_PUE, GRID_SOURCE, PUE_SOURCE, WORLD_GRAMS_CO2_PER_KWH};
use ligo_cost::format;
use ligo_cost::hardware::{ASSUMED_UTILIZATION, Hardware, Precision, RENT_SOURCE};
use ligo_cost::plan::Rates;
use ligo_cost::utilization::{TimedStep, Utilization};
use ligo_device::Picked;
use ligo_device::power::Power;
use ligo_ops::Precision as Computed;

use super::probe::Probed;
use crate::Failure;

/// Share of the matmul peak that a step on the CPU is taken to reach before anything was measured.
///
/// `ligo plan` measured 30 % (`bert-micro`) to 54 % (`bert-small-to-base`) with two threads of an Intel Xeon, 12 % to 42 % with sixteen.
const CPU_UTILIZATION: f64 = 0.4;

/// The device that computes here.
#[derive(Clone, Debug)]
pub struct Machine {
    /// What it is called.
    pub name: String,
    /// Its matmul peak, measured in the precision that it is to compute in.
    pub peak_flops: f64,
    /// Whether it is a GPU.
    pub is_gpu: bool,
    /// Its power.
    pub power: Power,
    /// How it is reached; `None` for the CPU.
    backend: Option<&'static str>,
}

impl Machine {
    /// A device, measured.
    pub fn measured(picked: &Picked, precision: Computed) -> Self {
        Self::new(picked, Self::peak_of(&picked.device, precision))
    }

    /// The matmul peak of a device as it is now.
    pub fn peak_of(device: &Device, precision: Computed) -> f64 {
        ligo_device::matmul_peak(device, precision, Duration::from_millis(400))
    }

    /// A device and its measured peak.
    pub fn new(picked: &Picked, peak_flops: f64) -> Self {
        Self {
            name: picked.name.clone(),
            peak_flops,
            is_gpu: picked.is_gpu,
            power: Power::of(picked),
            backend: picked.backend,
        }
    }

    /// The training that was timed on hardware of this name through the same backend.
    fn timed(&self, precision: Precision) -> Option<&'static TimedStep> {
        Hardware::by_driver_name(&self.name)?.fastest(precision, Some(self.backend?))
    }
}

/// What a user wants to be assumed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// The numbers that products are computed with.
    pub precision: Precision,
    /// Share of the peak.
    pub utilization: Option<f64>,
    /// Price of an hour.
    pub usd_per_hour: Option<f64>,
    /// Carbon dioxide for a kilowatt-hour.
    pub grams_co2_per_kwh: Option<f64>,
    /// Energy drawn for each unit that arrives.
    pub pue: Option<f64>,
    /// Power while it computes.
    pub watts: Option<f64>,
}

/// What a plan rests on: numbers, and a sentence for each of them.
#[derive(Clone, Debug)]
pub struct Terms {
    /// From FLOPs to time, energy and money.
    pub rates: Rates,
    /// The sentences.
    pub notes: Vec<String>,
}

/// The share of the peak that training reaches.
struct Share {
    share: f64,
    known: Utilization,
    /// The rest of a sentence about the share, from its semicolon on.
    note: String,
}

impl Share {
    /// What a timed step says of a peak.
    fn timed(timed: &TimedStep, peak_flops: f64) -> Self {
        let known = timed.utilization();
        let note = match &known {
            Utilization::Measured { by, on } => {
                format!("; the share was measured by {by}: {on}; --utilization changes it")
            }
            Utilization::Given | Utilization::Assumed => String::new(),
        };
        Self {
            share: timed.flops_per_second() / peak_flops,
            known,
            note,
        }
    }
}

/// A number, and where it comes from.
type Sourced = (Option<f64>, String);

/// The terms of hardware that is known by name.
///
/// # Errors
/// It has no mode for the numbers that were asked for.
pub fn of_known(hardware: &Hardware, asked: &Asked) -> Result<Terms, Failure> {
    let precision = asked.precision;
    let peak_flops = hardware.peak_flops(precision).ok_or_else(|| {
        Failure::other(
            format!("{} has no {precision} mode", hardware.full_name),
            "leave --precision out, or take f32 or bf16",
        )
    })?;
    let peak = format!(
        "{} in {precision} ({})",
        format::flops_per_second(peak_flops),
        hardware.source
    );
    let utilization = match hardware.fastest(precision, None) {
        Some(timed) => Share::timed(timed, peak_flops),
        None => Share {
            share: ASSUMED_UTILIZATION,
            known: Utilization::Assumed,
            note: assumed_note(hardware, precision),
        },
    };
    let pue = match hardware.in_data_center {
        true => (Some(DATA_CENTER_PUE), PUE_SOURCE.to_owned()),
        false => (Some(1.0), "no data center around it".into()),
    };
    let watts = (
        Some(hardware.watts),
        "the accelerator alone, all the time at this power".to_owned(),
    );
    let rent = (hardware.usd_per_hour, RENT_SOURCE.to_owned());
    Ok(terms(Base {
        hardware: hardware.full_name.into(),
        peak_flops,
        peak,
        utilization,
        watts,
        pue,
        rent,
        memory_bytes: Some(hardware.memory_bytes),
        asked: *asked,
    }))
}

/// Why a share had to be assumed, and what was measured instead.
fn assumed_note(hardware: &Hardware, precision: Precision) -> String {
    let measured = hardware.timed.first().map(|timed| {
        let rate = format::flops_per_second(timed.flops_per_second());
        format!(
            "; in {} through {} it was measured, {rate} ({})",
            timed.precision, timed.backend, timed.circumstances
        )
    });
    format!(
        "; the share is assumed, since nobody has timed ligo on it in {precision} (21 % were published for GPT-3, 46 % for PaLM), \
         --utilization changes it{}",
        measured.unwrap_or_default()
    )
}

/// The terms of the device that computes here, as a probe found them, or assumed.
pub fn of_this(machine: &Machine, asked: &Asked, probed: Option<&Probed>) -> Terms {
    let utilization = match (probed, machine.timed(asked.precision)) {
        (Some(probed), _) => Share {
            share: probed.utilization,
            known: Utilization::Measured {
                by: "ligo, just now".into(),
                on: probed.to_string(),
            },
            note: format!("; {probed}"),
        },
        (None, Some(timed)) => Share::timed(timed, machine.peak_flops),
        (None, None) => Share {
            share: match machine.is_gpu {
                true => ASSUMED_UTILIZATION,
                false => CPU_UTILIZATION,
            },
            known: Utilization::Assumed,
            note: "; the share is assumed".into(),
        },
    };
    let peak_flops = probed.map_or(machine.peak_flops, |probed| probed.peak_flops);
    let measured = probed.and_then(|probed| probed.watts);
    let watts = match measured {
        Some(watts) => (Some(watts), format!("measured meanwhile {}", machine.power)),
        None => (machine.power.assumed_watts(), machine.power.to_string()),
    };
    terms(Base {
        hardware: machine.name.clone(),
        peak_flops,
        peak: format!(
            "{} in {} (measured)",
            format::flops_per_second(peak_flops),
            asked.precision
        ),
        utilization,
        watts,
        pue: (Some(1.0), "no data center around it; --pue changes it".into()),
        rent: (None, String::new()),
        memory_bytes: machine.power.memory_bytes().map(|bytes| bytes as f64),
        asked: *asked,
    })
}

struct Base {
    hardware: String,
    peak_flops: f64,
    peak: String,
    utilization: Share,
    watts: Sourced,
    pue: Sourced,
    rent: Sourced,
    memory_bytes: Option<f64>,
    asked: Asked,
}

fn terms(base: Base) -> Terms {
    let asked = base.asked;
    let given = |wanted: Option<f64>, usual: Sourced| match wanted {
        Some(_) => (wanted, "as asked".to_owned()),
        None => usual,
    };
    let Share { share, known, note } = match asked.utilization {
        Some(share) => Share {
            share,
            known: Utilization::Given,
            note: "; the share is as asked".into(),
        },
        None => base.utilization,
    };
    let (watts, watts_source) = given(asked.watts, base.watts);
    let (pue, pue_source) = given(asked.pue, base.pue);
    let (rent, rent_source) = given(asked.usd_per_hour, base.rent);
    let grid = (Some(WORLD_GRAMS_CO2_PER_KWH), GRID_SOURCE.to_owned());
    let (grams, grams_source) = given(asked.grams_co2_per_kwh, grid);
    let rates = Rates {
        hardware: base.hardware,
        peak_flops: base.peak_flops,
        utilization: share,
        utilization_known: known,
        precision: asked.precision,
        watts,
        pue: pue.unwrap_or(1.0),
        usd_per_hour: rent,
        grams_co2_per_kwh: grams.unwrap_or(WORLD_GRAMS_CO2_PER_KWH),
        memory_bytes: base.memory_bytes,
    };
    let mut notes = vec![format!(
        "Time: FLOPs by the exact count at {} of a peak of {}{note}. Reading data is not in it.",
        format::percent(rates.utilization),
        base.peak
    )];
    notes.push(match watts {
        Some(watts) => format!(
            "Energy: {watts:.0} W ({watts_source}) × PUE {} ({pue_source}).",
            rates.pue
        ),
        None => "Energy: nobody tells the power of this hardware; --watts gives it.".into(),
    });
    notes.push(format!(
        "CO₂: {} g/kWh ({grams_source}); --carbon-intensity changes it.",
        rates.grams_co2_per_kwh
    ));
    notes.push(match rent {
        Some(price) => format!("Money: ${price:.2} an hour ({rent_source}); --price-per-hour changes it."),
        None => "Money: no price is known for this hardware; --price-per-hour gives one.".into(),
    });
    Terms { rates, notes }
}
