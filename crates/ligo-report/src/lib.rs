//! What a comparison leaves behind for people: tables, pictures and a report.
//!
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
//! use ligo_report::{Counter, Summary, Table};
//!
//! # let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/all/sample/format-1.json");
//! let summary = Summary::read(sample)?;
//! println!("{}", Table::new(&summary, Counter::Exact).text(false));
//! # Ok::<(), ligo_report::Error>(())
//! ```

mod error;
pub mod html;
pub mod plot;
pub mod summary;
mod table;
mod verdict;

pub use error::{Error, Result};
pub use summary::{Counter, Summary};
pub use table::{Listing, Table};
pub use verdict::{Verdict, verdict};
