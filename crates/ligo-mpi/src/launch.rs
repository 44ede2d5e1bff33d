use crate::Error;

/// Who started this process, as far as the environment tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launch {
    /// A person or a script.
    Plain,
    /// A launcher of MPI that connects so many processes.
    Mpi(usize),
    /// `srun`, which started so many tasks and may or may not connect them.
    Step(usize),
    /// Somebody within a job of Slurm that has so many tasks.
    Job(usize),
}

/// What says how many processes a launcher connects: Open MPI's `mpirun`, MPICH's and Intel's, and whoever speaks PMI.
const SIZES: [&str; 4] = [
    "OMPI_COMM_WORLD_SIZE",
    "PMI_SIZE",
    "MV2_COMM_WORLD_SIZE",
    "MPI_LOCALNRANKS",
];

/// Who started this process. `variable` reads the environment.
pub fn launched(variable: impl Fn(&str) -> Option<String>) -> Launch {
    let number = |name: &str| variable(name).and_then(|value| value.trim().parse().ok());
    if let Some(size) = SIZES.into_iter().find_map(number) {
        return Launch::Mpi(size);
    }
    let step = number("SLURM_STEP_NUM_TASKS").map(Launch::Step);
    step.or_else(|| number("SLURM_NTASKS").map(Launch::Job))
        .unwrap_or(Launch::Plain)
}

/// The number of this process among those that were started together, where the launcher says it before MPI is started.
pub fn launched_rank(variable: impl Fn(&str) -> Option<String>) -> Option<usize> {
    let number = |name: &str| variable(name).and_then(|value| value.trim().parse().ok());
    ["OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"]
        .into_iter()
        .find_map(number)
}

impl Launch {
    /// Whether other processes were started together with this one.
    pub fn has_others(self) -> bool {
        matches!(self, Self::Mpi(2..) | Self::Step(2..))
    }
}

/// Refuses a world of one rank where Slurm started several tasks, and several processes where there is no world (`size` is `None`).
///
/// # Errors
/// [`Error::Singletons`] and [`Error::WithoutMpi`].
pub fn check_world(launch: Launch, size: Option<usize>) -> Result<(), Error> {
    match (launch, size) {
        (Launch::Step(tasks) | Launch::Job(tasks), Some(1)) if tasks > 1 => Err(Error::Singletons { tasks }),
        (Launch::Step(ranks) | Launch::Mpi(ranks), None) if ranks > 1 => Err(Error::WithoutMpi { ranks }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(variables: &[(&str, &str)]) -> Launch {
        let read = |name: &str| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        launched(read)
    }

    #[test]
    fn launchers_are_told_apart_by_what_they_set() {
        assert_eq!(launch(&[]), Launch::Plain);
        assert_eq!(launch(&[("OMPI_COMM_WORLD_SIZE", "4")]), Launch::Mpi(4));
        assert_eq!(launch(&[("PMI_SIZE", "2"), ("SLURM_NTASKS", "8")]), Launch::Mpi(2));
        assert_eq!(launch(&[("SLURM_NTASKS", "8")]), Launch::Job(8));
        assert_eq!(
            launch(&[("SLURM_NTASKS", "8"), ("SLURM_STEP_NUM_TASKS", "2")]),
            Launch::Step(2)
        );
        assert_eq!(launch(&[("SLURM_NTASKS", "many")]), Launch::Plain);
    }

    #[test]
    fn many_runs_of_one_rank_are_refused_and_nothing_else_is() {
        for launch in [Launch::Step(4), Launch::Job(4)] {
            assert_eq!(check_world(launch, Some(1)), Err(Error::Singletons { tasks: 4 }));
        }
        for launch in [Launch::Step(4), Launch::Mpi(4)] {
            assert!(launch.has_others());
            assert_eq!(check_world(launch, None), Err(Error::WithoutMpi { ranks: 4 }));
        }
        for (launch, size) in [
            (Launch::Plain, Some(1)),
            (Launch::Plain, None),
            (Launch::Mpi(1), None),
            (Launch::Step(1), Some(1)),
            (Launch::Step(4), Some(4)),
            // One start within a job is one run, which needs no MPI.
            (Launch::Job(4), None),
            // `mpirun -n 1` inside of a larger job is meant so.
            (Launch::Mpi(1), Some(1)),
        ] {
            assert_eq!(check_world(launch, size), Ok(()), "{launch:?} {size:?}");
        }
    }
}
