//! Growth operators: linear maps from the weights of a small transformer to those of a larger one.
//!
//! Every operator, learned or not, is one [`LinearMap`]: a sum of terms, each of them depth coefficients and
//! width matrices per named axis,
//!
//! ```text
//! W_large[i] = Σ_t Σ_j depth_t[i, j] · Out_t · W_small[j] · In_tᵀ
//! ```
//!
//! (LiGO, arXiv 2303.00980, section 3.2; `M = (w ⊗ I) · blockdiag(A_j ⊗ B_j)`). What differs is where the matrices
//! come from: [`operators`] builds fixed ones (copies of layers and of channels, zero-initialized ones, LEMON's means), and
//! [`LigoOperator`] holds them as parameters that are trained through the large model's loss.
//!
//! One function grows one tensor, [`LinearMap::grow_param`]. [`stream::grow_directory`] calls it tensor by tensor from
//! file to file; [`OperatorGraph`] does the same arithmetic for all layers at once, and takes gradients back to the matrices.
//!
//! The crate knows tables and axes and nothing of any model family; do not look for BERT here.
//!
//! ```
//! use burn::tensor::Device;
//! use ligo_arch::{BertConfig, ModelConfig};
//! use ligo_growth::{MemorySource, OperatorSpec, init};
//!
//! let small = ModelConfig::Bert(BertConfig::new(50, 8, 2, 2)).table();
//! let large = ModelConfig::Bert(BertConfig::new(50, 16, 4, 4)).table();
//! let device = Device::flex();
//! let map = OperatorSpec::Stackbert.build(&small, &large, &device, 0.02, 1)?;
//! let mut weights = MemorySource::new(init::initial_values(&small, 0.02, 7));
//! let query = large.get("bert.encoder.layer.3.attention.self.query.weight").unwrap();
//! let grown = map.grow_param(&small, &query, &mut weights, &device)?;
//! assert_eq!(grown.dims(), [256]); // flat; the shape is query.shape
//! # Ok::<(), ligo_growth::Error>(())
//! ```

mod depth;
mod error;
mod experts;
mod factors;
mod file;
pub mod files;
mod fill;
mod gather;
mod graph;
mod host;
pub mod init;
mod learned;
mod less_one;
mod ligo;
mod linalg;
mod map;
mod moments;
mod novelty;
pub mod operators;
mod parallel;
mod picks;
mod pipeline;
mod plan;
mod recipe;
pub mod rows;
mod source;
mod starts;
pub mod stream;
mod term;
mod width;

pub use depth::DepthInit;
pub use error::{Error, listed};
pub use experts::Difference;
pub use factors::{Factors, Sharing};
pub use file::{OPERATOR_JSON, OPERATOR_TENSORS, OperatorInfo, load_operator, save_operator};
pub use fill::Fill;
pub use graph::{GrowthRecord, OperatorGraph};
pub use learned::{LigoOperator, OperatorTensor};
pub use ligo::{FurtherInit, LigoConfig};
pub use map::{Carried, LinearMap};
pub use operators::{
    Choice, CloningConfig, CloningForm, CopyConfig, CopyScale, Facts, Growth, LemonConfig, OperatorSpec, Placement,
    Scope, Split, UpcycleConfig, ZeroBlocksConfig,
};
pub use source::{MemorySource, WeightSource};
pub use term::{Coverage, Term};
pub use width::WidthInit;
