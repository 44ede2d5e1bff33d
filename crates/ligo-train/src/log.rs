use std::path::Path;

use ligo_metrics::{EvalRecord, MetricsWriter, Record, TensorBoardWriter, TrainRecord, read};

use crate::spikes::Spikes;
use crate::{Error, EvalPoint, StepReport};

/// The files that a run writes its numbers to: `metrics.jsonl` and `tensorboard/`.
#[derive(Debug)]
pub(crate) struct Log {
    metrics: MetricsWriter,
    board: TensorBoardWriter,
    last_tokens: u64,
    last_seconds: f64,
    evaluated_at: Option<u64>,
    /// Seconds that each rank computed for since the last line.
    rank_seconds: Vec<f64>,
    spikes: Spikes,
}

impl Log {
    /// Starts or continues the files of a run that has done `step` steps.
    pub(crate) fn open(run_dir: &Path, step: u64, resumed: bool, tokens: u64, seconds: f64) -> Result<Self, Error> {
        let path = run_dir.join("metrics.jsonl");
        let (metrics, records) = if resumed {
            let metrics = MetricsWriter::resume(&path, step)?;
            (metrics, read(&path)?)
        } else {
            (MetricsWriter::create(path)?, Vec::new())
        };
        let evaluations = records.iter().filter(|r| matches!(r, Record::Eval(_)));
        let mut spikes = Spikes::default();
        for record in &records {
            if let Record::Train(record) = record {
                let _ = spikes.look(record.loss);
            }
        }
        let board = TensorBoardWriter::create(run_dir.join("tensorboard"), step)?;
        Ok(Self {
            metrics,
            board,
            last_tokens: tokens,
            last_seconds: seconds,
            evaluated_at: evaluations.map(Record::step).max(),
            rank_seconds: Vec::new(),
            spikes,
        })
    }

    /// The line that the metrics were cut at because it is no record, and their file.
    pub(crate) fn damaged(&self) -> Option<(usize, &Path)> {
        Some((self.metrics.damaged()?, self.metrics.path()))
    }

    /// Notes for the next line how long each rank computed in a step.
    pub(crate) fn computed(&mut self, rank_seconds: &[f64]) {
        self.rank_seconds.resize(rank_seconds.len(), 0.0);
        for (sum, seconds) in self.rank_seconds.iter_mut().zip(rank_seconds) {
            *sum += seconds;
        }
    }

    pub(crate) fn step(&mut self, report: &StepReport) -> Result<(), Error> {
        let tokens = (report.tokens - self.last_tokens) as f64;
        let tokens_per_second = tokens / (report.cost.seconds - self.last_seconds).max(1e-9);
        (self.last_tokens, self.last_seconds) = (report.tokens, report.cost.seconds);
        let rank_seconds = std::mem::take(&mut self.rank_seconds);
        self.put(TrainRecord {
            step: report.step,
            tokens: report.tokens,
            loss: report.loss,
            lr: report.lr,
            grad_norm: report.grad_norm,
            cost: report.cost,
            tokens_per_second,
            rank_seconds,
        })
    }

    /// How far a step's loss stands out from those before it, where it does.
    pub(crate) fn spike(&mut self, loss: f64) -> Option<f64> {
        self.spikes.look(loss)
    }

    pub(crate) fn eval(&mut self, point: &EvalPoint) -> Result<(), Error> {
        // A session that was stopped in an evaluation and then killed after it left the line, but not a checkpoint with the point. The
        // evaluation was made again, with the same result.
        if self.evaluated_at.is_some_and(|step| point.step <= step) {
            return Ok(());
        }
        self.put(EvalRecord {
            step: point.step,
            tokens: point.tokens,
            loss: point.loss,
            cost: point.cost,
        })
    }

    pub(crate) fn event(&mut self, step: u64, kind: &str, message: String) -> Result<(), Error> {
        Ok(self.metrics.event(step, kind, message)?)
    }

    /// Forces what was written to the disk.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        Ok(self.metrics.sync()?)
    }

    fn put(&mut self, record: impl Into<Record>) -> Result<(), Error> {
        let record = record.into();
        self.metrics.write(record.clone())?;
        Ok(self.board.record(&record)?)
    }
}
