//! The special tokens of a vocabulary and what each is for.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Result};

/// Ids of the special tokens, where a vocabulary has them. One token may play several parts: RoBERTa's `</s>` is both `sep` and `eos`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpecialIds {
    /// Fills a sequence up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pad: Option<u32>,
    /// Stands for a word that cannot be spelt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unk: Option<u32>,
    /// Opens a sequence of a masked-language model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cls: Option<u32>,
    /// Ends a sequence or a document of a masked-language model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sep: Option<u32>,
    /// Hides a token that is to be predicted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask: Option<u32>,
    /// Opens a text of a causal model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bos: Option<u32>,
    /// Ends a document of a causal model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eos: Option<u32>,
}

impl SpecialIds {
    /// Whether `id` is one of them. They are never masked and never drawn at random.
    pub fn contains(&self, id: u32) -> bool {
        self.roles().iter().any(|&(_, special)| special == Some(id))
    }

    /// The ids that exist, in the order pad, unk, cls, sep, mask, bos, eos; a token with two parts comes twice.
    pub fn ids(&self) -> impl Iterator<Item = u32> + use<> {
        self.roles().into_iter().filter_map(|(_, id)| id)
    }

    /// What stands between two documents of a token store: `sep`, or `eos` where there is none.
    pub fn separator(&self) -> Option<u32> {
        self.sep.or(self.eos)
    }

    /// Every part with the key that `tokenizer_config.json` has for it.
    pub(super) fn roles(&self) -> [(&'static str, Option<u32>); 7] {
        [
            ("pad_token", self.pad),
            ("unk_token", self.unk),
            ("cls_token", self.cls),
            ("sep_token", self.sep),
            ("mask_token", self.mask),
            ("bos_token", self.bos),
            ("eos_token", self.eos),
        ]
    }

    /// Looks for the spellings of BERT, RoBERTa, GPT-2 and Llama.
    pub(super) fn by_spelling(id_of: impl Fn(&str) -> Option<u32>) -> Self {
        let first = |spellings: &[&str]| spellings.iter().find_map(|token| id_of(token));
        // `<s>` opens a sequence of RoBERTa, and a text of Llama, which has no mask.
        let roberta = |token: &str| id_of("<mask>").and_then(|_| id_of(token));
        Self {
            pad: first(&["[PAD]", "<pad>"]),
            unk: first(&["[UNK]", "<unk>"]),
            cls: id_of("[CLS]").or_else(|| roberta("<s>")),
            sep: id_of("[SEP]").or_else(|| roberta("</s>")),
            mask: first(&["[MASK]", "<mask>"]),
            bos: first(&["<s>", "<|endoftext|>", "<|begin_of_text|>"]),
            eos: first(&["</s>", "<|endoftext|>", "<|end_of_text|>"]),
        }
    }

    /// What `tokenizer_config.json` says instead: a token, or `null` for none. A token that the vocabulary lacks says nothing.
    pub(super) fn overridden_by(mut self, config: &Value, id_of: impl Fn(&str) -> Option<u32>) -> Self {
        let parts = [
            ("pad_token", &mut self.pad),
            ("unk_token", &mut self.unk),
            ("cls_token", &mut self.cls),
            ("sep_token", &mut self.sep),
            ("mask_token", &mut self.mask),
            ("bos_token", &mut self.bos),
            ("eos_token", &mut self.eos),
        ];
        for (key, id) in parts {
            match config.get(key) {
                Some(Value::Null) => *id = None,
                // Either the token or an object that also says how it is cut out of the text.
                Some(token) => {
                    let content = token.as_str().or_else(|| token["content"].as_str());
                    *id = content.and_then(&id_of).or(*id);
                }
                None => {}
            }
        }
        self
    }

    /// Opening, separating and mask token, which masked-language modelling needs.
    pub(crate) fn for_masking(&self, path: &Path) -> Result<(u32, u32, u32)> {
        Ok((
            need(self.cls, path, "opening", &["[CLS]", "<s>"])?,
            need(self.sep, path, "separating", &["[SEP]", "</s>"])?,
            need(self.mask, path, "mask", &["[MASK]", "<mask>"])?,
        ))
    }

    /// The token between documents, which every store needs.
    pub(crate) fn need_separator(&self, path: &Path) -> Result<u32> {
        let spellings = ["[SEP]", "</s>", "<|endoftext|>", "<|end_of_text|>"];
        need(self.separator(), path, "separating", &spellings)
    }

    /// Opening, separating, mask, padding and unknown token, which every BERT vocabulary has.
    pub(super) fn check_bert(&self, path: &Path) -> Result<()> {
        need(self.pad, path, "padding", &["[PAD]"])?;
        need(self.unk, path, "unknown", &["[UNK]"])?;
        self.for_masking(path).map(|_| ())
    }
}

/// The id, or an error that says what was looked for.
pub(super) fn need(id: Option<u32>, path: &Path, role: &'static str, spellings: &[&str]) -> Result<u32> {
    id.ok_or_else(|| Error::MissingSpecialToken {
        path: path.to_path_buf(),
        role,
        tried: spellings
            .iter()
            .map(|token| format!("`{token}`"))
            .collect::<Vec<_>>()
            .join(", "),
    })
}
