//! `metrics.jsonl`: one JSON object a line, written while a run goes on.
//!
//! The file is append-only within a run. A resumed run cuts it back to the step it resumes from, so that no step
//! ever stands in it twice; a last line torn by a kill is ignored by the reader and removed on resume, and a damaged line with all
//! that follows it is cut off there too.

mod reader;
mod record;
mod writer;

pub use reader::read;
pub use record::{EvalRecord, EventRecord, Record, TrainRecord};
pub use writer::MetricsWriter;
