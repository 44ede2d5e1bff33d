//! Prices a growth before it is run: `cargo run -p ligo-cost --example price -- [LAYERS HIDDEN LAYERS HIDDEN]`.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use ligo_cost::exact::{GrowthOrder, TensorGrowth};
use ligo_cost::{TransformerDims, electra, exact, format};

const BATCH_SEQUENCES: usize = 256;
const OPERATOR_STEPS: f64 = 100.0;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let sizes: Result<Vec<usize>, _> = arguments.iter().map(|argument| argument.parse()).collect();
    let (small, large) = match sizes.as_deref() {
        Ok([]) => (TransformerDims::bert(6, 512), TransformerDims::bert(12, 768)),
        Ok(&[l1, d1, l2, d2]) => (TransformerDims::bert(l1, d1), TransformerDims::bert(l2, d2)),
        _ => {
            eprintln!("expected four whole numbers, for example: 6 512 12 768");
            return ExitCode::from(2);
        }
    };

    println!("A step has {BATCH_SEQUENCES} sequences of {} tokens.\n", large.seq_len);
    println!("{:<34} {:>14} {:>14}", "", "paper's count", "exact");
    for (name, dims) in [("small model, a step", &small), ("large model, a step", &large)] {
        let [paper, real] = [
            electra::train_step_flops(dims, BATCH_SEQUENCES),
            exact::train_step_flops(dims, BATCH_SEQUENCES),
        ];
        println!("{name:<34} {:>14} {:>14}", format::flops(paper), format::flops(real));
    }

    let tensors = TensorGrowth::of_encoder(&small, &large, 512);
    let paper = electra::ligo_step_flops(&small, &large, BATCH_SEQUENCES);
    let real = exact::ligo_step_flops(&large, BATCH_SEQUENCES, &tensors, GrowthOrder::WidthThenDepth);
    println!(
        "{:<34} {:>14} {:>14}",
        format!("{OPERATOR_STEPS} operator steps"),
        format::flops(OPERATOR_STEPS * paper),
        format::flops(OPERATOR_STEPS * real),
    );

    let plain = exact::train_step_flops(&large, BATCH_SEQUENCES);
    println!(
        "\nThe operator itself adds {} to a step of the large model.",
        format::percent(real / plain - 1.0)
    );
    ExitCode::SUCCESS
}
