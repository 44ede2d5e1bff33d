//! Ctrl-C and SIGTERM: the first asks the run to save and leave, the second ends the program at once.

use ligo_experiment::stop;

/// Installs the handler. Without one, Ctrl-C still ends the program, only without saving.
pub fn install() {
    let installed = ctrlc::set_handler(|| {
        if stop::request() {
            crate::dashboard::restore_terminal();
            std::process::exit(i32::from(stop::INTERRUPTED));
        }
    });
    drop(installed);
}
