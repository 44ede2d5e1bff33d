//! Steps of one run on several ranks, and the sum of gradients by itself.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use burn::tensor::Device;
use ligo_train::{Collective, Error, Observer, PretrainObjective, RunData, StepReport, TrainConfig, Trainer};

use crate::bert::{self, OneBatch};
use crate::counted::{Counted, Tally};
use crate::{Sizes, bits, median};

/// A model whose gradients are 21 MB.
pub const MODEL: Sizes = Sizes {
    batch: 4,
    masked: 77,
    ..Sizes::GOAL
};

/// Steps before those that count.
const WARM_UP: u64 = 2;

/// A run that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The model, and sequences in a micro-batch.
    pub sizes: Sizes,
    /// Micro-batches of a step, of all ranks together.
    pub accumulation: usize,
    /// Steps that count.
    pub steps: u64,
    /// Whether each rank keeps the moments of a share of the parameters.
    pub shares_moments: bool,
}

/// What came of it on one rank.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The median of the seconds of a step, on rank 0; NaN on others, which have no observer.
    pub seconds: f64,
    /// What was exchanged, the beginning and the end of the run included.
    pub tally: Tally,
    /// Parameters of the model.
    pub parameters: usize,
}

#[derive(Default)]
struct Seconds(Vec<f64>);

impl Observer for Seconds {
    fn on_step(&mut self, report: &StepReport) {
        if report.step > WARM_UP {
            self.0.push(report.step_cost.seconds);
        }
    }
}

/// Trains on these ranks, each of which calls it.
///
/// # Errors
/// The ranks cannot share the step evenly, one is lost, or the run's folder cannot be written.
pub fn steps(ranks: &dyn Collective, plan: &Plan) -> Result<Measured, Error> {
    let device = Device::flex();
    let model = bert::config(&plan.sizes);
    let objective = PretrainObjective::new(&model, &[], &device)?;
    let store = bert::start(&model, plan.sizes.layers, &device)?;
    let parameters = store.num_parameters();
    let config = TrainConfig {
        accumulation: plan.accumulation,
        steps: WARM_UP + plan.steps,
        eval_every: 0,
        eval_batches: 1,
        checkpoint_every: 0,
        ..bert::settings(&plan.sizes)
    };
    let (train, valid) = (OneBatch::new(&plan.sizes), [OneBatch::new(&plan.sizes).into_batch()]);
    let data = RunData {
        train: &train,
        valid: &valid,
    };
    let folder = tempfile::tempdir().map_err(|source| Error::Io {
        action: "make a folder in",
        path: std::env::temp_dir(),
        source,
    })?;
    let counted = Counted::new(ranks);
    let mut trainer = Trainer::new(config, &objective, store, data, folder.path())?.with_ranks(&counted)?;
    if plan.shares_moments {
        trainer = trainer.with_optimizer_sharding();
    }
    let mut seconds = Seconds::default();
    trainer.run(&AtomicBool::new(false), &mut seconds)?;
    Ok(Measured {
        seconds: median(&seconds.0),
        tally: counted.tally(),
        parameters,
    })
}

