//! Processes that `mpirun` or `srun` started together: rank 0 is the program as ever, and the others take part in its training runs.

use ligo_mpi::{Launch, launched, launched_rank};

use crate::Failure;

#[cfg(feature = "mpi")]
pub use joined::World;

/// Where MPI is not built in, there is none.
#[cfg(not(feature = "mpi"))]
pub enum World {}

/// Seconds that the ranks wait for one of them before they give the run up.
#[cfg(feature = "mpi")]
const PATIENCE_VARIABLE: &str = "LIGO_RANK_PATIENCE";

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn refused(error: ligo_mpi::Error) -> Failure {
    Failure::other(
        error.to_string(),
        "docs/DISTRIBUTED.md says how runs on many devices are started",
    )
}

fn launch() -> Launch {
    launched(variable)
}

/// Whether another process speaks for this one, as far as the environment tells.
pub fn is_silent() -> bool {
    launch().has_others() && launched_rank(variable).is_some_and(|rank| rank > 0)
}

/// Joins the processes that were started together with this one, where there are any.
///
/// # Errors
/// They cannot be joined; or each of them would do the same work.
#[cfg(not(feature = "mpi"))]
pub fn join() -> Result<Option<World>, Failure> {
    ligo_mpi::check_world(launch(), None).map_err(refused)?;
    Ok(None)
}

#[cfg(not(feature = "mpi"))]
impl World {
    pub fn rank(&self) -> usize {
        match *self {}
    }

    pub fn share_optimizer(&self) {
        match *self {}
    }

    pub fn device(&self, _: ligo_device::DeviceChoice) -> Result<ligo_device::DeviceChoice, Failure> {
        match *self {}
    }

    pub fn follow(self, _: ligo_device::DeviceChoice, _: &crate::Ui) -> std::process::ExitCode {
        match self {}
    }

    pub fn leave(self, _: u8) {
        match self {}
    }
}

/// Joins the processes that were started together with this one, where there are any.
///
/// # Errors
/// They cannot be joined.
#[cfg(feature = "mpi")]
pub fn join() -> Result<Option<World>, Failure> {
    // A program alone needs no MPI, and may run where there is none.
    match launch() {
        Launch::Plain | Launch::Job(_) => Ok(None),
        Launch::Mpi(0 | 1) | Launch::Step(0 | 1) => Ok(None),
        Launch::Mpi(_) | Launch::Step(_) => World::join(),
    }
}

#[cfg(feature = "mpi")]
mod joined {
    use std::io::Write;
    use std::process::ExitCode;
    use std::sync::Arc;
    use std::time::Duration;

    use ligo_device::DeviceChoice;
    use ligo_experiment::run::ranks::{self, Team};
    use ligo_experiment::{Listener, stop};
    use ligo_mpi::{Membership, Mpi, Options};
    use ligo_train::Collective;

    use super::{PATIENCE_VARIABLE, refused, variable};
    use crate::{Failure, Ui};

    /// This process among those that were started together.
    pub struct World {
        mpi: Arc<Mpi>,
        team: &'static Team,
        /// Leaves when it is dropped.
        _membership: Membership,
    }

    /// What another rank than the first says of its own work.
    struct RankListener<'a> {
        rank: usize,
        ui: &'a Ui,
    }

    impl Listener for RankListener<'_> {
        fn say(&self, line: &str) {
            self.ui.say(&format!("rank {}: {line}", self.rank));
        }

        /// Rank 0 says the like.
        fn note(&self, _: &str) {}
    }

    impl World {
        pub(super) fn join() -> Result<Option<Self>, Failure> {
            let mut options = Options::default();
            if let Some(seconds) = variable(PATIENCE_VARIABLE) {
                let parsed = seconds.parse().map_err(|_| {
                    Failure::other(
                        format!("{PATIENCE_VARIABLE} is {seconds:?}"),
                        "expected whole seconds; 0 waits for ever",
                    )
                });
                options.patience = Duration::from_secs(parsed?);
            }
            let (mpi, membership) = Mpi::join(&options).map_err(refused)?;
            let mpi = Arc::new(mpi);
            if mpi.size() == 1 {
                return Ok(None);
            }
            let team = ranks::share_with(Box::new(Arc::clone(&mpi)));
            Ok(Some(Self {
                mpi,
                team,
                _membership: membership,
            }))
        }

        /// This process, from 0.
        pub fn rank(&self) -> usize {
            self.mpi.rank()
        }

        /// Lets each rank keep a share of the optimizer's moments.
        pub fn share_optimizer(&self) {
            self.team.share_optimizer();
        }

        /// The device of this rank: the ranks of a machine take its GPUs in turn.
        pub fn device(&self, choice: DeviceChoice) -> Result<DeviceChoice, Failure> {
            Ok(ligo_device::of_rank(choice, self.mpi.local_rank())?)
        }

        /// Another rank than the first: takes part until there is nothing more to do.
        pub fn follow(self, choice: DeviceChoice, ui: &Ui) -> ExitCode {
            let rank = self.rank();
            let pick = || Ok(ligo_device::pick(self.device(choice)?)?);
            match ligo_experiment::Experiment::follow(self.team, pick, &RankListener { rank, ui }) {
                Ok(()) => ExitCode::SUCCESS,
                Err(failure) => {
                    // Who was lost, or rank 0, has more to say, and ends this process as well.
                    if matches!(failure, Failure::Train(ligo_train::Error::RankLost { .. })) {
                        std::thread::sleep(Duration::from_secs(3));
                    }
                    let _ = writeln!(std::io::stderr(), "rank {}: {failure}", self.rank());
                    self.mpi.abort(1)
                }
            }
        }

        /// Rank 0: lets the others go after work that ended well or was stopped as asked, and ends them otherwise.
        pub fn leave(self, code: u8) {
            let is_well = [0, stop::INTERRUPTED].contains(&code);
            if !is_well || self.team.dismiss().is_err() {
                self.mpi.abort(i32::from(code).max(1));
            }
        }
    }
}
