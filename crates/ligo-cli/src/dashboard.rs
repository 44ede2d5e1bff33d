//! `--dashboard`: burn-train's terminal dashboard in the place of bars, where this program was built with it.

use ligo_experiment::Listener;

use crate::{Failure, Ui};

/// The option of every command that trains.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct DashboardArgs {
    /// Show training on a terminal dashboard: curves of losses, learning rate, gradient norm and speed, and how far it is. q and then s stops,
    /// and Ctrl-C does: both save. Not with --quiet, nor in processes side by side.
    #[arg(long)]
    pub dashboard: bool,
}

impl DashboardArgs {
    /// Whether this program has what is asked for.
    ///
    /// # Errors
    /// A dashboard is asked for, and the program was built without.
    pub fn check(self) -> Result<(), Failure> {
        if self.dashboard && !cfg!(feature = "dashboard") {
            return Err(Failure::other(
                "--dashboard: this program was built without the dashboard",
                "`cargo xtask` builds one with it for who asks: cargo xtask ligo run --dashboard; by hand: cargo build --release --bin ligo \
                 --features ligo-cli/dashboard",
            ));
        }
        Ok(())
    }

    /// Who shows what goes on.
    pub fn listener(self, ui: &Ui) -> Box<dyn Listener + '_> {
        match self.dashboard {
            true => with_dashboard(ui),
            false => Box::new(*ui),
        }
    }
}

#[cfg(feature = "dashboard")]
fn with_dashboard(ui: &Ui) -> Box<dyn Listener + '_> {
    if ligo_dashboard::is_there() {
        return Box::new(ligo_dashboard::Dashboard::new(ui));
    }
    ui.note("--dashboard: input and output are no terminal; going on with ordinary lines");
    Box::new(*ui)
}

/// [`DashboardArgs::check`] refused it.
#[cfg(not(feature = "dashboard"))]
fn with_dashboard(ui: &Ui) -> Box<dyn Listener + '_> {
    Box::new(*ui)
}

/// The terminal as it was, before the program ends at once.
pub fn restore_terminal() {
    #[cfg(feature = "dashboard")]
    ligo_dashboard::restore();
}
