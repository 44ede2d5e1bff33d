//! What growing a model directory needs of text and tokenizers.

mod text;
mod vocabulary;

pub use text::{Losses, Text};
pub use vocabulary::Vocabulary;
