use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ExitStatus, Stdio};

use ligo_device::{DeviceChoice, THREADS_VARIABLE, this_program};

use super::Event;
use crate::job_message::JobMessage;

/// The hidden command.
pub const COMMAND: &str = "__job";

/// A process that does one unit. It saves and leaves when this is dropped.
pub struct Child {
    /// The process stops when this ends, also when this program is killed.
    input: Option<ChildStdin>,
}

impl Child {
    /// Starts a process for a unit. `report` gets all it tells, from another thread, and how it ended at last.
    pub fn start(
        run: &Path,
        unit: &str,
        device: DeviceChoice,
        threads: usize,
        report: impl Fn(Event) + Send + 'static,
    ) -> std::io::Result<Self> {
        let mut command = this_program()?;
        command
            .arg(COMMAND)
            .arg(run)
            .arg(unit)
            .args(["--device", &device.to_string()])
            .env(THREADS_VARIABLE, threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log(&log_of(run, unit))?);
        let mut child = command.spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        std::thread::spawn(move || {
            let mut lines = output.map(BufReader::new);
            let mut line = Vec::new();
            while let Some(lines) = &mut lines
                && lines.read_until(b'\n', &mut line).is_ok_and(|n| n > 0)
            {
                if let Some(told) = JobMessage::read(&line) {
                    report(Event::Message(told));
                }
                line.clear();
            }
            report(Event::Ended(child.wait()));
        });
        Ok(Self { input })
    }

    /// Asks the process to save and leave.
    pub fn ask_to_stop(&mut self) {
        self.input = None;
    }
}

/// Where a unit's process writes what it does.
pub fn log_of(run: &Path, unit: &str) -> PathBuf {
    let mut path = run.join("logs").join(unit).into_os_string();
    path.push(".log");
    path.into()
}

fn log(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// Why a process ended, when it did not say so itself.
pub fn reason(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("its process was ended by signal {signal}");
    }
    match status.code() {
        Some(code) if code == i32::from(crate::stop::INTERRUPTED) => {
            "its process was asked to stop from outside".into()
        }
        _ => format!("its process failed ({status})"),
    }
}
