//! Writes `metrics.jsonl` and a TensorBoard event file for a toy run: gradient descent on `(x − 3)²`.
//!
//! ```text
//! cargo run -p ligo-metrics --example report_a_run -- FOLDER && tensorboard --logdir FOLDER
//! ```

use std::path::PathBuf;
use std::time::Instant;

use ligo_cost::Cost;
use ligo_metrics::{Error, EvalRecord, MetricsWriter, Record, TensorBoardWriter, TrainRecord};

fn main() -> Result<(), Error> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "toy-run".to_string()));
    let mut events = TensorBoardWriter::create(&folder, 0)?;
    let mut metrics = MetricsWriter::create(folder.join("metrics.jsonl"))?;
    let mut report = |record: Record| {
        events.record(&record)?;
        metrics.write(record)
    };
    let (mut x, lr, start) = (0.0f64, 0.1, Instant::now());
    for step in 1..=50u64 {
        let (loss, gradient) = ((x - 3.0).powi(2), 2.0 * (x - 3.0));
        x -= lr * gradient;
        let (flops, seconds) = (5.0 * step as f64, start.elapsed().as_secs_f64());
        let cost = Cost::of_measures([flops, flops, seconds]);
        report(Record::Train(TrainRecord {
            step,
            tokens: step,
            loss,
            lr,
            grad_norm: gradient.abs(),
            cost,
            tokens_per_second: step as f64 / seconds,
            rank_seconds: Vec::new(),
        }))?;
        if step % 10 == 0 {
            let loss = (x - 3.0).powi(2);
            let eval = EvalRecord {
                step,
                tokens: step,
                loss,
                cost,
            };
            report(Record::Eval(eval))?;
        }
    }
    metrics.sync()
}
