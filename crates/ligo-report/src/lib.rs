//! What a run leaves behind for people: numbers as they come, and a picture and a table at the end.
//!
//! * [`metrics`]: `metrics.jsonl`, appended while training and cut back on resume.
//! * [`TensorBoardWriter`]: the same numbers as TensorBoard event files.
//! * [`summary`]: the types of `summary.json`, the result of a comparison of growth methods.
//! * [`Table`]: the closing table as text, Markdown, LaTeX, CSV and JSON.
//! * [`Listing`]: the small tables beside it.
//! * [`verdict()`]: the same in a sentence, with what speaks against it.
//! * [`html`]: the report, one HTML file with everything in it.
//! * [`plot`]: pictures as SVG, and as PNG with a font of their own, so that they look alike on every machine.
//!
//! Not for computing anything but means over seeds: FLOPs and savings come from `ligo-cost`, losses from the training loop.
//!
//! ```
//! use ligo_report::metrics::{EvalRecord, MetricsWriter, read};
//!
//! # fn main() -> Result<(), ligo_report::Error> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let file = folder.path().join("metrics.jsonl");
//! let mut metrics = MetricsWriter::create(&file)?;
//! let eval = EvalRecord { step: 10, tokens: 20_480, loss: 6.9, flops_exact: 4.1e11, flops_electra: 2.9e11, seconds: 3.2 };
//! metrics.write(eval)?;
//! metrics.event(10, "checkpoint", "saved at step 10")?;
//! assert_eq!(read(&file)?.len(), 2);
//! # Ok(())
//! # }
//! ```

mod error;
pub mod files;
pub mod html;
pub mod metrics;
mod nan_is_null;
pub mod plot;
pub mod summary;
mod table;
mod tensorboard;
pub mod units;
mod verdict;

pub use error::{Error, Result};
pub use metrics::MetricsWriter;
pub use summary::{Counter, Summary};
pub use table::{Listing, Table};
pub use tensorboard::TensorBoardWriter;
pub use verdict::{Verdict, verdict};
