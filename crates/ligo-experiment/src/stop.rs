//! Asking a run to save and leave, and what to say when it has. One flag for the whole process, as signals have it.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set once the user or the system asked to stop.
pub static STOP: AtomicBool = AtomicBool::new(false);

/// Set once there is something that a later start goes on from.
static SAVED: AtomicBool = AtomicBool::new(false);

/// What was noted by [`note_left`].
static LEFT: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// The exit code after a stop that was asked for (128 + SIGINT).
pub const INTERRUPTED: u8 = 130;

/// Asks for a stop; whether one was asked for already.
pub fn request() -> bool {
    STOP.swap(true, Ordering::SeqCst)
}

/// Whether a stop was asked for.
pub fn requested() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// Notes that there is something now that the same command goes on from.
pub fn note_saved() {
    SAVED.store(true, Ordering::Relaxed);
}

/// Notes files and folders that hold what the same command goes on from, and that nobody would look for.
pub fn note_left(paths: Vec<PathBuf>) {
    if !paths.is_empty() {
        note_saved();
    }
    // A stop comes once, and whoever panicked while it held the list said so.
    if let Ok(mut left) = LEFT.lock() {
        *left = paths;
    }
}

/// What to tell the user after a stop that was asked for.
pub fn farewell() -> String {
    if !SAVED.load(Ordering::Relaxed) {
        return "stopped as asked, before there was anything to save; the same command again begins anew".into();
    }
    let saved = "stopped as asked; everything so far is saved, and the same command again continues";
    let left = LEFT.lock().map(|left| left.clone()).unwrap_or_default();
    let left: Vec<String> = left.iter().map(|path| path.display().to_string()).collect();
    match left.is_empty() {
        true => saved.into(),
        false => format!(
            "{saved}; until then it is in {}, to be deleted if it is given up",
            left.join(" and ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_until_the_command_goes_on_is_named() {
        note_left(vec!["runs/.big.partial".into(), "runs/.big.progress".into()]);
        let said = farewell();
        assert!(said.contains("the same command again continues"), "{said}");
        assert!(said.contains("runs/.big.partial and runs/.big.progress"), "{said}");
        note_left(Vec::new());
        assert!(!farewell().contains("runs/"));
    }
}
