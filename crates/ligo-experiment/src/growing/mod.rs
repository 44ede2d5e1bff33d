//! What growing a model directory needs of text and tokenizers.

mod beside;
mod text;
mod vocabulary;

pub use beside::replaced_beside;
pub use text::{Losses, Text};
pub use vocabulary::Vocabulary;
