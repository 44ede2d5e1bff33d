//! What growing a model directory needs besides the operator: a method to take, text and tokenizers.

mod beside;
mod choice;
mod text;
mod vocabulary;

pub use beside::replaced_beside;
pub use choice::{Proposal, propose, run_more_often};
pub use text::{Losses, Text};
pub use vocabulary::Vocabulary;
