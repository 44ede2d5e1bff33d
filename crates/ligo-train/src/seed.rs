/// What a random number is for. Numbers for different purposes have nothing to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Which layers a micro-batch skips.
    Layers = 1,
    /// Which tokens a micro-batch leaves out.
    Tokens = 2,
    /// Which sub-model a step trains.
    Submodel = 3,
}

/// What the random choices of a micro-batch, and those that follow the course of a run, are a function of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepKey {
    /// The run's seed.
    pub(crate) seed: u64,
    /// Steps of the run.
    pub(crate) steps: u64,
    /// The step, counted from 0.
    pub(crate) step: u64,
    /// The micro-batch of the step, counted from 0.
    pub(crate) micro_step: usize,
}

impl StepKey {
    /// How far the run is: 0 at its first step, 1 after its last.
    pub(crate) fn progress(&self) -> f64 {
        self.step as f64 / self.steps.max(1) as f64
    }

    /// The seed of a choice for this micro-batch.
    pub(crate) fn micro_seed(&self, purpose: Purpose) -> u64 {
        seed_for(purpose, self.seed, self.step, self.micro_step)
    }

    /// The seed of a choice for the whole step.
    pub(crate) fn step_seed(&self, purpose: Purpose) -> u64 {
        seed_for(purpose, self.seed, self.step, 0)
    }
}

/// The seed of dropout for one micro-batch: a pure function of the run's seed, the step and the micro-step.
pub(crate) fn dropout_seed(run_seed: u64, step: u64, micro_step: usize) -> u64 {
    let parts = [run_seed, step, micro_step as u64];
    parts
        .into_iter()
        .fold(0x6C69_676F_2D64_726F, |state, part| mix(state ^ mix(part)))
}

/// The seed of another choice of one micro-batch.
fn seed_for(purpose: Purpose, run_seed: u64, step: u64, micro_step: usize) -> u64 {
    mix(dropout_seed(run_seed, step, micro_step) ^ mix(purpose as u64))
}

/// Number `index` of a sequence, in `[0, 1)`.
pub(crate) fn uniform(seed: u64, index: u64) -> f64 {
    // 53 bits are what an f64 holds.
    (mix(seed ^ mix(index)) >> 11) as f64 / (1_u64 << 53) as f64
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
                    for purpose in [Purpose::Layers, Purpose::Tokens, Purpose::Submodel] {
                        assert!(seen.insert(seed_for(purpose, run, step, micro)));
                    }
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

    #[test]
    fn uniform_numbers_fill_the_unit_interval_evenly() {
        let numbers: Vec<f64> = (0..10_000).map(|i| uniform(7, i)).collect();
        assert!(numbers.iter().all(|x| (0.0..1.0).contains(x)));
        for tenth in 0..10 {
            let inside = numbers.iter().filter(|x| (**x * 10.0) as u64 == tenth).count();
            assert!((900..1100).contains(&inside), "{inside} of 10,000 in tenth {tenth}");
        }
        assert!(numbers.iter().zip(1..).all(|(x, i)| *x != uniform(7, i)));
    }
}
