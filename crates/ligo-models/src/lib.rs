//! Transformer models as [burn] modules whose parameters are called and shaped as in Hugging Face checkpoints.
//!
//! A [`Model`] starts as a *skeleton*: names and shapes without values, nothing allocated. [`Model::install`]
//! puts a tensor into every place. The tensors may be leaves (ordinary training), constants (evaluation) or the
//! result of a computation (learning a growth operator); gradients flow through them to whatever made them.
//!
//! A parameter's name is its path in the tree of structs, by one rule with two exceptions: `layer_norm` becomes
//! `LayerNorm`, and an underscore at the end, there to avoid a keyword (`self_`) or the first exception (`layer_norm_`), is
//! dropped. Matrices are kept `[out, in]`, so no weight is ever transposed between a file and the model.
//!
//! [`Model::loss`] is a whole pass of training. [`Model::loss_with`] takes a [`Pass`], which may leave out layers and tokens and does not compute
//! them; [`Model::scores`] gives the logits behind the loss, from which the distance from a teacher can be had as well.
//!
//! [`SplitModel`] is one rank's part of a model whose layers several ranks compute together.
//!
//! Do not use it to read or write files (that is `ligo-checkpoint`), or for models outside `ligo-arch`.
//!
//! ```
//! use burn::tensor::{Device, Int, Tensor};
//! use ligo_arch::{BertConfig, ModelConfig};
//! use ligo_models::{Error, Model, TextFeatures};
//!
//! let device = Device::flex();
//! let config = ModelConfig::Bert(BertConfig::new(100, 16, 2, 2));
//! let model = Model::skeleton(&config, &device)?;
//! let model = model.install(&mut |_name: &str, shape: &[usize]| {
//!     Ok::<_, Error>(Tensor::<1>::full([shape.iter().product::<usize>()], 0.1, &device))
//! })?;
//! let input_ids = Tensor::<2, Int>::from_data([[2, 5, 7, 3]], &device);
//! assert_eq!(model.logits(&TextFeatures::new(input_ids).into())?.dims(), [1, 4, 100]);
//! # Ok::<(), Error>(())
//! ```

mod activation;
pub mod albert;
mod bert;
pub mod cait;
mod causal;
mod decoder;
pub mod distilbert;
mod dropout;
pub mod electra;
mod embedding;
mod error;
pub mod gemma;
pub mod gpt2;
pub mod gpt_neox;
mod heads;
mod image;
mod inputs;
mod install;
mod linear;
pub mod llama;
pub mod mixture;
mod model;
pub mod modernbert;
mod names;
mod network;
mod norm;
pub mod olmo2;
pub mod opt;
mod pass;
mod recompute;
mod revision;
mod rms_norm;
mod roberta;
mod rotation;
mod scores;
mod skeleton;
mod spans;
mod split;
mod split_model;
mod stack;
mod token_drop;
pub mod vit;

pub use bert::{
    Attention, AttentionOutput, BareBert, BareRoberta, Bert, BertForMaskedLm, BertForQuestionAnswering,
    BertForSequenceClassification, Decoder, Embeddings, Encoder, FeedForwardOutput, Heads, Intermediate, Layer, Pooler,
    PredictionHead, SelfAttention, Transform,
};
pub use dropout::DropoutStream;
pub use embedding::Embedding;
pub use error::Error;
pub use inputs::{
    CausalInputs, Features, ImageInputs, Inputs, MlmInputs, ReplacedInputs, SequenceInputs, SpanInputs, TextFeatures,
};
pub use linear::Linear;
pub use model::Model;
pub use norm::LayerNorm;
pub use pass::{Layers, Pass};
pub use revision::loss_revision;
pub use rms_norm::RmsNorm;
pub use roberta::{
    ClassificationHead, LmHead, RobertaForMaskedLm, RobertaForQuestionAnswering, RobertaForSequenceClassification,
};
pub use scores::{HeadScores, Scores, Targets};
pub use split_model::SplitModel;
pub use token_drop::TokenDrop;
