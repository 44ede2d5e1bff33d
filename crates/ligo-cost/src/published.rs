//! What growth methods are known to save, as data.

/// Layers and hidden width of a model.
pub type Size = (usize, usize);

/// One saving that somebody measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Published {
    /// The method, by its name in a recipe.
    pub method: &'static str,
    /// `model_type` of both models.
    pub family: &'static str,
    /// The small model.
    pub small: Size,
    /// The large one.
    pub large: Size,
    /// What people call the pair.
    pub pair: &'static str,
    /// Share of scratch's FLOPs that was saved. The operator is charged, the small model is not.
    pub flops: f64,
    /// Share of scratch's time that was saved, where it was told.
    pub time: Option<f64>,
    /// Where it was told.
    pub source: &'static str,
    /// Whether this repository measured it, by its exact count; papers count as ELECTRA does.
    pub measured_here: bool,
}

/// A saving that may be expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expectation {
    /// The measurement.
    pub published: &'static Published,
    /// Whether it was measured on models of just these sizes.
    pub same_pair: bool,
}

const LIGO: &str = "Wang et al., ICLR 2023, arXiv:2303.00980";
const BERT2BERT: &str = "Chen et al., ACL 2022, arXiv:2110.07143";
const MANGO: &str = "Pan et al., NeurIPS 2023, arXiv:2310.10699";
const WIKIPEDIA: &str = "docs/RESULTS.md, English Wikipedia, three seeds";

struct Pair(&'static str, &'static str, Size, Size);

const SMALL_TO_BASE: Pair = Pair("BERT-Small → BERT-Base", "bert", (6, 512), (12, 768));
const BASE_TO_LARGE: Pair = Pair("BERT-Base → BERT-Large", "bert", (12, 768), (24, 1024));
const SMALL_TO_LARGE: Pair = Pair("BERT-Small → BERT-Large", "bert", (6, 512), (24, 1024));
const DEPTH_ONLY: Pair = Pair("BERT (6, 768) → (12, 768)", "bert", (6, 768), (12, 768));
const WIDTH_ONLY: Pair = Pair("BERT (12, 512) → (12, 768)", "bert", (12, 512), (12, 768));
const ROBERTA: Pair = Pair("RoBERTa-Small → RoBERTa-Base", "roberta", (6, 512), (12, 768));
const GPT2: Pair = Pair("GPT2-Base → GPT2-Medium", "gpt2", (12, 768), (24, 1024));
const GPT2_XL: Pair = Pair("GPT2-Medium → GPT2-1.5B", "gpt2", (24, 1024), (48, 1600));
const DEIT: Pair = Pair("DeiT-S → DeiT-B", "deit", (12, 384), (12, 768));
const CAIT: Pair = Pair("CaiT-XS → CaiT-S", "cait", (24, 288), (24, 384));
const MICRO: Pair = Pair("BERT (2, 64) → (4, 96)", "bert", (2, 64), (4, 96));
const GPT2_MINI: Pair = Pair("GPT-2 (3, 64) → (6, 96)", "gpt2", (3, 64), (6, 96));

/// Percent, as papers print them.
const fn row(method: &'static str, pair: Pair, flops: f64, time: Option<f64>, source: &'static str) -> Published {
    let Pair(name, family, small, large) = pair;
    Published {
        method,
        family,
        small,
        large,
        pair: name,
        flops: flops / 100.0,
        time: match time {
            Some(time) => Some(time / 100.0),
            None => None,
        },
        source,
        measured_here: false,
    }
}

/// Three seeds, every method at the best of several learning rates; methods that reached scratch's loss with every seed. Times are not known: the
/// machine did other work besides.
const fn here(method: &'static str, pair: Pair, flops: f64) -> Published {
    Published {
        measured_here: true,
        ..row(method, pair, flops, None, WIKIPEDIA)
    }
}

/// All that is known.
pub const PUBLISHED: &[Published] = &[
    row("ligo", SMALL_TO_BASE, 44.7, Some(40.7), LIGO),
    row("ligo", BASE_TO_LARGE, 45.2, None, LIGO),
    row("ligo", SMALL_TO_LARGE, 30.3, None, LIGO),
    row("ligo", DEPTH_ONLY, 51.7, None, LIGO),
    row("ligo", WIDTH_ONLY, 41.6, None, LIGO),
    row("ligo", ROBERTA, 47.2, None, LIGO),
    row("ligo", GPT2, 22.5, None, LIGO),
    row("ligo", GPT2_XL, 39.0, None, LIGO),
    row("ligo", DEIT, 55.4, Some(52.0), LIGO),
    row("ligo", CAIT, 52.6, Some(46.1), LIGO),
    row("stackbert", SMALL_TO_BASE, 34.1, Some(33.3), LIGO),
    row("stackbert", DEIT, 23.8, Some(15.1), LIGO),
    row("mslt", SMALL_TO_BASE, 34.9, Some(30.0), LIGO),
    row("mslt", DEIT, 36.7, Some(28.9), LIGO),
    row("ki", SMALL_TO_BASE, -5.7, Some(-13.9), LIGO),
    row("ki", DEIT, -11.2, Some(-36.8), LIGO),
    row("bert2bert", SMALL_TO_BASE, 29.0, Some(25.1), LIGO),
    row("bert2bert", DEIT, 40.8, Some(37.0), LIGO),
    row("bert2bert", WIDTH_ONLY, 45.2, None, BERT2BERT),
    row("fpi", WIDTH_ONLY, 30.4, None, BERT2BERT),
    row("aki", WIDTH_ONLY, 38.4, None, BERT2BERT),
    row("mango", DEIT, 76.4, None, MANGO),
    here("ligo", MICRO, 28.1),
    here("stackbert", MICRO, 34.3),
    here("interpose", MICRO, 29.9),
    here("bert2bert", MICRO, 29.2),
    here("stackbert-progressive", MICRO, 27.9),
    here("direct-copy", MICRO, 25.9),
    here("aki", MICRO, 25.1),
    here("ligo", GPT2_MINI, 31.3),
    here("stackbert", GPT2_MINI, 42.8),
    here("direct-copy", GPT2_MINI, 39.2),
    here("bert2bert", GPT2_MINI, 29.8),
    here("ki", GPT2_MINI, 5.6),
];

/// What a method may be expected to save on a pair of models: what was measured on models of these sizes, else what was published for the pair of the
/// same family whose growth in depth and width is nearest. What was measured here speaks for its own pair alone, since it is small.
///
/// `None` where nobody measured the method on the family.
#[must_use]
pub fn expectation(method: &str, family: &str, small: Size, large: Size) -> Option<Expectation> {
    let candidates = PUBLISHED.iter().filter(|p| p.method == method && p.family == family);
    let same = candidates.clone().find(|p| p.small == small && p.large == large);
    let distance = |p: &Published| {
        let factor = |new: usize, old: usize| (new as f64 / old as f64).ln();
        let depth = factor(p.large.0, p.small.0) - factor(large.0, small.0);
        let width = factor(p.large.1, p.small.1) - factor(large.1, small.1);
        depth.hypot(width)
    };
    let nearest = candidates
        .filter(|p| !p.measured_here)
        .min_by(|a, b| distance(a).total_cmp(&distance(b)));
    same.or(nearest).map(|published| Expectation {
        published,
        same_pair: same.is_some(),
    })
}
