//! Text to token ids and back: a thin, checked layer over the `tokenizers` crate.

mod around;
mod bert;
mod byte_level;
mod carry;
mod check;
mod checked;
mod chunk;
mod class;
mod count;
mod files;
mod fit;
mod given;
mod kind;
mod merge;
mod save;
mod special;
mod template;
mod train;
mod wordpiece;

pub use byte_level::BpeFlavour;
pub use checked::Tokenizer;
pub use fit::check_vocab_size;
pub use given::TOKENIZER_FILES;
pub use kind::TokenizerKind;
pub use special::SpecialIds;
pub use train::{BpeTraining, SPECIAL_TOKENS, WordPieceTraining};
