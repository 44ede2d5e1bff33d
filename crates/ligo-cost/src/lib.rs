//! What training and growing a transformer costs, and what growing saved. Pure functions: no tensors, no files, no clock.
//!
//! * [`electra`] counts FLOPs as the LiGO paper did, so that our numbers stand beside the published ones.
//! * [`exact`] counts the multiplications that really happen, so that our numbers stand beside a machine's peak.
//! * [`PartialPass`] counts, in both ways, a step that leaves layers or tokens out or does not train everything.
//! * [`Flops`] and [`Cost`] are what all of this is counted in; [`nan_is_null`] is for numbers in JSON that may be missing.
//! * [`savings`] compares two loss curves: what did each method pay to reach the same loss?
//! * [`law`] fits the final loss over size, tokens and the small model's tokens, and says what a training that nobody made would end with.
//! * [`seeds`] sums up runs that differ in their seed: means with intervals, mean curves.
//! * [`mod@format`] writes FLOPs, durations and token counts for people.
//! * [`plan`] prices a run before it starts: time, energy, carbon dioxide and money from FLOPs and from what is assumed of the
//!   [`hardware`]; [`memory`] says by part what it keeps in memory, [`published`] what each method is known to save.
//! * [`mod@format`] writes all these numbers for people.
//!
//! Use it to price a run before it starts, to count a run as it goes, or to compare two runs of any other program.
//! It is no profiler: it counts arithmetic and what is kept, and says nothing of memory traffic, communication or idle time.
//!
//! # Example
//!
//! ```
//! use ligo_cost::{Charges, Curve, TransformerDims, compare, electra, format};
//!
//! let small = TransformerDims::bert(6, 512);
//! let large = TransformerDims::bert(12, 768);
//! let step_flops = electra::train_step_flops(&large, 256);
//! assert_eq!(format::flops(step_flops), "15.1 TFLOP");
//!
//! // Two loss curves over FLOPs: from scratch, and from a grown start.
//! let scratch = Curve::new([(0.0, 7.6), (200.0 * step_flops, 4.8), (400.0 * step_flops, 4.4)])?;
//! let grown = Curve::new([(0.0, 4.8), (100.0 * step_flops, 4.5), (200.0 * step_flops, 4.3)])?;
//!
//! let charges = Charges {
//!     operator: 3.0 * electra::ligo_step_flops(&small, &large, 256),
//!     small_model: 100.0 * electra::train_step_flops(&small, 256),
//! };
//! let result = compare(&scratch, &grown, scratch.final_loss(), charges);
//! assert_eq!(result.saving.to_string(), "60.7 %");
//! assert_eq!(result.saving_with_small_model.to_string(), "52.4 %");
//! # Ok::<(), ligo_cost::Error>(())
//! ```

mod cost;
mod curve;
mod dims;
pub mod electra;
pub mod energy;
mod error;
pub mod exact;
pub mod format;
mod frontier;
pub mod hardware;
pub mod law;
pub mod memory;
pub mod nan_is_null;
mod partial;
pub mod plan;
pub mod published;
pub mod ranks;
pub mod savings;
pub mod seeds;
pub mod utilization;

pub use cost::{Cost, Counter, Flops};
pub use curve::{CostToReach, Curve, Point};
pub use dims::{Predicted, SparseDims, TransformerDims};
pub use error::Error;
pub use frontier::Frontier;
pub use partial::{LayerRun, PartialPass};
pub use savings::{Charges, Comparison, Saving, compare};
