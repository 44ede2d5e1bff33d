//! What a tokenizer puts in front of a text and behind it, as Llama's put `<s>` in front.

use std::path::Path;

use serde_json::Value;
use tokenizers::{Encoding, Token};

use super::SpecialIds;
use super::special::need;
use super::template::{Part, template};
use crate::{Error, Result};

pub(super) const ADD_BOS: &str = "add_bos_token";
const ADD_EOS: &str = "add_eos_token";
/// Stands for a text; no vocabulary has this id.
const TEXT: u32 = u32::MAX;

/// The special tokens around an encoded text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Around {
    /// In front.
    pub front: Vec<u32>,
    /// Behind.
    pub behind: Vec<u32>,
}

impl Around {
    /// Sees what the post-processor does to a text; `tokenizer` must neither cut it short nor fill it up.
    ///
    /// # Errors
    /// [`Error::BadTokenizer`].
    pub(super) fn of(path: &Path, tokenizer: &tokenizers::Tokenizer) -> Result<Self> {
        let text = Encoding::from_tokens(vec![Token::new(TEXT, "a".to_owned(), (0, 1))], 0);
        let whole = tokenizer
            .post_process(text, None, true)
            .map_err(|error| Error::BadTokenizer {
                path: path.to_path_buf(),
                reason: format!("its post-processor fails: {error}"),
            })?;
        let mut sides = whole.get_ids().split(|&id| id == TEXT).map(<[u32]>::to_vec);
        Ok(Self {
            front: sides.next().unwrap_or_default(),
            behind: sides.next().unwrap_or_default(),
        })
    }

    /// What `add_bos_token` and `add_eos_token` in `tokenizer_config.json` ask for; without them as it is.
    ///
    /// Llama's tokenizers (`LlamaTokenizerFast`) follow these keys whatever the post-processor does. Those of masked-language models do not know
    /// them: they have a token that opens sequences, not texts.
    ///
    /// # Errors
    /// [`Error::MissingSpecialToken`].
    pub(super) fn asked_for(&self, path: &Path, special: SpecialIds, config: &Value) -> Result<Self> {
        let asked = |key: &str| config[key].as_bool().filter(|_| special.cls.is_none());
        let front = match asked(ADD_BOS) {
            Some(true) => vec![need(special.bos, path, "opening", &["<s>", "<|begin_of_text|>"])?],
            Some(false) => Vec::new(),
            None => self.front.clone(),
        };
        let behind = match asked(ADD_EOS) {
            Some(true) => vec![need(special.eos, path, "closing", &["</s>", "<|end_of_text|>"])?],
            Some(false) => Vec::new(),
            None => self.behind.clone(),
        };
        Ok(Self { front, behind })
    }

    /// The post-processor that does this to every text. In a pair the second text is number 1 with all that is around it.
    pub(super) fn post_processor(&self, token_of: impl Fn(u32) -> Option<String>) -> Value {
        let named =
            |ids: &[u32]| -> Vec<(String, u32)> { ids.iter().filter_map(|&id| Some((token_of(id)?, id))).collect() };
        let (front, behind) = (named(&self.front), named(&self.behind));
        let around = |text: &'static str, number| {
            let front = front.iter().map(|(token, _)| Part::Token(token, number));
            let behind = behind.iter().map(|(token, _)| Part::Token(token, number));
            let text = std::iter::once(Part::Text(text, number));
            front.chain(text).chain(behind).collect::<Vec<_>>()
        };
        let tokens: Vec<(&str, u32)> = front
            .iter()
            .chain(&behind)
            .map(|(token, id)| (token.as_str(), *id))
            .collect();
        let (first, second) = (around("A", 0), around("B", 1));
        template(&tokens, &first, &[first.clone(), second].concat())
    }
}
