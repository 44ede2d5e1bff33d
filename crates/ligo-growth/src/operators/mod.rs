//! Growth operators with fixed matrices, and the one list of every operator that there is.

mod aki;
mod check;
mod copies;
mod direct_copy;
mod expansions;
mod facts;
mod fpi;
mod hyper_cloning;
mod kinds;
mod layers;
mod learned;
mod lemon;
mod list;
mod operator;
mod refusal;
mod rules;
mod scratch;
mod selection;
mod spec;
mod table;
mod tiling;
mod upcycle;
mod zero_blocks;

pub use copies::{CopyConfig, CopyScale};
pub use facts::{Facts, Growth, Scope};
pub use hyper_cloning::{CloningConfig, CloningForm};
pub use lemon::{LemonConfig, Split};
pub use selection::Choice;
pub(crate) use selection::{Selection, growing};
pub use spec::OperatorSpec;
pub use table::table;
pub use upcycle::UpcycleConfig;
pub use zero_blocks::{Placement, ZeroBlocksConfig};
