//! What the tables of decoders have in common.

use crate::rows::Rows;
use crate::{Axis, Repeat, Role};

/// What names below a head begin with in most families.
pub(crate) const BASE: &str = "model.";

/// The end of a decoder: a last normalization, and a head that may share the token table.
///
/// A tied head reads the residual stream through the columns of the token table, so that what the last normalization gives has an axis of its own.
#[derive(Clone, Copy)]
pub(crate) struct Ending {
    /// The normalization, where there is one.
    pub(crate) norm: Option<&'static str>,
    /// Whether it has a shift.
    pub(crate) has_shift: bool,
    /// The head's matrix.
    pub(crate) head: &'static str,
    /// The token table.
    pub(crate) words: &'static str,
    /// Whether it is the head, too.
    pub(crate) tied: bool,
    /// What the head reads where a projection stands in front of it.
    pub(crate) word: Option<Axis>,
}

impl Ending {
    /// Adds the rows. Returns the names that are tied.
    pub(crate) fn rows(self, rows: &mut Rows) -> Vec<(String, String)> {
        let read = match self.reads_words() {
            true => Axis::HEAD_INPUT,
            false => Axis::HIDDEN,
        };
        if let Some(norm) = self.norm {
            rows.one(format!("{norm}.weight"), &[read], "final_norm", Role::NormWeight);
            if self.has_shift {
                rows.one(format!("{norm}.bias"), &[read], "final_norm", Role::NormBias);
            }
        }
        if self.tied {
            return vec![(self.head.into(), self.words.into())];
        }
        let columns = self.word.unwrap_or(Axis::HIDDEN);
        rows.one(self.head, &[Axis::VOCAB, columns], "head", Role::Weight);
        Vec::new()
    }

    /// The axis of what a tied head reads, which follows the residual stream.
    pub(crate) fn tied_input(self, hidden: usize) -> Option<(Axis, Repeat)> {
        let follows_hidden = Repeat {
            of: Axis::HIDDEN,
            block: hidden,
            times: 1,
        };
        self.reads_words().then_some((Axis::HEAD_INPUT, follows_hidden))
    }

    /// The sizes of a decoder's axes whose queries, keys and values are as wide as the residual stream; those of positions and of projections not among
    /// them.
    pub(crate) fn sizes(self, hidden: usize, ffn: usize, vocabulary: usize) -> Vec<(Axis, usize)> {
        let wide = [Axis::HIDDEN, Axis::QUERY, Axis::KEY, Axis::VALUE].into_iter();
        let wide = wide.chain(self.tied_input(hidden).map(|(axis, _)| axis));
        let sizes = wide.map(|axis| (axis, hidden));
        sizes.chain([(Axis::FFN, ffn), (Axis::VOCAB, vocabulary)]).collect()
    }

    fn reads_words(self) -> bool {
        self.tied && self.word.is_none() && self.norm.is_some()
    }
}
