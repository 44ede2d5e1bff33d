//! Energy and memory of a run, as far as the machine tells: NVML for NVIDIA's GPUs, RAPL for processors; else an estimate from an assumed power.

mod memory;
mod nvml;
mod rapl;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ligo_cost::energy::ASSUMED_WATTS_PER_THREAD;
use ligo_cost::hardware::Hardware;
use ligo_train::{EnergyReading, Meter};

pub use memory::{available_bytes, machine_bytes, swap_bytes};
use nvml::Gpu;
pub use nvml::driver_version as nvidia_driver_version;
use rapl::Rapl;

use crate::Picked;

/// Where Linux shows the energy counters of processors.
const POWERCAP: &str = "/sys/class/powercap";

/// What can be told of a device's energy and memory.
#[derive(Clone, Debug)]
pub struct Power {
    instrument: Instrument,
    on_gpu: bool,
    assumed_watts: Option<f64>,
}

#[derive(Clone, Debug)]
enum Instrument {
    Nvml(Arc<Gpu>),
    Rapl,
    Assumed,
}

impl Power {
    /// Of a device that has computed something already, so that its driver knows this process.
    pub fn of(picked: &Picked) -> Self {
        if !picked.is_gpu {
            let instrument = match Rapl::open(Path::new(POWERCAP)) {
                Some(_) => Instrument::Rapl,
                None => Instrument::Assumed,
            };
            return Self {
                instrument,
                on_gpu: false,
                assumed_watts: Some(ASSUMED_WATTS_PER_THREAD * crate::threads() as f64),
            };
        }
        let gpu = Gpu::open(&picked.name);
        let known = Hardware::by_driver_name(&picked.name).map(|known| known.watts);
        Self {
            on_gpu: true,
            assumed_watts: gpu.as_ref().and_then(Gpu::limit_watts).or(known),
            instrument: match gpu {
                Some(gpu) if gpu.joules().is_some() => Instrument::Nvml(Arc::new(gpu)),
                _ => Instrument::Assumed,
            },
        }
    }

    /// Power while the device computes, before anything was measured; `None` where nobody can tell.
    pub fn assumed_watts(&self) -> Option<f64> {
        self.assumed_watts
    }

    /// The memory of the device: the computer's, or the GPU's where its driver tells.
    pub fn memory_bytes(&self) -> Option<u64> {
        match &self.instrument {
            Instrument::Nvml(gpu) => gpu.memory_bytes(),
            _ if self.on_gpu => None,
            _ => machine_bytes(),
        }
    }

    /// A meter that starts from zero.
    pub fn meter(&self) -> PowerMeter {
        PowerMeter::new(self.clone(), Path::new(POWERCAP))
    }
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.instrument, self.assumed_watts) {
            (Instrument::Nvml(_), _) => f.write_str("by NVML, the board alone"),
            (Instrument::Rapl, _) => f.write_str("by RAPL, processors and memory with all that runs on them"),
            (Instrument::Assumed, Some(watts)) if self.on_gpu => {
                write!(f, "assumed, {watts:.0} W of the board at its limit")
            }
            (Instrument::Assumed, Some(watts)) => {
                write!(
                    f,
                    "assumed, {watts:.0} W: {ASSUMED_WATTS_PER_THREAD:.0} W for each thread"
                )
            }
            (Instrument::Assumed, None) => f.write_str("not known"),
        }
    }
}

/// Counts a run's joules, and sees the most memory that it used.
pub struct PowerMeter {
    power: Power,
    rapl: Option<Rapl>,
    started: Instant,
    gpu_peak_bytes: Option<u64>,
}

impl PowerMeter {
    fn new(power: Power, powercap: &Path) -> Self {
        let rapl = match power.instrument {
            Instrument::Rapl => Rapl::open(powercap),
            _ => None,
        };
        Self {
            power,
            rapl,
            started: Instant::now(),
            gpu_peak_bytes: None,
        }
    }

    /// Joules since a fixed moment, by an instrument or by the assumed power; `None` where neither can tell.
    pub fn joules(&mut self) -> Option<EnergyReading> {
        let measured = |joules| EnergyReading { joules, measured: true };
        match &self.power.instrument {
            Instrument::Nvml(gpu) => gpu.joules().map(measured),
            Instrument::Rapl => self.rapl.as_mut()?.joules().map(measured),
            Instrument::Assumed => self.power.assumed_watts.map(|watts| EnergyReading {
                joules: watts * self.started.elapsed().as_secs_f64(),
                measured: false,
            }),
        }
    }
}

impl Meter for PowerMeter {
    fn begin(&mut self) {
        if !self.power.on_gpu {
            memory::forget_peak();
        }
    }

    fn read(&mut self) -> Option<EnergyReading> {
        self.joules()
    }

    fn peak_memory_bytes(&mut self) -> Option<u64> {
        match &self.power.instrument {
            Instrument::Nvml(gpu) => {
                self.gpu_peak_bytes = self.gpu_peak_bytes.max(gpu.used_bytes());
                self.gpu_peak_bytes
            }
            _ if self.power.on_gpu => None,
            _ => memory::peak_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn power(instrument: Instrument, assumed_watts: Option<f64>) -> Power {
        Power {
            instrument,
            on_gpu: false,
            assumed_watts,
        }
    }

    #[test]
    fn an_assumed_power_counts_time_and_says_that_nothing_was_measured() {
        let mut meter = power(Instrument::Assumed, Some(50.0)).meter();
        let (before, started) = (meter.joules().unwrap(), meter.started);
        let after = meter.joules().unwrap();
        assert!(!after.measured && after.joules >= before.joules);
        assert!(after.joules <= 50.0 * started.elapsed().as_secs_f64());
        assert_eq!(power(Instrument::Assumed, None).meter().joules(), None);
    }

    #[test]
    fn a_processor_with_readable_counters_is_measured_and_one_without_is_not() {
        let folder = tempfile::tempdir().unwrap();
        rapl::tests::zone(folder.path(), "intel-rapl:0", "package-0", 1_000_000, 10_000_000);
        let mut meter = PowerMeter::new(power(Instrument::Rapl, Some(50.0)), folder.path());
        assert_eq!(
            meter.joules(),
            Some(EnergyReading {
                joules: 0.0,
                measured: true
            })
        );
        rapl::tests::set(folder.path(), "intel-rapl:0", 3_500_000);
        assert_eq!(
            meter.joules(),
            Some(EnergyReading {
                joules: 2.5,
                measured: true
            })
        );
        std::fs::remove_file(folder.path().join("intel-rapl:0/energy_uj")).unwrap();
        assert_eq!(meter.joules(), None);
    }

    #[test]
    fn the_cpu_of_this_machine_has_a_meter_that_does_not_run_backwards() {
        let picked = crate::pick(crate::DeviceChoice::Cpu).unwrap();
        let mut meter = Power::of(&picked).meter();
        meter.begin();
        let first = meter.read().unwrap();
        let second = meter.read().unwrap();
        assert!(second.joules >= first.joules);
        #[cfg(target_os = "linux")]
        assert!(meter.peak_memory_bytes().unwrap() > 1_000_000);
    }

    #[test]
    fn a_gpu_that_nobody_knows_has_no_power_and_no_memory() {
        let unknown = Power {
            on_gpu: true,
            ..power(Instrument::Assumed, None)
        };
        assert_eq!(unknown.to_string(), "not known");
        assert_eq!(unknown.memory_bytes(), None);
        assert_eq!(unknown.meter().peak_memory_bytes(), None);
    }
}
