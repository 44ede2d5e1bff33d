//! The sizes of a larger model on the command line.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use ligo_arch::{Resize, Size};
use ligo_growth::rows::{NewPositions, NewTokens, Rules};

use crate::Failure;

/// Sizes of the large model.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SizeArgs {
    /// Layers: 24, 2x, or the source of each one, such as 0,1,0,1 or 0-5,4-11.
    #[arg(long, value_name = "N|Nx|LIST")]
    pub layers: Option<Layers>,
    /// Width of the residual stream: 1024 or 1.5x. Heads keep their width and neurons their ratio.
    #[arg(long, value_name = "N|Nx")]
    pub width: Option<Size>,
    /// Query heads; groups of them keep their size.
    #[arg(long, value_name = "N|Nx")]
    pub heads: Option<Size>,
    /// Neurons of a feed-forward layer.
    #[arg(long, value_name = "N|Nx")]
    pub ffn: Option<Size>,
    /// Experts of each layer, which become copies of the one feed-forward network of a Llama, a Mistral or a Qwen3, or of a mixture's experts.
    #[arg(long, value_name = "N|Nx", conflicts_with_all = ["large", "operator"])]
    pub experts: Option<Size>,
    /// Experts that a token goes through; 2 where there were none.
    #[arg(long, value_name = "N", conflicts_with_all = ["large", "operator"])]
    pub top_k: Option<usize>,
    /// How many times smaller than the feed-forward network of a model without experts each expert is: --experts 32 --granularity 4 --top-k 8.
    #[arg(long, value_name = "N", requires = "experts")]
    pub granularity: Option<usize>,
    /// Entries of the vocabulary, for tokens that are yet to be added.
    #[arg(long, value_name = "N|Nx", conflicts_with_all = ["large", "operator"])]
    pub vocab: Option<Size>,
    /// Fill the vocabulary up to a multiple of this, such as 64.
    #[arg(long, value_name = "N", conflicts_with_all = ["large", "operator"])]
    pub pad_vocab_to: Option<usize>,
    /// What the rows of new tokens are: mean (of all rows, the default) or fresh.
    #[arg(long, value_name = "RULE")]
    pub new_tokens: Option<NewTokens>,
    /// Another tokenizer, a folder or hf://OWNER/NAME: each of its tokens begins as the same token of the old one, or as the mean of its pieces there.
    #[arg(long, value_name = "DIR|hf://…", conflicts_with_all = ["large", "operator", "vocab", "text"])]
    pub tokenizer: Option<PathBuf>,
    /// Tokens that a sequence may have. Where positions are rotated, this number alone changes.
    #[arg(long, value_name = "N|Nx", conflicts_with_all = ["large", "operator"])]
    pub positions: Option<Size>,
    /// What the rows of new positions are, where positions are learned: repeat (the old ones once more, the default) or interpolate (the old ones stretched).
    #[arg(long, value_name = "RULE")]
    pub new_positions: Option<NewPositions>,
}

/// How many layers, or where each comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Layers {
    /// A number of them.
    Count(Size),
    /// The small model's layer that each is.
    Sources(Vec<usize>),
}

impl FromStr for Layers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains([',', '-']) {
            return text.parse().map(Self::Count);
        }
        let ranges = text.split(',').map(range).collect::<Result<Vec<_>, _>>()?;
        let layers = ranges
            .iter()
            .map(|range| (range.end() - range.start()).saturating_add(1));
        if layers.fold(0, usize::saturating_add) > MOST_LAYERS {
            return Err(format!("expected at most {MOST_LAYERS} layers"));
        }
        Ok(Self::Sources(ranges.into_iter().flatten().collect()))
    }
}

const MOST_LAYERS: usize = 10_000;

/// `4` or `4-11`, both ends included.
fn range(text: &str) -> Result<RangeInclusive<usize>, String> {
    let expected = || format!("expected layers such as 0,1,0,1 or 0-5,4-11, found `{text}`");
    let number = |text: &str| text.trim().parse::<usize>().map_err(|_| expected());
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = number(first)?..=number(last)?;
    if range.is_empty() { Err(expected()) } else { Ok(range) }
}