/// The median of the seconds in which all ranks have summed `len` numbers by `sum`.
///
/// # Errors
/// A rank is lost.
pub fn sums(
    ranks: &dyn Collective,
    len: usize,
    rounds: usize,
    sum: impl Fn(&mut Vec<f32>) -> Result<(), Error>,
) -> Result<f64, Error> {
    let start: Vec<f32> = (0..len as u32).map(|i| (bits(7, i) >> 8) as f32 * 1e-7).collect();
    let mut seconds = Vec::new();
    // The first round finds its memory and is not counted.
    for round in 0..=rounds {
        let mut values = start.clone();
        ranks.meet()?;
        let begin = Instant::now();
        sum(&mut values)?;
        ranks.meet()?;
        if round > 0 {
            seconds.push(begin.elapsed().as_secs_f64());
        }
    }
    Ok(median(&seconds))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ligo_train::ThreadRank;

    use super::*;
    use crate::counted::{Calls, Sent, sent};

    const TINY: Sizes = Sizes {
        layers: 1,
        hidden: 16,
        ffn: 32,
        heads: 2,
        vocab: 50,
        batch: 1,
        length: 8,
        masked: 2,
    };

    fn tallies(ranks: usize, steps: u64, shares_moments: bool) -> (Vec<Tally>, usize) {
        let plan = Plan {
            sizes: TINY,
            accumulation: 4,
            steps,
            shares_moments,
        };
        std::thread::scope(|scope| {
            let run = |rank| scope.spawn(move || super::steps(&rank, &plan).unwrap());
            let threads: Vec<_> = ThreadRank::all(ranks).into_iter().map(run).collect();
            let measured: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            let parameters = measured[0].parameters;
            (measured.into_iter().map(|of| of.tally).collect(), parameters)
        })
    }

    /// Calls and bytes of one step: what a run has more that is one step longer.
    fn of_a_step(ranks: usize, shares_moments: bool) -> (Vec<[(u64, u64); 4]>, u64) {
        let (long, parameters) = tallies(ranks, 2, shares_moments);
        let (short, _) = tallies(ranks, 1, shares_moments);
        let more = |long: Calls, short: Calls| (long.calls - short.calls, long.bytes - short.bytes);
        let steps = long.iter().zip(&short).map(|(long, short)| {
            assert_eq!(
                long.broadcasts.calls, short.broadcasts.calls,
                "a step broadcasts nothing"
            );
            [
                more(long.sums, short.sums),
                more(long.parts, short.parts),
                more(long.wholes, short.wholes),
                more(long.gathers, short.gathers),
            ]
        });
        (steps.collect(), parameters as u64)
    }

    #[test]
    fn a_step_sums_every_gradient_once_whatever_the_number_of_ranks() {
        for ranks in [2, 4] {
            let (steps, parameters) = of_a_step(ranks, false);
            for [sums, parts, wholes, (gathers, bytes)] in steps {
                assert_eq!(sums, (1, 4 * parameters), "{ranks} ranks");
                assert_eq!((parts, wholes), ((0, 0), (0, 0)));
                // Labels, losses, places of gradients, and who stops: some words each.
                assert!(gathers <= 8 && bytes < 1024, "{gathers} gathers of {bytes} bytes");
            }
        }
    }

    #[test]
    fn shares_of_moments_exchange_as_many_bytes_in_two_calls() {
        for ranks in [2, 4] {
            let (steps, parameters) = of_a_step(ranks, true);
            let given: u64 = steps.iter().map(|[_, _, (_, bytes), _]| bytes).sum();
            assert_eq!(given, 4 * parameters, "all ranks together give each weight once");
            for [sums, parts, (calls, _), _] in steps {
                assert_eq!((sums, parts, calls), ((0, 0), (1, 4 * parameters), 1));
            }
        }
    }

    #[test]
    fn one_rank_sums_nothing() {
        let (tallies, _) = tallies(1, 2, false);
        assert_eq!(tallies[0].sums.calls, 0);
    }

    #[test]
    fn a_rank_sends_what_a_ring_would() {
        let (messages, bytes) = (0, 0);
        assert_eq!(sent(1000, 1), Sent { messages, bytes });
        assert_eq!(
            sent(1000, 2),
            Sent {
                messages: 2,
                bytes: 4000
            }
        );
        assert_eq!(
            sent(1000, 4),
            Sent {
                messages: 6,
                bytes: 6000
            }
        );
        // What does not divide evenly is filled up.
        assert_eq!(
            sent(1001, 2),
            Sent {
                messages: 2,
                bytes: 4008
            }
        );
    }

    #[test]
    fn what_is_timed_is_a_sum() {
        let took = std::thread::scope(|scope| {
            let run = |rank: ThreadRank| scope.spawn(move || sums(&rank, 100, 2, |values| rank.sum(values)).unwrap());
            let threads: Vec<_> = ThreadRank::all(2).into_iter().map(run).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect::<Vec<_>>()
        });
        assert!(took.iter().all(|seconds| seconds.is_finite()));
    }
}
