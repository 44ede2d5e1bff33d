//! RoBERTa (Liu et al., arXiv:1907.11692) as `transformers` computes it: [BERT](crate::bert)'s encoder, which counts positions
//! from the padding token, under heads of its own.

mod classification;
mod head;
mod masked_lm;

pub use crate::bert::RobertaForQuestionAnswering;
pub use classification::{ClassificationHead, RobertaForSequenceClassification};
pub use head::LmHead;
pub use masked_lm::RobertaForMaskedLm;
