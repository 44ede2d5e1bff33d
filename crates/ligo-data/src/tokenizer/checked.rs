//! Text to token ids and back: a thin, checked layer over the `tokenizers` crate.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use serde_json::Value;
use tokenizers::processors::PostProcessorWrapper;

use super::around::Around;
use super::check;
use super::chunk::{Cut, Memory};
use super::kind::TokenizerKind;
use super::special::SpecialIds;
use crate::guard::guarded;
use crate::hash::sha256_hex;
use crate::{Error, Result};

/// A tokenizer with its special tokens.
pub struct Tokenizer {
    /// As described by its file.
    pub(super) inner: tokenizers::Tokenizer,
    /// For running text: no truncation, no padding, and a `[MASK]` written in the text is text.
    pub(super) plain: tokenizers::Tokenizer,
    pub(super) kind: TokenizerKind,
    pub(super) special: SpecialIds,
    pub(super) around: Around,
    pub(super) vocab_size: usize,
    pub(super) hash: String,
    /// Where running text may be cut into pieces, if anywhere.
    pub(super) cut: Option<Cut>,
    /// Remembered pieces, one memory per worker thread; empty when this tokenizer cannot be applied piece by piece.
    pub(super) memories: Vec<Mutex<Memory>>,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("kind", &self.kind)
            .field("vocab_size", &self.vocab_size)
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}

impl Tokenizer {
    /// Understands the bytes of a `tokenizer.json`; `path` is for error messages. Its special tokens are known by their spelling.
    ///
    /// # Errors
    /// [`Error::BadTokenizer`].
    pub fn from_json(path: &Path, json: &[u8]) -> Result<Self> {
        Self::read(path, json, &Value::Null)
    }

    /// [`Self::from_json`] with what `tokenizer_config.json` says about the special tokens, or null.
    pub(super) fn read(path: &Path, json: &[u8], config: &Value) -> Result<Self> {
        check::check(path, json)?;
        let read = guarded(|| Self::read_checked(path, json, config));
        read.unwrap_or_else(|panic| {
            Err(Error::BadTokenizer {
                path: path.to_path_buf(),
                reason: format!("the `tokenizers` library fails on it: {panic}"),
            })
        })
    }

    fn read_checked(path: &Path, json: &[u8], config: &Value) -> Result<Self> {
        let bad = |reason: String| Error::BadTokenizer {
            path: path.to_path_buf(),
            reason,
        };
        let mut inner = tokenizers::Tokenizer::from_bytes(json).map_err(|error| bad(error.to_string()))?;
        if inner.get_vocab_size(true) == 0 {
            return Err(bad("its vocabulary is empty".to_owned()));
        }
        let added = inner.get_added_tokens_decoder();
        let special = SpecialIds::by_spelling(|token| {
            // An ordinary token may be spelt like a special one, so where special tokens are declared only these count.
            let declared = added.iter().find(|(_, added)| added.content == token);
            if added.is_empty() {
                inner.token_to_id(token)
            } else {
                declared.map(|(&id, _)| id)
            }
        })
        .overridden_by(config, |token| inner.token_to_id(token));
        let mut plain = inner.clone();
        plain.with_truncation(None).map_err(|error| bad(error.to_string()))?;
        plain.with_padding(None);
        plain.set_encode_special_tokens(true);
        let found = Around::of(path, &plain)?;
        let around = found.asked_for(path, special, config)?;
        if around != found {
            let processor = around.post_processor(|id| inner.id_to_token(id));
            let processor: PostProcessorWrapper =
                serde_json::from_value(processor).map_err(|error| bad(error.to_string()))?;
            inner.with_post_processor(Some(processor));
        }
        let description = inner.to_string(false).map_err(|error| bad(error.to_string()))?;
        let value: Value = serde_json::from_str(&description).map_err(|error| bad(error.to_string()))?;
        let cut = Cut::of(&value);
        let workers = cut.map_or(0, |_| rayon::current_num_threads() + 1);
        let vocab_size = inner.get_vocab(true).values().max().map_or(0, |&id| id as usize + 1);
        Ok(Self {
            inner,
            plain,
            kind: TokenizerKind::of(&value),
            special,
            around,
            vocab_size,
            hash: sha256_hex(description.as_bytes()),
            cut,
            memories: (0..workers).map(|_| Mutex::default()).collect(),
        })
    }

