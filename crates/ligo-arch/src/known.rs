//! What is known of a `model_type` beside its configuration.

use TokenizerKind::{Gpt2Bpe, RobertaBpe, WordPiece};

use crate::ModelConfig;

/// The kind of tokenizer that a family is usually pretrained with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenizerKind {
    /// BERT's: pieces of lower-cased words.
    WordPiece,
    /// GPT-2's: byte-level BPE with `<|endoftext|>` between documents.
    Gpt2Bpe,
    /// RoBERTa's: byte-level BPE with `<s>`, `</s>` and `<mask>`.
    RobertaBpe,
}

/// A `model_type`.
#[derive(Clone, Copy, Debug)]
struct Known {
    model_type: &'static str,
    /// As people write it.
    name: &'static str,
    tokenizer: TokenizerKind,
}

const fn known(model_type: &'static str, name: &'static str, tokenizer: TokenizerKind) -> Known {
    Known {
        model_type,
        name,
        tokenizer,
    }
}

/// Every `model_type` that can be read, in the order of [`ModelConfig::MODEL_TYPES`]. For models of images the tokenizer says nothing.
const KNOWN: &[Known] = &[
    known("bert", "BERT", WordPiece),
    known("roberta", "RoBERTa", RobertaBpe),
    known("xlm-roberta", "XLM-RoBERTa", RobertaBpe),
    known("camembert", "CamemBERT", RobertaBpe),
    known("modernbert", "ModernBERT", WordPiece),
    known("distilbert", "DistilBERT", WordPiece),
    known("albert", "ALBERT", WordPiece),
    known("electra", "ELECTRA", WordPiece),
    known("gpt2", "GPT-2", Gpt2Bpe),
    known("gpt_neox", "GPT-NeoX", Gpt2Bpe),
    known("llama", "Llama", Gpt2Bpe),
    known("mistral", "Mistral", Gpt2Bpe),
    known("mixtral", "Mixtral", Gpt2Bpe),
    known("qwen2", "Qwen2", Gpt2Bpe),
    known("qwen3", "Qwen3", Gpt2Bpe),
    known("qwen3_moe", "Qwen3 MoE", Gpt2Bpe),
    known("gemma", "Gemma", Gpt2Bpe),
    known("gemma2", "Gemma 2", Gpt2Bpe),
    known("gemma3_text", "Gemma 3", Gpt2Bpe),
    known("smollm3", "SmolLM3", Gpt2Bpe),
    known("phi3", "Phi-3", Gpt2Bpe),
    known("olmo2", "OLMo 2", Gpt2Bpe),
    known("opt", "OPT", Gpt2Bpe),
    known("vit", "ViT", Gpt2Bpe),
    known("deit", "DeiT", Gpt2Bpe),
    known("cait", "CaiT", Gpt2Bpe),
];

fn find(model_type: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.model_type == model_type)
}

/// A `model_type` as people write it; one that is not known as it is.
pub fn family_name(model_type: &str) -> &str {
    find(model_type).map_or(model_type, |known| known.name)
}

impl ModelConfig {
    /// The family as people write it: `GPT-2`.
    pub fn display_name(&self) -> &str {
        family_name(self.model_type())
    }

    /// What texts are usually taken apart by for this family.
    pub fn tokenizer_kind(&self) -> TokenizerKind {
        find(self.model_type()).map_or(Gpt2Bpe, |known| known.tokenizer)
    }

    /// How many times the hidden width the feed-forward network is wide where a configuration of the family does not say.
    pub fn usual_ffn_ratio(&self) -> Option<u64> {
        matches!(self, Self::Bert(_) | Self::Vit(_) | Self::Cait(_)).then_some(4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_that_can_be_read_is_known_by_a_name() {
        for model_type in ModelConfig::MODEL_TYPES {
            assert!(find(model_type).is_some(), "{model_type} has no name for people");
        }
        for known in KNOWN {
            let is_read = ModelConfig::MODEL_TYPES.contains(&known.model_type);
            assert!(is_read, "{} cannot be read", known.model_type);
        }
        assert_eq!(family_name("gpt2"), "GPT-2");
        assert_eq!(family_name("t5"), "t5");
    }
}
