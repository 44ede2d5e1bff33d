//! The special tokens that masked-language modelling needs.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Ids of the special tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecialIds {
    /// Fills a sequence up.
    pub pad: u32,
    /// Stands for a word that cannot be spelt.
    pub unk: u32,
    /// Opens a sequence.
    pub cls: u32,
    /// Ends a sequence or a document.
    pub sep: u32,
    /// Hides a token that is to be predicted.
    pub mask: u32,
}

impl SpecialIds {
    /// Whether `id` is one of the five. They are never masked and never predicted.
    pub fn contains(&self, id: u32) -> bool {
        self.as_array().contains(&id)
    }

    /// The five ids: pad, unk, cls, sep, mask.
    pub fn as_array(&self) -> [u32; 5] {
        [self.pad, self.unk, self.cls, self.sep, self.mask]
    }

    /// Looks for BERT's spellings, then RoBERTa's.
    pub(super) fn find(path: &Path, id_of: impl Fn(&str) -> Option<u32>) -> Result<Self> {
        let find = |role, spellings: [&str; 2]| {
            spellings
                .iter()
                .find_map(|token| id_of(token))
                .ok_or_else(|| Error::MissingSpecialToken {
                    path: path.to_path_buf(),
                    role,
                    tried: spellings.map(|token| format!("`{token}`")).join(", "),
                })
        };
        Ok(Self {
            pad: find("padding", ["[PAD]", "<pad>"])?,
            unk: find("unknown", ["[UNK]", "<unk>"])?,
            cls: find("opening", ["[CLS]", "<s>"])?,
            sep: find("separating", ["[SEP]", "</s>"])?,
            mask: find("mask", ["[MASK]", "<mask>"])?,
        })
    }
}
