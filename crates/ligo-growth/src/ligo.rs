use serde::{Deserialize, Serialize};

use crate::{DepthInit, Error, Sharing, WidthInit};

/// The settings of a LiGO operator. How it is trained (rate, warm-up, steps, optimizer) is the trainer's business.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "snake_case")]
pub struct LigoConfig {
    /// Which layers share the width matrices of queries, keys, values and feed-forward neurons. The residual stream
    /// always has one matrix.
    pub sharing: Sharing,
    /// How width matrices start.
    pub width_init: WidthInit,
    /// Noise of `select` (default 0.03, as in the official code) and `near-zero`.
    pub width_noise: f64,
    /// How depth coefficients start.
    pub depth_init: DepthInit,
    /// Noise added to depth coefficients.
    pub depth_noise: f64,
    /// Biases and shifts have depth coefficients of their own, as in the official code, instead of those of their module.
    pub bias_depth: bool,
    /// Hold the identity block of `B = [I; C]` fixed and learn `C` alone, as the official code does.
    pub fixed_identity: bool,
    /// Standard deviation of the fresh values that new channels, and with `depth_init = "own"` new layers, begin with; the map is
    /// added to them. 0 for none, as in the paper.
    ///
    /// What a map alone grows has the small model's rank. With `width_init = "near-zero"`, `width_noise = 0` and the large
    /// model's `initializer_range` the operator starts as `stackbert`, or with `depth_init = "own"` as `direct-copy`, and learns from there.
    pub fresh: f64,
    /// Terms of the map, each with matrices of its own. One is LiGO as published.
    pub terms: usize,
    /// How the terms after the first start. They write rows only, so that tensors whose rows do not grow have one term.
    pub further: FurtherInit,
    /// Columns follow rows, `In = Out`, as in the paper. Otherwise they have matrices of their own, and so has what a tied head
    /// reads; both start as rows do.
    pub tied: bool,
    /// Learn the width matrices.
    pub tune_width: bool,
    /// Learn the depth coefficients.
    pub tune_depth: bool,
    /// Learn the small model's weights along, as the official code can: what is grown is made of them, and the small model itself stays as
    /// it is.
    #[serde(skip_serializing_if = "is_off")]
    pub tune_small_model: bool,
    /// Learn a tensor that is added to each grown one, as the official code can.
    #[serde(skip_serializing_if = "is_off")]
    pub tune_residual: bool,
    /// What is added starts as U(−noise, noise), with the official code's noise unless another is given.
    #[serde(skip_serializing_if = "is_official_noise")]
    pub residual_noise: f64,
}

/// What is off needs no word in files, and programs that do not know it read them.
fn is_off(setting: &bool) -> bool {
    !setting
}

fn is_official_noise(noise: &f64) -> bool {
    *noise == RESIDUAL_NOISE
}

/// The official code's `tune_residual_noise`.
const RESIDUAL_NOISE: f64 = 0.01;

/// Each term has matrices of its own; more than a few were never of use.
const MOST_TERMS: usize = 64;

/// How the terms after the first start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FurtherInit {
    /// Rows N(0, `width_noise`²), layers as in the first term.
    #[default]
    NearZero,
    /// The second term takes the new rows over from the first and fills them from the layer above, as bert2BERT's AKI does
    /// (with `width_init = "fpi"` it is AKI, but for new entries of normalizations, which AKI copies within the layer).
    Above,
}

impl Default for LigoConfig {
    fn default() -> Self {
        Self {
            sharing: Sharing::Shared,
            width_init: WidthInit::Rand,
            width_noise: 0.03,
            depth_init: DepthInit::Stack,
            depth_noise: 0.03,
            bias_depth: false,
            fixed_identity: false,
            fresh: 0.0,
            terms: 1,
            further: FurtherInit::NearZero,
            tied: true,
            tune_width: true,
            tune_depth: true,
            tune_small_model: false,
            tune_residual: false,
            residual_noise: RESIDUAL_NOISE,
        }
    }
}

impl LigoConfig {
    /// Settings that are written only where they differ from what they are by default.
    pub(crate) const UNWRITTEN: [&str; 3] = ["tune_small_model", "tune_residual", "residual_noise"];

    /// Checks that the settings fit together.
    ///
    /// # Errors
    /// A fixed identity block is asked for with an initialization that has none, a noise is negative or not a number.
    pub fn validate(&self) -> Result<(), Error> {
        if self.fixed_identity && !self.width_init.has_identity_block() {
            let message = "fixed_identity = true needs a width_init that starts from [I; C]; `isometric` does not";
            return Err(Error::Settings(message.into()));
        }
        let faults = [
            (self.terms == 0, "terms must be at least 1"),
            (self.terms > MOST_TERMS, "terms must be at most 64"),
            (
                self.fixed_identity && !self.tied,
                "fixed_identity = true needs tied = true: columns of their own have no identity block",
            ),
            (
                self.width_init == WidthInit::Fpi && self.tied,
                "width_init = \"fpi\" needs tied = false: readers divide by the number of copies, and rows do not",
            ),
            (
                self.further == FurtherInit::Above && (self.terms != 2 || self.tied),
                "further = \"above\" needs terms = 2 and tied = false",
            ),
            (
                self.further == FurtherInit::Above && self.fixed_identity,
                "further = \"above\" needs fixed_identity = false",
            ),
            (
                self.further == FurtherInit::Above && self.width_init == WidthInit::Isometric,
                "further = \"above\" needs a width_init that starts from [I; C]; `isometric` does not",
            ),
            (
                !is_official_noise(&self.residual_noise) && !self.tune_residual,
                "residual_noise needs tune_residual = true: without it nothing is added",
            ),
        ];
        if let Some((_, message)) = faults.into_iter().find(|(wrong, _)| *wrong) {
            return Err(Error::Settings(message.into()));
        }
        for (name, value) in [
            ("width_noise", self.width_noise),
            ("depth_noise", self.depth_noise),
            ("fresh", self.fresh),
            ("residual_noise", self.residual_noise),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::Settings(format!("{name} must be 0 or more, found {value}")));
            }
        }
        Ok(())
    }

    /// The starting depth coefficients of a term, row-major `[large, small]`.
    pub(crate) fn depth_start(&self, term: usize, [small, large]: [usize; 2], seed: u64, name: &str) -> Vec<f32> {
        let above = term > 0 && self.further == FurtherInit::Above;
        let source = |j: usize| if above { (j + 1).min(small - 1) } else { j };
        let (init, noise) = if small == large {
            (DepthInit::Stack, 0.0)
        } else {
            (self.depth_init, self.depth_noise)
        };
        init.matrix([small, large], &source, noise, seed, name)
    }
}