impl SizeArgs {
    /// Refuses what does not go together.
    ///
    /// # Errors
    /// Nothing says how large the model is to be, or two things do.
    pub fn check(&self, has_file: bool, has_operator: bool, has_method: bool) -> Result<(), Failure> {
        let count = matches!(self.layers, Some(Layers::Count(_)));
        if has_file && count {
            return Err(Failure::other(
                "--large says how many layers there are, and --layers too",
                "leave one of them out, or give --layers the source of each layer, such as 0,1,0,1",
            ));
        }
        if has_method && self.sources().is_some() {
            return Err(Failure::other(
                "a list of --layers is a method of its own",
                "leave --method out, or say how many layers: --layers 2x",
            ));
        }
        let is_resized = self.resizes_rows() || self.resize() != Resize::default();
        if !has_file && !has_operator && !is_resized {
            return Err(Failure::other(
                "nothing says how large the model is to be",
                "pass sizes, such as --layers 2x or --width 1.5x, or --large config.json",
            ));
        }
        Ok(())
    }

    /// The sizes.
    pub fn resize(&self) -> Resize {
        let layers = self.layers.as_ref().map(|layers| match layers {
            Layers::Count(size) => *size,
            Layers::Sources(sources) => Size::Exactly(sources.len()),
        });
        Resize {
            layers,
            width: self.width,
            heads: self.heads,
            ffn: self.ffn,
            experts: self.experts,
            top_k: self.top_k,
            granularity: self.granularity,
            vocab: self.vocab,
            vocab_multiple: self.pad_vocab_to,
            positions: self.positions,
        }
    }

    /// Whether the vocabulary or the positions become more.
    pub fn resizes_rows(&self) -> bool {
        self.resizes_vocabulary() || self.positions.is_some()
    }

    /// Whether the vocabulary becomes more or another one.
    fn resizes_vocabulary(&self) -> bool {
        self.vocab.is_some() || self.pad_vocab_to.is_some() || self.tokenizer.is_some()
    }

    /// Rules for new rows where no rows are asked for: the option, and why it would change nothing.
    pub fn without_effect(&self) -> Option<(&'static str, &'static str)> {
        if self.new_tokens.is_some() && !self.resizes_vocabulary() {
            return Some((
                "--new-tokens",
                "there are new tokens with --vocab, --pad-vocab-to or --tokenizer",
            ));
        }
        (self.new_positions.is_some() && self.positions.is_none())
            .then_some(("--new-positions", "there are new positions with --positions"))
    }

    /// What the rows of new tokens and positions are.
    pub fn rules(&self, seed: u64) -> Rules {
        Rules {
            tokens: self.new_tokens.unwrap_or_default(),
            positions: self.new_positions.unwrap_or_default(),
            seed,
            pieces: None,
        }
    }

    /// Where each layer comes from, where that is said.
    pub fn sources(&self) -> Option<Vec<usize>> {
        match &self.layers {
            Some(Layers::Sources(sources)) => Some(sources.clone()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_a_number_or_a_list_with_ranges() {
        let sources = |list: &[usize]| Ok(Layers::Sources(list.to_vec()));
        assert_eq!("24".parse(), Ok(Layers::Count(Size::Exactly(24))));
        assert_eq!("2x".parse(), Ok(Layers::Count(Size::Times(2.0))));
        assert_eq!("0,1,0,1".parse(), sources(&[0, 1, 0, 1]));
        assert_eq!("0-2,1-3,3".parse(), sources(&[0, 1, 2, 1, 2, 3, 3]));
        for wrong in ["", "3-1", "0,,1", "a-b", "-1", "0-99999999", "0-18446744073709551615"] {
            assert!(wrong.parse::<Layers>().is_err(), "{wrong}");
        }
    }
}
