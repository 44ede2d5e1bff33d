//! How several ranks share a run.

/// The option of every command that trains.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct RanksArgs {
    /// With several ranks (mpirun): each keeps the optimizer's moments of a share of the parameters and updates these, for the same numbers in
    /// less memory (ZeRO-1). A run may go on with it or without.
    #[arg(long)]
    pub optimizer_sharding: bool,
}
