//! Ctrl-C and SIGTERM: the first asks the run to save and leave, the second ends the program at once.

use std::sync::atomic::{AtomicBool, Ordering};

/// Set once the user or the system asked to stop.
pub static STOP: AtomicBool = AtomicBool::new(false);

/// Set once there is something that a later start goes on from.
static SAVED: AtomicBool = AtomicBool::new(false);

/// The exit code after a stop that was asked for (128 + SIGINT).
pub const INTERRUPTED: u8 = 130;

/// Installs the handler. Without one, Ctrl-C still ends the program, only without saving.
pub fn install() {
    let installed = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(INTERRUPTED));
        }
    });
    drop(installed);
}

/// Asks for a stop as the first Ctrl-C does.
pub fn request() {
    STOP.store(true, Ordering::SeqCst);
}

/// Whether a stop was asked for.
pub fn requested() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// Notes that there is something now that the same command goes on from.
pub fn note_saved() {
    SAVED.store(true, Ordering::Relaxed);
}

/// What to tell the user after a stop that was asked for.
pub fn farewell() -> &'static str {
    match SAVED.load(Ordering::Relaxed) {
        true => "stopped as asked; everything so far is saved, and the same command again continues",
        false => "stopped as asked, before there was anything to save; the same command again begins anew",
    }
}
