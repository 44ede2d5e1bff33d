//! The terminal's dashboard: opening it so that Ctrl-C goes on to work, and giving the terminal back.

use std::io::{IsTerminal, Write, stdin, stdout};

use burn_train::Interrupter;
use burn_train::renderer::MetricsRenderer;
use burn_train::renderer::tui::TuiMetricsRendererWrapper;

/// Whether there is a terminal to draw on and to read keys from.
pub fn is_there() -> bool {
    stdin().is_terminal() && stdout().is_terminal()
}

/// burn-train's dashboard; `None` where it does not come up.
pub(crate) fn open(interrupter: Interrupter) -> Option<Box<dyn MetricsRenderer>> {
    if !is_there() {
        return None;
    }
    modes::remember();
    let renderer = TuiMetricsRendererWrapper::new(interrupter, None);
    let is_up = modes::wait_and_keep_ctrl_c();
    is_up.then(|| Box::new(renderer) as Box<dyn MetricsRenderer>)
}

/// Gives the terminal back as it was before a dashboard took it; does nothing where none is open. For programs that end without unwinding.
pub fn restore() {
    if !modes::put_back() {
        return;
    }
    let mut out = stdout();
    // No mouse, the screen of before, a cursor. A terminal that is gone needs none of it.
    let _ = out.write_all(b"\x1b[?1006l\x1b[?1015l\x1b[?1003l\x1b[?1002l\x1b[?1000l\x1b[?1049l\x1b[?25h");
    let _ = out.flush();
}

#[cfg(unix)]
mod modes {
    use std::io::stdin;
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::time::{Duration, Instant};

    use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

    /// What the terminal was before a dashboard took it.
    static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

    /// How long a dashboard may take to come up.
    const PATIENCE: Duration = Duration::from_secs(5);

    /// The character that stands for none.
    const NO_KEY: u8 = if cfg!(any(target_os = "linux", target_os = "android")) {
        0
    } else {
        0xff
    };

    fn before() -> MutexGuard<'static, Option<Termios>> {
        BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn remember() {
        *before() = tcgetattr(stdin()).ok();
    }

    /// The dashboard reads every key by itself and has no use for Ctrl-C, so the terminal goes on to make a signal of it. What would suspend or
    /// kill the program stays off: the shell would get a terminal that it cannot use.
    pub fn wait_and_keep_ctrl_c() -> bool {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let Ok(mut modes) = tcgetattr(stdin()) else {
                return false;
            };
            if !modes.local_modes.contains(LocalModes::ICANON) {
                modes.local_modes |= LocalModes::ISIG;
                modes.special_codes[SpecialCodeIndex::VSUSP] = NO_KEY;
                modes.special_codes[SpecialCodeIndex::VQUIT] = NO_KEY;
                return tcsetattr(stdin(), OptionalActions::Now, &modes).is_ok();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// Whether there was anything to put back: a dashboard that closed has done so itself.
    pub fn put_back() -> bool {
        let is_taken = tcgetattr(stdin()).is_ok_and(|modes| !modes.local_modes.contains(LocalModes::ICANON));
        let before = before().take().filter(|_| is_taken);
        before.is_some_and(|before| tcsetattr(stdin(), OptionalActions::Now, &before).is_ok())
    }
}

/// Consoles elsewhere have no modes that we could keep: there the dashboard's own keys stop a run (q, then s).
#[cfg(not(unix))]
mod modes {
    pub fn remember() {}

    pub fn wait_and_keep_ctrl_c() -> bool {
        true
    }

    pub fn put_back() -> bool {
        false
    }
}
