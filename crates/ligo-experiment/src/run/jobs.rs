//! Units side by side, each in a process of its own: a crash takes nothing else down, and each process has its own GPU or
//! its share of the CPU's threads.

mod child;

use std::path::Path;
use std::process::ExitStatus;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use ligo_device::{DeviceChoice, Gpu, Picked};

use super::units::{Failed, Unit};
use crate::job_message::JobMessage;
use crate::{Board, Failure, Listener, stop};
use child::Child;

/// Who does the work of a run.
pub enum Workforce {
    /// This process, on this device, one piece after the other.
    Here(Picked),
    /// Processes of their own, several at a time.
    SideBySide(Workers),
    /// The processes that were started together with this one, a unit of its own each.
    Ranks(Picked),
}

/// Where jobs run, as many at a time as there are places.
#[derive(Debug, PartialEq)]
pub struct Workers {
    places: Vec<Place>,
    /// What drivers call the GPUs; none on the CPU.
    gpus: Vec<Gpu>,
}

/// One place for a job.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    device: DeviceChoice,
    threads: usize,
}

impl Workers {
    /// So many places, on these GPUs in turn or on the CPU when there are none, which share this process's threads.
    pub fn new(jobs: usize, gpus: Vec<Gpu>) -> Self {
        Self::sharing(jobs, gpus, ligo_device::threads())
    }

    fn sharing(jobs: usize, gpus: Vec<Gpu>, threads: usize) -> Self {
        let place = |i: usize| Place {
            device: match gpus.len() {
                0 => DeviceChoice::Cpu,
                count => DeviceChoice::Gpu(Some(gpus[i % count].number)),
            },
            threads: (threads / jobs + usize::from(i < threads % jobs)).max(1),
        };
        Self {
            places: (0..jobs).map(place).collect(),
            gpus,
        }
    }

    /// What computes, for the provenance of the results.
    pub fn device(&self) -> String {
        let mut names: Vec<&str> = self.gpus.iter().map(|gpu| gpu.name.as_str()).collect();
        names.dedup();
        let device = match self.gpus.len() {
            0 => "CPU".to_owned(),
            1 => names.join(", "),
            count => format!("{count} × {}", names.join(", ")),
        };
        format!("{device}, {} runs at a time", self.places.len())
    }

    /// What they are, for people.
    fn describe(&self) -> String {
        let threads: Vec<usize> = self.places.iter().map(|place| place.threads).collect();
        let (least, most) = (threads.iter().min(), threads.iter().max());
        let threads = match (least, most) {
            (Some(1), Some(1)) => "1 thread each".to_owned(),
            (Some(least), Some(most)) if least == most => format!("{most} threads each"),
            (least, most) => format!("{} or {} threads each", least.unwrap_or(&0), most.unwrap_or(&0)),
        };
        let mut devices: Vec<String> = self.places.iter().map(|place| place.device.to_string()).collect();
        devices.sort();
        devices.dedup();
        format!("{} at a time on {}, {threads}", self.places.len(), devices.join(", "))
    }
}

/// What became of a unit so far.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Waiting,
    Running,
    Complete,
    Failed,
}

/// What a process's thread reports.
enum Event {
    Message(JobMessage),
    Ended(std::io::Result<ExitStatus>),
}

/// Runs all units and returns those that failed, or that waited for one that did.
///
/// # Errors
/// [`Failure::Interrupted`] after a stop that was asked for, when every process has saved and left.
pub fn run(units: &[Unit], run: &Path, workers: &Workers, listener: &dyn Listener) -> Result<Vec<Failed>, Failure> {
    listener.say(&format!("jobs: {}", workers.describe()));
    let (sender, receiver) = mpsc::channel();
    Pool {
        units,
        run,
        states: vec![State::Waiting; units.len()],
        places: workers
            .places
            .iter()
            .map(|place| Slot {
                place: *place,
                failures: 0,
                job: None,
            })
            .collect(),
        failed: Vec::new(),
        unsaved: Vec::new(),
        board: listener.board(units.len(), workers.places.len()),
        sender,
        receiver,
    }
    .run()
}

