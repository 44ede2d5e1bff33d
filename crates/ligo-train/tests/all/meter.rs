//! What a run uses is counted over its training steps alone, over all its sessions, and is unknown as soon as a step went uncounted.

use std::cell::Cell;
use std::rc::Rc;

use ligo_train::{EnergyReading, Meter, TrainResult};

use crate::toy::{Toy, Watcher, config, run, timeless};

/// Ten joules for every reading, whatever happens between two of them, and memory that grows.
struct Clock {
    readings: Rc<Cell<u64>>,
    sessions: Rc<Cell<u64>>,
    measured: bool,
}

impl Meter for Clock {
    fn begin(&mut self) {
        self.sessions.set(self.sessions.get() + 1);
    }

    fn read(&mut self) -> Option<EnergyReading> {
        self.readings.set(self.readings.get() + 1);
        Some(EnergyReading {
            joules: 10.0 * self.readings.get() as f64,
            measured: self.measured,
        })
    }

    fn peak_memory_bytes(&mut self) -> Option<u64> {
        Some(1000 + self.readings.get())
    }
}

fn clock(measured: bool) -> Clock {
    Clock {
        readings: Rc::default(),
        sessions: Rc::default(),
        measured,
    }
}

/// 24 steps that are interrupted after some; each session with this meter.
fn session(toy: &Toy, name: &str, meter: Option<Clock>, stop: Option<u64>) -> TrainResult {
    let loader = toy.loader(true);
    let trainer = toy.trainer(&config(), &loader, &toy.objective, &toy.folder.path().join(name));
    let mut trainer = match meter {
        Some(meter) => trainer.with_meter(meter),
        None => trainer,
    };
    let mut watcher = Watcher {
        stop_after_step: stop,
        ..Watcher::default()
    };
    run(&mut trainer, &mut watcher).unwrap()
}

#[test]
fn joules_are_those_between_the_first_and_the_last_of_steps_in_a_row() {
    let toy = Toy::new();
    let meter = clock(true);
    let (readings, sessions) = (Rc::clone(&meter.readings), Rc::clone(&meter.sessions));
    let result = session(&toy, "whole", Some(meter), None);
    // Evaluations at 5, 10, 15, 20 and 24, saves at 7, 14 and 21: eight rows of steps, two readings each.
    assert_eq!((readings.get(), sessions.get()), (16, 1));
    assert_eq!(result.energy_joules, Some(80.0));
    assert!(result.energy_measured);
    assert_eq!(result.peak_memory_bytes, Some(1016));
}

#[test]
fn sessions_add_up_and_the_numbers_of_the_run_do_not_change() {
    let toy = Toy::new();
    let plain = session(&toy, "plain", None, None);
    let half = session(&toy, "resumed", Some(clock(true)), Some(12));
    // 0–5, 5–7, 7–10 and 10–12.
    assert_eq!(half.energy_joules, Some(40.0));
    let whole = session(&toy, "resumed", Some(clock(false)), None);
    // And 12–14, 14–15, 15–20, 20–21 and 21–24.
    assert_eq!(whole.energy_joules, Some(90.0));
    assert!(!whole.energy_measured, "half of it was estimated");
    assert_eq!(whole.peak_memory_bytes, Some(1010));
    let unmetered = TrainResult {
        energy_joules: None,
        energy_measured: false,
        peak_memory_bytes: None,
        ..timeless(&whole)
    };
    assert_eq!(unmetered, timeless(&plain));
}

#[test]
fn a_session_without_a_meter_makes_the_energy_unknown() {
    let toy = Toy::new();
    session(&toy, "run", None, Some(6));
    let result = session(&toy, "run", Some(clock(true)), None);
    assert_eq!((result.energy_joules, result.energy_measured), (None, false));
    assert!(result.peak_memory_bytes.is_some());
}

#[test]
fn stages_add_up_only_when_each_is_known() {
    let toy = Toy::new();
    let known = session(&toy, "known", Some(clock(true)), None);
    let unknown = session(&toy, "unknown", None, None);
    let both = known.clone().followed_by(known.clone());
    assert_eq!((both.energy_joules, both.energy_measured), (Some(160.0), true));
    assert_eq!(known.followed_by(unknown).energy_joules, None);
}

#[test]
fn results_of_earlier_versions_are_read_without_energy() {
    let toy = Toy::new();
    let result = session(&toy, "run", None, None);
    let mut json = serde_json::to_value(&result).unwrap();
    for field in ["energy_joules", "energy_measured", "peak_memory_bytes"] {
        json.as_object_mut().unwrap().remove(field).unwrap();
    }
    assert_eq!(serde_json::from_value::<TrainResult>(json).unwrap(), result);
}
