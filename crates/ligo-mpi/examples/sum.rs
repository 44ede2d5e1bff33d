//! What ranks do at the end of every step: each has gradients of its own, and all get their sums, with the same bits on any number of machines.
//!
//! ```text
//! cargo build --release -p ligo-mpi --features mpi --example sum
//! mpirun -n 4 target/release/examples/sum
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr)]

use ligo_mpi::{Mpi, Options};
use ligo_train::Collective;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mpi, _membership) = Mpi::join(&Options::default())?;
    let mut gradients = vec![0.1 * (mpi.rank() as f32 + 1.0); 1_000_000];
    // Whoever ends with an error takes the others along, since they would wait.
    if let Err(error) = mpi.sum(&mut gradients) {
        eprintln!("rank {}: {error}", mpi.rank());
        mpi.abort(1);
    }
    let hash = gradients.iter().fold(0_u64, |hash, x| {
        (hash ^ u64::from(x.to_bits())).wrapping_mul(0x0100_0000_01b3)
    });
    let hashes = mpi.all_gather(&[hash])?;
    if mpi.rank() == 0 {
        let agree = hashes.iter().all(|other| *other == hash);
        println!(
            "{} ranks, first sum {}, all the same: {agree}",
            mpi.size(),
            gradients[0]
        );
    }
    Ok(())
}
