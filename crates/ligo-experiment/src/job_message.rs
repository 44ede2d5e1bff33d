//! What a process that runs one job tells the one that started it: marked lines on standard output.
//!
//! Drivers print to standard output too, so what is meant for the parent carries a mark, and everything else is ignored.

use std::io::Write;

use serde::{Deserialize, Serialize};

const MARK: &str = "ligo-job: ";

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobMessage {
    /// Something that the user should see.
    Say(String),
    /// How far the stage at hand is.
    At(Position),
    /// Why the job ends without having done its work.
    Failed {
        /// For people.
        message: String,
        /// Whether it is the device that failed.
        by_device: bool,
    },
}

/// How far a training run is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// What runs, for people.
    pub label: String,
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// Loss and speed, for people.
    pub message: String,
}

impl JobMessage {
    /// Writes the line. A parent that is gone hears nothing; the job ends by its own means then.
    pub fn tell(&self) {
        if let Ok(json) = serde_json::to_string(self) {
            let mut out = std::io::stdout().lock();
            let _ = writeln!(out, "{MARK}{json}");
            let _ = out.flush();
        }
    }

    /// Reads a line; `None` for whatever else was printed.
    pub fn read(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        // A driver may have left a line unfinished.
        let (_, json) = line.split_once(MARK)?;
        serde_json::from_str(json.trim_end()).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_line_reads_back_and_other_output_is_no_line() {
        let told = JobMessage::Say("ligo: loss 2.3\nin two lines".into());
        let line = format!("{MARK}{}\n", serde_json::to_string(&told).unwrap());
        assert_eq!(JobMessage::read(line.as_bytes()), Some(told.clone()));
        assert_eq!(JobMessage::read(format!("NVRM: {line}").as_bytes()), Some(told));
        for other in ["", "libcuda warning\n", "ligo-job: {\"Say\"\n"] {
            assert_eq!(JobMessage::read(other.as_bytes()), None, "{other}");
        }
        assert_eq!(JobMessage::read(b"\xff\xfe\n"), None);
    }
}