/// A place and what runs there.
struct Slot {
    place: Place,
    /// Jobs in a row that the device failed, as far as one can tell.
    failures: usize,
    job: Option<Job>,
}

struct Job {
    unit: usize,
    child: Child,
    /// What the process said of its end.
    complaint: Option<Complaint>,
    /// Whether it has done a step, which it saves when it is asked to stop.
    has_trained: bool,
}

struct Complaint {
    message: String,
    by_device: bool,
}

struct Pool<'a> {
    units: &'a [Unit],
    run: &'a Path,
    states: Vec<State>,
    places: Vec<Slot>,
    failed: Vec<Failed>,
    /// What processes complained of when they were asked to stop.
    unsaved: Vec<String>,
    board: Box<dyn Board + 'a>,
    sender: Sender<(usize, Event)>,
    receiver: Receiver<(usize, Event)>,
}

/// How often to look whether a stop was asked for.
const TICK: Duration = Duration::from_millis(100);

impl Pool<'_> {
    fn run(mut self) -> Result<Vec<Failed>, Failure> {
        loop {
            if stop::requested() {
                self.places
                    .iter_mut()
                    .filter_map(|slot| slot.job.as_mut())
                    .for_each(|job| job.child.ask_to_stop());
            } else {
                self.start_what_can();
            }
            let is_idle = self.places.iter().all(|slot| slot.job.is_none());
            // After a process that could not even start, the next one may.
            let goes_on = !stop::requested() && (0..self.units.len()).any(|unit| self.is_ready(unit));
            if is_idle && !goes_on {
                break;
            }
            match self.receiver.recv_timeout(TICK) {
                Ok((slot, Event::Message(message))) => self.heard(slot, message),
                Ok((slot, Event::Ended(status))) => self.ended(slot, status),
                Err(_) => {}
            }
        }
        if stop::requested() {
            return Err(match self.unsaved.is_empty() {
                true => Failure::Interrupted,
                false => Failure::other(
                    format!(
                        "stopped as asked, and not everything could be saved:\n{}",
                        self.unsaved.join("\n")
                    ),
                    "the same command again continues from the last checkpoints",
                ),
            });
        }
        let waiting = self
            .units
            .iter()
            .zip(&self.states)
            .filter(|(_, state)| **state == State::Waiting);
        for (unit, _) in waiting {
            let missing = unit
                .after
                .iter()
                .find(|name| self.state_of(name) != Some(State::Complete));
            self.failed
                .push(Failed::after(unit, missing.map_or("", String::as_str)));
        }
        Ok(self.failed)
    }

    fn start_what_can(&mut self) {
        self.give_up_what_cannot();
        for slot in 0..self.places.len() {
            if self.places[slot].job.is_some() || self.is_left_alone(slot) {
                continue;
            }
            let Some(unit) = (0..self.units.len()).find(|unit| self.is_ready(*unit)) else {
                return;
            };
            self.start(slot, unit);
        }
    }

    fn state_of(&self, name: &str) -> Option<State> {
        let unit = self.units.iter().position(|unit| unit.name == name)?;
        Some(self.states[unit])
    }

    fn is_ready(&self, unit: usize) -> bool {
        let mut before = self.units[unit].after.iter();
        self.states[unit] == State::Waiting && before.all(|name| self.state_of(name) == Some(State::Complete))
    }

    /// Units that wait for one that failed fail too. What they wait for stands before them, so one pass is enough.
    fn give_up_what_cannot(&mut self) {
        for (i, unit) in self.units.iter().enumerate() {
            let failed = |name: &&String| self.state_of(name) == Some(State::Failed);
            if self.states[i] == State::Waiting
                && let Some(name) = unit.after.iter().find(failed)
            {
                let failed = Failed::after(unit, name);
                self.board.say(&failed.to_string());
                self.failed.push(failed);
                self.states[i] = State::Failed;
                self.board.ended(&unit.name, false);
            }
        }
    }

    /// A device on which one job after the other fails may be broken, and would fail all that are left in no time.
    fn is_left_alone(&self, slot: usize) -> bool {
        let is_bad = |slot: &Slot| slot.failures >= 2;
        is_bad(&self.places[slot]) && self.places.iter().any(|other| !is_bad(other))
    }

    fn start(&mut self, slot: usize, unit: usize) {
        let Place { device, threads } = self.places[slot].place;
        let name = &self.units[unit].name;
        let sender = self.sender.clone();
        // Nobody listens any more when the pool is gone.
        let report = move |event| drop(sender.send((slot, event)));
        match Child::start(self.run, name, device, threads, report) {
            Ok(child) => {
                self.board.started(slot, name, device);
                self.states[unit] = State::Running;
                self.places[slot].job = Some(Job {
                    unit,
                    child,
                    complaint: None,
                    has_trained: false,
                });
            }
            Err(error) => self.fail(slot, unit, format!("could not be started: {error}"), true),
        }
    }

    fn heard(&mut self, slot: usize, message: JobMessage) {
        match message {
            JobMessage::Say(line) => self.board.say(&line),
            JobMessage::At(position) => {
                if let Some(job) = &mut self.places[slot].job {
                    job.has_trained |= position.step > 0;
                }
                self.board.at(slot, &position);
            }
            JobMessage::Failed { message, by_device } => {
                if let Some(job) = &mut self.places[slot].job {
                    job.complaint = Some(Complaint { message, by_device });
                }
            }
        }
    }

    fn ended(&mut self, slot: usize, status: std::io::Result<ExitStatus>) {
        let Some(job) = self.places[slot].job.take() else {
            return;
        };
        let Job { unit, complaint, .. } = job;
        self.board.left(slot);
        match status {
            Ok(status) if status.success() => {
                self.places[slot].failures = 0;
                self.states[unit] = State::Complete;
                stop::note_saved();
                self.board.ended(&self.units[unit].name, true);
            }
            // The user asked for it. What the process could not save on its way out is no part of what is saved.
            status if stop::requested() => {
                self.states[unit] = State::Waiting;
                let left = status.is_ok_and(|status| status.code() == Some(i32::from(stop::INTERRUPTED)));
                match complaint {
                    Some(Complaint { message, .. }) => {
                        self.unsaved.push(format!("{}: {message}", self.units[unit].name))
                    }
                    None if left && job.has_trained => stop::note_saved(),
                    None => {}
                }
            }
            Ok(status) => match complaint {
                Some(Complaint { message, by_device }) => self.fail(slot, unit, message, by_device),
                // Drivers end processes without a word.
                None => self.fail(slot, unit, child::reason(status), true),
            },
            Err(error) => self.fail(slot, unit, format!("was lost: {error}"), true),
        }
    }

    fn fail(&mut self, slot: usize, unit: usize, reason: String, by_device: bool) {
        let name = &self.units[unit].name;
        let failed = Failed {
            unit: name.clone(),
            reason,
            log: Some(child::log_of(self.run, name)),
        };
        self.board.say(&failed.to_string());
        self.board.ended(name, false);
        self.failed.push(failed);
        // What a run refuses by itself would be refused on any device.
        self.places[slot].failures += usize::from(by_device);
        self.states[unit] = State::Failed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_divided_and_gpus_taken_in_turn() {
        let threads = |jobs, threads| -> Vec<usize> {
            let workers = Workers::sharing(jobs, Vec::new(), threads);
            workers.places.iter().map(|place| place.threads).collect()
        };
        assert_eq!(threads(14, 14), [1; 14]);
        assert_eq!(threads(3, 14), [5, 5, 4]);
        assert_eq!(threads(4, 2), [1; 4]);
        let gpus = || {
            [0, 2]
                .map(|number| Gpu {
                    number,
                    name: "NVIDIA H100".into(),
                })
                .to_vec()
        };
        let devices: Vec<String> = Workers::sharing(3, gpus(), 8)
            .places
            .iter()
            .map(|place| place.device.to_string())
            .collect();
        assert_eq!(devices, ["gpu:0", "gpu:2", "gpu:0"]);
        assert_eq!(
            Workers::sharing(3, gpus(), 8).describe(),
            "3 at a time on gpu:0, gpu:2, 2 or 3 threads each"
        );
        assert_eq!(
            Workers::sharing(3, gpus(), 8).device(),
            "2 × NVIDIA H100, 3 runs at a time"
        );
    }
}
