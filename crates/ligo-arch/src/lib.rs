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

mod activation;
mod albert;
mod axis;
mod bert;
mod cait;
mod config;
mod decoder;
mod defaults;
mod distilbert;
mod electra;
mod error;
mod example;
mod family;
mod gemma;
mod gpt2;
mod gpt_neox;
mod image;
mod image_config;
mod known;
mod layer_lists;
mod layer_types;
mod limits;
mod llama;
mod mixture;
mod modernbert;
mod norm;
mod opt;
mod pair;
mod positions;
mod recognize;
mod resize;
mod rope;
mod rows;
mod settings;
mod split;
mod stored;
mod table;
mod task;
mod timm;
mod transfer;
mod unit;
mod vit;
mod windows;
mod words;

pub use activation::HiddenAct;
pub use albert::AlbertConfig;
pub use axis::Axis;
pub use bert::BertConfig;
pub use cait::CaitConfig;
pub use config::ModelConfig;
pub use distilbert::DistilBertConfig;
pub use electra::ElectraConfig;
pub use error::Error;
pub use family::{Sizes, SparseSizes};
pub use gemma::GemmaConfig;
pub use gpt_neox::GptNeoxConfig;
pub use gpt2::Gpt2Config;
pub use image::{Patches, PositionGrid, Sides};
pub use known::{TokenizerKind, family_name};
pub use layer_lists::repeat_layers;
pub use layer_types::LayerType;
pub use llama::{Experts, LlamaConfig};
pub use mixture::Fused;
pub use modernbert::ModernBertConfig;
pub use norm::{Norm, NormKind, NormPlace};
pub use opt::OptConfig;
pub use pair::check_growable;
pub use positions::{Resample, resample_positions};
pub use resize::{Fields, Resize, Size};
pub use rope::{Beyond, RopeParameters, Rotation};
pub use settings::Change;
pub use split::{LayerSplit, Part};
pub use stored::{Extent, FilePart, FileTensor, Slice, Stored};
pub use table::{Init, LAYER_PLACEHOLDER, Param, ParamSpec, ParamTable, Repeat, Role, StackName};
pub use task::Task;
pub use transfer::Transfer;
pub use unit::Unit;
pub use vit::VitConfig;
pub use words::in_words;
