//! Transformer families as **data**: Hugging Face configurations and parameter tables with named axes.
//!
//! A [`ParamTable`] lists every tensor of a model: its Hugging Face name, one [`Axis`] per dimension, the
//! stack of layers it belongs to and the module whose depth coefficients it shares. Growth operators read
//! only this table: two dimensions with the same axis name grow with the same width matrix, so the table
//! *is* the tying of LiGO (arXiv 2303.00980, section 3.3 and Algorithm 1).
//!
//! The crate knows neither tensors nor files. Use `ligo-checkpoint` to read a model directory and
//! `ligo-models` to run one.
//!
//! ```
//! use ligo_arch::{BertConfig, ModelConfig};
//!
//! let small = ModelConfig::Bert(BertConfig::new(30_522, 512, 6, 8));
//! let table = small.table();
//! let query = table.get("bert.encoder.layer.5.attention.self.query.weight").unwrap();
//! assert_eq!(query.shape, [512, 512]);
//! assert_eq!(query.axes()[1], ligo_arch::Axis::HIDDEN); // columns follow the residual stream
//! assert_eq!(table.num_parameters(), 35_099_962);
//! ```

mod axis;
mod bert;
mod config;
mod error;
mod pair;
mod table;

pub use axis::Axis;
pub use bert::{BertConfig, HiddenAct};
pub use config::ModelConfig;
pub use error::Error;
pub use pair::check_growable;
pub use table::{LAYER_PLACEHOLDER, Param, ParamSpec, ParamTable, Role, StackName};
