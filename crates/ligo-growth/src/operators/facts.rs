//! What is known of each operator: what it can grow, and what growth keeps the function of which families.

use ligo_arch::{Axis, NormKind, NormPlace, ParamTable, Role};

use super::OperatorSpec;

/// Families, by what matters to growth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// None.
    Nowhere,
    /// Those whose layers normalise what they read (pre-norm) and nothing else does, without LayerScale and with an ε that files say.
    PreNormUnscaled,
    /// Those with RMSNorm, and none over all heads.
    RmsNorm,
    /// Those that do not normalise all heads together; the others where heads stay as they are.
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
                pre_norm && is_unscaled && !table.has_fixed_epsilon() && !table.normalises_ends()
            }
            Self::RmsNorm => norm.is_some_and(|n| n.kind == NormKind::Rms) && !table.normalises_heads_together(),
            Self::HeadsApart => !table.normalises_heads_together(),
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
        self.holds(small) || (self == Self::HeadsApart && heads_stay())
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
    also: Option<&'static str>,
    /// Families that it refuses nothing of, by kind of growth, in the order of [`Growth::ALL`].
    takes: [Scope; 4],
    /// Families whose function it keeps.
    keeps: [Scope; 4],
}

impl Facts {
    /// Families that the operator grows in this way.
    pub fn takes(&self, growth: Growth) -> Scope {
        self.takes[growth as usize]
    }

    /// Families whose large models then compute what the small ones do, up to rounding, and more layers of post-norm families up to
    /// the ε of their normalisations.
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

impl OperatorSpec {
    /// What is known of the operator with its default settings.
    pub fn facts(&self) -> Facts {
        use Scope::{Everywhere, HeadsApart, Nowhere, PreNormUnscaled, RmsNorm};
        let heads = "heads of the same size";
        let copies = Facts {
            about: "",
            terms: "1",
            learned: false,
            needs: "–",
            source: "",
            also: None,
            takes: [Everywhere; 4],
            keeps: [Nowhere; 4],
        };
        match self {
            Self::Scratch => Facts {
                about: "fresh weights",
                terms: "0",
                ..copies
            },
            Self::Stackbert => Facts {
                about: "StackBERT, G_stack: layer *i* mod *L*; new channels fresh",
                source: "[Gong et al.](https://proceedings.mlr.press/v97/gong19a.html), [2405.15319](https://arxiv.org/abs/2405.15319)",
                ..copies
            },
            Self::Interpose => Facts {
                about: "interposition: layer ⌊*i·L/L\'*⌋; new channels fresh",
                source: "[2510.08008](https://arxiv.org/abs/2510.08008)",
                ..copies
            },
            Self::Middle => Facts {
                about: "MIDAS: copies of the middle layers behind them; new channels fresh",
                source: "[2409.19044](https://arxiv.org/abs/2409.19044)",
                ..copies
            },
            Self::Layers { .. } => Facts {
                about: "any list of layers (SOLAR); new channels fresh",
                needs: "`layers = [0, 0, 1, 1]`",
                source: "[2312.15166](https://arxiv.org/abs/2312.15166)",
                ..copies
            },
            Self::DirectCopy => Facts {
                about: "the small weights in the top left corner, the rest fresh",
                ..copies
            },
            Self::ZeroPad => Facts {
                about: "G_zero: as StackBERT, but new rows are zero where they read old channels; new columns fresh",
                source: "[2405.15319](https://arxiv.org/abs/2405.15319)",
                keeps: [Nowhere, HeadsApart, Nowhere, Nowhere],
                ..copies
            },
            Self::Fpi(_) => Facts {
                about: "Net2Net, bert2BERT\'s FPI: new channels, neurons and heads copy random ones, their readers divide",
                needs: heads,
                source: "[1511.05641](https://arxiv.org/abs/1511.05641), [2110.07143](https://arxiv.org/abs/2110.07143)",
                keeps: [Nowhere, HeadsApart, Nowhere, Nowhere],
                ..copies
            },
            Self::Aki(_) => Facts {
                about: "bert2BERT\'s AKI: as FPI, new rows from the layer above, but for normalisations",
                terms: "2",
                needs: heads,
                source: "[2110.07143](https://arxiv.org/abs/2110.07143)",
                ..copies
            },
            Self::HyperCloning(_) => Facts {
                about: "HyperCloning: every channel *n* times; added layers without effect",
                terms: "1, `noisy` 2, `diagonal` *n* + 1, `noisy-diagonal` *n* + 2",
                needs: "whole multiples, heads of the same size",
                source: "[2409.12903](https://arxiv.org/abs/2409.12903)",
                takes: [Everywhere, Nowhere, Everywhere, Nowhere],
                keeps: [Everywhere, Nowhere, Everywhere, Nowhere],
                ..copies
            },
            Self::Lemon(_) => Facts {
                about: "LEMON: copies and means of channels, readers split unevenly; added layers without effect",
                needs: "heads of the same size, post-norm also whole multiples",
                source: "[2310.07999](https://arxiv.org/abs/2310.07999)",
                takes: [Everywhere, Everywhere, Everywhere, PreNormUnscaled],
                keeps: [Everywhere, HeadsApart, Everywhere, PreNormUnscaled],
                ..copies
            },
            Self::Expansions => Facts {
                about: "zero-initialised expansions: new channels, neurons, heads and layers fresh, without effect",
                needs: heads,
                source: "[2308.06103](https://arxiv.org/abs/2308.06103)",
                keeps: [Everywhere, HeadsApart, RmsNorm, RmsNorm],
                ..copies
            },
            Self::ZeroBlocks(_) => Facts {
                about: "LLaMA Pro: layers without effect between the small model\'s own",
                needs: "the same widths",
                source: "[2401.02415](https://arxiv.org/abs/2401.02415)",
                takes: [Everywhere, Nowhere, Nowhere, Nowhere],
                keeps: [Everywhere, Nowhere, Nowhere, Nowhere],
                ..copies
            },
            Self::Upcycle(_) => Facts {
                about: "upcycling: experts copy the dense feed-forward network (fresh router), or fewer experts and their rows of the router; `drop` begins neurons anew",
                needs: "more experts, all else the same",
                source: "[2212.05055](https://arxiv.org/abs/2212.05055), [2502.19261](https://arxiv.org/abs/2502.19261), [2604.19835](https://arxiv.org/abs/2604.19835)",
                also: Some(
                    "from a dense model, where probabilities are normalised; *n* times the experts with *n* times `top-k`",
                ),
                takes: [Nowhere; 4],
                ..copies
            },
            Self::Ligo(_) => Facts {
                about: "LiGO, learned",
                terms: "`terms`",
                learned: true,
                source: "[2303.00980](https://arxiv.org/abs/2303.00980)",
                ..copies
            },
        }
    }
}

/// A table of all operators, in Markdown.
pub fn table() -> String {
    let named = OperatorSpec::NAMES.into_iter().filter_map(OperatorSpec::from_name);
    let list = OperatorSpec::Layers { layers: Vec::new() };
    let mut table = String::from(
        "| start of the large model | `name` in a recipe, `--method` of `ligo grow` | terms | needs | keeps the function of | paper |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for spec in named.chain([list]) {
        let facts = spec.facts();
        let line = [
            facts.about,
            &format!("`{}`", spec.name()),
            facts.terms,
            facts.needs,
            &facts.exact(),
            facts.source,
        ];
        table.push_str(&format!("| {} |\n", line.join(" | ")));
    }
    table
}
