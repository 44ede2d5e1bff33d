//! What is known of each operator: what it can grow, and what growth keeps the function of which families.

use ligo_arch::{Axis, NormKind, NormPlace, ParamTable, Role};

/// Families, by what matters to growth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// None.
    Nowhere,
    /// Those whose layers normalize what they read (pre-norm) and nothing else does, without LayerScale and with an ε that files say.
    PreNormUnscaled,
    /// Those with RMSNorm, and none over all heads.
    RmsNorm,
    /// Those that do not normalize all heads together; the others where heads stay as they are.
    HeadsApart,
    /// All.
    Everywhere,
}

impl Scope {
    /// Whether a family belongs to it.
    pub fn holds(self, table: &ParamTable) -> bool {
        let norm = table.norm();
        let pre_norm = norm.is_some_and(|n| n.place == NormPlace::Before);
        match self {
            Self::Nowhere => false,
            Self::PreNormUnscaled => {
                let is_unscaled = table.specs().iter().all(|s| s.role != Role::Scale);
                pre_norm && is_unscaled && !table.has_fixed_epsilon() && !table.normalizes_ends()
            }
            Self::RmsNorm => norm.is_some_and(|n| n.kind == NormKind::Rms) && !table.normalizes_heads_together(),
            Self::HeadsApart => !table.normalizes_heads_together(),
            Self::Everywhere => true,
        }
    }

    /// Whether a pair belongs to it.
    pub fn holds_between(self, small: &ParamTable, large: &ParamTable) -> bool {
        let heads_stay = || {
            [Axis::QUERY, Axis::KEY]
                .iter()
                .all(|axis| small.size(*axis) == large.size(*axis))
        };
        runs_alike(small, large) && (self.holds(small) || (self == Self::HeadsApart && heads_stay()))
    }

    fn text(self) -> &'static str {
        match self {
            Self::Nowhere => "none",
            Self::PreNormUnscaled => "pre-norm without LayerScale (not ModernBERT)",
            Self::RmsNorm => "RMSNorm",
            Self::HeadsApart => "all (OLMo 2: neurons)",
            Self::Everywhere => "all",
        }
    }
}

/// Whether layers that run more often than once do so in both models, equally often. What copies a layer, or adds one that does nothing, does so once.
fn runs_alike(small: &ParamTable, large: &ParamTable) -> bool {
    let unchanged = || {
        large
            .depths()
            .all(|(stack, depth)| small.depth(stack) == depth && small.runs(stack) == large.runs(stack))
    };
    (!small.shares_layers() && !large.shares_layers()) || unchanged()
}

/// A kind of growth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// More layers.
    Layers,
    /// More neurons or heads, the residual stream as wide as before.
    Inner,
    /// Every width twice.
    Doubled,
    /// Every width, by no whole multiple.
    Widened,
}

impl Growth {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Layers, Self::Inner, Self::Doubled, Self::Widened];

    fn text(self) -> &'static str {
        match self {
            Self::Layers => "layers",
            Self::Inner => "neurons and heads",
            Self::Doubled => "twice the width",
            Self::Widened => "any width",
        }
    }
}

/// What an operator can grow and what stays the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What the large model starts with.
    pub about: &'static str,
    /// The number of terms of its map.
    pub terms: &'static str,
    /// Whether it has parameters to learn.
    pub learned: bool,
    /// What a pair must have.
    pub needs: &'static str,
    /// Where it is from.
    pub source: &'static str,
    /// What else keeps the function, where it is no kind of growth that all families have.
    pub(super) also: Option<&'static str>,
    /// Families that it refuses nothing of, by kind of growth, in the order of [`Growth::ALL`].
    pub(super) takes: [Scope; 4],
    /// Families whose function it keeps.
    pub(super) keeps: [Scope; 4],
}

/// What a pair must have for operators that copy whole heads.
pub(super) const HEADS: &str = "heads of the same size";

impl Facts {
    /// Those of an operator that copies weights, grows whatever can be grown, and keeps the function of nothing.
    pub(super) const OF_COPIES: Self = Self {
        about: "",
        terms: "1",
        learned: false,
        needs: "–",
        source: "",
        also: None,
        takes: [Scope::Everywhere; 4],
        keeps: [Scope::Nowhere; 4],
    };

    /// Families that the operator grows in this way.
    pub fn takes(&self, growth: Growth) -> Scope {
        self.takes[growth as usize]
    }

    /// Families whose large models then compute what the small ones do, up to rounding, and more layers of post-norm families up to
    /// the ε of their normalizations.
    pub fn keeps(&self, growth: Growth) -> Scope {
        self.keeps[growth as usize]
    }

    /// [`Facts::keeps`] in words.
    pub fn exact(&self) -> String {
        let kept = Growth::ALL
            .into_iter()
            .filter(|growth| self.keeps(*growth) != Scope::Nowhere)
            .map(|growth| format!("{}: {}", growth.text(), self.keeps(growth).text()));
        let kept: Vec<String> = kept.chain(self.also.map(str::to_owned)).collect();
        if kept.is_empty() { "–".into() } else { kept.join("; ") }
    }
}