    /// Ids as `transformers` gives them: special tokens around the text, truncation and padding as the file says.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = caught(text, || self.inner.encode_fast(text, true))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Ids of running text, without special tokens around it and without truncation. A special token written in the text is
    /// encoded as the characters it is made of, so no document can smuggle a `[MASK]` in.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = Vec::with_capacity(text.len() / 4);
        // Threads outside the pool share the last memory.
        let memory = rayon::current_thread_index()
            .and_then(|index| self.memories.get(index))
            .or(self.memories.last());
        let (Some(memory), Some(cut)) = (memory, self.cut) else {
            self.encode_piece(text, &mut ids)?;
            return Ok(ids);
        };
        // A memory holds only complete entries, so one that a panicking thread left behind is still good.
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.encode(text, cut, &mut ids, |piece, ids| self.encode_piece(piece, ids))?;
        Ok(ids)
    }

    /// [`Self::encode_text`] for many texts, on all threads of the current rayon pool.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn encode_batch<S: AsRef<str> + Sync>(&self, texts: &[S]) -> Result<Vec<Vec<u32>>> {
        texts.par_iter().map(|text| self.encode_text(text.as_ref())).collect()
    }

    fn encode_piece(&self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        let encoding = caught(text, || self.plain.encode_fast(text, false))?;
        ids.extend_from_slice(encoding.get_ids());
        Ok(())
    }

    /// The text of some ids, special tokens left out.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        caught("(ids)", || self.inner.decode(ids, true))
    }

    /// The text of one token, a special one included.
    pub(super) fn inner_text(&self, id: u32) -> Result<String> {
        caught("(id)", || self.inner.decode(&[id], false))
    }

    /// The token with this id.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The id of this token.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Whose conventions it follows.
    pub fn kind(&self) -> TokenizerKind {
        self.kind
    }

    /// Ids of the special tokens, where the vocabulary has them.
    pub fn special(&self) -> SpecialIds {
        self.special
    }

    /// The token in front of every text of a causal model, as Llama's `<s>`: what the post-processor in `tokenizer.json` puts there, or what `add_bos_token` in
    /// `tokenizer_config.json` says instead. `None` for tokenizers of masked-language models, whose opening token belongs to sequences, and
    /// for those that put several tokens there.
    pub fn document_start(&self) -> Option<u32> {
        match self.around.front[..] {
            [start] if self.special.cls.is_none() => Some(start),
            _ => None,
        }
    }

    /// The lines that divide plain text into documents, for [`crate::TextSettings::end_tokens`]: the tokens that end a document or a text.
    pub fn end_tokens(&self) -> Vec<String> {
        let mut tokens: Vec<String> = [self.special.eos, self.special.sep]
            .into_iter()
            .flatten()
            .filter_map(|id| self.token(id))
            .collect();
        tokens.dedup();
        tokens
    }

    /// The first id, by number, that stands for different tokens here and in `other`, with both tokens. Ids that only one of them has do not count.
    pub fn first_difference(&self, other: &Self) -> Option<(u32, String, String)> {
        let by_id = |tokenizer: &Self| {
            let vocab = guarded(|| tokenizer.inner.get_vocab(true)).unwrap_or_default();
            vocab
                .into_iter()
                .map(|(token, id)| (id, token))
                .collect::<HashMap<_, _>>()
        };
        let (own, theirs) = (by_id(self), by_id(other));
        let differing = own.into_iter().filter_map(|(id, token)| {
            let found = theirs.get(&id).filter(|found| **found != token)?;
            Some((id, token, found.clone()))
        });
        differing.min()
    }

    /// Largest id plus one: the rows an embedding needs.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// SHA-256 of the tokenizer's description, in hexadecimal.
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

/// Runs code of `tokenizers`, which panics on some tokenizers that contradict themselves.
fn caught<T>(text: &str, run: impl FnOnce() -> tokenizers::Result<T>) -> Result<T> {
    let result = guarded(run).and_then(|result| result.map_err(|error| error.to_string()));
    result.map_err(|reason| Error::Encode {
        start: text.chars().take(40).collect(),
        reason,
    })
}
