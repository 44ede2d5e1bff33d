//! Times a step of operator learning against a plain training step of the large model, in turn.
//!
//! The large model is the one of `bert-step`, the small one has half its layers and about two thirds of its width.
//! Argument: number of rounds (default 9).
#![allow(clippy::print_stdout)]

use std::time::Instant;

use burn::tensor::Device;
use ligo_benches::{Sizes, bert, median};
use ligo_data::Cursor;
use ligo_growth::{LigoConfig, LigoOperator, MemorySource, Sharing, init};
use ligo_train::{Error, OperatorObjective, Optimizer, train_step};

fn main() -> Result<(), Error> {
    ligo_ops::tune_allocator();
    let rounds = std::env::args()
        .nth(1)
        .and_then(|a| a.parse().ok())
        .unwrap_or(9_usize)
        .max(1);
    let device = Device::flex();
    let large = Sizes::GOAL;
    let small = Sizes {
        layers: 2,
        hidden: 168,
        ffn: 672,
        ..large
    };
    let (small, large_config) = (bert::config(&small), bert::config(&large));
    for sharing in [Sharing::Shared, Sharing::PerSmallLayer, Sharing::PerLargeLayer] {
        let config = LigoConfig {
            sharing,
            ..LigoConfig::default()
        };
        let operator = LigoOperator::new(&small.table(), &large_config.table(), &config, 1)?;
        let learned = operator.num_parameters();
        let table = small.table();
        let mut source = MemorySource::new(init::initial_values(&table, 0.05, 2));
        let objective = OperatorObjective::new(operator, &large_config, &mut source, &device)?;
        let mut store = objective.start(&device)?;
        let settings = bert::settings(&large);
        let mut optimizer = Optimizer::new(settings.optimizer, &store);
        let batch = bert::OneBatch::new(&large);
        let mut plain = bert::Trainer::new(&large, &device)?;
        let (mut plains, mut learns, mut ratios) = (vec![], vec![], vec![]);
        // Round 0 warms up and is not counted.
        for round in 0..=rounds {
            let start = Instant::now();
            plain.step()?;
            let plain_seconds = start.elapsed().as_secs_f64();
            let start = Instant::now();
            train_step(
                &settings,
                &objective,
                &mut store,
                &mut optimizer,
                &batch,
                round as u64,
                Cursor::default(),
            )?;
            let learn_seconds = start.elapsed().as_secs_f64();
            if round > 0 {
                plains.push(plain_seconds);
                learns.push(learn_seconds);
                ratios.push(learn_seconds / plain_seconds);
            }
        }
        println!(
            "{sharing:?}: {learned} learned parameters, plain step {:.4} s, operator step {:.4} s, median ratio {:.3}",
            median(&plains),
            median(&learns),
            median(&ratios),
        );
    }
    Ok(())
}
