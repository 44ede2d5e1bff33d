/// The seed of dropout for one micro-batch: a pure function of the run's seed, the step and the micro-step.
pub(crate) fn dropout_seed(run_seed: u64, step: u64, micro_step: usize) -> u64 {
    let parts = [run_seed, step, micro_step as u64];
    parts
        .into_iter()
        .fold(0x6C69_676F_2D64_726F, |state, part| mix(state ^ mix(part)))
}

/// One round of SplitMix64 (Steele, Lea and Flood 2014): a bijection that spreads every bit of the input.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn seeds_of_different_steps_runs_and_micro_steps_differ() {
        let mut seen = HashSet::new();
        for run in 0..10 {
            for step in 0..100 {
                for micro in 0..10 {
                    assert!(seen.insert(dropout_seed(run, step, micro)));
                }
            }
        }
    }

    #[test]
    fn a_seed_never_changes_between_versions() {
        // A changed value would make old checkpoints continue differently.
        assert_eq!(dropout_seed(1, 2, 3), 0xff4c_00d9_b385_7bae);
        assert_eq!(dropout_seed(0, 0, 0), 0x9c9a_2bce_c748_8550);
    }
}
