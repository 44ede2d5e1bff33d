//! Times one BERT training step in `ligo` and in PyTorch, in turn; see the crate's documentation.
//!
//! Arguments: number of rounds (default 9) and steps per round (default 4). Without a Python that has PyTorch it measures `ligo` alone.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use burn::tensor::Device;
use ligo_benches::{Sizes, bert::Trainer, median, peak, torch::Torch};

fn main() -> Result<(), ligo_train::Error> {
    ligo_ops::tune_allocator();
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<usize>().ok());
    let rounds = args.next().flatten().unwrap_or(9).max(1);
    let steps = args.next().flatten().unwrap_or(4).max(1);
    let sizes = Sizes::GOAL;
    let device = Device::flex();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);

    let mut torch = match Torch::start(&sizes, threads) {
        Ok(torch) => Some(torch),
        Err(error) => {
            println!("PyTorch is not measured: {error}");
            None
        }
    };
    let mut trainer = Trainer::new(&sizes, &device)?;
    println!("{sizes:?}");
    println!("ligo: {} parameters, {threads} threads", trainer.parameters());
    if let Some(torch) = &torch {
        println!("PyTorch: {}", torch.about);
    }

    let mut peak_gflops = 0.0f64;
    let (mut ours, mut theirs, mut ratios, mut difference) = (vec![], vec![], vec![], 0.0f64);
    // Round 0 warms both sides up and is not counted.
    for round in 0..=rounds {
        peak_gflops = peak_gflops.max(peak::gflops(&device));
        let mut seconds = vec![];
        let mut losses = vec![];
        for _ in 0..steps {
            let start = Instant::now();
            losses.push(trainer.step()?);
            seconds.push(start.elapsed().as_secs_f64());
        }
        let our = median(&seconds);
        let mut line = format!("round {round}: ligo {our:.4} s/step");
        if let Some(torch) = &mut torch {
            match torch.run(steps) {
                Ok(answer) => {
                    let their = median(&answer.seconds);
                    for (a, b) in losses.iter().zip(&answer.losses) {
                        difference = difference.max((a - b).abs());
                    }
                    line += &format!(", PyTorch {their:.4}, ratio {:.3}", our / their);
                    if round > 0 {
                        theirs.push(their);
                        ratios.push(our / their);
                    }
                }
                Err(error) => line += &format!(", PyTorch failed: {error}"),
            }
        }
        if round > 0 {
            ours.push(our);
        }
        println!("{line}");
    }

    let report = |name: &str, seconds: f64| {
        let gflops = sizes.flops() / seconds / 1e9;
        println!(
            "{name:8} {seconds:.4} s/step  {:7.0} tokens/s  {gflops:6.1} GFLOP/s  {:3.0} % of the matmul peak ({peak_gflops:.0} GFLOP/s)",
            sizes.tokens() as f64 / seconds,
            100.0 * gflops / peak_gflops,
        );
    };
    report("ligo", median(&ours));
    if !theirs.is_empty() {
        report("PyTorch", median(&theirs));
        let extreme = |f: fn(f64, f64) -> f64, start| ratios.iter().copied().fold(start, f);
        println!(
            "ratio: median {:.3}, range {:.3} to {:.3} over {rounds} rounds; largest difference of the losses {difference:.1e}",
            median(&ratios),
            extreme(f64::min, f64::INFINITY),
            extreme(f64::max, 0.0),
        );
    }
    Ok(())
}
