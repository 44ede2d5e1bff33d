//! The numbers of a run while it goes on: `metrics.jsonl`, TensorBoard events, and files that appear whole.
//!
//! * [`MetricsWriter`] and [`read()`]: one JSON object a line, appended while training and cut back on resume, so that no step ever stands in it
//!   twice. A last line torn by a kill is ignored by the reader and removed on resume, and a damaged line with all that follows it is cut off
//!   there too.
//! * [`TensorBoardWriter`]: the same numbers as TensorBoard event files.
//! * [`files`]: small files that are replaced by one rename.
//!
//! For tables, pictures and the report of a comparison see `ligo-report`.
//!
//! ```
//! use ligo_cost::Cost;
//! use ligo_metrics::{EvalRecord, MetricsWriter, read};
//!
//! # fn main() -> Result<(), ligo_metrics::Error> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let file = folder.path().join("metrics.jsonl");
//! let mut metrics = MetricsWriter::create(&file)?;
//! let eval = EvalRecord { step: 10, tokens: 20_480, loss: 6.9, cost: Cost::of_measures([4.1e11, 2.9e11, 3.2]) };
//! metrics.write(eval)?;
//! metrics.event(10, "checkpoint", "saved at step 10")?;
//! assert_eq!(read(&file)?.len(), 2);
//! # Ok(())
//! # }
//! ```

mod error;
pub mod files;
mod reader;
mod record;
mod tensorboard;
mod writer;

pub use error::{Error, Result};
pub use reader::read;
pub use record::{EvalRecord, EventRecord, Record, TrainRecord};
pub use tensorboard::TensorBoardWriter;
pub use writer::MetricsWriter;
